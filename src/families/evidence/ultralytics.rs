//! Metadata of Ultralytics' exporters.

use crate::onnx::facts::Facts;

/// Ultralytics' metadata name another task than plain boxes, or boxes already chosen.
pub fn other_task(facts: &Facts) -> bool {
    facts.metadata("task").is_some_and(|task| task != "detect")
        || facts.metadata("end2end") == Some("True")
}

/// Metadata as Ultralytics' exporters write them.
pub fn is_ultralytics(facts: &Facts) -> bool {
    facts.metadata("names").is_some() && facts.metadata("stride").is_some()
}
