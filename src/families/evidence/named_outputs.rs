//! Outputs told by name and type, for families whose graph has chosen the detections and nothing is to be suppressed.

use crate::families::family::Family;
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};
use crate::onnx::proto::tensor_proto::DataType;

/// The name without the ":0" that TensorFlow ends it with.
pub fn plain(name: &str) -> &str {
    name.split_once(':').map_or(name, |(plain, _)| plain)
}

/// The place of the one output that is `wanted`.
pub fn place(facts: &Facts, wanted: impl Fn(&Port) -> bool) -> Option<usize> {
    let mut places =
        (facts.outputs.iter().enumerate()).filter_map(|(i, output)| wanted(output).then_some(i));
    let first = places.next();
    first.filter(|_| places.next().is_none())
}

pub fn is_integer(output: &Port) -> bool {
    matches!(
        DataType::try_from(output.data_type),
        Ok(DataType::Int64 | DataType::Int32)
    )
}

/// A number of rows that is told by both is told alike.
pub fn agree(a: Option<usize>, b: Option<usize>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// A reading whose number of classes, and what the graph does to a free size, are not known.
pub fn reading(
    name: &'static str,
    family: impl Family,
    convention: Convention,
    because: String,
) -> Reading {
    Reading {
        name,
        family: Box::new(family),
        because,
        classes: 0,
        convention,
        sure: false,
        stride: 1,
        labels: &[],
        score_threshold: None,
        iou_threshold: Some(1.0),
    }
}

/// Graphs that are nothing but inputs, outputs and a few nodes.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::onnx::proto::{ModelProto, NodeProto, type_proto};
    use crate::onnx::testing::model;

    /// A model of a picture of 64x64 with these outputs; those whose name begins with "int_" are int64, without it.
    pub fn with_outputs(nodes: Vec<NodeProto>, outputs: &[(&str, &[i64])]) -> ModelProto {
        let mut model = model(nodes, &[("images", &[1, 3, 64, 64])], outputs);
        for output in &mut model.graph.as_mut().expect("a graph").output {
            if let Some(name) = output.name.strip_prefix("int_").map(str::to_owned) {
                output.name = name;
                let kind = output.r#type.as_mut().and_then(|kind| kind.value.as_mut());
                let Some(type_proto::Value::TensorType(tensor)) = kind else {
                    panic!("outputs are tensors")
                };
                tensor.elem_type = DataType::Int64 as i32;
            }
        }
        model
    }

    /// Calls `f` with the facts of a model.
    pub fn of_facts<T>(model: &ModelProto, f: impl Fn(&Facts) -> T) -> T {
        let graph = model.graph.as_ref().expect("a graph");
        f(&Facts::new(model, graph).expect("a picture goes in"))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    #[test]
    fn tensorflows_numbers_are_no_part_of_a_name() {
        assert_eq!(plain("detection_boxes:0"), "detection_boxes");
        assert_eq!(plain("boxes"), "boxes");
    }

    #[test]
    fn a_place_is_that_of_one_output_only() {
        let model = with_outputs(vec![], &[("a", &[1, 4]), ("int_b", &[1]), ("c", &[1])]);
        of_facts(&model, |facts| {
            assert_eq!(place(facts, is_integer), Some(1));
            assert_eq!(place(facts, |o| !is_integer(o)), None, "two");
            assert_eq!(place(facts, |o| o.name == "d"), None);
        });
    }
}
