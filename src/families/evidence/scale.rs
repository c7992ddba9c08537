//! [`Scale`]: for which numbers a graph was made, as the weights of its first convolution tell.
//!
//! Where batch normalisation has been folded into it, a filter answers a picture with numbers of a few units, so its
//! weights are small for pixels of 0..255 and large for pixels of 0..1. The median over the filters of the sum of
//! the weights' absolute values is 0.04 to 0.25 in models for 0..255 (YuNet, YOLOX) and 2 to 62 in those for pixels
//! divided by their deviation or by 255 (UltraFace, NanoDet, YOLOv8, FastestDet, PicoDet).

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};
use std::collections::HashSet;

/// Between these the weights tell nothing.
const MOST_FOR_LEVELS: f32 = 0.5;
const LEAST_FOR_SHARES: f32 = 1.5;

/// Size of the numbers that a graph takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// 0..255
    Levels,
    /// 0..1 or nearly so.
    Shares,
}

impl Scale {
    /// `None` where the first convolution tells nothing: no bias, so that a normalisation may follow; no float weights.
    pub fn find(graph: &GraphProto) -> Option<Self> {
        let conv = graph.node.iter().find(|node| is_convolution(node))?;
        let [_, weights, bias] = &conv.input[..] else {
            return None;
        };
        let constant = |name: &str| graph.initializer.iter().find(|t| t.name == name);
        constant(bias)?;
        let weights = constant(weights)?;
        let filters = usize::try_from(*weights.dims.first()?).ok()?;
        let values = floats(weights)?;
        let length = values.len().checked_div(filters).filter(|n| *n > 0)?;
        let mut sums: Vec<f32> = (values.chunks_exact(length))
            .map(|filter| filter.iter().map(|w| w.abs()).sum())
            .collect();
        sums.sort_by(f32::total_cmp);
        match sums[sums.len() / 2] {
            sum if sum > 0.0 && sum <= MOST_FOR_LEVELS => Some(Self::Levels),
            sum if sum >= LEAST_FOR_SHARES && sum.is_finite() => Some(Self::Shares),
            _ => None,
        }
    }
}

/// Whether pixels reach the first convolution as they are: moved, but not computed with.
pub fn takes_pixels_as_they_are(graph: &GraphProto, input: &str) -> bool {
    const MOVES: [&str; 9] = [
        "Slice",
        "Concat",
        "Transpose",
        "Reshape",
        "Identity",
        "Cast",
        "Squeeze",
        "Unsqueeze",
        "SpaceToDepth",
    ];
    let mut pixels = HashSet::from([input]);
    for node in &graph.node {
        let touches = node.input.iter().any(|name| pixels.contains(name.as_str()));
        if touches && is_convolution(node) {
            return true;
        }
        if touches && MOVES.contains(&node.op_type.as_str()) {
            pixels.extend(node.output.iter().map(String::as_str));
        }
    }
    false
}

fn is_convolution(node: &NodeProto) -> bool {
    matches!(
        node.op_type.as_str(),
        "Conv" | "FusedConv" | "QLinearConv" | "ConvInteger"
    )
}

fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if DataType::try_from(tensor.data_type) != Ok(DataType::Float) {
        return None;
    }
    if !tensor.float_data.is_empty() {
        return Some(tensor.float_data.clone());
    }
    let (numbers, rest) = tensor.raw_data.as_chunks::<4>();
    rest.is_empty()
        .then(|| numbers.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};

    /// A graph whose first convolution has two filters of three weights.
    fn scale(weights: [f32; 6], inputs: &[&str]) -> Option<Scale> {
        let nodes = vec![node("Conv", inputs, &["y"])];
        let mut graph = model(nodes, &[("x", &[1])], &[("y", &[1])]).graph?;
        graph.initializer = vec![
            float_tensor("w", &[2, 3, 1, 1], &weights),
            float_tensor("b", &[2], &[0.0; 2]),
        ];
        Scale::find(&graph)
    }

    #[test]
    fn small_weights_are_for_large_numbers() {
        let all = ["x", "w", "b"];
        assert_eq!(scale([0.05; 6], &all), Some(Scale::Levels));
        assert_eq!(scale([-1.0; 6], &all), Some(Scale::Shares));
        assert_eq!(scale([0.3; 6], &all), None, "between");
    }

    #[test]
    fn weights_that_tell_nothing() {
        let all = ["x", "w", "b"];
        assert_eq!(scale([0.0; 6], &all), None);
        assert_eq!(scale([f32::NAN; 6], &all), None);
        assert_eq!(scale([f32::INFINITY; 6], &all), None);
        assert_eq!(scale([1.0; 6], &["x", "w"]), None, "before a normalisation");
        assert_eq!(scale([1.0; 6], &["x", "other", "b"]), None, "no constant");
    }

    #[test]
    fn pixels_that_are_computed_with_are_not_what_they_were() {
        let reaches = |ops: [&str; 2]| {
            let nodes = vec![
                node(ops[0], &["x", "c"], &["a"]),
                node(ops[1], &["a"], &["b"]),
                node("Conv", &["b", "w"], &["y"]),
            ];
            let model = model(nodes, &[("x", &[1, 3, 8, 8])], &[("y", &[])]);
            takes_pixels_as_they_are(model.graph.as_ref().expect("just made"), "x")
        };
        assert!(reaches(["Slice", "Transpose"]));
        assert!(!reaches(["Sub", "Transpose"]));
        assert!(!reaches(["Slice", "Sigmoid"]));
    }
}
