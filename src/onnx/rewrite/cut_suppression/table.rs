//! The table that boxes and scores of a suppression are parts of, if they are: then the head may be cut as well.

use super::{Suppression, TENSOR_LIMIT};
use crate::base::tensor::InputSpec;
use crate::onnx::infer::{Data, Inference, Value, is_computed};
use std::collections::{BTreeSet, HashMap};
use tract_onnx::pb::GraphProto;

/// Larger whole numbers are not all f32.
const MOST_COUNTED: usize = 1 << 24;

/// Finds the value `[1, 4 + classes, n]` of `graph`, which takes `input`, of which the first four rows are the boxes and
/// the others the scores.
pub fn find(
    graph: &GraphProto,
    opset: i64,
    input: &InputSpec,
    suppression: &Suppression,
) -> Option<String> {
    let (n, classes) = (suppression.candidates, suppression.classes);
    let dims = [1, 4 + classes, n];
    let count: usize = dims.iter().product();
    if count > MOST_COUNTED.min(TENSOR_LIMIT) {
        return None;
    }
    let mut shapes = Inference::of_shapes(graph, opset, input, super::BUDGET);
    shapes.follow(&graph.node);
    let (table, nodes) = ends_between(graph, &shapes, suppression, &dims)?;
    // Each number of the table is its own place.
    let ends: Vec<_> = nodes.iter().map(|i| graph.node[*i].clone()).collect();
    let mut values = super::constants_of(graph, opset, &shapes, &ends);
    let places = (0..count).map(|place| place as f32).collect();
    values.set(table, Value::new(dims.to_vec(), Some(Data::F32(places))));
    values.follow(&ends);
    let has = |name: &str, place: &dyn Fn(usize) -> usize| {
        let numbers = values.get(name).and_then(Value::floats);
        numbers.is_some_and(|numbers| {
            let mut pairs = numbers.iter().enumerate();
            pairs.all(|(index, number)| *number == place(index) as f32)
        })
    };
    let of_box = |index: usize| index % 4 * n + index / 4;
    let of_score = |index: usize| match suppression.by_class {
        true => 4 * n + index,
        false => (4 + index % classes) * n + index / classes,
    };
    let (boxes, scores) = (&suppression.boxes.name, &suppression.scores.name);
    (has(boxes, &of_box) && has(scores, &of_score)).then(|| table.to_owned())
}

/// The one value of `dims` that boxes and scores are made of, and the places of the nodes between.
fn ends_between<'a>(
    graph: &'a GraphProto,
    shapes: &Inference,
    suppression: &'a Suppression,
    dims: &[usize],
) -> Option<(&'a str, BTreeSet<usize>)> {
    let makers: HashMap<&str, usize> = (graph.node.iter().enumerate())
        .flat_map(|(i, node)| node.output.iter().map(move |name| (name.as_str(), i)))
        .collect();
    let (mut nodes, mut table) = (BTreeSet::new(), None);
    let mut open = [&suppression.boxes, &suppression.scores]
        .map(|s| s.name.as_str())
        .to_vec();
    while let Some(name) = open.pop() {
        let known = shapes.get(name);
        let is_constant = known.is_some_and(|value| value.data.is_some())
            || graph.initializer.iter().any(|tensor| tensor.name == name);
        if name.is_empty() || is_constant {
            continue;
        }
        if known.is_some_and(|value| value.dims == dims) {
            if *table.get_or_insert(name) != name {
                return None;
            }
            continue;
        }
        let index = *makers.get(name)?;
        if !is_computed(&graph.node[index]) {
            return None;
        }
        if nodes.insert(index) {
            open.extend(graph.node[index].input.iter().map(String::as_str));
        }
    }
    Some((table?, nodes))
}

#[cfg(test)]
mod tests {
    use super::super::find as suppressions;
    use super::*;
    use crate::onnx::testing::{float_tensor, input_spec, int64_tensor, model, node, with};
    use tract_onnx::pb::GraphProto;

    /// A suppression of the parts of a table `[1, 7, 32]`.
    fn graph() -> GraphProto {
        let along = |node, axis| with(node, &[("axis", &[axis])]);
        let cells = with(
            node("Conv", &["x", "weights"], &["map"]),
            &[("strides", &[8, 8])],
        );
        let nodes = vec![
            cells,
            node("Reshape", &["map", "columns"], &["table"]),
            with(
                node("Transpose", &["table"], &["rows"]),
                &[("perm", &[0, 2, 1])],
            ),
            node("Slice", &["rows", "zero", "four", "two"], &["boxes"]),
            node("Slice", &["table", "four", "seven", "one"], &["scores"]),
            node(
                "NonMaxSuppression",
                &["boxes", "scores", "most", "iou"],
                &["kept"],
            ),
            along(node("Gather", &["kept", "two"], &["cells"]), 1),
            along(node("Gather", &["boxes", "cells"], &["of_one"]), 1),
            node("GatherND", &["scores", "kept"], &["kept_scores"]),
        ];
        let dims = input_spec().dims().map(|dim| dim as i64);
        let outputs: [(&str, &[i64]); 2] = [("of_one", &[]), ("kept_scores", &[])];
        let mut graph = model(nodes, &[("x", &dims)], &outputs).graph.unwrap();
        let numbers = ["zero", "one", "two", "four", "seven"].into_iter();
        graph.initializer = numbers
            .zip([0, 1, 2, 4, 7])
            .map(|(name, number)| int64_tensor(name, &[number]))
            .collect();
        graph.initializer.extend([
            float_tensor("weights", &[7, 3, 8, 8], &[0.0; 7 * 192]),
            float_tensor("iou", &[1], &[0.5]),
            int64_tensor("most", &[100]),
            int64_tensor("columns", &[1, 7, -1]),
        ]);
        graph
    }

    fn found(graph: &GraphProto) -> Option<String> {
        let read: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        let all = suppressions(graph, &read, 13, &input_spec());
        find(graph, 13, &input_spec(), all.first().expect("one"))
    }

    #[test]
    fn parts_of_a_table_are_known_by_their_places() {
        assert_eq!(found(&graph()).as_deref(), Some("table"));
    }

    #[test]
    fn other_parts_are_of_no_table() {
        type Change = fn(&mut GraphProto);
        let changes: [(&str, Change); 2] = [
            ("scores twice as high", |g| {
                g.node[4].output[0] = "half".into();
                g.node
                    .insert(5, node("Add", &["half", "half"], &["scores"]));
            }),
            ("the last columns as boxes", |g| {
                for (name, number) in [("zero", 3), ("four", 7)] {
                    g.node[3].input[if number == 3 { 1 } else { 2 }] = format!("{name}_moved");
                    g.initializer
                        .push(int64_tensor(&format!("{name}_moved"), &[number]));
                }
            }),
        ];
        for (what, change) in changes {
            let mut changed = graph();
            change(&mut changed);
            assert_eq!(found(&changed), None, "{what}");
        }
    }
}
