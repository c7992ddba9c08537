//! Every command of README and guide fits the programs: pipelines can be built, flags and scripts exist, Python runs.

use super::support::{Folder, init, skipped};
use super::{code_spans, pages, read, root, split};
use std::process::Command;

/// Elements of cameras that a test machine need not have.
const CAMERAS: [&str; 1] = ["libcamerasrc"];

/// Folder of the scripts in the package.
const INSTALLED: &str = "/usr/share/gstreamer1.0-detect/pipelines/";

/// Splits a command line as a shell does: quotes group, `#` begins a comment, operators are words.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote does not end: {line}");
    words.extend(word);
    words
}

/// Splits a block of shell into its commands.
fn commands(block: &str) -> Vec<Vec<String>> {
    let joined = block.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in joined.lines().map(words) {
        let parts = line.split(|word| word == "&&");
        commands.extend(
            parts
                .filter(|part| !part.is_empty())
                .map(<[String]>::to_vec),
        );
    }
    commands
}

/// Says what is wrong with a command, if anything is.
fn wrong(command: &[String]) -> Option<String> {
    // Assignments before the program (`SEED=1 tests/x.sh`) are its environment.
    let is_assignment = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    };
    let named = command.iter().take_while(is_assignment).count();
    let (program, arguments) = command[named..]
        .split_first()
        .expect("a command has a program");
    let fault = match program.as_str() {
        "gst-launch-1.0" => wrong_pipeline(arguments),
        "gst-inspect-1.0" => arguments
            .iter()
            .find(|name| gst::ElementFactory::find(name).is_none())
            .map(|name| format!("no element {name}")),
        "cargo" => wrong_cargo(arguments),
        "detect-bench" | "target/release/detect-bench" => wrong_bench(arguments),
        script if script.starts_with("tests/") || script.starts_with("pipelines/") => {
            wrong_script(script)
        }
        // An installed script is one of the repository.
        script if script.starts_with(INSTALLED) => {
            wrong_script(&format!("pipelines/{}", &script[INSTALLED.len()..]))
        }
        "export" | "python3" | "~/venv/bin/pip" | "sudo" | "journalctl" => None,
        other => Some(format!("nobody checks {other}; add it to this test")),
    };
    fault.map(|fault| format!("{}: {fault}", command.join(" ")))
}

/// Builds the pipeline as `gst-launch-1.0` does, which fails for an unknown element, property or value.
fn wrong_pipeline(arguments: &[String]) -> Option<String> {
    let elements: Vec<_> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .map(|word| match CAMERAS.contains(&word.as_str()) {
            true if gst::ElementFactory::find(word).is_none() => "fakesrc",
            _ => word,
        })
        .collect();
    gst::parse::launchv(&elements)
        .err()
        .map(|err| err.to_string())
}

/// Looks for names that cargo would not know.
fn wrong_cargo(arguments: &[String]) -> Option<String> {
    let manifest = read("Cargo.toml");
    let (features, _) = manifest
        .split_once("[dependencies]")
        .expect("features come before dependencies");
    arguments.windows(2).find_map(|pair| {
        let [option, value] = pair else { return None };
        let known = match option.as_str() {
            "--features" => value
                .split(',')
                .all(|feature| features.contains(&format!("\n{feature} = "))),
            "--bench" | "--test" | "--example" | "--bin" => {
                let named = manifest.contains(&format!("name = \"{value}\""));
                let files = [
                    format!("tests/{value}.rs"),
                    format!("tests/{value}/main.rs"),
                ];
                named || files.iter().any(|file| root().join(file).exists())
            }
            _ => true,
        };
        (!known).then(|| format!("no {option} {value} in Cargo.toml"))
    })
}

fn wrong_script(path: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    match root().join(path).metadata() {
        Err(err) => Some(err.to_string()),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => Some("cannot be executed".into()),
        Ok(_) => None,
    }
}

/// Compares subcommand and options with the program's own manual.
#[cfg(feature = "bench")]
fn wrong_bench(arguments: &[String]) -> Option<String> {
    let command = match arguments.first().map(String::as_str) {
        None => return None,
        Some("help") => arguments.get(1)?,
        Some(command) => command,
    };
    let manual = Command::new(env!("CARGO_BIN_EXE_detect-bench"))
        .args(["help", command])
        .output()
        .expect("detect-bench was built with this test");
    if !manual.status.success() {
        return Some(String::from_utf8_lossy(&manual.stderr).into_owned());
    }
    let manual = String::from_utf8_lossy(&manual.stdout);
    let options: Vec<_> = manual
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .collect();
    arguments
        .iter()
        .filter(|argument| argument.starts_with('-'))
        .find(|option| !options.contains(&option.as_str()))
        .map(|option| format!("detect-bench {command} has no {option}"))
}

#[cfg(not(feature = "bench"))]
fn wrong_bench(_: &[String]) -> Option<String> {
    None
}

#[test]
fn every_command_of_a_block_fits_its_program() {
    init();
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        for block in split(&read(&page)).1 {
            if block.language == "sh" {
                let commands = commands(&block.text);
                count += commands.len();
                faults.extend(commands.iter().filter_map(|command| wrong(command)));
            }
        }
    }
    assert!(count > 20, "only {count} commands");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_command_in_a_sentence_fits_its_program() {
    init();
    let programs = [
        "cargo ",
        "detect-bench ",
        "target/release/",
        "tests/",
        "pipelines/",
    ];
    let mut faults = Vec::new();
    for page in pages() {
        let (text, _) = split(&read(&page));
        for span in code_spans(&text) {
            if programs.iter().any(|program| span.starts_with(program)) {
                let command = words(span);
                let runs = command[0].ends_with(".sh") || !command[0].contains('/');
                let runs = runs || command[0].ends_with("detect-bench");
                faults.extend(runs.then(|| wrong(&command)).flatten());
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_block_names_its_language() {
    for page in pages() {
        for block in split(&read(&page)).1 {
            let known = ["sh", "text", "json", "python", "c", "rust"];
            // Without one rustdoc takes a block for a test in Rust.
            assert!(
                known.contains(&block.language.as_str()),
                "{}: \"{}\"",
                page.display(),
                block.text
            );
        }
    }
}

/// Runs the README's program on the test picture instead of a camera, with the plugin that cargo built beside this test.
#[test]
fn the_python_of_the_readme_prints_the_face() {
    let (_, blocks) = split(&read("README.md"));
    let block = blocks.iter().find(|block| block.language == "python");
    let program = &block.expect("README.md has a program in Python").text;
    let picture = root().join("pipelines/astronaut.jpg");
    let source = format!("filesrc location={} ! jpegdec", picture.display());
    let program = program.replace("libcamerasrc", &source);
    assert!(program.contains("astronaut"), "{program}");
    let python = "/usr/bin/python3";
    let bindings = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
    let usable = Command::new(python).args(["-c", bindings]).output();
    if !usable.is_ok_and(|output| output.status.success()) {
        skipped("there is no python3-gst-1.0");
        return;
    }
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.parent().expect("a file is in a folder");
    assert!(
        folder.join("libgstdetect.so").is_file(),
        "{}",
        folder.display()
    );
    let registry = Folder::new();
    let output = Command::new(python)
        .args(["-c", &program])
        .env("GST_PLUGIN_PATH", folder)
        .env("GST_REGISTRY", registry.path().join("registry"))
        .output()
        .expect("it has just run");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(text.lines().count(), 1, "{text}{errors}");
    assert!(text.starts_with("face 0."), "{text}{errors}");
}

#[test]
fn a_wrong_command_is_found() {
    init();
    let fault = |line: &str| wrong(&words(line));
    assert!(fault("gst-launch-1.0 videotestsrc ! detect thresold=1 ! fakesink").is_some());
    assert!(fault("gst-launch-1.0 videotestsrc ! detct ! fakesink").is_some());
    assert!(fault("gst-launch-1.0 videotestsrc ! detect mode=nwest ! fakesink").is_some());
    assert!(
        fault("gst-launch-1.0 libcamerasrc ! detect classes=\"a=0.5,'b c'\" ! fakesink").is_none()
    );
    assert!(fault("cargo build --features bensh").is_some());
    assert!(fault("cargo bench --bench pipelin").is_some());
    assert!(fault("tests/runn.sh").is_some());
    assert!(fault("rm x").is_some());
    if cfg!(feature = "bench") {
        assert!(fault("detect-bench run --modle x.onnx").is_some());
        assert!(fault("detect-bench rum").is_some());
    }
}
