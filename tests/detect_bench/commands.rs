//! `detect-bench` as a program: what its commands tell, and the exit codes that scripts use.

use crate::support::{self, Folder, micro_model, skipped};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BLAZEFACE: &str = "src/model/builtin/blazeface_back_256.onnx";
const CARD: &str = "src/model/builtin/blazeface_back_256.json";
const PORTRAIT: &str = "pipelines/astronaut.jpg";

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_detect-bench"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Runs `detect-bench`, which must end with `code`; returns what it printed to standard output and standard error.
fn said(arguments: &[&str], code: i32) -> (String, String) {
    let output = bench(arguments);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {out}{err}"
    );
    (out, err)
}

fn json(arguments: &[&str]) -> Value {
    let (out, _) = said(arguments, 0);
    serde_json::from_str(&out).unwrap_or_else(|err| panic!("{err}: {out}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the test")
}

#[test]
fn inspect_tells_what_the_built_in_model_is() {
    let (out, _) = said(&["inspect"], 0);
    for part in ["blazeface", "256x256", "Conv", "Concluded", "parameters"] {
        assert!(out.contains(part), "no {part} in {out}");
    }
    let told = json(&["inspect", "--json"]);
    assert_eq!(told["schema"], "detect-bench/1");
    assert_eq!(
        (&told["model"]["input_width"], &told["labels"][0]),
        (&256.into(), &"face".into())
    );
}

#[test]
fn inspect_tells_what_was_rewritten() {
    let model = micro_model("yolov8_dfl_micro.onnx");
    let told = json(&["inspect", text(&model), "--json"]);
    let rewritten = told["model"]["rewritten"].as_array().expect("a list");
    assert!(
        rewritten
            .iter()
            .any(|said| said.as_str().is_some_and(|said| said.contains("raw heads")))
    );
    assert_eq!(told["file"]["outputs"][0], "output0 [1, 6, 21] float32");
    assert!(told["file"]["operators"]["Conv"].as_u64() > Some(0));
}

#[test]
fn what_is_no_detector_is_outlined_and_refused() {
    let model = micro_model("not_a_detector.onnx");
    let (out, err) = said(&["inspect", text(&model)], 3);
    assert!(out.contains("logits [1, 10]"), "{out}");
    assert!(err.contains("not_a_detector.onnx"), "{err}");
}

#[test]
fn inspect_knows_every_shared_model() {
    let Some(shared) = std::env::var_os("DETECT_SHARED") else {
        return skipped("DETECT_SHARED does not name the folder of shared models");
    };
    let folder = PathBuf::from(shared).join("models");
    let mut models = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is there") {
        let model = entry.expect("readable").path();
        if model.extension().is_none_or(|end| end != "onnx") {
            continue;
        }
        let card = model.with_extension("json");
        let mut arguments = vec!["inspect", text(&model), "--json"];
        if card.exists() {
            arguments.extend(["--model-config", text(&card)]);
        }
        let told = json(&arguments);
        assert!(
            told["model"]["family"]
                .as_str()
                .is_some_and(|f| !f.is_empty()),
            "{told}"
        );
        models += 1;
    }
    assert!(models > 20, "{models} models in {}", folder.display());
}

#[test]
fn detect_prints_a_card_that_verify_takes() {
    let folder = Folder::new();
    let (card, _) = said(&["detect", PORTRAIT], 0);
    let told: Value = serde_json::from_str(&card).expect("JSON");
    let boxes = told["expected"][0]["boxes"].as_array().expect("a list");
    assert_eq!((boxes.len(), &boxes[0][5]), (1, &"face".into()));
    let path = folder.file("card.json", card.as_bytes());
    let verify = |card: &Path, code| {
        let pictures = env!("CARGO_MANIFEST_DIR");
        let arguments = [
            "verify",
            BLAZEFACE,
            text(card),
            "--model-config",
            CARD,
            "--pictures",
            pictures,
        ];
        said(&arguments, code)
    };
    let (out, _) = verify(&path, 0);
    assert!(
        out.contains("1 boxes") && out.contains("as expected"),
        "{out}"
    );

    let left = boxes[0][0].as_f64().expect("a number");
    let moved = card.replacen(&left.to_string(), &(left - 70.0).to_string(), 1);
    assert_ne!(moved, card);
    let (out, err) = verify(&folder.file("moved.json", moved.as_bytes()), 1);
    assert!(
        out.contains("DIFFERENT") && out.contains("missing face"),
        "{out}"
    );
    assert!(err.contains("1 of 1 differ"), "{err}");
}

#[test]
fn detect_draws_into_a_copy() {
    let folder = Folder::new();
    let drawn = folder.path().join("drawn");
    said(&["detect", PORTRAIT, "--draw", text(&drawn)], 0);
    let png = std::fs::read(drawn.join("astronaut.png")).expect("a copy");
    assert!(png.starts_with(b"\x89PNG"));
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(
        (side(16), side(20)),
        (support::PORTRAIT_SIDE, support::PORTRAIT_SIDE)
    );
}

#[test]
fn verify_knows_recorded_tensors_from_changed_ones() {
    let model = micro_model("yolov8_dfl_micro.onnx");
    let recorded = |name: &str| micro_model("recorded").join(name);
    for data in ["test_data_set_0", "recorded.npz"] {
        let (out, _) = said(&["verify", text(&model), text(&recorded(data))], 0);
        assert!(
            out.contains("126 numbers") && out.contains("tolerance"),
            "{out}"
        );
    }
    let wrong = recorded("recorded_wrong.npz");
    let (out, err) = said(&["verify", text(&model), text(&wrong)], 1);
    assert!(
        out.contains("1 of 126 numbers differ") && out.contains("number 5"),
        "{out}"
    );
    assert!(err.contains("1 of 1 differ"), "{err}");
    said(
        &["verify", text(&model), text(&wrong), "--absolute", "0.5"],
        0,
    );
}

#[test]
fn verify_finds_test_data_beside_a_model() {
    let folder = Folder::new();
    let model = std::fs::read(micro_model("yolov8_dfl_micro.onnx")).expect("the model is there");
    folder.file("model.onnx", &model);
    let (_, err) = said(&["verify", text(folder.path())], 2);
    assert!(err.contains("test_data_set_0"), "{err}");
    let set = folder.path().join("test_data_set_0");
    std::fs::create_dir(&set).expect("a writable folder");
    for file in ["input_0.pb", "output_0.pb"] {
        let recorded = micro_model("recorded").join("test_data_set_0").join(file);
        std::fs::copy(recorded, set.join(file)).expect("recorded");
    }
    said(&["verify", text(folder.path())], 0);
}

#[test]
fn compare_tells_time_and_boxes_of_each_row() {
    let folder = Folder::new();
    let model = micro_model("yolov8_micro.onnx");
    let page = folder.path().join("page.html");
    let source = "videotestsrc num-buffers=2000 ! video/x-raw,width=64,height=64,framerate=30/1";
    let other = format!("{} precision=f16", text(&model));
    let told = json(&[
        "compare",
        text(&model),
        "--threads",
        "1,2",
        "--row",
        &other,
        "--source",
        source,
        "--rounds",
        "2",
        "--time",
        "0.5",
        "--warm-up",
        "0",
        "--cool-down",
        "0",
        "--frames",
        "3",
        "--json",
        "-",
        "--html",
        text(&page),
    ]);
    let rows = told["comparison"]["rows"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "yolov8_micro threads=1",
            "yolov8_micro threads=2",
            "yolov8_micro precision=f16"
        ]
    );
    for row in &rows[..2] {
        assert!(row["fps"].as_f64() > Some(1.0), "{row}");
        assert_eq!(row["turns_ms"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            (&row["boxes"]["missing"], &row["boxes"]["extra"]),
            (&0.into(), &0.into())
        );
    }
    assert_eq!(rows[0]["speed_up"].as_f64(), Some(1.0));
    let failure = rows[2]["failure"].as_str().expect("tract has no f16");
    assert!(
        failure.contains("f16") && rows[2]["boxes"].is_null(),
        "{failure}"
    );
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("<svg") && page.contains("precision=f16"));
}

#[test]
fn what_is_wrong_has_a_code_and_a_sentence() {
    let nowhere = "/nowhere/x.onnx";
    let cases: [(&[&str], i32, &str); 9] = [
        (&["run", "--model", nowhere], 3, nowhere),
        (&["inspect", nowhere], 3, nowhere),
        (&["run", "--set", "workres=2"], 2, "workers"),
        (&["run", "--threads", "many"], 2, "threads"),
        (&["run", "--source", "/nowhere/clip.avi"], 2, "no such file"),
        (
            &["run", "--source", "videotestsrc nonsense=1"],
            2,
            "nonsense",
        ),
        (&["run", "--time=-1"], 2, "0 to 604800"),
        (&["detect", "Cargo.toml"], 4, "Cargo.toml"),
        (
            &[
                "run",
                "--source",
                "videotestsrc num-buffers=2",
                "--html",
                "/nowhere/x.html",
            ],
            5,
            "/nowhere/x.html",
        ),
    ];
    for (arguments, code, part) in cases {
        let (_, err) = said(arguments, code);
        assert!(err.contains(part), "{arguments:?}: {err}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Folder::new();
    said(&["man", text(folder.path())], 0);
    let page = |name: &str| {
        std::fs::read_to_string(folder.path().join(name))
            .unwrap_or_else(|err| panic!("{name}: {err}"))
    };
    assert!(page("detect-bench.1").contains("Exit codes:"));
    let (help, _) = said(&["--help"], 0);
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect::<Vec<_>>();
    assert!(commands.len() > 5, "{commands:?} of {help}");
    for name in commands {
        let page = page(&format!("detect-bench-{name}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert!(page("detect-bench-run.1").contains("input\\-size"));
    let (_, err) = said(&["man", "/no/such/folder"], 5);
    assert!(err.contains("/no/such/folder"), "{err}");
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let (out, _) = said(&["completions", shell], 0);
        assert!(
            out.contains("detect-bench") && out.contains("input-size"),
            "{shell}"
        );
    }
    let (help, _) = said(&["--help"], 0);
    assert!(help.contains("Exit codes:"));
}
