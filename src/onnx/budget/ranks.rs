//! Numbers of dims that an operator on maps needs.
//!
//! tract reads channels and sides of a map without looking whether the tensor has them, and the process ends by a signal.

use super::name_of;
use tract_onnx::pb::NodeProto;

/// Refuses an operator on maps whose first input has too few dims.
pub fn check(node: &NodeProto, dims: Option<&[usize]>) -> Result<(), String> {
    let least = match node.op_type.as_str() {
        "BatchNormalization" | "GroupNormalization" | "LRN" => 2,
        "Conv"
        | "ConvInteger"
        | "ConvTranspose"
        | "QLinearConv"
        | "MaxPool"
        | "AveragePool"
        | "LpPool"
        | "GlobalMaxPool"
        | "GlobalAveragePool"
        | "GlobalLpPool"
        | "InstanceNormalization" => 3,
        "DepthToSpace" | "SpaceToDepth" | "GridSample" => 4,
        _ => return Ok(()),
    };
    match dims {
        Some(dims) if dims.len() < least => Err(format!(
            "{} takes a tensor of shape {dims:?}, expected at least {least} dims",
            name_of(node)
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;

    #[test]
    fn a_map_has_channels_and_sides() {
        let refusal = |op: &str, dims: &[usize]| check(&node(op, &["x"], &["y"]), Some(dims)).err();
        for (op, enough) in [("BatchNormalization", 2), ("Conv", 3), ("DepthToSpace", 4)] {
            assert_eq!(refusal(op, &vec![1; enough]), None);
            let refused = refusal(op, &vec![1; enough - 1]).expect("refused");
            assert!(
                refused.starts_with(op) && refused.contains("at least"),
                "{refused}"
            );
        }
        assert_eq!(refusal("Relu", &[]), None);
        assert_eq!(check(&node("Conv", &["x"], &["y"]), None), Ok(()));
    }
}
