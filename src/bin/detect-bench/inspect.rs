//! `inspect`: what a model is, what was guessed about it, what its graph holds, and what was rewritten.

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::report::{ModelFacts, print, to_json};
use crate::settings::Settings;
use crate::table::Table;
use crate::text;
use gstdetect::bridge::message::DetectModel;
use gstdetect::model::builtin;
use gstdetect::onnx::outline::Outline;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Everything that is known about a model, in schema `detect-bench/1`.
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

/// Content of the file, before anything is rewritten.
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
    let outline = match path {
        Some(path) => Outline::open(path),
        None => Outline::from_bytes(builtin::ONNX),
    };
    let file = outline.map_err(Failure::model)?.into();
    let settings = arguments.properties.settings()?;
    let model = match load(path, &settings) {
        Ok(model) => model,
        Err(failure) => {
            // Whoever writes a card for the model needs to know what the file holds.
            if !arguments.json {
                print(&describe_file(&file))?;
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
        false => print(&describe(&inspection)),
    }
}

/// Loads the model into an element, as a pipeline would.
fn load(path: Option<&Path>, settings: &Settings) -> Result<DetectModel, Failure> {
    let analyser = crate::analyse::Analyser::new(path, settings)?;
    Ok(analyser.model.clone())
}

fn describe(inspection: &Inspection) -> String {
    let model = &inspection.model;
    let mut facts = Table::facts("");
    facts.add_fact("family", model.family.as_str());
    facts.add_fact(
        "input",
        format!("{}x{}", model.input_width, model.input_height),
    );
    facts.add_fact(
        "classes",
        format!("{} ({})", model.classes, model.labels_source),
    );
    facts.add_fact(
        "thresholds",
        format!(
            "score {}, IoU {}",
            inspection.score_threshold, inspection.iou_threshold
        ),
    );
    facts.add_fact(
        "engine",
        format!("{} ({})", model.engine, model.engine_reason),
    );
    facts.add_fact(
        "loaded in",
        format!(
            "{:.0} ms, first inference {:.0} ms",
            model.load_ms, model.warm_up_ms
        ),
    );
    [
        format!("{}\n\n", model.path),
        text::rows(&facts, ""),
        describe_conclusions(model),
        "\n".to_owned(),
        describe_file(&inspection.file),
    ]
    .concat()
}

/// Describes what was concluded from the file, what was rewritten, and warnings.
fn describe_conclusions(model: &ModelFacts) -> String {
    let mut text = String::from("\nConcluded\n");
    for decision in &model.decisions {
        let mark = if decision.guessed { "guessed " } else { "" };
        let _ = writeln!(
            text,
            "  {mark}{}: {} ({})",
            decision.topic, decision.value, decision.reason
        );
    }
    let lists = [
        ("Rewritten", &model.rewritten),
        ("Warnings", &model.warnings),
    ];
    for (title, list) in lists {
        if !list.is_empty() {
            let _ = writeln!(text, "\n{title}\n  {}", list.join("\n  "));
        }
    }
    text
}

fn describe_file(file: &File) -> String {
    let producer = match file.producer.as_str() {
        "" => "no producer named".to_owned(),
        name => format!("by {name}"),
    };
    let mut operators: Vec<_> = file.operators.iter().collect();
    operators.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let operators: Vec<_> = operators
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    format!(
        "In the file\n  {} bytes, {} parameters, IR version {}, operator set {}, {producer}\n  \
         inputs:  {}\n  outputs: {}\n  operators: {}\n",
        file.bytes,
        file.parameters,
        file.ir_version,
        file.opsets.join(", "),
        file.inputs.join("\n           "),
        file.outputs.join("\n           "),
        operators.join(", ")
    )
}
