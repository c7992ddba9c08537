//! README.md says what the elements have: properties, formats, fields of messages, scripts. So do their blurbs.

mod support;

use gst::glib;
use gst::prelude::*;
use gstdetect::bridge::message::{DetectModel, DetectStats, InForce, MODEL, STATS};
use gstdetect::flow::stats::{Percentiles, Snapshot};
use gstdetect::host::machine::MachineSample;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use support::init;

const ELEMENTS: [&str; 2] = ["detect", "detectoverlay"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// The rows of the first table behind `begin`, cell by cell, without its head.
fn table(text: &str, begin: &str) -> Vec<Vec<String>> {
    let (_, behind) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("README.md has no \"{begin}\""));
    let rows: Vec<_> = behind
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|'))
        .map(|cells| cells.map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "no table behind \"{begin}\"");
    rows
}

/// What stands between backticks, word by word. A word that begins with a hyphen is the end of another name for the
/// one before: "`age-p50 -p95`" is age-p50 and age-p95.
fn names(cell: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for word in cell
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(str::split_whitespace)
    {
        let name = match (word.starts_with('-'), names.last()) {
            (true, Some(last)) => {
                last.rsplit_once('-')
                    .map_or("", |(begin, _)| begin)
                    .to_owned()
                    + word
            }
            _ => word.to_owned(),
        };
        names.push(name);
    }
    names
}

/// The properties that an element adds to those of every element.
fn properties(element: &str) -> Vec<glib::ParamSpec> {
    init();
    let element = gst::ElementFactory::make(element)
        .build()
        .expect("registered");
    let own = element.type_();
    let all = element.list_properties();
    let own: Vec<_> = all
        .iter()
        .filter(|p| p.owner_type() == own)
        .cloned()
        .collect();
    assert!(!own.is_empty());
    own
}

/// Type and default as README.md writes them.
fn type_and_default(property: &glib::ParamSpec) -> String {
    let default = property.default_value();
    if let Some((_, value)) = glib::EnumValue::from_value(default) {
        return format!("enum, {}", value.nick());
    }
    let (kind, default) = match property.value_type() {
        glib::Type::STRING => ("string", default.get::<Option<String>>().expect("a text")),
        glib::Type::BOOL => (
            "boolean",
            Some(default.get::<bool>().expect("a switch").to_string()),
        ),
        glib::Type::U32 => (
            "uint",
            Some(default.get::<u32>().expect("a number").to_string()),
        ),
        glib::Type::U64 => (
            "uint64",
            Some(default.get::<u64>().expect("a number").to_string()),
        ),
        glib::Type::F32 => (
            "float",
            Some(default.get::<f32>().expect("a number").to_string()),
        ),
        glib::Type::F64 => (
            "double",
            Some(default.get::<f64>().expect("a number").to_string()),
        ),
        kind if kind == gst::Structure::static_type() => ("structure", None),
        other => panic!("{}: type {other} has no word in README.md", property.name()),
    };
    format!("{kind}, {}", default.as_deref().unwrap_or("null"))
}

fn takes_effect(property: &glib::ParamSpec) -> &'static str {
    let flags = property.flags();
    if !flags.contains(glib::ParamFlags::WRITABLE) {
        "read only"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "at once"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) {
        "next load"
    } else {
        panic!("{}: nobody can know when it may be set", property.name())
    }
}

#[test]
fn the_tables_of_properties_are_those_of_the_elements() {
    let readme = read("README.md");
    for element in ELEMENTS {
        let told: BTreeMap<_, _> = table(&readme, &format!("## Element `{element}`"))
            .into_iter()
            .map(|row| (names(&row[0]).concat(), (row[1].clone(), row[2].clone())))
            .collect();
        let registered: BTreeMap<_, _> = properties(element)
            .iter()
            .map(|p| {
                (
                    p.name().to_owned(),
                    (type_and_default(p), takes_effect(p).to_owned()),
                )
            })
            .collect();
        assert_eq!(
            told, registered,
            "{element}: README.md left, the element right"
        );
    }
}

#[test]
fn the_choices_of_a_property_are_named() {
    let readme = read("README.md");
    for element in ELEMENTS {
        let rows = table(&readme, &format!("## Element `{element}`"));
        for property in properties(element) {
            let Some(class) = glib::EnumClass::with_type(property.value_type()) else {
                continue;
            };
            let row = rows
                .iter()
                .find(|row| names(&row[0]).concat() == property.name());
            let told: BTreeSet<_> = names(&row.expect("compared elsewhere")[3])
                .into_iter()
                .collect();
            let choices = class.values().iter().map(|value| value.nick().to_owned());
            let choices: BTreeSet<_> = choices.filter(|nick| nick != "stub").collect();
            assert_eq!(told, choices, "{element}: {}", property.name());
        }
    }
}

#[test]
fn the_formats_are_those_of_the_pads() {
    init();
    let readme = read("README.md");
    let (_, behind) = readme
        .split_once("in the formats ")
        .expect("the list of formats");
    let told: Vec<_> = behind
        .split_once('.')
        .expect("the end of the sentence")
        .0
        .split_whitespace()
        .collect();
    for element in ELEMENTS {
        let factory = gst::ElementFactory::find(element).expect("registered");
        for template in factory.static_pad_templates() {
            let caps = template.caps();
            let formats = caps
                .structure(0)
                .expect("one structure")
                .get::<gst::List>("format");
            let formats = formats.expect("a list of formats");
            let formats: Vec<_> = formats
                .iter()
                .map(|f| f.get::<&str>().expect("a text"))
                .collect();
            assert_eq!(told, formats, "{element}");
        }
    }
}

#[test]
fn every_property_explains_itself() {
    for element in ELEMENTS {
        for property in properties(element) {
            let name = format!("{element}: {}", property.name());
            let nick = property.nick();
            let title = |word: &str| word.starts_with(char::is_uppercase);
            // GObject gives the name where there is no nick.
            assert!(
                nick != property.name() && nick.split(' ').all(|w| title(w) || w == "IoU"),
                "{name}: {nick}"
            );
            let blurb = property.blurb().unwrap_or_default();
            let sentence =
                blurb.starts_with(char::is_uppercase) && blurb.split_whitespace().count() > 3;
            assert!(sentence && !blurb.ends_with('.'), "{name}: \"{blurb}\"");
            if property.value_type() == glib::Type::U64 {
                assert!(blurb.contains("nanoseconds"), "{name}: {blurb}");
            }
            let number = [
                glib::Type::U32,
                glib::Type::U64,
                glib::Type::F32,
                glib::Type::F64,
            ];
            let zero = type_and_default(&property).ends_with(", 0");
            if number.contains(&property.value_type()) && zero {
                assert!(
                    blurb.contains("0 = "),
                    "{name} does not say what 0 means: {blurb}"
                );
            }
        }
    }
}

#[test]
fn the_fields_of_messages_are_told() {
    init();
    let time = Duration::from_millis(1);
    let percentiles = Some(Percentiles {
        p50: time,
        p95: time,
        p99: time,
    });
    let stats = DetectStats {
        snapshot: Snapshot {
            model_mean: Some(time),
            wait_mean: Some(time),
            preprocess_mean: Some(time),
            postprocess_mean: Some(time),
            model: percentiles,
            total: percentiles,
            age: percentiles,
            ..Snapshot::default()
        },
        machine: MachineSample {
            process_cpu: Some(1.0),
            system_cpu: Some(1.0),
            rss: Some(1),
            temperature: Some(1.0),
            cpu_frequency: Some(1),
            throttled: Some(0),
        },
        running_time: Some(gst::ClockTime::SECOND),
        ..DetectStats::default()
    };
    let readme = read("README.md");
    for structure in [
        stats.to_structure(STATS),
        DetectModel {
            running_time: Some(gst::ClockTime::ZERO),
            in_force: InForce {
                kept_classes: Some(Vec::new()),
                ..InForce::default()
            },
            ..DetectModel::default()
        }
        .to_structure(MODEL),
    ] {
        let rows = table(&readme, &format!("**`{}`**", structure.name()));
        let told: BTreeSet<_> = rows.iter().flat_map(|row| names(&row[0])).collect();
        let fields: BTreeSet<_> = structure.fields().map(|field| field.to_string()).collect();
        assert_eq!(told, fields, "{}: README.md left", structure.name());
    }
}

#[test]
fn every_script_is_told_with_its_first_comment() {
    let readme = read("README.md");
    let told: BTreeMap<_, _> = table(&readme, "## Pipelines")
        .into_iter()
        .map(|row| (names(&row[0]).concat(), row[1].clone()))
        .collect();
    let mut scripts = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("pipelines")).expect("the folder is there") {
        let name = entry
            .expect("readable")
            .file_name()
            .into_string()
            .expect("a plain name");
        if name.ends_with(".sh") {
            let path = format!("pipelines/{name}");
            let text = read(&path);
            let comment = text.lines().nth(1).and_then(|line| line.strip_prefix("# "));
            let comment = comment.unwrap_or_else(|| panic!("{path}: no comment in line 2"));
            scripts.insert(path, comment.to_owned());
        }
    }
    assert_eq!(told, scripts, "README.md left, the scripts right");
}
