//! What the scripts in `pipelines/` decide by themselves: how a plugin is built on a small machine, which packages are named.

use super::{read, root, support::Folder};
use std::collections::BTreeSet;
use std::process::Command;

/// Runs functions of the scripts with `programs` (name, script) in place of the system's. Returns what both streams got.
fn run(script: &str, programs: &[(&str, &str)]) -> String {
    let folder = Folder::new();
    for (name, text) in programs {
        // Written by another process: this one might hold the file open while it forks.
        let made = Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod +x \"$0\"",
            ])
            .arg(folder.path().join(name))
            .arg(text)
            .status();
        assert!(made.expect("a shell").success());
    }
    let path = std::env::var("PATH").expect("a shell needs it");
    let output = Command::new("sh")
        .args(["-ec", &format!("{{ . $root/pipelines/support/setup.sh; . $root/pipelines/support/show.sh; {script}; }} 2>&1")])
        .env("root", root())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("a shell");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn compilers_are_as_many_as_the_memory_allows() {
    for (kib, processors, jobs) in [
        (430_000, 4, "1"),
        (1_900_000, 4, "1"),
        (3_980_000, 4, "1"),
        (8_060_000, 4, "4"),
        (16_200_000, 4, "4"),
        (6_000_000, 2, "2"),
    ] {
        let said = run(&format!("build_jobs {kib} {processors}"), &[]);
        assert_eq!(said, jobs, "{kib} KiB, {processors} processors");
    }
}

#[test]
fn the_time_of_a_build_depends_on_the_board() {
    let minutes = |board: &str, jobs: u32| {
        let said = run(&format!("build_time '{board}' {jobs}"), &[]);
        said.split(' ')
            .find_map(|word| word.parse::<u32>().ok())
            .unwrap_or_else(|| panic!("{said}"))
    };
    let (four, five) = (
        "Raspberry Pi 4 Model B Rev 1.4",
        "Raspberry Pi 5 Model B Rev 1.0",
    );
    assert!(minutes(four, 1) > minutes(five, 1));
    assert!(minutes(five, 1) > minutes(five, 4));
    assert!(minutes("Raspberry Pi Zero 2 W Rev 1.0", 1) > minutes(four, 1));
    assert_eq!(run("build_time '' 8", &[]), "5 to 10 minutes");
}

#[test]
fn rust_of_the_system_is_offered_where_it_is_new_enough() {
    let offer = |lines: &str| {
        run(
            "packages_of_rust 1.92",
            &[("apt-cache", &format!("cat <<END\n{lines}\nEND"))],
        )
    };
    let bookworm = " rustc-web | 1.96.0+dfsg1-1~deb12u2 | mirror bookworm-security/main arm64 Packages\n \
                    rustc | 1.63.0+dfsg1-2 | mirror bookworm/main arm64 Packages";
    assert_eq!(offer(bookworm), "rustc-web cargo-web");
    let backports = " rustc | 1.94.1+dfsg1-1~bpo13+1 | mirror trixie-backports/main arm64 Packages\n \
                     rustc | 1.85.0+dfsg3-1 | mirror trixie/main arm64 Packages";
    assert_eq!(offer(backports), "-t trixie-backports rustc cargo");
    assert_eq!(
        offer(" rustc | 1.85.0+dfsg3-1 | mirror trixie/main arm64 Packages"),
        ""
    );
    assert_eq!(
        offer(" rustc | 1.92.0-1 | mirror forky/main arm64 Packages"),
        "rustc cargo"
    );
}

#[test]
fn an_old_rust_is_refused_with_a_way_out() {
    let old = [
        ("cargo", "echo cargo 1.63.0"),
        ("rustup", "exit 1"),
        ("apt-cache", "true"),
    ];
    let said = run("check_rust", &old);
    assert!(
        said.contains("Rust 1.63.0 is here, but") && said.contains("rustup update"),
        "{said}"
    );
    let good = run(
        "check_rust && echo good",
        &[("cargo", "echo 'cargo 9.1.0 (x)'")],
    );
    assert_eq!(good, "good");
}

#[test]
fn a_missing_element_is_named_with_its_package() {
    let gst = [(
        "gst-inspect-1.0",
        "[ \"$1\" != kmssink ] && [ \"$1\" != nonsense ]",
    )];
    let said = run(
        "name_missing -e filesrc location=kmssink ! video/x-raw ! nonsense ! kmssink",
        &gst,
    );
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "GStreamer has no element nonsense.",
            "GStreamer has no element kmssink, which is in gstreamer1.0-plugins-bad: sudo apt install gstreamer1.0-plugins-bad.",
        ]
    );
}

#[test]
fn an_installed_plugin_is_not_built_again() {
    let decide = |inspect: &str| {
        let script = "plugin_dir=/no/such/folder; must_build && echo build || echo use";
        run(script, &[("gst-inspect-1.0", inspect)])
    };
    assert_eq!(
        (decide("exit 0"), decide("exit 1")),
        ("use".into(), "build".into())
    );
}

/// Elements of GStreamer itself, which are there where GStreamer is.
const CORE: [&str; 6] = [
    "fakesink", "filesink", "filesrc", "identity", "queue", "tee",
];

#[test]
fn every_element_of_the_scripts_has_a_package() {
    let mut elements = BTreeSet::new();
    for folder in ["pipelines", "pipelines/support"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("the folder is there") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|end| end == "sh") {
                let text = read(&path);
                let code = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with('#'));
                let words: Vec<_> = code.flat_map(str::split_whitespace).collect();
                let after = words
                    .windows(2)
                    .filter(|pair| pair[0] == "!")
                    .map(|pair| pair[1]);
                let name = |word: &&str| {
                    word.chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                };
                // `! command -v x` is of the shell.
                elements.extend(
                    after
                        .filter(|word| *word != "command" && name(word))
                        .map(str::to_owned),
                );
            }
        }
    }
    assert!(elements.len() > 10, "{elements:?}");
    for element in elements {
        let package = run(&format!("package_of {element}"), &[]);
        assert!(
            CORE.contains(&element.as_str()) || package.contains("sudo apt install gstreamer1.0-"),
            "{element}: {package}"
        );
    }
}
