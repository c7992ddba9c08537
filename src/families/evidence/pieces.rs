//! The last operators before an output: [`whole_pieces`] of rows, the [`divisor`] of class numbers.

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;

/// For each piece, in the order of the columns, whether its numbers were whole ones: cast from another type on the
/// way. `None` where the output is not made by a `Concat`.
pub fn whole_pieces(graph: &GraphProto, output: &str) -> Option<Vec<bool>> {
    let nodes = graph.node.iter();
    let makers: HashMap<&str, &NodeProto> = nodes
        .flat_map(|node| node.output.iter().map(move |o| (o.as_str(), node)))
        .collect();
    let concat = back(&makers, output).find(|node| node.op_type == "Concat")?;
    let is_cast = |piece: &String| back(&makers, piece).any(|node| node.op_type == "Cast");
    Some(concat.input.iter().map(is_cast).collect())
}

/// Whether the last number of a row was a whole one: a class number, so that this is no table of scores.
pub fn ends_in_a_class(graph: &GraphProto, output: &str) -> bool {
    let pieces = whole_pieces(graph, output);
    pieces.is_some_and(|pieces| pieces.len() > 1 && pieces.last() == Some(&true))
}

/// Whether a piece is a constant, such as an objectness of 1 everywhere, of an output that a `Concat` makes.
pub fn constant_piece(graph: &GraphProto, output: &str, index: usize) -> bool {
    let nodes = graph.node.iter();
    let makers: HashMap<&str, &NodeProto> = nodes
        .flat_map(|node| node.output.iter().map(move |o| (o.as_str(), node)))
        .collect();
    let concat = back(&makers, output).find(|node| node.op_type == "Concat");
    let Some(piece) = concat.and_then(|node| node.input.get(index)) else {
        return false;
    };
    let is_constant = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let fills = ["Constant", "ConstantOfShape"];
    let made = || {
        let mut nodes = back(&makers, piece);
        nodes.any(|node| match node.op_type.as_str() {
            "Expand" => node.input.first().is_some_and(|name| is_constant(name)),
            op => fills.contains(&op),
        })
    };
    is_constant(piece) || made()
}

/// Whether a value is the place of the best one: a class number.
pub fn is_best(graph: &GraphProto, output: &str) -> bool {
    let nodes = graph.node.iter();
    let makers: HashMap<&str, &NodeProto> = nodes
        .flat_map(|node| node.output.iter().map(move |o| (o.as_str(), node)))
        .collect();
    let Some((name, _)) = makers.get_key_value(output) else {
        return false;
    };
    let last = back(&makers, name).last();
    last.is_some_and(|node| node.op_type == "ArgMax")
}

/// The constant by which class numbers are a remainder: the best scores were chosen of all candidates and classes, so
/// that it is the number of classes. Written as one operator, or as a - a / b * b.
pub fn divisor(graph: &GraphProto, output: &str) -> Option<usize> {
    let nodes = graph.node.iter();
    let makers: HashMap<&str, &NodeProto> = nodes
        .flat_map(|node| node.output.iter().map(move |o| (o.as_str(), node)))
        .collect();
    let last = |name: &'_ str| back(&makers, makers.get_key_value(name)?.0).last();
    let node = last(output)?;
    let constant = match node.op_type.as_str() {
        "Mod" => node.input.get(1)?,
        "Sub" => {
            let product = last(node.input.get(1)?).filter(|node| node.op_type == "Mul")?;
            let of_constant = |name: &&String| number_of(graph, &makers, name).is_some();
            product.input.iter().find(of_constant)?
        }
        _ => return None,
    };
    number_of(graph, &makers, constant).filter(|n| (1..=1 << 16).contains(n))
}

/// A constant that is one integer.
fn number_of(graph: &GraphProto, makers: &HashMap<&str, &NodeProto>, name: &str) -> Option<usize> {
    let constant = graph.initializer.iter().find(|t| t.name == name);
    let of_node = || {
        let node = makers.get(name).filter(|node| node.op_type == "Constant")?;
        node.attribute.iter().find_map(|a| a.t.as_ref())
    };
    let number = only_number(constant.or_else(of_node)?)?;
    (number >= 0.0 && number.fract() == 0.0).then_some(number as usize)
}

/// The nodes going back from a value, through such as change only the form or type, and the first that does not.
fn back<'a>(
    makers: &'a HashMap<&'a str, &'a NodeProto>,
    name: &'a str,
) -> impl Iterator<Item = &'a NodeProto> {
    let mut next = makers.get(name).copied();
    // Bounded: a graph that is no model may run in a circle.
    let nodes = std::iter::from_fn(move || {
        let node = next?;
        let form = ["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"];
        let goes_on = form.contains(&node.op_type.as_str());
        next = node
            .input
            .first()
            .filter(|_| goes_on)
            .and_then(|input| makers.get(input.as_str()).copied());
        Some(node)
    });
    nodes.take(16)
}

/// The number of a constant that has only one.
pub fn only_number(tensor: &TensorProto) -> Option<f64> {
    if tensor.dims.iter().any(|dim| *dim != 1) {
        return None;
    }
    let raw = tensor.raw_data.as_slice();
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float => {
            let raw = || Some(f32::from_le_bytes(raw.try_into().ok()?));
            tensor
                .float_data
                .first()
                .copied()
                .or_else(raw)
                .map(f64::from)
        }
        DataType::Int64 => {
            let raw = || Some(i64::from_le_bytes(raw.try_into().ok()?));
            tensor
                .int64_data
                .first()
                .copied()
                .or_else(raw)
                .map(|n| n as f64)
        }
        DataType::Int32 => {
            let raw = || Some(i32::from_le_bytes(raw.try_into().ok()?));
            tensor
                .int32_data
                .first()
                .copied()
                .or_else(raw)
                .map(f64::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{int64_tensor, model, node};

    fn graph(nodes: Vec<NodeProto>) -> GraphProto {
        model(nodes, &[("x", &[1])], &[("y", &[])])
            .graph
            .expect("a graph")
    }

    #[test]
    fn numbers_that_were_cast_are_whole_ones() {
        let graph = graph(vec![
            node("TopK", &["x"], &["i"]),
            node("Cast", &["i"], &["f"]),
            node("Unsqueeze", &["f", "axis"], &["column"]),
            node("Gather", &["x", "i"], &["score"]),
            node("Concat", &["x", "score", "column"], &["rows"]),
            node("Identity", &["rows"], &["y"]),
        ]);
        assert_eq!(whole_pieces(&graph, "y"), Some(vec![false, false, true]));
        assert_eq!(whole_pieces(&graph, "score"), None);
        assert_eq!(whole_pieces(&graph, "nothing"), None);
    }

    #[test]
    fn class_numbers_are_remainders_by_the_number_of_classes() {
        let of = |nodes: Vec<NodeProto>| {
            let mut graph = graph(nodes);
            graph.initializer.push(int64_tensor("n", &[80]));
            divisor(&graph, "y")
        };
        assert_eq!(of(vec![node("Mod", &["x", "n"], &["y"])]), Some(80));
        let written_out = vec![
            node("Div", &["x", "n"], &["row"]),
            node("Mul", &["row", "n"], &["whole"]),
            node("Sub", &["x", "whole"], &["class"]),
            node("Cast", &["class"], &["y"]),
        ];
        assert_eq!(of(written_out), Some(80));
        assert_eq!(of(vec![node("Sub", &["x", "n"], &["y"])]), None);
        assert_eq!(of(vec![node("Mod", &["n", "x"], &["y"])]), None);
    }

    #[test]
    fn a_circle_ends() {
        let graph = graph(vec![
            node("Identity", &["y"], &["a"]),
            node("Identity", &["a"], &["y"]),
        ]);
        assert_eq!(whole_pieces(&graph, "y"), None);
    }
}
