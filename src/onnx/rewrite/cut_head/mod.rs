//! Ends the graph at its raw heads, where the decoder can do the rest.
//!
//! From there on it makes candidates of every cell, thousands, of which ten matter: boxes of distributions, a sigmoid of
//! every class, and all of it joined and turned. The decoder does this for those above the threshold.
//!
//! Exporters and their versions write this in many ways, so the operators are not compared with a pattern. The end of
//! the graph is what lies behind the last convolutions; it is computed here on numbers drawn by lot, and must give the
//! candidates that the decoder gives ([`Ending`]). Grid, strides, order of cells and heads are thereby verified.
//! Whatever is not computed here, or comes out otherwise, stays in the graph.

pub mod level;

use super::ending::Ending;
use super::prune;
use crate::base::tensor::{InputSpec, Layout};
use crate::onnx::infer::{Inference, Value};
use level::{Level, levels};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{GraphProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};

/// Most numbers of one tensor that are computed to verify an end, and of all: enough for a picture of 1920 x 1088.
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

/// The heads that have become the outputs, level by level in the order of the strides.
#[derive(Debug, Clone, PartialEq)]
pub struct Heads {
    /// Names of the heads.
    pub outputs: Vec<String>,
    /// Strides of the levels, finest first.
    pub strides: Vec<u32>,
    /// Number of channels of each head of a level.
    pub channels: Vec<usize>,
    /// The rewrite in one sentence.
    pub said: String,
}

/// Changes `graph`, whose input is of the dims of `input`, if its end is `ending`.
pub fn run(
    graph: &mut GraphProto,
    opset: i64,
    input: &InputSpec,
    ending: &dyn Ending,
) -> Option<Heads> {
    if input.layout != Layout::Nchw {
        return None;
    }
    let [output] = &graph.output[..] else {
        return None;
    };
    let mut shapes = Inference::of_shapes(graph, opset, input, BUDGET);
    shapes.follow(&graph.node);
    let end = End::find(graph, &shapes, &output.name, ending)?;
    let mut levels = levels(&end.heads, &shapes, input.size)?;
    let dims = &shapes.get(&end.output)?.dims;
    let candidates = Candidates::new(ending, dims, &levels)?;
    levels.iter_mut().for_each(Level::draw);
    let computed = end.computed(graph, &shapes, &levels, opset)?;
    let numbers = computed.floats().filter(|_| computed.dims == *dims)?;
    let mut start = 0;
    for level in &mut levels {
        let orders = ending.orders().iter().map(|order| level.in_order(order));
        let mut orders =
            orders.filter(|level| ending.fields(&level.channels()) == Some(candidates.fields));
        *level = orders.find(|level| candidates.agree(numbers, start, level, input))?;
        start += level.area();
    }
    let strides: Vec<u32> = levels.iter().map(|level| level.stride).collect();
    let channels = levels.first()?.channels();
    if levels.iter().any(|level| level.channels() != channels) {
        return None;
    }
    if !ending.accepts(&strides, &channels) {
        return None;
    }
    let heads = || levels.iter().flat_map(|level| &level.heads);
    let outputs = heads().map(|head| port(&head.name, &head.value.dims));
    graph.output = outputs.collect();
    prune::run(graph);
    Some(Heads {
        outputs: heads().map(|head| head.name.clone()).collect(),
        said: said(&strides, end.nodes.len()),
        strides,
        channels,
    })
}

/// Changes `graph` like [`run`] if what makes the value `table` is `ending`: the outputs are made of that value alone.
pub fn run_at(
    graph: &mut GraphProto,
    table: &str,
    opset: i64,
    input: &InputSpec,
    ending: &dyn Ending,
) -> Option<Heads> {
    let outputs = std::mem::replace(&mut graph.output, vec![port(table, &[])]);
    let heads = run(graph, opset, input, ending);
    if heads.is_none() {
        graph.output = outputs;
    }
    heads
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

/// The nodes between the last convolutions and the output.
struct End {
    output: String,
    /// Indices, in the order of the file.
    nodes: BTreeSet<usize>,
    /// Tensors that it is made from, in the order of the file.
    heads: Vec<String>,
}

impl End {
    fn find(
        graph: &GraphProto,
        shapes: &Inference,
        output: &str,
        ending: &dyn Ending,
    ) -> Option<Self> {
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
            if !(END.contains(&node.op_type.as_str()) || ending.computes(node, shapes)) {
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

    /// The output, if the heads are the numbers drawn for them.
    fn computed(
        &self,
        graph: &GraphProto,
        shapes: &Inference,
        levels: &[Level],
        opset: i64,
    ) -> Option<Value> {
        let mut inference = Inference::new(opset, TENSOR_LIMIT, BUDGET);
        // A constant may be too large to have been followed before.
        let constant = |name: &str| {
            let mut constants = graph.initializer.iter();
            Value::from_tensor(constants.find(|tensor| tensor.name == *name)?, TENSOR_LIMIT)
        };
        for name in self.nodes.iter().flat_map(|i| &graph.node[*i].input) {
            let known = shapes.get(name).filter(|value| value.data.is_some());
            if let Some(value) = known.cloned().or_else(|| constant(name)) {
                inference.set(name, value);
            }
        }
        for head in levels.iter().flat_map(|level| &level.heads) {
            inference.set(&head.name, head.value.clone());
        }
        let nodes: Vec<_> = self.nodes.iter().map(|i| &graph.node[*i]).collect();
        inference.follow_to(&self.output, &nodes)
    }
}

/// How candidates lie in the output.
struct Candidates<'a> {
    ending: &'a dyn Ending,
    fields: usize,
    cells: usize,
}

impl<'a> Candidates<'a> {
    /// `None` if an output of these dims is not that of the levels, or too large to be computed.
    fn new(ending: &'a dyn Ending, dims: &[usize], levels: &[Level]) -> Option<Self> {
        let &[1, first, second] = dims else {
            return None;
        };
        let (fields, cells) = match ending.axis() {
            1 => (first, second),
            _ => (second, first),
        };
        let area: usize = levels.iter().map(Level::area).sum();
        let channels: usize = levels[0].heads.iter().map(|head| head.channels).sum();
        let heads = ending.orders()[0].len();
        let as_many = |level: &Level| level.heads.len() == heads;
        let usual = cells == area && levels.iter().all(as_many);
        (usual && fields.max(channels).checked_mul(cells)? <= TENSOR_LIMIT).then_some(Self {
            ending,
            fields,
            cells,
        })
    }

    /// Whether those of `level`, whose cells begin at `start`, are what the decoder makes of its heads.
    fn agree(&self, numbers: &[f32], start: usize, level: &Level, input: &InputSpec) -> bool {
        // Equal but for the rounding of f32.
        let pixel = 1e-5 * input.size.width.max(input.size.height) as f32;
        let in_pixels = self.ending.in_pixels();
        let close = |field: usize, found: f32, wanted: f32| {
            (found - wanted).abs() <= if field < in_pixels { pixel } else { 1e-5 }
        };
        level.cells().zip(start..).all(|(cell, index)| {
            let (first, step) = match self.ending.axis() {
                1 => (index, self.cells),
                _ => (index * self.fields, 1),
            };
            let found = numbers[first..].iter().step_by(step);
            let wanted = self.ending.candidate(&cell);
            let mut pairs = found.zip(&wanted).enumerate();
            wanted.len() == self.fields
                && pairs.all(|(field, (found, wanted))| close(field, *found, *wanted))
        })
    }
}

pub(super) fn port(name: &str, dims: &[usize]) -> ValueInfoProto {
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
pub(crate) mod testing {
    use crate::onnx::testing::{float_tensor, node, with};
    use tract_onnx::pb::{NodeProto, TensorProto};

    pub fn conv(weights: &str, output: &str, stride: i64) -> NodeProto {
        let node = node("Conv", &["x", weights], &[output]);
        with(node, &[("strides", &[stride, stride])])
    }

    pub fn concat(inputs: &[&str], output: &str, axis: i64) -> NodeProto {
        with(node("Concat", inputs, &[output]), &[("axis", &[axis])])
    }

    /// Makes weights of which only the dims are looked at.
    pub fn weights(name: &str, out: i64, stride: i64) -> TensorProto {
        TensorProto {
            dims: vec![out, 3, stride, stride],
            ..float_tensor(name, &[], &[])
        }
    }
}
