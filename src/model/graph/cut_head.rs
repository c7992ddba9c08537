//! Ends the graph of a YOLOv8-like model at its raw heads.
//!
//! From there on it makes boxes and scores of every cell, thousands, of which ten matter: a softmax over the bins of
//! four distances, their mean, the corners, a sigmoid of every class. The decoder does this for those above the
//! threshold.
//!
//! Exporters and their versions write this in many ways, so the operators are not compared with a pattern. The end of
//! the graph is what lies behind the last convolutions; it is computed here on numbers drawn by lot, and must give the
//! boxes and scores that the decoder gives. Grid, strides, order of cells and bins are thereby verified. Whatever is
//! not computed here, or comes out otherwise, stays in the graph.

use super::infer::{Data, Inference, SHAPES_ONLY, Value};
use super::prune;
use crate::geometry::Size;
use crate::tensor::{InputSpec, Layout};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// Left, top, right, bottom.
const SIDES: usize = 4;
const MAX_BINS: usize = 64;

/// Most numbers of one tensor that are computed to verify an end, and of all: far beyond a picture of 1920 x 1088.
const TENSOR_LIMIT: usize = 8 << 20;
const BUDGET: usize = 64 << 20;

/// Operators that heads are decoded with.
const END: [&str; 24] = [
    "Add",
    "Cast",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Mul",
    "Range",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// The heads that have become the outputs, in the order of the strides: sides, then classes, of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    pub outputs: Vec<String>,
    pub strides: Vec<u32>,
    /// Numbers of one side; 1 is the distance itself.
    pub bins: usize,
    /// What was done.
    pub said: String,
}

/// Changes `graph`, whose input is of the dims of `input`, if its end is that of a YOLOv8-like model.
pub fn run(graph: &mut GraphProto, opset: i64, input: &InputSpec) -> Option<Heads> {
    if input.layout != Layout::Nchw {
        return None;
    }
    let [output] = &graph.output[..] else {
        return None;
    };
    let mut shapes = Inference::new(opset, SHAPES_ONLY, BUDGET);
    shapes.constants(graph);
    shapes.set(&input.name, Value::new(input.dims().to_vec(), None));
    shapes.follow(&graph.node);
    let end = End::of(graph, &shapes, &output.name)?;
    let levels = levels(&end, &shapes, input.size)?;
    let found = Found { graph, shapes, end };
    let order = [false, true];
    let levels = order
        .into_iter()
        .find_map(|swapped| found.read(&levels, swapped, input.size, opset))?;
    let strides: Vec<u32> = levels.iter().map(|level| level.stride).collect();
    let heads = Heads {
        outputs: levels
            .iter()
            .flat_map(|l| [l.sides.clone(), l.classes.clone()])
            .collect(),
        said: said(&strides, found.end.nodes.len()),
        strides,
        bins: levels[0].bins,
    };
    let outputs = heads
        .outputs
        .iter()
        .map(|name| Some(port(name, &found.shapes.get(name)?.dims)));
    graph.output = outputs.collect::<Option<_>>()?;
    prune::run(graph);
    Some(heads)
}

fn said(strides: &[u32], taken_out: usize) -> String {
    format!(
        "ended the graph at its raw heads of strides {strides:?}: {taken_out} operators on every cell are left to the decoder"
    )
}

/// Ends a graph at the outputs that another form of it, in which [`run`] found heads of these strides, has now; says
/// what was done.
///
/// # Errors
/// An output that no node of this form makes.
pub fn end_at(
    graph: &mut GraphProto,
    outputs: &[ValueInfoProto],
    strides: &[u32],
) -> Result<String, String> {
    let made: BTreeSet<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
    if let Some(output) = outputs.iter().find(|output| !made.contains(&output.name)) {
        let name = &output.name;
        return Err(format!("its raw head \"{name}\" is made by no node"));
    }
    let before = graph.node.len();
    graph.output = outputs.to_vec();
    prune::run(graph);
    Ok(said(strides, before - graph.node.len()))
}

/// What lies between the last convolutions and the output.
struct End {
    output: String,
    /// Indices, in the order of the file.
    nodes: BTreeSet<usize>,
    /// Tensors that it is made from, in the order of the file.
    heads: Vec<String>,
}

impl End {
    fn of(graph: &GraphProto, shapes: &Inference, output: &str) -> Option<Self> {
        let makers: HashMap<&str, usize> = (graph.node.iter().enumerate())
            .flat_map(|(i, node)| node.output.iter().map(move |name| (name.as_str(), i)))
            .collect();
        let constants: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let mut nodes = BTreeSet::new();
        let mut heads = BTreeMap::new();
        let mut open = vec![output];
        while let Some(name) = open.pop() {
            let known = || shapes.get(name).is_some_and(|value| value.data.is_some());
            if name.is_empty() || constants.contains(name) || known() {
                continue;
            }
            let index = *makers.get(name)?;
            let node = &graph.node[index];
            if !(END.contains(&node.op_type.as_str()) || is_mean_of_bins(node, shapes)) {
                heads.insert(index, name.to_owned());
            } else if nodes.insert(index) {
                open.extend(node.input.iter().map(String::as_str));
            }
        }
        Some(Self {
            output: output.to_owned(),
            nodes,
            heads: heads.into_values().collect(),
        })
    }
}

/// The convolution that takes the mean over bins: its weights count them.
fn is_mean_of_bins(node: &NodeProto, shapes: &Inference) -> bool {
    let weights = || shapes.get(node.input.get(1)?);
    node.op_type == "Conv"
        && weights().is_some_and(|weights| {
            weights.dims.first() == Some(&1)
                && weights
                    .floats()
                    .is_some_and(|w| w.len() > 1 && (0..).zip(w).all(|(n, w)| n as f32 == *w))
        })
}

/// The two heads of one stride.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level {
    stride: u32,
    columns: usize,
    rows: usize,
    sides: String,
    bins: usize,
    classes: String,
    class_count: usize,
}

/// Two heads for each grid over the input, finest first. Which of the two has the sides is left open.
fn levels(end: &End, shapes: &Inference, input: Size) -> Option<Vec<Level>> {
    let mut grids: BTreeMap<u32, Vec<(&String, &[usize])>> = BTreeMap::new();
    for name in &end.heads {
        let dims = &shapes.get(name)?.dims[..];
        let &[1, _, rows, columns] = dims else {
            return None;
        };
        let (rows, columns) = (u32::try_from(rows).ok()?, u32::try_from(columns).ok()?);
        let stride = input.width.checked_div(columns)?;
        if stride.checked_mul(columns) != Some(input.width)
            || stride.checked_mul(rows) != Some(input.height)
        {
            return None;
        }
        grids.entry(stride).or_default().push((name, dims));
    }
    let level = |(stride, heads): (u32, Vec<(&String, &[usize])>)| match heads[..] {
        [(first, a), (second, b)] => Some(Level {
            stride,
            columns: a[3],
            rows: a[2],
            sides: first.clone(),
            bins: a[1] / SIDES,
            classes: second.clone(),
            class_count: b[1],
        }),
        _ => None,
    };
    let levels: Vec<Level> = grids.into_iter().map(level).collect::<Option<_>>()?;
    (!levels.is_empty()).then_some(levels)
}

struct Found<'a> {
    graph: &'a GraphProto,
    shapes: Inference,
    end: End,
}

impl Found<'_> {
    /// The levels with sides and classes told apart, if the end is what the decoder does.
    fn read(&self, levels: &[Level], swapped: bool, input: Size, opset: i64) -> Option<Vec<Level>> {
        let dims = |name: &str| self.shapes.get(name).map(|value| value.dims[1]);
        let levels: Vec<Level> = levels
            .iter()
            .map(|level| {
                let (sides, classes) = match swapped {
                    false => (&level.sides, &level.classes),
                    true => (&level.classes, &level.sides),
                };
                let channels = dims(sides)?;
                let bins = channels / SIDES;
                let class_count = dims(classes)?;
                let usual = channels == bins * SIDES && (1..=MAX_BINS).contains(&bins);
                (usual && class_count > 0).then_some(Level {
                    sides: sides.clone(),
                    bins,
                    classes: classes.clone(),
                    class_count,
                    ..level.clone()
                })
            })
            .collect::<Option<_>>()?;
        let alike = |l: &Level| (l.bins, l.class_count) == (levels[0].bins, levels[0].class_count);
        (levels.iter().all(alike) && self.agrees(&levels, input, opset)).then_some(levels)
    }

    /// Computes the end on numbers drawn by lot and compares with [`column`].
    fn agrees(&self, levels: &[Level], input: Size, opset: i64) -> bool {
        let cells: usize = levels.iter().map(|level| level.columns * level.rows).sum();
        let rows = SIDES + levels[0].class_count;
        let wanted = [1, rows, cells];
        let output = self
            .shapes
            .get(&self.end.output)
            .map(|value| &value.dims[..]);
        if output != Some(&wanted[..]) || (rows + SIDES * levels[0].bins) * cells > TENSOR_LIMIT {
            return false;
        }
        let drawn: Vec<Drawn> = levels.iter().map(Drawn::new).collect();
        let Some(computed) = self.computed(&drawn, opset) else {
            return false;
        };
        let Some(found) = computed.floats().filter(|_| computed.dims == wanted) else {
            return false;
        };
        let mut cell = 0;
        for drawn in &drawn {
            for place in 0..drawn.area() {
                let column = (0..rows).map(|row| found[row * cells + cell]);
                if !close(column, &drawn.column(place), input) {
                    return false;
                }
                cell += 1;
            }
        }
        true
    }

    fn computed(&self, drawn: &[Drawn], opset: i64) -> Option<Value> {
        let mut inference = Inference::new(opset, TENSOR_LIMIT, BUDGET);
        for node in self.end.nodes.iter().map(|i| &self.graph.node[*i]) {
            for name in &node.input {
                if let Some(value) = self.shapes.get(name).filter(|value| value.data.is_some()) {
                    inference.set(name, value.clone());
                } else if let Some(value) = self.constant(name) {
                    inference.set(name, value);
                }
            }
        }
        for drawn in drawn {
            inference.set(&drawn.level.sides, drawn.value(&drawn.sides));
            inference.set(&drawn.level.classes, drawn.value(&drawn.classes));
        }
        inference.follow(self.end.nodes.iter().map(|i| &self.graph.node[*i]));
        inference.get(&self.end.output).cloned()
    }

    /// A constant too large to have been followed before.
    fn constant(&self, name: &str) -> Option<Value> {
        let mut constants = self.graph.initializer.iter();
        Value::of(constants.find(|tensor| tensor.name == *name)?, TENSOR_LIMIT)
    }
}

/// Numbers drawn by lot for the heads of one level.
struct Drawn<'a> {
    level: &'a Level,
    sides: Vec<f32>,
    classes: Vec<f32>,
}

impl<'a> Drawn<'a> {
    fn new(level: &'a Level) -> Self {
        let area = level.columns * level.rows;
        let mut lot = u64::from(level.stride);
        let mut draw = |count: usize| {
            let one = |_| {
                // The congruential generator of Knuth's MMIX; its upper bits.
                lot = lot
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (lot >> 40) as f32 / (1 << 24) as f32 * 8.0 - 4.0
            };
            (0..count).map(one).collect::<Vec<f32>>()
        };
        Self {
            level,
            sides: draw(SIDES * level.bins * area),
            classes: draw(level.class_count * area),
        }
    }

    fn area(&self) -> usize {
        self.level.columns * self.level.rows
    }

    fn value(&self, numbers: &[f32]) -> Value {
        let channels = numbers.len() / self.area();
        let dims = vec![1, channels, self.level.rows, self.level.columns];
        Value::new(dims, Some(Data::F32(numbers.to_vec())))
    }

    /// What the decoder makes of one cell: centre, size and scores.
    fn column(&self, place: usize) -> Vec<f32> {
        let stride = self.level.stride as f32;
        let side = |side: usize| {
            let bins = (0..self.level.bins)
                .map(|bin| self.sides[(side * self.level.bins + bin) * self.area() + place]);
            distance(bins)
        };
        let [left, top, right, bottom] = [0, 1, 2, 3].map(side);
        let x = (place % self.level.columns) as f32 + 0.5;
        let y = (place / self.level.columns) as f32 + 0.5;
        let centre = [x + (right - left) / 2.0, y + (bottom - top) / 2.0];
        let size = [left + right, top + bottom];
        let scores = self.classes[place..]
            .iter()
            .step_by(self.area())
            .map(|x| 1.0 / (1.0 + (-x).exp()));
        let boxes = [centre, size].concat();
        boxes.iter().map(|n| n * stride).chain(scores).collect()
    }
}

/// The mean of the softmax over bins; a single one is the distance itself.
fn distance(bins: impl Iterator<Item = f32> + Clone) -> f32 {
    if bins.clone().count() == 1 {
        return bins.sum();
    }
    let weights = || bins.clone().map(f32::exp);
    let sum: f32 = weights().sum();
    (0..)
        .zip(weights())
        .map(|(n, weight)| n as f32 * weight)
        .sum::<f32>()
        / sum
}

/// Equal but for the rounding of f32.
fn close(found: impl Iterator<Item = f32>, wanted: &[f32], input: Size) -> bool {
    let pixel = 1e-5 * input.width.max(input.height) as f32;
    let tolerance = |row: usize| if row < SIDES { pixel } else { 1e-5 };
    found
        .zip(wanted)
        .enumerate()
        .all(|(row, (found, wanted))| (found - wanted).abs() <= tolerance(row))
}

fn port(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = dims.iter().map(|dim| Dimension {
        value: Some(dimension::Value::DimValue(*dim as i64)),
        ..Default::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{float_tensor, input_spec, int64_tensor, model, node};
    use super::*;
    use tract_onnx::pb::{AttributeProto, TensorProto};

    fn with(mut node: NodeProto, name: &str, i: i64, ints: &[i64]) -> NodeProto {
        node.attribute.push(AttributeProto {
            name: name.into(),
            i,
            ints: ints.to_vec(),
            ..Default::default()
        });
        node
    }

    /// One stride of 32, two cells, distances of one bin; `classes` behind them.
    fn graph(classes: i64) -> GraphProto {
        let conv = |weights: &str, output: &str| {
            with(
                node("Conv", &["x", weights], &[output]),
                "strides",
                0,
                &[32, 32],
            )
        };
        let concat =
            |inputs: &[&str], output: &str| with(node("Concat", inputs, &[output]), "axis", 1, &[]);
        let nodes = vec![
            conv("of_sides", "sides"),
            conv("of_classes", "classes"),
            node("Reshape", &["sides", "flat"], &["distances"]),
            with(
                node("Split", &["distances"], &["before", "behind"]),
                "axis",
                1,
                &[],
            ),
            node("Sub", &["grid", "before"], &["first"]),
            node("Add", &["grid", "behind"], &["second"]),
            node("Add", &["first", "second"], &["both"]),
            node("Div", &["both", "two"], &["centres"]),
            node("Sub", &["second", "first"], &["sizes"]),
            concat(&["centres", "sizes"], "cells"),
            node("Mul", &["cells", "stride"], &["boxes"]),
            node("Reshape", &["classes", "flat_classes"], &["logits"]),
            node("Sigmoid", &["logits"], &["scores"]),
            concat(&["boxes", "scores"], "y"),
        ];
        // Of the weights only their dims are looked at.
        let weights = |name: &str, out: i64| TensorProto {
            dims: vec![out, 3, 32, 32],
            ..float_tensor(name, &[], &[])
        };
        let mut graph = model(
            nodes,
            &[("x", &[1, 3, 32, 64])],
            &[("y", &[1, 4 + classes, 2])],
        )
        .graph
        .unwrap();
        graph.initializer = vec![
            weights("of_sides", 4),
            weights("of_classes", classes),
            int64_tensor("flat", &[1, 4, 2]),
            int64_tensor("flat_classes", &[1, classes, 2]),
            float_tensor("grid", &[1, 2, 2], &[0.5, 1.5, 0.5, 0.5]),
            float_tensor("two", &[], &[2.0]),
            float_tensor("stride", &[], &[32.0]),
        ];
        graph
    }

    #[test]
    fn heads_of_no_class_stay_in_the_graph() {
        let heads = run(&mut graph(2), 13, &input_spec()).expect("sides and classes");
        assert_eq!(
            (&heads.outputs[..], heads.bins),
            (&["sides".into(), "classes".into()][..], 1)
        );
        assert_eq!(run(&mut graph(0), 13, &input_spec()), None);
    }
}
