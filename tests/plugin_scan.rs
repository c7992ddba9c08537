//! GStreamer looks at every plugin of a machine: ours must start no thread, and open nothing but itself.
//!
//! `gst-inspect-1.0 detect` scans a folder with our library alone, and makes the element. What strace sees of it is
//! compared with the same command in an empty folder, with the libraries that ours links loaded beforehand.

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use support::plugin::{library, output, plugin_folder, scanning, text};
use support::{Folder, skipped};

#[test]
fn the_plugin_and_its_elements_are_found() {
    let (plugins, registry) = (plugin_folder(), Folder::new());
    let inspect = |what: &str| {
        let mut command = Command::new("gst-inspect-1.0");
        let output = output(scanning(command.arg(what), plugins.path(), &registry));
        assert!(output.status.success(), "{what}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let by_path = inspect(&library().display().to_string());
    for element in ["detect: Object detector", "detectoverlay: "] {
        assert!(by_path.contains(element), "{by_path}");
    }
    for element in ["detect", "detectoverlay"] {
        let manual = inspect(element);
        assert!(manual.contains("Element Properties"), "{manual}");
    }
    assert!(inspect("detect").contains("input-size"));
}

#[test]
fn a_scan_starts_no_thread_and_opens_nothing_but_the_library() {
    if Command::new("strace").arg("-V").output().is_err() {
        skipped("strace is not installed");
        return;
    }
    let Some(nothing) = trace(&Folder::new()) else {
        skipped("strace may not trace here");
        return;
    };
    let plugins = plugin_folder();
    let scan = trace(&plugins).expect("it may have traced before");
    let further: Vec<_> = scan.opened.difference(&nothing.opened).collect();
    let [library] = further.as_slice() else {
        panic!("opened: {further:?}");
    };
    assert!(library.ends_with("libgstdetect.so"), "{library}");
    assert_eq!(scan.threads, nothing.threads);
}

struct Trace {
    /// Files that were there; those in temporary folders by name alone.
    opened: BTreeSet<String>,
    /// Threads and processes that were started.
    threads: usize,
}

/// Traces `gst-inspect-1.0 detect` where these plugins are; `None` where nobody may trace.
fn trace(plugins: &Folder) -> Option<Trace> {
    let registry = Folder::new();
    let log = registry.path().join("trace");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=openat,open,clone,clone3,fork,vfork",
        "-o",
    ]);
    command.arg(&log).arg("-E");
    command.arg(format!("LD_PRELOAD={}", linked_libraries().join(":")));
    command.args(["gst-inspect-1.0", "detect"]);
    let output = output(scanning(&mut command, plugins.path(), &registry));
    let log = std::fs::read_to_string(log).unwrap_or_default();
    if !log.contains("openat(") {
        println!("{}", text(&output.stderr));
        return None;
    }
    let succeeded = || log.lines().filter(|line| !line.contains(" = -1 "));
    let own_folders = [plugins.path(), registry.path()].map(|path| path.display().to_string());
    let opened = succeeded()
        .filter(|line| line.contains("open"))
        .filter_map(|line| line.split('"').nth(1))
        .filter(|path| !own_folders.iter().any(|folder| path == folder))
        .filter(|path| !path.starts_with(&own_folders[1]))
        .map(|path| path.trim_start_matches(&own_folders[0]).to_owned())
        .collect();
    let threads = succeeded()
        .filter(|line| ["clone", "fork("].iter().any(|call| line.contains(call)))
        .count();
    Some(Trace { opened, threads })
}

/// The libraries that the dynamic linker finds for ours.
fn linked_libraries() -> Vec<String> {
    let list = text(&output(Command::new("ldd").arg(library())).stdout);
    let paths = list
        .lines()
        .filter_map(|line| line.split_once("=>")?.1.split_whitespace().next());
    let libraries: Vec<_> = paths.map(str::to_owned).collect();
    let has_gstreamer = libraries.iter().any(|path| path.contains("libgstreamer"));
    assert!(has_gstreamer, "{list}");
    libraries
}
