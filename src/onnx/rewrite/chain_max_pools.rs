//! Takes the maxima of large windows from the maxima of smaller ones.
//!
//! The SPP of YOLOv4, YOLOX and YOLOv5 before its release 6.0 pools one map with windows of 5, 9 and 13, side by side.
//! The largest of 9 x 9 pixels is the largest of 5 x 5 results of the window of 5 x 5, and that of 13 x 13 the largest
//! of 5 x 5 of those: windows of `a`, and of `b` behind them, see what one of `a + b - 1` sees, at the sides of the map
//! too. So all are small, one behind the other, as YOLOv5 has them since.

use super::is;
use crate::onnx::infer::Attributes;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

/// Height and width, both odd.
type Window = [i64; 2];

/// Changes `graph` and says what was done, if one map is pooled with several windows.
pub fn run(graph: &mut GraphProto) -> Option<String> {
    let mut of_map: HashMap<&str, Vec<(Window, usize)>> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        if let (Some(window), Some(map)) = (window(node), node.input.first()) {
            of_map.entry(map).or_default().push((window, index));
        }
    }
    // Where the first of a map is, all of them have what they need.
    let mut chains: HashMap<usize, Vec<NodeProto>> = HashMap::new();
    let mut moved = HashSet::new();
    let mut shortened = 0;
    for mut pools in of_map.into_values() {
        let first = pools[0].1;
        pools.sort_unstable();
        let (chain, count) = chained(graph, &pools);
        if count > 0 {
            chains.insert(first, chain);
            moved.extend(pools.iter().map(|(_, index)| *index));
            shortened += count;
        }
    }
    if chains.is_empty() {
        return None;
    }
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (index, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        nodes.extend(chains.remove(&index).into_iter().flatten());
        if !moved.contains(&index) {
            nodes.push(node);
        }
    }
    graph.node = nodes;
    Some(format!(
        "took the maxima of {shortened} large windows from those of smaller ones"
    ))
}

/// The window of a MaxPool that gives a map of the sides of its own, and nothing else.
fn window(node: &NodeProto) -> Option<Window> {
    let stated = Attributes::new(node);
    let window: Window = stated.integers("kernel_shape")?.try_into().ok()?;
    let all_ones = |name| {
        let mut numbers = stated.integers(name).unwrap_or_default().iter();
        numbers.all(|n| *n == 1)
    };
    let around = window.map(|side| side / 2);
    let pads = stated.integers("pads").unwrap_or_default();
    let keeps_sides = match stated.text("auto_pad") {
        Some(b"SAME_UPPER" | b"SAME_LOWER") => true,
        Some(b"NOTSET") | None => pads == [around, around].as_flattened(),
        Some(_) => false,
    };
    let fits = is(node, "MaxPool")
        && node.output.len() == 1
        && window != [1, 1]
        && window.iter().all(|side| *side > 0 && side % 2 == 1)
        && all_ones("strides")
        && all_ones("dilations")
        && keeps_sides;
    fits.then_some(window)
}

/// The pools of one map, by rising windows, and how many of them now take the result of another.
fn chained(graph: &GraphProto, pools: &[(Window, usize)]) -> (Vec<NodeProto>, usize) {
    let mut chain = Vec::with_capacity(pools.len());
    let mut before: Option<(Window, &str)> = None;
    let mut count = 0;
    for (window, index) in pools {
        let node = &graph.node[*index];
        let mut node_then = node.clone();
        if let Some((smaller, name)) = before
            && smaller != *window
            && smaller[1] <= window[1]
        {
            let rest = [window[0] - smaller[0] + 1, window[1] - smaller[1] + 1];
            name.clone_into(&mut node_then.input[0]);
            node_then.attribute = window_of(rest);
            count += 1;
        }
        before = Some((*window, &node.output[0]));
        chain.push(node_then);
    }
    (chain, count)
}

/// The attributes of a pool that keeps the sides of a map.
fn window_of(window: Window) -> Vec<AttributeProto> {
    let around = window.map(|side| side / 2);
    let list = |name: &str, ints: Vec<i64>| AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints,
        ..Default::default()
    };
    vec![
        list("kernel_shape", window.to_vec()),
        list("pads", [around, around].concat()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node, with};

    const SIDES: [usize; 2] = [7, 11];

    fn pool(map: &str, output: &str, [height, width]: Window) -> NodeProto {
        let pads = [height / 2, width / 2, height / 2, width / 2];
        let lists: [(&str, &[i64]); 2] = [("kernel_shape", &[height, width]), ("pads", &pads)];
        with(node("MaxPool", &[map], &[output]), &lists)
    }

    /// The largest window first, and a user of it in front of the smallest.
    fn pyramid() -> GraphProto {
        let nodes = vec![
            pool("x", "large", [13, 9]),
            node("Neg", &["large"], &["user"]),
            pool("x", "middle", [9, 9]),
            pool("x", "small", [5, 3]),
        ];
        let outputs = ["user", "large", "middle", "small"].map(|name| (name, &[][..]));
        model(nodes, &[("x", &[1, 1, 7, 11])], &outputs)
            .graph
            .unwrap()
    }

    /// The outputs, of a map of numbers in disorder.
    fn computed(graph: &GraphProto) -> Vec<Vec<i64>> {
        let [height, width] = SIDES.map(|side| side as i64);
        let map: Vec<i64> = (0..height * width).map(|i| i * 29 % 83 - 50).collect();
        let mut maps = HashMap::from([("x", map)]);
        for node in &graph.node {
            let map = &maps[node.input[0].as_str()];
            let largest = |at: i64, window: Window, pads: &[i64]| {
                let seen = |side: usize, at: i64, end: i64| {
                    let begin = at - pads[side];
                    begin.max(0)..(begin + window[side]).min(end)
                };
                let rows = seen(0, at / width, height);
                let cells =
                    rows.flat_map(|y| seen(1, at % width, width).map(move |x| y * width + x));
                cells.map(|cell| map[cell as usize]).max().unwrap()
            };
            let stated = Attributes::new(node);
            let made = match node.op_type.as_str() {
                "Neg" => map.iter().map(|n| -n).collect(),
                _ => {
                    let window = stated.integers("kernel_shape").unwrap().try_into().unwrap();
                    let pads = stated.integers("pads").unwrap();
                    (0..height * width)
                        .map(|at| largest(at, window, pads))
                        .collect()
                }
            };
            maps.insert(&node.output[0], made);
        }
        let outputs = graph.output.iter();
        outputs
            .map(|output| maps[output.name.as_str()].clone())
            .collect()
    }

    fn windows(graph: &GraphProto) -> Vec<(&str, &str, Window)> {
        let pools = graph.node.iter().filter(|node| node.op_type == "MaxPool");
        pools
            .map(|node| (&*node.input[0], &*node.output[0], window(node).unwrap()))
            .collect()
    }

    #[test]
    fn a_chain_sees_what_large_windows_see() {
        let mut graph = pyramid();
        let wanted = computed(&graph);
        let said = run(&mut graph).unwrap();
        assert!(said.contains("2 large windows"), "{said}");
        let chain = [
            ("x", "small", [5, 3]),
            ("small", "middle", [5, 7]),
            ("middle", "large", [5, 1]),
        ];
        assert_eq!(windows(&graph), chain);
        assert_eq!(computed(&graph), wanted);
        assert_eq!(run(&mut graph), None, "a second run finds nothing");
    }

    #[test]
    fn a_window_that_is_not_inside_of_another_stays() {
        let mut graph = pyramid();
        graph.node[2] = pool("x", "middle", [7, 15]);
        let wanted = computed(&graph);
        assert!(run(&mut graph).unwrap().contains("1 large"));
        let chain = [
            ("x", "small", [5, 3]),
            ("small", "middle", [3, 13]),
            ("x", "large", [13, 9]),
        ];
        assert_eq!(windows(&graph), chain);
        assert_eq!(computed(&graph), wanted);
    }

    #[test]
    fn near_misses_are_left_alone() {
        type Change = fn(&mut NodeProto);
        let changes: [(&str, Change); 8] = [
            ("another map", |n| n.input[0] = "z".into()),
            ("an even side", |n| *n = pool("x", "large", [13, 8])),
            ("no padding", |n| n.attribute[1].ints = vec![0; 4]),
            ("padding on one side", |n| {
                n.attribute[1].ints = vec![12, 8, 0, 0]
            }),
            ("a step", |n| *n = with(n.clone(), &[("strides", &[2, 1])])),
            ("a dilation", |n| {
                *n = with(n.clone(), &[("dilations", &[1, 2])])
            }),
            ("places too", |n| n.output.push("places".into())),
            ("a mean", |n| n.op_type = "AveragePool".into()),
        ];
        for (what, change) in changes {
            let mut graph = pyramid();
            graph.node.remove(2);
            change(&mut graph.node[0]);
            let before = graph.clone();
            assert_eq!(run(&mut graph), None, "{what}");
            assert_eq!(graph, before, "{what}");
        }
    }

    #[test]
    fn equal_windows_are_left_alone() {
        let nodes = vec![pool("x", "a", [5, 5]), pool("x", "b", [5, 5])];
        let mut graph = model(nodes, &[("x", &[1, 1, 7, 11])], &[("a", &[]), ("b", &[])]);
        assert_eq!(run(graph.graph.as_mut().unwrap()), None);
    }
}
