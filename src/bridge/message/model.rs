//! [`DetectModel`]: the message `detect-model` and the property `model-info`.

use super::{
    Decision, InForce, MODEL, MODEL_PROPERTY, read_structures, running_time, set_time, structures,
    time,
};
use std::time::Duration;

/// Facts about a loaded model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectModel {
    /// Path of the file, or `built-in`.
    pub path: String,
    /// Name of the family.
    pub family: String,
    /// Name of the engine.
    pub engine: String,
    /// Why this engine runs it, which library that is, and the times of all engines if they were measured.
    pub engine_reason: String,
    /// Width and height of the model's input in pixels.
    pub input: (u32, u32),
    /// Number of classes; 0 = unknown.
    pub classes: u32,
    /// Labels of the classes, in order.
    pub labels: Vec<String>,
    /// Where the labels came from.
    pub labels_source: String,
    /// Time to read, recognise and load the model.
    pub load_time: Duration,
    /// Time of the first inference, before any frame.
    pub warm_up_time: Duration,
    /// Conclusions about the model.
    pub decisions: Vec<Decision>,
    /// Changes made to the graph.
    pub rewritten: Vec<String>,
    /// Oddities that do no harm; each was also posted as a warning.
    pub warnings: Vec<String>,
    /// Limits in force.
    pub in_force: InForce,
    /// Running time of the message; absent without a clock, as before a pipeline plays for the first time.
    pub running_time: Option<gst::ClockTime>,
}

impl DetectModel {
    /// Converts to the message `detect-model`, or to the property `model-info`, which also has the labels.
    pub fn to_structure(&self, name: &str) -> gst::Structure {
        let strings = |v: &[String]| gst::Array::new(v.iter().map(String::as_str));
        let mut s = gst::Structure::builder(name)
            .field("path", &self.path)
            .field("family", &self.family)
            .field("engine", &self.engine)
            .field("engine-reason", &self.engine_reason)
            .field("input-width", self.input.0)
            .field("input-height", self.input.1)
            .field("classes", self.classes)
            .field("labels-source", &self.labels_source)
            .field(
                "decisions",
                structures(&self.decisions, decision_to_structure),
            )
            .field("guessed", gst::Array::new(self.guessed()))
            .field("rewritten", strings(&self.rewritten))
            .field("warnings", strings(&self.warnings))
            .build();
        self.in_force.add_to(&mut s);
        set_time(&mut s, "load-time", Some(self.load_time));
        set_time(&mut s, "warm-up-time", Some(self.warm_up_time));
        set_time(&mut s, "running-time", self.running_time.map(Into::into));
        if name == MODEL_PROPERTY {
            s.set("labels", strings(&self.labels));
        }
        s
    }

    /// Returns the guessed decisions as text. Look here first where boxes are wrong.
    pub fn guessed(&self) -> impl Iterator<Item = String> {
        let guessed = self.decisions.iter().filter(|d| d.guessed);
        guessed.map(Decision::to_string)
    }

    /// Reads a message or the property. A missing field gets its default.
    pub fn from_structure(s: &gst::StructureRef) -> Option<Self> {
        if ![MODEL, MODEL_PROPERTY].contains(&s.name().as_str()) {
            return None;
        }
        let text = |field| s.get::<String>(field).unwrap_or_default();
        let number = |field| s.get::<u32>(field).unwrap_or_default();
        let texts = |field| {
            let array = s.get::<gst::Array>(field).ok();
            let values = array.iter().flat_map(|a| a.iter());
            values.filter_map(|v| v.get::<String>().ok()).collect()
        };
        Some(Self {
            path: text("path"),
            family: text("family"),
            engine: text("engine"),
            engine_reason: text("engine-reason"),
            input: (number("input-width"), number("input-height")),
            classes: number("classes"),
            labels: texts("labels"),
            labels_source: text("labels-source"),
            load_time: time(s, "load-time").unwrap_or_default(),
            warm_up_time: time(s, "warm-up-time").unwrap_or_default(),
            decisions: read_structures(s, "decisions", decision_from_structure),
            rewritten: texts("rewritten"),
            warnings: texts("warnings"),
            in_force: InForce::read_from(s),
            running_time: running_time(s),
        })
    }
}

fn decision_to_structure(decision: &Decision) -> gst::Structure {
    gst::Structure::builder("decision")
        .field("topic", decision.topic.as_ref())
        .field("value", &decision.value)
        .field("reason", &decision.reason)
        .field("guessed", decision.guessed)
        .build()
}

fn decision_from_structure(s: &gst::StructureRef) -> Decision {
    Decision {
        topic: s.get::<String>("topic").unwrap_or_default().into(),
        value: s.get("value").unwrap_or_default(),
        reason: s.get("reason").unwrap_or_default(),
        guessed: s.get("guessed").unwrap_or_default(),
    }
}
