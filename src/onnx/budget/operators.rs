//! Operators that detectors have. Of others nobody has looked at what they allocate.

use super::name_of;
use tract_onnx::pb::GraphProto;

/// Operators whose results are as large as their inputs, or as large as the budget has seen. Left out are those that make a
/// tensor of any size out of a few numbers (`OneHot`, `EyeLike`), audio, chance, trees, text and recurrent networks.
const ALLOWED: [&str; 156] = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "BiasGelu",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Compress",
    "Concat",
    "Constant",
    "ConstantLike",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumSum",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "FastGelu",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "If",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Mean",
    "MeanVarianceNormalization",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "MultiHeadAttention",
    "Neg",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "Or",
    "PRelu",
    "Pad",
    "ParametricSoftplus",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "QuickGelu",
    "RMSNormalization",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Rsqrt",
    "ScaledTanh",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shape",
    "Shrink",
    "Sigmoid",
    "Sign",
    "SimplifiedLayerNormalization",
    "Sin",
    "Sinh",
    "Size",
    "SkipLayerNormalization",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];

/// Refuses a graph with an operator that no detector has, in the graph or in graphs inside its nodes.
pub fn check(graph: &GraphProto) -> Result<(), String> {
    for node in &graph.node {
        if ALLOWED.binary_search(&node.op_type.as_str()).is_err() {
            return Err(format!(
                "{} is no operator of a detector, and how much memory it takes is not known",
                name_of(node)
            ));
        }
        for attribute in &node.attribute {
            let mut inner = attribute.g.iter().chain(&attribute.graphs);
            inner.try_for_each(check)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use tract_onnx::pb::AttributeProto;

    #[test]
    fn the_list_is_sorted() {
        assert!(ALLOWED.is_sorted());
    }

    #[test]
    fn an_operator_of_no_detector_is_refused_inside_nodes_too() {
        let graph = |op: &str| GraphProto {
            node: vec![node("Relu", &["x"], &["y"]), node(op, &["y"], &["z"])],
            ..Default::default()
        };
        assert_eq!(check(&graph("Conv")), Ok(()));
        let refused = check(&graph("OneHot")).expect_err("refused");
        assert!(refused.starts_with("OneHot of node"), "{refused}");
        let mut outer = graph("If");
        outer.node[1].attribute.push(AttributeProto {
            g: Some(graph("OneHot")),
            ..Default::default()
        });
        assert!(check(&outer).is_err());
    }
}
