//! Widens f16 (and bf16) weights and edges to f32, and drops the casts that then change nothing.
//!
//! Our tensors are f32, and f16 arithmetic is slow where the processor has none: tract computes it number by number.
//! Every f16 number is an f32 too, so the weights stay what they are and results become more exact. What is changed
//! is: constants, types of inputs, outputs and values in between, and the attributes that name a type; in the graph
//! and in the graphs inside its nodes.

use super::{LONGEST_NAME, constants, names};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto, type_proto};

/// Integer attributes that hold the number of a type.
const TYPE_ATTRIBUTES: [&str; 4] = ["to", "dtype", "output_dtype", "output_datatype"];

/// Their results are floats whatever they take.
const ALWAYS_FLOAT: [&str; 12] = [
    "Conv",
    "ConvTranspose",
    "BatchNormalization",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Exp",
    "Softmax",
    "Tanh",
    "AveragePool",
    "GlobalAveragePool",
];

/// The type of their result is that of their first input.
const TYPE_OF_FIRST: [&str; 20] = [
    "Relu",
    "Clip",
    "MaxPool",
    "Slice",
    "Concat",
    "Reshape",
    "Transpose",
    "Resize",
    "Upsample",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Identity",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Split",
    "Gather",
    "MatMul",
];

fn is_half(data_type: i32) -> bool {
    data_type == DataType::Float16 as i32 || data_type == DataType::Bfloat16 as i32
}

/// Changes `graph` and says what was done, if anything was to do.
pub fn run(graph: &mut GraphProto) -> Option<String> {
    let mut done = Widened::default();
    widen_graph(graph, &mut done);
    if done == Widened::default() {
        return None;
    }
    let dropped = drop_casts(graph);
    Some(format!(
        "widened {} constants and {} types from f16 to f32, and dropped {dropped} casts",
        done.constants, done.types
    ))
}

/// Whether [`run`] would change anything.
pub fn applies(graph: &GraphProto) -> bool {
    let types = graph.input.iter().chain(&graph.output);
    let mut types = types.chain(&graph.value_info).map(|value| &value.r#type);
    let node_is_half = |node: &NodeProto| {
        node.attribute.iter().any(|a| {
            names_half(a)
                || a.t.iter().any(|t| is_half(t.data_type))
                || a.tensors.iter().any(|t| is_half(t.data_type))
                || a.g.iter().chain(&a.graphs).any(applies)
        })
    };
    graph.initializer.iter().any(|t| is_half(t.data_type))
        || types.any(|kind| kind.as_ref().is_some_and(half_tensor))
        || graph.node.iter().any(node_is_half)
}

fn names_half(attribute: &AttributeProto) -> bool {
    TYPE_ATTRIBUTES.contains(&attribute.name.as_str())
        && i32::try_from(attribute.i).is_ok_and(is_half)
}

fn half_tensor(kind: &TypeProto) -> bool {
    kind.value.as_ref().is_some_and(|value| match value {
        type_proto::Value::TensorType(tensor) => is_half(tensor.elem_type),
    })
}

#[derive(Default, PartialEq)]
struct Widened {
    constants: usize,
    types: usize,
}

fn widen_graph(graph: &mut GraphProto, done: &mut Widened) {
    let values = graph.input.iter_mut().chain(&mut graph.output);
    for value in values.chain(&mut graph.value_info) {
        widen_type(value.r#type.as_mut(), done);
    }
    for tensor in &mut graph.initializer {
        widen_tensor(tensor, done);
    }
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        if names_half(attribute) {
            attribute.i = DataType::Float as i64;
            done.types += 1;
        }
        for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
            widen_tensor(tensor, done);
        }
        for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            widen_graph(inner, done);
        }
    }
}

fn widen_type(kind: Option<&mut TypeProto>, done: &mut Widened) {
    if let Some(type_proto::Value::TensorType(tensor)) = kind.and_then(|kind| kind.value.as_mut())
        && is_half(tensor.elem_type)
    {
        tensor.elem_type = DataType::Float as i32;
        done.types += 1;
    }
}

/// Constants have been checked to hold what their dims say, so each number of the old is one of the new.
fn widen_tensor(tensor: &mut TensorProto, done: &mut Widened) {
    if !is_half(tensor.data_type) {
        return;
    }
    if let Some(numbers) = constants::floats(tensor) {
        let (name, dims) = (
            std::mem::take(&mut tensor.name),
            std::mem::take(&mut tensor.dims),
        );
        *tensor = constants::float_tensor(name, dims, &numbers);
        done.constants += 1;
    }
}

/// Drops casts to f32 of what is known to be f32. Returns how many.
fn drop_casts(graph: &mut GraphProto) -> usize {
    let kept = names_that_must_stay(graph);
    let mut floats = float_values(graph);
    let mut renamed: HashMap<String, String> = HashMap::new();
    let mut dropped = 0;
    graph.node.retain_mut(|node| {
        for input in &mut node.input {
            if let Some(name) = renamed.get(input) {
                input.clone_from(name);
            }
        }
        let known = |name: Option<&String>| name.is_some_and(|name| floats.contains(name));
        let cast = casts_to_float(node);
        if cast
            && known(node.input.first())
            && node.input[0].len() <= LONGEST_NAME
            && !node.output.iter().any(|o| kept.contains(o))
            && let ([input], [output]) = (&node.input[..], &node.output[..])
        {
            renamed.insert(output.clone(), input.clone());
            dropped += 1;
            return false;
        }
        let op = node.op_type.as_str();
        if cast
            || ALWAYS_FLOAT.contains(&op)
            || TYPE_OF_FIRST.contains(&op) && known(node.input.first())
        {
            floats.extend(node.output.iter().cloned());
        }
        true
    });
    dropped
}

fn casts_to_float(node: &NodeProto) -> bool {
    let to = node.attribute.iter().find(|a| a.name == "to");
    node.op_type == "Cast" && to.is_some_and(|a| a.i == DataType::Float as i64)
}

/// Inputs and constants that are f32.
fn float_values(graph: &GraphProto) -> HashSet<String> {
    let float = DataType::Float as i32;
    let inputs = graph.input.iter().filter(|input| {
        let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        kind.is_some_and(|type_proto::Value::TensorType(tensor)| tensor.elem_type == float)
    });
    let constants = graph.initializer.iter().filter(|t| t.data_type == float);
    let inputs = inputs.map(|input| input.name.clone());
    inputs.chain(constants.map(|t| t.name.clone())).collect()
}

/// Outputs of the graph, and whatever the graphs inside its nodes may take from outside.
fn names_that_must_stay(graph: &GraphProto) -> HashSet<String> {
    let mut names: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    names.extend(names::taken_inside(graph).map(str::to_owned));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{int64_tensor, model, node, value};

    fn half(name: &str, bits: &[u16]) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: vec![bits.len() as i64],
            data_type: DataType::Float16 as i32,
            raw_data: bits.iter().flat_map(|b| b.to_le_bytes()).collect(),
            ..Default::default()
        }
    }

    fn cast(to: DataType, input: &str, output: &str) -> NodeProto {
        let mut cast = node("Cast", &[input], &[output]);
        cast.attribute.push(AttributeProto {
            name: "to".into(),
            i: to as i64,
            ..Default::default()
        });
        cast
    }

    fn elem_type(value: &tract_onnx::pb::ValueInfoProto) -> i32 {
        let Some(type_proto::Value::TensorType(tensor)) =
            value.r#type.as_ref().unwrap().value.as_ref()
        else {
            panic!("a tensor");
        };
        tensor.elem_type
    }

    fn set_half(value: &mut tract_onnx::pb::ValueInfoProto) {
        let Some(type_proto::Value::TensorType(tensor)) =
            value.r#type.as_mut().unwrap().value.as_mut()
        else {
            panic!("a tensor");
        };
        tensor.elem_type = DataType::Float16 as i32;
    }

    #[test]
    fn weights_and_edges_become_f32_and_casts_go() {
        let nodes = vec![
            cast(DataType::Float16, "x", "x16"),
            node("Add", &["x16", "c"], &["sum"]),
            node("Sigmoid", &["sum"], &["s"]),
            cast(DataType::Float, "s", "wide"),
            node("Relu", &["wide"], &["y"]),
        ];
        let mut graph = model(nodes, &[("x", &[1, 2])], &[("y", &[1, 2])])
            .graph
            .unwrap();
        graph.initializer.push(half("c", &[0x3c00, 0xc000])); // 1 and -2
        graph.value_info.push(value("sum", &[1, 2]));
        set_half(&mut graph.value_info[0]);
        assert!(applies(&graph));
        let said = run(&mut graph).unwrap();
        assert!(
            said.contains("1 constants") && said.contains("2 casts"),
            "{said}"
        );
        let ops: Vec<_> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
        assert_eq!(ops, ["Add", "Sigmoid", "Relu"]);
        assert_eq!(graph.node[0].input, ["x", "c"]);
        assert_eq!(graph.node[2].input, ["s"]);
        assert_eq!(
            constants::floats(&graph.initializer[0]),
            Some(vec![1.0, -2.0])
        );
        assert_eq!(elem_type(&graph.value_info[0]), DataType::Float as i32);
        assert!(!applies(&graph));
        assert_eq!(run(&mut graph), None, "a second run finds nothing");
    }

    #[test]
    fn a_long_name_is_not_written_again_and_again() {
        let long = "x".repeat(LONGEST_NAME + 1);
        let takes = || node("Relu", &["wide"], &["r"]);
        let nodes = vec![cast(DataType::Float, &long, "wide"), takes(), takes()];
        let mut graph = model(nodes, &[(&long, &[1])], &[("r", &[1])])
            .graph
            .unwrap();
        set_half(&mut graph.input[0]);
        run(&mut graph);
        assert_eq!(graph.node[0].op_type, "Cast");
        assert_eq!(graph.node[2].input, ["wide"]);
    }

    #[test]
    fn inputs_and_outputs_of_f16_become_f32() {
        let nodes = vec![node("Relu", &["x"], &["y"])];
        let mut graph = model(nodes, &[("x", &[1])], &[("y", &[1])]).graph.unwrap();
        set_half(&mut graph.input[0]);
        set_half(&mut graph.output[0]);
        run(&mut graph).unwrap();
        assert_eq!(elem_type(&graph.input[0]), DataType::Float as i32);
        assert_eq!(elem_type(&graph.output[0]), DataType::Float as i32);
    }

    #[test]
    fn casts_of_integers_and_casts_that_make_an_output_stay() {
        let nodes = vec![
            cast(DataType::Float16, "n", "n16"),
            cast(DataType::Float16, "x", "x16"),
            node("Add", &["x16", "n16"], &["sum"]),
            cast(DataType::Float, "sum", "y"),
        ];
        let mut graph = model(nodes, &[("x", &[1])], &[("y", &[1])]).graph.unwrap();
        graph.initializer.push(int64_tensor("n", &[7]));
        run(&mut graph).unwrap();
        let inputs: Vec<_> = graph.node.iter().map(|n| n.input.join("+")).collect();
        assert_eq!(inputs, ["n", "x+n16", "sum"]);
        assert!(casts_to_float(&graph.node[0]));
    }

    #[test]
    fn a_graph_inside_a_node_is_widened_too() {
        let mut inner = model(
            vec![node("Identity", &["x16"], &["z"])],
            &[],
            &[("z", &[1])],
        )
        .graph
        .unwrap();
        inner.initializer.push(half("h", &[0]));
        let mut branch = node("If", &["b"], &["y"]);
        branch.attribute.push(AttributeProto {
            name: "then_branch".into(),
            g: Some(inner),
            ..Default::default()
        });
        let nodes = vec![cast(DataType::Float16, "x", "x16"), branch];
        let mut graph = model(nodes, &[("x", &[1])], &[("y", &[1])]).graph.unwrap();
        run(&mut graph).unwrap();
        let inner = graph.node[1].attribute[0].g.as_ref().unwrap();
        assert_eq!(inner.initializer[0].data_type, DataType::Float as i32);
        assert_eq!(
            graph.node[0].op_type, "Cast",
            "the inner graph takes its result"
        );
    }

    #[test]
    fn a_float_graph_is_left_alone() {
        let mut graph = model(
            vec![cast(DataType::Float, "x", "y")],
            &[("x", &[1])],
            &[("y", &[1])],
        )
        .graph
        .unwrap();
        let before = graph.clone();
        assert!(!applies(&graph));
        assert_eq!(run(&mut graph), None);
        assert_eq!(graph, before);
    }
}
