//! Odd machines: little address space, few threads, no `/proc`, a cache that cannot be written. A model either runs there, or
//! there is an error; no signal, and no end of waiting.

use crate::support::{Folder, micro_model, skipped};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(60);

/// Runs `limits`, shell commands, and then `inspect` of a model, in a process of its own with this cache folder.
fn inspect(limits: &str, model: Option<&Path>, cache: &Path) -> Output {
    let script = format!("{limits}\nexec \"$0\" inspect \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_detect-bench")])
        .args(model)
        .env("XDG_CACHE_HOME", cache)
        // What GStreamer knows of its plugins, from a machine that is not odd.
        .env("GST_REGISTRY", registry())
        .env("GST_REGISTRY_UPDATE", "no");
    ended(command)
}

/// A registry of GStreamer that a process without limits has written.
fn registry() -> &'static Path {
    static WRITTEN: OnceLock<(Folder, PathBuf)> = OnceLock::new();
    let (_, path) = WRITTEN.get_or_init(|| {
        let folder = Folder::new();
        let path = folder.path().join("registry");
        let mut command = Command::new(env!("CARGO_BIN_EXE_detect-bench"));
        command.arg("inspect").env("GST_REGISTRY", &path);
        assert!(ended(command).status.success());
        (folder, path)
    });
    path
}

/// Waits for the end of a process, and for no longer than [`LONGEST`].
fn ended(mut command: Command) -> Output {
    let told = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    let id = child.id().to_string();
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    match ended.recv_timeout(LONGEST) {
        Ok(output) => output.expect("it has ended"),
        Err(_) => {
            let _ = Command::new("kill").args(["-9", &id]).status();
            panic!("{told}: it does not end within {LONGEST:?}");
        }
    }
}

/// Whether it has ended with a result, or with an error of its own; prints which.
fn is_orderly(name: &str, output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    println!("{name}: {}: {last}", output.status);
    match output.status.code() {
        Some(0) => true,
        Some(2..=5) => last.contains("detect-bench: "),
        // Not ours to say: the dynamic linker has not brought the program up.
        Some(127) => last.contains("error while loading shared libraries"),
        _ => false,
    }
}

/// Whether `command` can be run here in a namespace of mounts of its own, before `inspect`.
fn can(command: &str) -> bool {
    let tried = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// Runs `inspect` of the built-in model in a namespace of mounts of its own, behind `prepare`.
fn inspect_behind(prepare: &str, cache: &Path) -> Output {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-ec"])
        .arg(format!("{prepare}\nexec \"$0\" inspect"))
        .arg(env!("CARGO_BIN_EXE_detect-bench"))
        .env("XDG_CACHE_HOME", cache)
        .env("GST_REGISTRY", registry())
        .env("GST_REGISTRY_UPDATE", "no");
    ended(command)
}

#[test]
fn without_proc_a_model_runs() {
    let hide = "mount -t tmpfs none /proc";
    if !can(hide) {
        return skipped("nothing can be mounted over /proc here");
    }
    let output = inspect_behind(
        &format!("{hide}; [ ! -e /proc/self ]"),
        Folder::new().path(),
    );
    assert!(is_orderly("no /proc", &output));
    assert!(output.status.success(), "nothing in /proc is needed");
}

#[test]
fn a_cache_that_is_full_or_read_only_is_no_error() {
    let cache = Folder::new();
    let folder = cache.path().display();
    let mount = format!("mount -t tmpfs -o size=4k none {folder}");
    if !can(&mount) {
        return skipped("no small file system can be mounted here");
    }
    for (name, then) in [
        ("full", format!("head -c 4096 /dev/zero > {folder}/filled")),
        ("read-only", format!("mount -o remount,ro {folder}")),
    ] {
        let prepare = format!("{mount}; {then}; if echo text > {folder}/new; then exit 99; fi");
        let output = inspect_behind(&prepare, cache.path());
        assert!(is_orderly(name, &output));
        assert!(
            output.status.success(),
            "{name}: only the next start is slower"
        );
    }
}

#[test]
fn few_threads_are_an_error_or_enough() {
    // A limit of processes binds nobody who is root. Another user must be able to read the program.
    let as_other = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let bench = env!("CARGO_BIN_EXE_detect-bench");
    let readable = Command::new("sh")
        .args(["-c", &format!("{as_other} \"$0\" --version"), bench])
        .output();
    if !readable.is_ok_and(|output| output.status.success()) {
        return skipped("the program cannot be run as another user here");
    }
    let cache = Folder::new();
    let mut broken = Vec::new();
    let mut refused = 0;
    // GLib ends any process that may have one thread only.
    for processes in 2..=8 {
        let script = format!("exec prlimit --nproc={processes} {as_other} \"$0\" inspect");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, bench])
            .env("XDG_CACHE_HOME", cache.path())
            .env("GST_REGISTRY", registry())
            .env("GST_REGISTRY_UPDATE", "no");
        let name = format!("{processes} threads");
        let output = ended(command);
        refused += usize::from(!output.status.success());
        if !is_orderly(&name, &output) {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
    assert!(refused > 0, "no limit was too low");
}

#[test]
fn little_address_space_is_an_error_or_enough() {
    let cache = Folder::new();
    let micro = micro_model("yolox_micro.onnx");
    let mut broken = Vec::new();
    let mut ran = 0;
    for megabytes in (60..=400).step_by(20) {
        for model in [None, Some(&*micro)] {
            let limit = format!("ulimit -v {}", megabytes * 1000);
            let output = inspect(&limit, model, cache.path());
            let name = format!("{megabytes} MB, {model:?}");
            ran += usize::from(output.status.success());
            if !is_orderly(&name, &output) {
                broken.push(name);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
    assert!(ran > 0, "no limit was enough");
}
