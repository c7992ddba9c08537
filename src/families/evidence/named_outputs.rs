//! What the families share whose graph has chosen the detections: outputs told by name and type, nothing to suppress.

use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::family::Family;
use crate::families::recognise::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};
use tract_onnx::pb::tensor_proto::DataType;

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

/// Pixels from 0 to 1, RGB, stretched over the input.
pub fn stretched() -> Convention {
    Convention {
        colour: ColourOrder::Rgb,
        mean: [0.0; 3],
        std: [255.0; 3],
        resize: ResizeMode::Stretch,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}

/// [`stretched`], with ImageNet's mean and deviation.
pub fn imagenet() -> Convention {
    Convention {
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
        ..stretched()
    }
}

/// A reading whose number of classes, and what the graph does to a free size, are not known.
pub fn reading(
    name: &'static str,
    family: Family,
    convention: Convention,
    because: String,
) -> Reading {
    Reading {
        name,
        family,
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
    use crate::onnx::testing::model;
    use tract_onnx::pb::{ModelProto, NodeProto, type_proto};

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

    /// What `f` makes of the facts of a model.
    pub fn of_facts<T>(model: &ModelProto, f: impl Fn(&Facts) -> T) -> T {
        let graph = model.graph.as_ref().expect("a graph");
        f(&Facts::of(model, graph).expect("a picture goes in"))
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
