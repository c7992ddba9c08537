//! Which of the engines are on this machine whose libraries are loaded at run time.

use super::{micro_model, skipped};
use gstdetect::engine::{self, Engine, EngineError, EngineKind, EngineOptions, Precision};
use gstdetect::model::{Model, ModelOptions};

pub const LOADED: [EngineKind; 2] = [EngineKind::OnnxRuntime, EngineKind::OpenVino];

/// One thread: what is compared shall not depend on how work is divided.
pub const OPTIONS: EngineOptions = EngineOptions {
    threads: 1,
    precision: Precision::F32,
    at_once: 1,
    max_compute: None,
};

/// Returns the engines whose library is on this machine; says which are not.
pub fn installed() -> Vec<EngineKind> {
    let model = Model::open(&ModelOptions {
        path: Some(micro_model("yolov8_micro.onnx")),
        ..ModelOptions::default()
    });
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    let is_here = |kind: &EngineKind| match engine::open(*kind, &model, &OPTIONS) {
        Ok(_) => true,
        Err(EngineError::NotInstalled {
            pointed_at: None, ..
        }) => {
            skipped(&format!("{kind}: its library is not on this machine"));
            false
        }
        Err(error) => panic!("{kind}: {error}"),
    };
    LOADED.into_iter().filter(is_here).collect()
}

/// An engine and another one for concurrent inference, as two workers have them.
pub fn two_engines(kind: EngineKind, model: &Model) -> [Box<dyn Engine>; 2] {
    let options = EngineOptions {
        at_once: 2,
        ..OPTIONS
    };
    let first =
        engine::open(kind, model, &options).unwrap_or_else(|error| panic!("{kind}: {error}"));
    let second = first.engine.another(options.threads, &model.bytes);
    let second = second.unwrap_or_else(|error| panic!("{kind}: {error}"));
    [first.engine, second]
}
