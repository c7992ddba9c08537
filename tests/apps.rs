//! The applications of `pipelines/apps`, as they stand: each finds the face of the test picture, tells statistics, and
//! fails with a reason where there is no file.
//!
//! `DETECT_PLUGIN` may name the plugin to be used instead of the one that cargo has built with the test.

mod support;

use gstdetect::base::geometry::BBox;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::plugin::plugin_folder;
use support::{Folder, skipped};

/// Where the face is, in pixels, as a person would draw it.
const FACE: BBox = BBox {
    x1: 172.0,
    y1: 70.0,
    x2: 276.0,
    y2: 185.0,
};

fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/apps")
}

fn picture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/astronaut.jpg")
}

/// The plugin, for applications that do not link it.
fn with_plugin<'a>(command: &'a mut Command, plugins: &Folder) -> &'a mut Command {
    command
        .env("GST_PLUGIN_PATH", plugins.path())
        .env("GST_PLUGIN_PATH_1_0", plugins.path())
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn output(command: &mut Command) -> Output {
    let registry = Folder::new();
    let file = registry.path().join("registry");
    command
        .env("GST_REGISTRY", &file)
        .env("GST_REGISTRY_1_0", &file)
        .env_remove("MODEL");
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs the application on the picture; fails unless it prints the face and statistics. Returns what it printed.
fn finds_the_face(command: &mut Command) -> String {
    let output = output(command.arg(picture()));
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{text}{errors}");
    let faces: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(" face "))
        .collect();
    let [face] = faces[..] else {
        panic!("one face, not {text}{errors}");
    };
    let found = bbox(face);
    assert!(found.iou(&FACE) > 0.7, "{face}");
    let tells = |line: &str| line.starts_with("FPS ") && line.contains(", model ");
    assert!(text.lines().any(tells), "no statistics in {text}");
    text.into_owned()
}

/// The box in a line like "0.00 s  face 0.88  x 172 y 74 width 106 height 106".
fn bbox(line: &str) -> BBox {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        let number = at
            .and_then(|at| words.get(at + 1))
            .and_then(|word| word.parse::<f32>().ok());
        number.unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    let (x, y) = (after("x"), after("y"));
    BBox::new(x, y, x + after("width"), y + after("height"))
}

fn tells_of_a_missing_file(command: &mut Command) {
    let output = output(command.arg("/nowhere/x.jpg"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("not found"),
        "{errors}"
    );
}

#[test]
fn rust() {
    let test = std::env::current_exe().expect("the path of this test");
    let app = test
        .parent()
        .and_then(Path::parent)
        .expect("deps is in a folder")
        .join("examples/boxes");
    assert!(
        app.is_file(),
        "{} is not there; cargo build --example boxes makes it",
        app.display()
    );
    finds_the_face(&mut Command::new(&app));
    tells_of_a_missing_file(&mut Command::new(&app));
}

#[test]
fn python() {
    // Debian's, which has its bindings; another python3 may come before it.
    let python = || Command::new("/usr/bin/python3");
    let overrides = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.ValueArray";
    if !succeeds(python().args(["-c", overrides])) {
        return skipped("there is no python3-gst-1.0");
    }
    let (script, plugins) = (apps().join("python/boxes.py"), plugin_folder());
    let text = finds_the_face(with_plugin(python().arg("-B").arg(&script), &plugins));
    assert!(text.contains("The bus told of 1 boxes"), "{text}");
    tells_of_a_missing_file(with_plugin(python().arg("-B").arg(&script), &plugins));
}

#[test]
fn python_with_analytics_metadata() {
    let python = || Command::new("/usr/bin/python3");
    let bindings = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstAnalytics', '1.0'); \
        from gi.repository import Gst, GstAnalytics; Gst.ValueArray";
    gst::init().expect("GStreamer is installed");
    let (major, minor, ..) = gst::version();
    if (major, minor) < (1, 26) {
        return skipped("GStreamer is older than 1.26");
    }
    if !succeeds(python().args(["-c", bindings])) {
        return skipped("there is no python3-gst-1.0, or no gir1.2-gst-plugins-bad-1.0");
    }
    let (script, plugins) = (apps().join("python/analytics.py"), plugin_folder());
    let text = finds_the_face(with_plugin(python().arg("-B").arg(&script), &plugins));
    assert!(text.contains("The bus told of 1 boxes"), "{text}");
    tells_of_a_missing_file(with_plugin(python().arg("-B").arg(&script), &plugins));
}

#[test]
fn c() {
    let modules = ["gstreamer-1.0", "gstreamer-video-1.0"];
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(modules)
        .output();
    let flags = flags
        .expect("pkg-config, which the crate is built with, is there")
        .stdout;
    let (folder, flags) = (Folder::new(), String::from_utf8(flags).expect("plain text"));
    let app = folder.path().join("boxes");
    let mut compile = Command::new("cc");
    compile
        .args(["-Wall", "-Wextra", "-Werror"])
        .arg(apps().join("c/boxes.c"))
        .arg("-o")
        .arg(&app);
    let compiled = compile
        .args(flags.split_whitespace())
        .output()
        .expect("a C compiler, which linking needs");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let plugins = plugin_folder();
    finds_the_face(with_plugin(&mut Command::new(&app), &plugins));
    tells_of_a_missing_file(with_plugin(&mut Command::new(&app), &plugins));
}
