//! `inspect`: what a model is, what was guessed of it, what its graph holds, and what was rewritten.

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::report::{ModelFacts, print, to_json};
use crate::settings::Settings;
use crate::text;
use gstdetect::bridge::message::DetectModel;
use gstdetect::onnx::outline::Outline;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What is told of a model; schema `detect-bench/1` as well.
#[derive(Debug, Serialize)]
pub struct Inspection {
    pub schema: &'static str,
    pub command: &'static str,
    pub file: File,
    pub model: ModelFacts,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    pub labels: Vec<String>,
}

/// What lies in the file, as it is.
#[derive(Debug, Serialize)]
pub struct File {
    pub bytes: u64,
    pub ir_version: i64,
    pub opsets: Vec<String>,
    pub producer: String,
    pub parameters: u64,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub operators: BTreeMap<String, usize>,
    pub metadata: BTreeMap<String, String>,
}

impl From<Outline> for File {
    fn from(outline: Outline) -> Self {
        let opset = |(domain, version): (String, i64)| match domain.as_str() {
            "" | "ai.onnx" => version.to_string(),
            domain => format!("{domain} {version}"),
        };
        Self {
            bytes: outline.bytes,
            ir_version: outline.ir_version,
            opsets: outline.opsets.into_iter().map(opset).collect(),
            producer: outline.producer,
            parameters: outline.parameters,
            inputs: outline.inputs,
            outputs: outline.outputs,
            operators: outline.operators,
            metadata: outline.metadata.into_iter().collect(),
        }
    }
}

pub fn run(arguments: &InspectArgs) -> Result<(), Failure> {
    let path = arguments.model.as_deref();
    let file = Outline::open(path).map_err(Failure::model)?.into();
    let settings = arguments.properties.settings()?;
    let model = match load(path, &settings) {
        Ok(model) => model,
        Err(failure) => {
            // What the file holds helps whoever writes a card for it.
            if !arguments.json {
                print(&text::file(&file))?;
            }
            return Err(failure);
        }
    };
    let inspection = Inspection {
        schema: crate::report::SCHEMA,
        command: "inspect",
        file,
        score_threshold: model.in_force.score_threshold,
        iou_threshold: model.in_force.iou_threshold,
        labels: model.labels.clone(),
        model: model.into(),
    };
    match arguments.json {
        true => print(&to_json(&inspection)?),
        false => print(&text::inspection(&inspection)),
    }
}

/// Loads it into an element, as a pipeline would.
fn load(path: Option<&Path>, settings: &Settings) -> Result<DetectModel, Failure> {
    let analyser = crate::analyse::Analyser::new(path, settings)?;
    Ok(analyser.model.clone())
}
