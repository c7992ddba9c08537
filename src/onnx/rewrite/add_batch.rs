//! Gives an input `[3, h, w]` an axis for one picture, which everything else here takes for granted: the graph then
//! begins by taking it away.

use crate::base::tensor::InputSpec;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, type_proto};

/// Ends the names of what this file adds.
const SUFFIX: &str = "/without_batch";

/// Changes `graph` and says what was done, if anything was to do.
pub fn run(graph: &mut GraphProto, input: &InputSpec) -> Option<String> {
    let wanted = input.dims().map(|dim| dim as i64);
    let value = graph
        .input
        .iter_mut()
        .find(|value| value.name == input.name)?;
    let type_proto::Value::TensorType(tensor) = value.r#type.as_mut()?.value.as_mut()?;
    let dims = &mut tensor.shape.as_mut()?.dim;
    if dims.len() + 1 != wanted.len() {
        return None;
    }
    let fixed = wanted.map(|dim| Dimension {
        value: Some(dimension::Value::DimValue(dim)),
        ..Default::default()
    });
    *dims = fixed.into();
    let (picture, shape) = (
        format!("{}{SUFFIX}", input.name),
        format!("{}{SUFFIX}/shape", input.name),
    );
    rename(graph, &input.name, &picture);
    graph.initializer.push(TensorProto {
        name: shape.clone(),
        dims: vec![3],
        data_type: DataType::Int64 as i32,
        raw_data: wanted[1..].iter().flat_map(|n| n.to_le_bytes()).collect(),
        ..Default::default()
    });
    let reshape = NodeProto {
        op_type: "Reshape".into(),
        name: picture.clone(),
        input: vec![input.name.clone(), shape],
        output: vec![picture],
        ..Default::default()
    };
    graph.node.insert(0, reshape);
    Some(format!(
        "gave the input an axis for one picture: {wanted:?}"
    ))
}

/// Whoever took `from` takes `to`, also in the graphs inside of nodes.
pub fn rename(graph: &mut GraphProto, from: &str, to: &str) {
    for node in &mut graph.node {
        for input in node.input.iter_mut().filter(|input| *input == from) {
            *input = to.to_owned();
        }
        for attribute in &mut node.attribute {
            let inner = attribute.g.iter_mut().chain(&mut attribute.graphs);
            inner.for_each(|graph| rename(graph, from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::facts::Port;
    use crate::onnx::testing::{input_spec, model, node};
    use tract_onnx::pb::AttributeProto;

    fn graph(dims: &[i64]) -> GraphProto {
        let inner = model(vec![node("Relu", &["x"], &["z"])], &[], &[("z", &[])]);
        let mut branch = node("If", &["c"], &["z"]);
        branch.attribute.push(AttributeProto {
            name: "then_branch".into(),
            g: inner.graph,
            ..Default::default()
        });
        let nodes = vec![node("Relu", &["x"], &["c"]), branch];
        model(nodes, &[("x", dims)], &[("z", &[])]).graph.unwrap()
    }

    #[test]
    fn the_axis_is_added_and_taken_away_again() {
        let mut graph = graph(&[3, -1, -2]);
        assert!(
            run(&mut graph, &input_spec())
                .unwrap()
                .contains("[1, 3, 32, 64]")
        );
        let dims = Port::new(&graph.input[0]).unwrap().dims;
        assert_eq!(dims, Some([1, 3, 32, 64].map(Some).to_vec()));
        let [reshape, relu, branch] = &graph.node[..] else {
            panic!("one node more")
        };
        assert_eq!(reshape.input[0], "x");
        assert_eq!(relu.input, reshape.output);
        let inner = branch.attribute[0].g.as_ref().unwrap();
        assert_eq!(inner.node[0].input, reshape.output);
        assert_eq!(
            run(&mut graph, &input_spec()),
            None,
            "a second run finds nothing"
        );
    }

    #[test]
    fn an_input_with_the_axis_is_left_alone() {
        let mut graph = graph(&[1, 3, 32, 64]);
        let before = graph.clone();
        assert_eq!(run(&mut graph, &input_spec()), None);
        assert_eq!(graph, before);
    }
}
