//! GStreamer looks at every plugin of a machine: ours must load fast, start no thread, and open nothing but itself.
//!
//! `gst-inspect-1.0 detect` scans a folder with our library alone, and makes the element. What strace sees of it is
//! compared with the same command in an empty folder, with the libraries that ours links loaded beforehand.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use support::{Folder, skipped};

/// What loading may take, everything included that the dynamic linker does.
const LOAD_BUDGET: Duration = Duration::from_millis(50);
/// Others may use the machine: the best of so many runs counts.
const RUNS: usize = 5;

/// The plugin as cargo has built it with this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let path = test.with_file_name("libgstdetect.so");
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

/// A folder with the library alone, as GStreamer shall find it.
fn plugin_folder() -> Folder {
    let folder = Folder::new();
    let link = folder.path().join("libgstdetect.so");
    std::os::unix::fs::symlink(library(), link).expect("the folder takes a link");
    folder
}

/// `command`, to find the plugins of `plugins` alone and to keep what it finds in a new registry.
fn scanning<'a>(command: &'a mut Command, plugins: &Path, registry: &Folder) -> &'a mut Command {
    for (name, value) in [
        ("GST_PLUGIN_PATH", plugins.as_os_str()),
        ("GST_PLUGIN_PATH_1_0", plugins.as_os_str()),
        ("GST_PLUGIN_SYSTEM_PATH", "".as_ref()),
        ("GST_PLUGIN_SYSTEM_PATH_1_0", "".as_ref()),
        ("GST_REGISTRY", registry.path().join("registry").as_os_str()),
        (
            "GST_REGISTRY_1_0",
            registry.path().join("registry").as_os_str(),
        ),
        ("GST_REGISTRY_FORK", "no".as_ref()),
    ] {
        command.env(name, value);
    }
    command
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn output(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|err| panic!("{command:?}: {err}"))
}

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
fn loading_takes_less_than_50_ms() {
    let best = (0..RUNS).map(|_| load_time()).min().expect("several runs");
    println!("loading the plugin takes {best:?} (best of {RUNS})");
    assert!(best < LOAD_BUDGET, "{best:?}, at most {LOAD_BUDGET:?}");
}

/// Between the two lines that GStreamer's log has of it, in a process of its own.
fn load_time() -> Duration {
    let (plugins, registry) = (plugin_folder(), Folder::new());
    let mut command = Command::new("gst-inspect-1.0");
    command
        .arg("detect")
        .env("GST_DEBUG", "GST_PLUGIN_LOADING:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env_remove("GST_DEBUG_FILE");
    let output = output(scanning(&mut command, plugins.path(), &registry));
    let log = text(&output.stderr);
    let time_of = |what: &str| {
        let line = log
            .lines()
            .find(|line| line.contains(what) && line.contains("libgstdetect.so"));
        let line = line.unwrap_or_else(|| panic!("no \"{what}\" in {log}"));
        clock_time(line).unwrap_or_else(|| panic!("no time in {line}"))
    };
    time_of("\" loaded").saturating_sub(time_of("attempt to load plugin"))
}

/// `0:00:00.004870121` at the begin of a line.
fn clock_time(line: &str) -> Option<Duration> {
    let mut parts = line.split_whitespace().next()?.split(':');
    let (hours, minutes) = (
        parts.next()?.parse::<u64>().ok()?,
        parts.next()?.parse::<u64>().ok()?,
    );
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + Duration::from_secs_f64(seconds))
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

/// What `gst-inspect-1.0 detect` does where these plugins are; `None` where nobody may look.
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
