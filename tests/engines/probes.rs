//! A library or a model that ends a process ends a child, and `auto` goes on with the built-in engine.

use crate::support::{Folder, micro_model, skipped};
use std::path::Path;
use std::process::{Command, Output};

/// Opens a model in a process of its own, with an empty cache.
fn inspect(engine: &str, library: &Path, cache: &Path, probe: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_detect-bench"));
    command
        .args(["inspect", "--engine", engine])
        .arg(micro_model("yolov8_micro.onnx"))
        .env("ORT_DYLIB_PATH", library)
        // One engine less: what `auto` measured of two would be remembered without reasons.
        .env("OPENVINO_LIB_PATH", "/nowhere")
        .env("XDG_CACHE_HOME", cache)
        .env_remove("GST_DETECT_PROBE");
    if let Some(probe) = probe {
        command.env("GST_DETECT_PROBE", probe);
    }
    command.output().expect("it starts")
}

fn all(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    // detect-bench breaks long lines.
    let text = String::from_utf8_lossy(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes a library whose loading runs `code`.
fn library(folder: &Folder, code: &str) -> Option<std::path::PathBuf> {
    let (source, path) = (
        folder.path().join("library.c"),
        folder.path().join("libonnxruntime.so"),
    );
    let text = format!(
        "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void load(void) {{ {code} }}\n"
    );
    std::fs::write(&source, text).expect("writable");
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&path, &source])
        .status();
    match compiler {
        Err(_) => {
            skipped("libraries that die when loaded: there is no cc");
            None
        }
        Ok(status) => {
            assert!(status.success(), "cc: {status}");
            Some(path)
        }
    }
}

#[test]
fn a_library_that_dies_when_loaded_leaves_the_built_in_engine() {
    for (code, words) in [
        ("__builtin_trap();", "was ended by signal"),
        ("abort();", "SIGABRT"),
        ("_exit(0);", "ended early with status 0"),
    ] {
        let folder = Folder::new();
        let Some(library) = library(&folder, code) else {
            return;
        };
        let cache = folder.path().join("cache");
        for round in ["measured", "remembered"] {
            let output = inspect("auto", &library, &cache, None);
            let said = all(&output);
            assert!(output.status.success(), "{code}, {round}: {said}");
            assert!(said.contains("tract"), "{code}, {round}: {said}");
            assert!(said.contains(words), "{code}, {round}: {said}");
        }
        let output = inspect("onnxruntime", &library, &cache, None);
        let said = all(&output);
        assert_eq!(output.status.code(), Some(3), "{code}: {said}");
        assert!(said.contains(words), "{code}: {said}");
    }
}

#[test]
fn without_the_program_an_engine_is_used_when_asked_for_by_name_alone() {
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH") else {
        return skipped("ORT_DYLIB_PATH does not name ONNX Runtime");
    };
    let folder = Folder::new();
    let inspect = |engine| {
        inspect(
            engine,
            Path::new(&library),
            folder.path(),
            Some("/nowhere/probe"),
        )
    };
    let output = inspect("onnxruntime");
    let said = all(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("used without a trial") && said.contains("/nowhere/probe"),
        "{said}"
    );
    let output = inspect("auto");
    let said = all(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("onnxruntime is not used") && said.contains("/nowhere/probe"),
        "{said}"
    );
}
