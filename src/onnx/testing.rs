//! Small graphs for the tests of this folder and of those below it.

use crate::base::geometry::Size;
use crate::base::tensor::*;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::*;

/// "x" as `[1, 3, 32, 64]`.
pub fn input_spec() -> InputSpec {
    InputSpec {
        name: "x".into(),
        size: Size::new(64, 32),
        layout: Layout::Nchw,
        element: Element::F32,
        colour: ColourOrder::Rgb,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: ResizeMode::Stretch,
        pad_value: 0.0,
        interpolation: Interpolation::Linear,
    }
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: format!("{op}_{}", outputs.join("_")),
        input: inputs.iter().map(|s| s.to_string()).collect(),
        output: outputs.iter().map(|s| s.to_string()).collect(),
        ..Default::default()
    }
}

/// With attributes of integers; the first of each is also what an attribute of one integer holds.
pub fn with(mut node: NodeProto, attributes: &[(&str, &[i64])]) -> NodeProto {
    node.attribute
        .extend(attributes.iter().map(|(name, numbers)| AttributeProto {
            name: (*name).into(),
            i: numbers[0],
            ints: numbers.to_vec(),
            ..Default::default()
        }));
    node
}

pub fn float_tensor(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: data.to_vec(),
        ..Default::default()
    }
}

pub fn int64_tensor(name: &str, data: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![data.len() as i64],
        data_type: DataType::Int64 as i32,
        raw_data: data.iter().flat_map(|n| n.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// One of the graph's initializers, to be changed.
pub fn constant<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut TensorProto {
    let mut constants = graph.initializer.iter_mut();
    constants.find(|tensor| tensor.name == name).unwrap()
}

/// A dim of 0 is kept as 0, one below is written as a name.
pub fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim| Dimension {
        value: Some(match dim {
            0.. => dimension::Value::DimValue(dim),
            _ => dimension::Value::DimParam(format!("free{}", -dim)),
        }),
        ..Default::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn model(
    nodes: Vec<NodeProto>,
    inputs: &[(&str, &[i64])],
    outputs: &[(&str, &[i64])],
) -> ModelProto {
    let values =
        |ports: &[(&str, &[i64])]| ports.iter().map(|(name, dims)| value(name, dims)).collect();
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(GraphProto {
            node: nodes,
            name: "test".into(),
            input: values(inputs),
            output: values(outputs),
            ..Default::default()
        }),
        ..Default::default()
    }
}
