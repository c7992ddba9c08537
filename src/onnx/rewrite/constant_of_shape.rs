//! Gives a `ConstantOfShape` without `value` the value that ONNX says it has then: one zero of f32.
//!
//! tract 0.23 takes an f64 instead, and then refuses the `Concat` with f32 that the zeros are made for (channel
//! padding, as tf2onnx writes it).

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, TensorProto};

/// Changes `graph` and says what was done, if anything was to do.
pub fn run(graph: &mut GraphProto) -> Option<String> {
    let mut changed = 0;
    for node in graph
        .node
        .iter_mut()
        .filter(|node| node.op_type == "ConstantOfShape")
    {
        if node
            .attribute
            .iter()
            .all(|attribute| attribute.name != "value")
        {
            node.attribute.push(zero());
            changed += 1;
        }
    }
    (changed > 0).then(|| format!("wrote out the default value of {changed} ConstantOfShape"))
}

fn zero() -> AttributeProto {
    AttributeProto {
        name: "value".into(),
        r#type: AttributeType::Tensor as i32,
        t: Some(TensorProto {
            dims: vec![1],
            data_type: DataType::Float as i32,
            raw_data: 0_f32.to_le_bytes().to_vec(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};

    #[test]
    fn only_a_missing_value_is_written() {
        let nodes = vec![
            node("ConstantOfShape", &["s"], &["y"]),
            node("Relu", &["y"], &["z"]),
        ];
        let mut graph = model(nodes, &[("s", &[4])], &[("z", &[])]).graph.unwrap();
        assert!(run(&mut graph).unwrap().contains("1 ConstantOfShape"));
        let value = graph.node[0].attribute[0].t.as_ref().unwrap();
        assert_eq!(
            (value.data_type, value.raw_data.as_slice()),
            (DataType::Float as i32, &[0; 4][..])
        );
        assert!(graph.node[1].attribute.is_empty());
        assert_eq!(run(&mut graph), None, "a second run finds nothing");
    }
}
