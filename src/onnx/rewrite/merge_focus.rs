//! Merges a Focus with the convolution behind it.
//!
//! YOLOX and YOLOv5 before its release 6.0 begin with one: every second pixel of every second row of the picture, once
//! for each of the four places to begin at, become four times the channels of a map of half the sides, and a
//! convolution follows. A convolution of twice the kernel, stride and padding does the same on the picture itself:
//!
//! `merged[o, c, 2 ky + dy, 2 kx + dx] = weights[o, q channels + c, ky, kx]`
//!
//! where piece `q` of the Concat begins at row `dy` and column `dx`. The products are the same, added in another order,
//! and the four pieces, together as large as the picture, and their Concat are never written.
//!
//! It is merged only where everything is as described, and once: the weights are copied.

use super::names::{self, Unused};
use super::{constants, is, prune};
use crate::base::tensor::InputSpec;
use crate::onnx::infer::{Attributes, Inference, SHAPES_BUDGET};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Most channels that are merged: those of a picture. On maps of more, engines have faster ways for small kernels.
const MAX_CHANNELS: usize = 4;

/// Axes of rows and of columns of a map `[n, c, h, w]`.
const SIDES: [usize; 2] = [2, 3];

/// Where a piece begins: row and column, 0 or 1.
type Start = [usize; 2];

/// Changes `graph`, which takes `input` as it is, and says what was done, if there was a Focus.
pub fn run(graph: &mut GraphProto, opset: i64, input: &InputSpec) -> Option<String> {
    let convolutions = candidates(graph);
    if convolutions.is_empty() {
        return None;
    }
    let mut shapes = Inference::of_shapes(graph, opset, input, SHAPES_BUDGET);
    shapes.follow(&graph.node);
    let merged = convolutions
        .into_iter()
        .find_map(|(index, concat)| Some((index, merged(graph, &shapes, index, concat)?)));
    let (index, (convolution, kernel)) = merged?;
    let [rows, columns] = [kernel.dims[2], kernel.dims[3]];
    graph.node[index] = convolution;
    graph.initializer.push(kernel);
    prune::run(graph);
    Some(format!(
        "merged the Focus and its convolution into one of {rows} x {columns} on the picture"
    ))
}

/// Convolutions of what a Concat of four makes for them alone: indices of both.
fn candidates(graph: &GraphProto) -> Vec<(usize, usize)> {
    let uses = names::uses(graph);
    let concats: HashMap<&str, usize> = (graph.node.iter().enumerate())
        .filter(|(_, node)| is(node, "Concat") && node.input.len() == 4)
        .filter_map(|(index, node)| Some((node.output.first()?.as_str(), index)))
        .collect();
    let concat = |node: &NodeProto| {
        let map = node.input.first()?.as_str();
        concats.get(map).filter(|_| uses[map] == 1).copied()
    };
    (graph.node.iter().enumerate())
        .filter(|(_, node)| is(node, "Conv"))
        .filter_map(|(index, node)| Some((index, concat(node)?)))
        .collect()
}

/// The convolution that does what the Concat and the convolution behind it do, and its weights.
fn merged(
    graph: &GraphProto,
    shapes: &Inference,
    convolution: usize,
    concat: usize,
) -> Option<(NodeProto, TensorProto)> {
    let (convolution, concat) = (&graph.node[convolution], &graph.node[concat]);
    if !matches!(Attributes::new(concat).integer("axis", 0), 1 | -3) {
        return None;
    }
    let makers = names::makers(graph);
    let pieces: Option<Vec<_>> = (concat.input.iter())
        .map(|name| piece(&makers, shapes, name))
        .collect();
    let pieces = pieces?;
    let whole = pieces.first()?.0;
    let starts: Vec<Start> = pieces.iter().map(|(_, start)| *start).collect();
    let all: HashSet<Start> = starts.iter().copied().collect();
    if pieces.iter().any(|(from, _)| *from != whole) || all.len() != 4 {
        return None;
    }
    let [_, channels, height, width] = shapes.get(whole)?.dims[..] else {
        return None;
    };
    if channels > MAX_CHANNELS || !height.is_multiple_of(2) || !width.is_multiple_of(2) {
        return None;
    }
    let name = convolution.input.get(1)?;
    let constants = constants::by_name(graph);
    let weights = constants.get(name.as_str())?;
    let merged = Unused::in_graph(graph).name(&format!("{name}/merged"));
    let kernel = kernel(weights, channels, &starts, merged)?;
    let mut convolution = widened(convolution, &weights.dims[2..])?;
    whole.clone_into(&mut convolution.input[0]);
    convolution.input[1].clone_from(&kernel.name);
    Some((convolution, kernel))
}

/// The map that `name` is every second row and column of, by one Slice or several, and where it begins.
fn piece<'a>(
    makers: &HashMap<&'a str, &'a NodeProto>,
    shapes: &Inference,
    name: &'a str,
) -> Option<(&'a str, Start)> {
    let mut starts = [None; 2];
    let mut from = name;
    while starts.contains(&None) {
        let node = makers.get(from).filter(|node| is(node, "Slice"))?;
        from = node.input.first()?;
        let dims = &shapes.get(from)?.dims;
        let before = starts;
        for [axis, start, end, step] in cuts(node, shapes, dims.len())? {
            let axis = usize::try_from(axis).ok()?;
            let to_the_end = end >= i64::try_from(*dims.get(axis)?).ok()?;
            let side = SIDES.iter().position(|side| *side == axis);
            match (side, start, step) {
                (_, 0, 1) if to_the_end => {}
                (Some(side), 0 | 1, 2) if to_the_end && starts[side].is_none() => {
                    starts[side] = Some(usize::try_from(start).ok()?);
                }
                _ => return None,
            }
        }
        // Each halves a side, so that a graph that goes in circles comes to an end.
        if starts == before {
            return None;
        }
    }
    Some((from, [starts[0]?, starts[1]?]))
}

/// Axis, start, end and step of each axis that a Slice of operator set 10 or later names.
fn cuts(node: &NodeProto, shapes: &Inference, rank: usize) -> Option<Vec<[i64; 4]>> {
    let list = |index: usize| match node.input.get(index).map(String::as_str) {
        None | Some("") => Some(None),
        Some(name) => shapes.get(name)?.integers().map(Some),
    };
    let (starts, ends) = (list(1)??, list(2)??);
    let count = starts.len();
    let in_order: Vec<i64> = (0..).take(count).collect();
    let ones = vec![1; count];
    let axes = list(3)?.unwrap_or(&in_order);
    let steps = list(4)?.unwrap_or(&ones);
    if [ends, axes, steps].iter().any(|list| list.len() != count) {
        return None;
    }
    let rank = i64::try_from(rank).ok()?;
    let cut = |i: usize| {
        let axis = if axes[i] < 0 { axes[i] + rank } else { axes[i] };
        [axis, starts[i], ends[i], steps[i]]
    };
    Some((0..count).map(cut).collect())
}

/// The weights `[o, 4 channels, h, w]` spread over `[o, channels, 2 h, 2 w]`.
fn kernel(
    weights: &TensorProto,
    channels: usize,
    starts: &[Start],
    name: String,
) -> Option<TensorProto> {
    let dims: Option<Vec<usize>> = (weights.dims.iter())
        .map(|dim| usize::try_from(*dim).ok())
        .collect();
    let [outputs, inputs, height, width] = dims?[..] else {
        return None;
    };
    if weights.data_type != DataType::Float as i32 || inputs != 4 * channels {
        return None;
    }
    // None are none of any side.
    let numbers = constants::floats(weights).filter(|numbers| !numbers.is_empty())?;
    let mut spread = vec![0.0; numbers.len()];
    for (at, number) in numbers.into_iter().enumerate() {
        let (x, y) = (at % width, at / width % height);
        let (input, output) = (
            at / (width * height) % inputs,
            at / (width * height * inputs),
        );
        let ([dy, dx], channel) = (starts[input / channels], input % channels);
        let row = (output * channels + channel) * 2 * height + 2 * y + dy;
        spread[row * 2 * width + 2 * x + dx] = number;
    }
    let dims = [outputs, channels, 2 * height, 2 * width];
    let dims = dims.map(|dim| dim as i64).to_vec();
    Some(constants::float_tensor(name, dims, &spread))
}

/// `convolution`, of a kernel of the sides `kernel`, with twice these, twice the stride and twice the padding.
fn widened(convolution: &NodeProto, kernel: &[i64]) -> Option<NodeProto> {
    let stated = Attributes::new(convolution);
    let plain = stated.text("auto_pad").is_none_or(|rule| rule == b"NOTSET")
        && stated.integer("group", 1) == 1
        && stated.integers("dilations").is_none_or(|d| d == [1, 1])
        && stated.integers("kernel_shape").is_none_or(|k| k == kernel);
    let strides = stated.integers("strides").unwrap_or(&[1, 1]);
    let pads = stated.integers("pads").unwrap_or(&[0; 4]);
    if !plain || strides.len() != 2 || pads.len() != 4 {
        return None;
    }
    let mut widened = convolution.clone();
    let doubled = [
        ("kernel_shape", kernel),
        ("strides", strides),
        ("pads", pads),
    ];
    for (name, numbers) in doubled {
        let twice = numbers.iter().map(|n| n.checked_mul(2).filter(|n| *n >= 0));
        widened.attribute.retain(|a| a.name != name);
        widened.attribute.push(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Ints as i32,
            ints: twice.collect::<Option<_>>()?,
            ..Default::default()
        });
    }
    Some(widened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::infer::{Data, Value};
    use crate::onnx::testing::{
        constant, float_tensor, input_spec, int64_tensor, model, node, with,
    };

    /// In an order that nobody uses.
    const STARTS: [Start; 4] = [[1, 0], [0, 0], [1, 1], [0, 1]];
    const INPUT: [usize; 4] = [1, 3, 32, 64];

    /// A Focus by two slices a piece, and a convolution to 2 channels, of 3 x 5, that differs from side to side.
    fn focus() -> GraphProto {
        let mut nodes = Vec::new();
        for (piece, [dy, dx]) in STARTS.iter().enumerate() {
            let (rows, part) = (format!("rows{piece}"), format!("piece{piece}"));
            let starts = [format!("from{dy}"), format!("from{dx}")];
            let slice = |from: &str, start: &str, axis: &str, to: &str| {
                node("Slice", &[from, start, "end", axis, "two"], &[to])
            };
            nodes.push(slice("x", &starts[0], "rows", &rows));
            nodes.push(slice(&rows, &starts[1], "columns", &part));
        }
        let concat = node("Concat", &["piece0", "piece1", "piece2", "piece3"], &["m"]);
        nodes.push(with(concat, &[("axis", &[1])]));
        let convolution = node("Conv", &["m", "w", "b"], &["y"]);
        let convolution = with(convolution, &[("strides", &[1, 2])]);
        nodes.push(with(convolution, &[("pads", &[0, 2, 1, 1])]));
        let dims = INPUT.map(|dim| dim as i64);
        let model = model(nodes, &[("x", &dims)], &[("y", &[])]);
        let mut graph = model.graph.unwrap();
        let weights: Vec<f32> = (0..2 * 12 * 15).map(|i| (i * 7 % 31) as f32).collect();
        graph.initializer = vec![
            float_tensor("w", &[2, 12, 3, 5], &weights),
            float_tensor("b", &[2], &[0.5, -0.5]),
            int64_tensor("from0", &[0]),
            int64_tensor("from1", &[1]),
            int64_tensor("end", &[i64::MAX]),
            int64_tensor("rows", &[2]),
            int64_tensor("columns", &[-1]),
            int64_tensor("two", &[2]),
        ];
        graph
    }

    fn run_on(graph: &mut GraphProto) -> Option<String> {
        run(graph, 13, &input_spec())
    }

    fn slice_inputs(graph: &mut GraphProto) -> impl Iterator<Item = &mut Vec<String>> {
        let slices = graph.node.iter_mut().filter(|n| n.op_type == "Slice");
        slices.map(|node| &mut node.input)
    }

    /// Computes the last node of a graph, a convolution, on a picture of small integers: by the definition in ONNX,
    /// and so exactly.
    fn convolved(graph: &GraphProto) -> (Vec<usize>, Vec<f32>) {
        let mut inference = Inference::new(13, 1 << 20, 1 << 24);
        inference.constants(graph);
        let count: usize = INPUT.iter().product();
        let picture = (0..count).map(|i| (i * 13 % 101) as f32).collect();
        inference.set("x", Value::new(INPUT.to_vec(), Some(Data::F32(picture))));
        inference.follow(&graph.node);
        let node = graph.node.last().unwrap();
        let [map, weights, bias] = [0, 1, 2].map(|i| inference.get(&node.input[i]).unwrap());
        let ints = |name| Attributes::new(node).integers(name).unwrap();
        let (strides, pads) = (ints("strides"), ints("pads"));
        let ([_, c, h, w], [_, _, kh, kw]) = (&map.dims[..], &weights.dims[..]) else {
            panic!("{:?} and {:?} have not four axes", map.dims, weights.dims);
        };
        let dims = inference.get("y").unwrap().dims.clone();
        let mut numbers = Vec::new();
        for at in 0..dims.iter().product() {
            let (o, y, x) = (
                at / (dims[2] * dims[3]),
                at / dims[3] % dims[2],
                at % dims[3],
            );
            let mut sum = bias.floats().unwrap()[o];
            for k in 0..c * kh * kw {
                let (ci, ky, kx) = (k / (kh * kw), k / kw % kh, k % kw);
                let row = (y as i64 * strides[0] - pads[0] + ky as i64) as usize;
                let column = (x as i64 * strides[1] - pads[1] + kx as i64) as usize;
                if row < *h && column < *w {
                    sum += map.floats().unwrap()[(ci * h + row) * w + column]
                        * weights.floats().unwrap()[o * c * kh * kw + k];
                }
            }
            numbers.push(sum);
        }
        (dims, numbers)
    }

    #[test]
    fn one_convolution_computes_the_same() {
        let mut graph = focus();
        let wanted = convolved(&graph);
        let said = run_on(&mut graph).unwrap();
        assert!(said.contains("6 x 10"), "{said}");
        assert_eq!(graph.node.len(), 1);
        let names: Vec<_> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["b", "w/merged_0"]);
        assert_eq!(convolved(&graph), wanted);
        assert_eq!(wanted.0, [1, 2, 15, 16]);
        assert_eq!(run_on(&mut graph), None, "a second run finds nothing");
    }

    #[test]
    fn one_slice_may_take_both_axes_and_end_at_the_side() {
        let mut graph = focus();
        let wanted = convolved(&graph);
        graph.node.drain(..8);
        for (piece, [dy, dx]) in STARTS.iter().enumerate() {
            let from = format!("from{dy}{dx}");
            let inputs = ["x", &from, "ends", "axes", "steps"];
            let piece = node("Slice", &inputs, &[&format!("piece{piece}")]);
            graph.node.insert(0, piece);
            let starts = [0, *dx as i64, *dy as i64];
            graph.initializer.push(int64_tensor(&from, &starts));
        }
        let lists = [
            ("ends", [3, 64, 32]),
            ("axes", [1, 3, -2]),
            ("steps", [1, 2, 2]),
        ];
        let lists = lists.map(|(name, numbers)| int64_tensor(name, &numbers));
        graph.initializer.extend(lists);
        run_on(&mut graph).unwrap();
        assert_eq!((graph.node.len(), convolved(&graph)), (1, wanted));
    }

    #[test]
    fn what_others_use_stays() {
        let mut graph = focus();
        graph.node.insert(9, node("Relu", &["piece2"], &["other"]));
        graph.node.insert(10, node("Neg", &["w"], &["w/merged_0"]));
        for name in ["other", "w/merged_0"] {
            let output = crate::onnx::testing::value(name, &[]);
            graph.output.push(output);
        }
        run_on(&mut graph).unwrap();
        let ops: Vec<_> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
        assert_eq!(ops, ["Slice", "Slice", "Relu", "Neg", "Conv"]);
        assert_eq!(graph.node[4].input, ["x", "w/merged_1", "b"]);
        assert_eq!(constant(&mut graph, "w").dims, [2, 12, 3, 5]);
    }

    #[test]
    fn near_misses_are_left_alone() {
        type Change = fn(&mut GraphProto);
        let changes: [(&str, Change); 14] = [
            ("a piece twice", |g| g.node[8].input[0] = "piece1".into()),
            ("another map", |g| g.node[0].input[0] = "z".into()),
            ("an end before the side", |g| {
                *constant(g, "end") = int64_tensor("end", &[31]);
            }),
            ("another step", |g| {
                *constant(g, "two") = int64_tensor("two", &[3]);
            }),
            ("another start", |g| {
                *constant(g, "from1") = int64_tensor("from1", &[2]);
            }),
            ("the same axis twice", |g| {
                *constant(g, "columns") = int64_tensor("columns", &[2]);
            }),
            ("ends of unknown value", |g| {
                slice_inputs(g).for_each(|input| input[2] = "unknown".into());
            }),
            ("no steps", |g| slice_inputs(g).for_each(|i| i.truncate(4))),
            ("a Concat of rows", |g| g.node[8].attribute[0].i = 2),
            ("another user of the Concat", |g| {
                g.node.push(node("Relu", &["m"], &["other"]));
            }),
            ("the Concat an output", |g| g.output[0].name = "m".into()),
            ("padding by rule", |g| {
                let mut rule = with(node("", &[], &[]), &[("auto_pad", &[0])]).attribute;
                rule[0].s = b"SAME_UPPER".to_vec();
                g.node[9].attribute.extend(rule);
            }),
            ("a dilation", |g| {
                g.node[9] = with(g.node[9].clone(), &[("dilations", &[1, 2])]);
            }),
            ("weights that are computed", |g| {
                constant(g, "w").name = "v".into();
                g.node.insert(0, node("Neg", &["v"], &["w"]));
            }),
        ];
        for (what, change) in changes {
            let mut graph = focus();
            change(&mut graph);
            let before = graph.clone();
            assert_eq!(run_on(&mut graph), None, "{what}");
            assert_eq!(graph, before, "{what}");
        }
    }

    #[test]
    fn sides_must_be_even() {
        let mut odd = input_spec();
        odd.size.height = 31;
        assert_eq!(run(&mut focus(), 13, &odd), None);
    }

    #[test]
    fn slices_that_go_in_circles_are_given_up() {
        let mut graph = focus();
        let circle = node(
            "Slice",
            &["rows1", "from0", "end", "rows", "one"],
            &["rows1"],
        );
        graph.node.insert(3, circle);
        graph.initializer.push(int64_tensor("one", &[1]));
        assert_eq!(run_on(&mut graph), None);
    }
}
