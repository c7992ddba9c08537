//! The tables of the guide name what the elements, messages, families, cards and scripts have; blurbs explain themselves.

use super::support::init;
use super::{read, root};
use gst::glib;
use gst::prelude::*;
use gstdetect::bridge::message::{DetectModel, DetectStats, InForce, MODEL, STATS};
use gstdetect::families::card::Card;
use gstdetect::families::decode_names;
use gstdetect::flow::stats::{Percentiles, Snapshot};
use gstdetect::host::machine::MachineSample;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The elements, and the page with the table of their properties.
const ELEMENTS: [(&str, &str); 2] = [
    ("detect", "src/guide/detect.md"),
    ("detectoverlay", "src/guide/overlay.md"),
];

/// Returns the rows of the first table after `begin`, cell by cell, without the head.
fn table(text: &str, begin: &str) -> Vec<Vec<String>> {
    let at = text
        .find(begin)
        .unwrap_or_else(|| panic!("the page has no \"{begin}\""));
    let rows: Vec<_> = text[at..]
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

/// Returns the words between backticks. A word that begins with a hyphen replaces the end of the word before:
/// "`age-p50 -p95`" is age-p50 and age-p95.
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

/// Returns the properties that an element adds to those of every element.
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

/// Returns type and default as the guide writes them.
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
        other => panic!("{}: type {other} has no word in the guide", property.name()),
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
    for (element, page) in ELEMENTS {
        let told: BTreeMap<_, _> = table(&read(page), "| property |")
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
            "{element}: {page} left, the element right"
        );
    }
}

#[test]
fn the_choices_of_a_property_are_named() {
    for (element, page) in ELEMENTS {
        let rows = table(&read(page), "| property |");
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
    let page = read("src/guide/detect.md");
    let (_, behind) = page
        .split_once("for these formats:\n\n```text\n")
        .expect("the list of formats");
    let (list, _) = behind.split_once("```").expect("the end of the block");
    let told: Vec<_> = list.split_whitespace().collect();
    for (element, _) in ELEMENTS {
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
    for (element, _) in ELEMENTS {
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
    let page = read("src/guide/messages.md");
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
        let rows = table(&page, &format!("**`{}`**", structure.name()));
        let told: BTreeSet<_> = rows.iter().flat_map(|row| names(&row[0])).collect();
        let fields: BTreeSet<_> = structure.fields().map(|field| field.to_string()).collect();
        assert_eq!(told, fields, "{}: messages.md left", structure.name());
    }
}

#[test]
fn every_script_is_told_with_its_first_comment() {
    let page = read("src/guide/pipelines.md");
    let told: BTreeMap<_, _> = table(&page, "| script |")
        .into_iter()
        .map(|row| (names(&row[0]).concat(), row[1].replace('\\', "")))
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
    assert_eq!(told, scripts, "pipelines.md left, the scripts right");
}

/// The names in the first column of a table.
fn first_column(rows: &[Vec<String>]) -> BTreeSet<String> {
    rows.iter().flat_map(|row| names(&row[0])).collect()
}

#[test]
fn the_tables_of_families_are_those_of_the_registry() {
    let registered: BTreeSet<_> = decode_names().map(str::to_owned).collect();
    let models = table(&read("src/guide/models.md"), "| family |");
    assert_eq!(first_column(&models), registered, "models.md left");
    let cards = read("src/guide/cards.md");
    let line = cards
        .lines()
        .find(|line| line.starts_with("| `decode` |"))
        .expect("cards.md has the key decode");
    let told: BTreeSet<_> = names(line).into_iter().skip(1).collect();
    assert_eq!(told, registered, "cards.md left");
}

/// Returns the backticked words of the row of `key` in cards.md, without the key.
fn card_values(cards: &str, key: &str) -> BTreeSet<String> {
    let begin = format!("| `{key}` |");
    let row = cards.lines().find(|line| line.starts_with(&begin));
    let row = row.unwrap_or_else(|| panic!("cards.md has no row for {key}"));
    names(&row[begin.len()..]).into_iter().collect()
}

/// Returns what the reader of cards says about a card with one wrong value.
fn complaint(key: &str) -> String {
    let card = match key.strip_prefix("input.") {
        Some(key) => format!(r#"{{"input": {{"{key}": "?"}}}}"#),
        None => format!(r#"{{"{key}": "?"}}"#),
    };
    let error = Card::parse(Path::new("x.detect.json"), card.as_bytes());
    error.expect_err("? is no value of any key").to_string()
}

#[test]
fn the_values_of_a_card_are_those_that_its_reader_names() {
    let cards = read("src/guide/cards.md");
    for key in [
        "decode",
        "input.colour",
        "input.resize_mode",
        "input.interpolation",
    ] {
        let complaint = complaint(key);
        let (_, wanted) = complaint
            .split_once("expected one of ")
            .unwrap_or_else(|| panic!("{complaint}"));
        let quoted = wanted.split('"').skip(1).step_by(2);
        let wanted: BTreeSet<_> = quoted.map(str::to_owned).collect();
        assert_eq!(
            card_values(&cards, key),
            wanted,
            "{key}: cards.md left, the reader of cards right"
        );
    }
}

#[test]
fn every_key_of_a_card_in_the_guide_is_read() {
    let cards = read("src/guide/cards.md");
    let all = table(&cards, "| key | value |");
    let some = table(&cards, "| key | family | value |");
    for key in first_column(&all).union(&first_column(&some)) {
        // A key that nobody reads would be ignored, whatever its value.
        let card = |value: &str| match key.strip_prefix("input.") {
            Some(key) => format!(r#"{{"input": {{"{key}": {value}}}}}"#),
            None => format!(r#"{{"{key}": {value}}}"#),
        };
        let parse =
            |value: &str| Card::parse(Path::new("x.detect.json"), card(value).as_bytes()).is_err();
        assert!(parse("{}"), "{key} takes any value");
    }
}

#[test]
fn the_cards_of_the_guide_can_be_read() {
    let cards = read("src/guide/cards.md");
    let examples: Vec<_> = cards.split("```json\n").skip(1).collect();
    assert!(examples.len() > 1, "{cards}");
    for example in examples {
        let (json, _) = example.split_once("```").expect("the block ends");
        let card = Card::parse(Path::new("x.detect.json"), json.as_bytes());
        assert!(card.is_ok(), "{json}: {:?}", card.err());
    }
}

#[cfg(feature = "bench")]
#[test]
fn the_exit_codes_of_detect_bench_are_those_of_its_manual() {
    let manual = std::process::Command::new(env!("CARGO_BIN_EXE_detect-bench"))
        .arg("--help")
        .output()
        .expect("detect-bench was built with this test");
    let manual = String::from_utf8(manual.stdout).expect("text");
    let (_, codes) = manual.split_once("Exit codes:").expect("a list of codes");
    let codes: BTreeMap<_, _> = codes
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(code, meaning)| (code.to_owned(), meaning.trim().to_owned()))
        .collect();
    let told: BTreeMap<_, _> = table(&read("src/guide/bench.md"), "| exit code |")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace('`', "")))
        .collect();
    assert_eq!(told, codes, "bench.md left, the manual right");
}
