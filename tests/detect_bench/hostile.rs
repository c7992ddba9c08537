//! Files that want to take the process down are refused with a reason, in time and within memory.

use crate::support::{Folder, engines, micro_model, skipped};
use gstdetect::engine::EngineKind;
use prost::Message;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto};

/// Seconds of processor time, which other programs do not take from it.
const LONGEST: u32 = 10;
/// A process that has not ended by then hangs, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);
/// Address space in KiB. ONNX Runtime and OpenVINO reserve more than they take.
const OURS: u64 = 3 << 20;
const THEIRS: u64 = 6 << 20;

/// Opens a model as a user would, with little address space and time. Ends it when it hangs.
fn inspect(path: &Path, engine: EngineKind) -> Result<Output, String> {
    let memory = if engine == EngineKind::Tract {
        OURS
    } else {
        THEIRS
    };
    let limited = format!(
        "ulimit -v {memory}; ulimit -t {LONGEST}; exec \"$0\" inspect --engine {engine} \"$1\""
    );
    let mut child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_detect-bench")])
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let began = Instant::now();
    while child.try_wait().expect("it can be asked").is_none() {
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it has not ended after {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it has ended");
    match output.status.signal() {
        Some(signal) => Err(format!(
            "ended by signal {signal}, perhaps after {LONGEST} s of processor time"
        )),
        None => Ok(output),
    }
}

#[test]
fn hostile_files_are_refused_or_run() {
    let Some(shared) = std::env::var_os("DETECT_SHARED").map(PathBuf::from) else {
        return skipped("DETECT_SHARED does not name the folder of shared models");
    };
    let folder = shared.join("field-cases/hostile");
    let files =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let mut broken = Vec::new();
    for engine in std::iter::once(EngineKind::Tract).chain(engines::installed()) {
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let broke = match inspect(path, engine) {
                Err(reason) => Some(reason),
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    let last = said.lines().last().unwrap_or_default().to_owned();
                    println!("{engine}, {name}: {}: {last}", output.status);
                    // 0: it runs; 3: the engine cannot run it; 2: it is no model
                    let ended = matches!(output.status.code(), Some(0 | 2 | 3));
                    (!ended).then(|| format!("{}: {last}", output.status))
                }
            };
            broken.extend(broke.map(|reason| format!("{engine}, {name}: {reason}")));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Writes a model of which `count` constants each are the whole of one file of 300 MB, which takes no place on the disk.
fn with_weights_in_a_hole(folder: &Folder, count: usize) -> PathBuf {
    const BYTES: u64 = 300 << 20;
    let hole = std::fs::File::create(folder.path().join("hole.data")).expect("writable");
    hole.set_len(BYTES).expect("a hole takes no place");
    let bytes = std::fs::read(micro_model("yolov8_micro.onnx")).expect("it is there");
    let mut model = ModelProto::decode(&bytes[..]).expect("a model");
    let graph = model.graph.as_mut().expect("with a graph");
    graph
        .initializer
        .extend((0..count).map(|number| TensorProto {
            name: format!("hole{number}"),
            dims: vec![(BYTES / 4) as i64],
            data_type: DataType::Float as i32,
            data_location: Some(DataLocation::External as i32),
            external_data: vec![StringStringEntryProto {
                key: "location".into(),
                value: "hole.data".into(),
            }],
            ..Default::default()
        }));
    folder.file("hole.onnx", &model.encode_to_vec())
}

#[test]
fn weights_in_a_second_file_are_refused_by_their_sum() {
    for engine in std::iter::once(EngineKind::Tract).chain(engines::installed()) {
        for count in [40, 2, 1] {
            let folder = Folder::new();
            let model = with_weights_in_a_hole(&folder, count);
            let output = inspect(&model, engine).unwrap_or_else(|why| panic!("{engine}: {why}"));
            let said = String::from_utf8_lossy(&output.stderr);
            println!("{engine}, {count} times 300 MB: {}: {said}", output.status);
            match count {
                1 => assert!(matches!(output.status.code(), Some(0 | 3)), "{said}"),
                _ => assert!(said.contains("too large"), "{said}"),
            }
        }
    }
}

#[test]
fn texts_of_any_length_are_not_printed_whole() {
    let folder = Folder::new();
    let bytes = std::fs::read(micro_model("yolov8_micro.onnx")).expect("it is there");
    let mut model = ModelProto::decode(&bytes[..]).expect("a model");
    model.producer_name = "p".repeat(100 << 20);
    let path = folder.file("producer.onnx", &model.encode_to_vec());
    let output = inspect(&path, EngineKind::Tract).expect("in time");
    assert!(output.status.success(), "{}", output.status);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("ppp… (") && said.len() < 10_000,
        "{} bytes",
        said.len()
    );
    // A name in an error, too.
    let graph = model.graph.as_mut().expect("with a graph");
    graph.output[0].name = "o".repeat(100 << 20);
    let path = folder.file("output.onnx", &model.encode_to_vec());
    let output = inspect(&path, EngineKind::Tract).expect("in time");
    assert!(!output.status.success());
    let said = output.stdout.len() + output.stderr.len();
    assert!(said < 20_000, "{said} bytes");
}
