//! [`Tail`]: the end of a graph in which the dims depend on the numbers of the picture.
//!
//! How many boxes a suppression leaves is not known before it has run. An engine that plans its memory ahead cannot run
//! what comes behind: ONNX holds a Slice within the boxes that there are, an If asks whether there is any. [`Tail::split`]
//! takes the nodes from the first such operator on off the graph. They are few and small; [`Tail::run`] computes them as
//! ONNX defines them, one after the other.

use super::facts::Port;
use super::infer::{self, Data, Inference, SHAPES_BUDGET, Value, is_computed};
use super::parse::MAX_ELEMENTS;
use super::rewrite::{names, prune};
use crate::base::tensor::{Element, InputSpec, Tensor, TensorData, TensorSpec};
use std::collections::HashSet;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

/// Operators whose dims depend on the numbers that they take.
const OF_NUMBERS: [&str; 5] = ["NonMaxSuppression", "NonZero", "If", "Compress", "Unique"];

/// Most numbers that one run may make.
const BUDGET: usize = 1 << 28;

/// The end of a graph, see above.
pub struct Tail {
    nodes: Vec<NodeProto>,
    /// The constants that the nodes take.
    constants: Inference,
    /// Names of the values that the nodes take from the rest of the graph, in the order of its outputs now.
    inputs: Vec<String>,
    outputs: Vec<TensorSpec>,
}

impl Tail {
    /// Takes the tail off the graph of `model`, which is fed with `input`. The graph then ends at what the tail takes.
    ///
    /// Returns `None`, and leaves the model as it is, if it has no tail, or one that is not computed here.
    pub fn split(model: &mut ModelProto, input: &InputSpec) -> Option<Self> {
        let opset = infer::opset(model);
        let graph = model.graph.as_mut()?;
        let mut shapes = Inference::of_shapes(graph, opset, input, SHAPES_BUDGET);
        shapes.follow(&graph.node);
        let nodes = late_nodes(graph, &shapes);
        if nodes.is_empty() || !nodes.iter().all(is_computed) {
            return None;
        }
        let made: HashSet<&String> = nodes.iter().flat_map(|node| &node.output).collect();
        let wanted = nodes.iter().flat_map(names::takes);
        let outputs = graph.output.iter().map(|output| output.name.clone());
        let mut constants = Inference::new(opset, MAX_ELEMENTS as usize, BUDGET);
        let (mut inputs, mut seen) = (Vec::new(), HashSet::new());
        let inner = inner_names(&nodes);
        for name in wanted.chain(outputs) {
            let elsewhere = name.is_empty() || made.contains(&name) || inner.contains(&name);
            if elsewhere || !seen.insert(name.clone()) {
                continue;
            }
            let stored = graph.initializer.iter().find(|t| t.name == name);
            let stored = stored.and_then(|t| Value::from_tensor(t, MAX_ELEMENTS as usize));
            let known = stored.or_else(|| shapes.get(&name).cloned());
            match known.filter(|value| value.data.is_some()) {
                Some(value) => constants.set(&name, value),
                None => inputs.push(name),
            }
        }
        let outputs = graph.output.iter().map(output_spec);
        let outputs = outputs.collect::<Option<Vec<_>>>()?;
        graph.output = inputs.iter().map(|name| port(name)).collect();
        prune::run(graph);
        Some(Self {
            nodes,
            constants,
            inputs,
            outputs,
        })
    }

    /// Returns the outputs of the whole graph, with 0 for dims that it leaves open.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// Returns the number of operators.
    pub fn operators(&self) -> usize {
        self.nodes.len()
    }

    /// Computes the outputs of the whole graph from those that it has without the tail.
    ///
    /// # Errors
    /// The operator that could not be computed, and why.
    pub fn run(&self, head: &[Tensor], outputs: &mut [Tensor]) -> Result<(), String> {
        let mut values = self.constants.clone();
        for (name, tensor) in self.inputs.iter().zip(head) {
            values.set(name, value(tensor));
        }
        for node in &self.nodes {
            values
                .compute(node)
                .map_err(|problem| format!("{} ({}): {problem}", node.name, node.op_type))?;
        }
        for (output, spec) in outputs.iter_mut().zip(&self.outputs) {
            let value = values.get(&spec.name);
            let value = value.ok_or_else(|| format!("nothing has made output {}", spec.name))?;
            fill(output, spec, value)
                .ok_or_else(|| format!("the numbers of output {} are not known", spec.name))?;
        }
        Ok(())
    }
}

/// The nodes from the first on whose dims depend on numbers, with all that follows from them.
fn late_nodes(graph: &GraphProto, shapes: &Inference) -> Vec<NodeProto> {
    let mut late = HashSet::new();
    let mut nodes = Vec::new();
    for node in &graph.node {
        let unknown = |name: &String| !name.is_empty() && shapes.get(name).is_none();
        let begins = OF_NUMBERS.contains(&node.op_type.as_str()) && node.output.iter().any(unknown);
        if begins || names::takes(node).iter().any(|name| late.contains(name)) {
            late.extend(node.output.iter().cloned());
            nodes.push(node.clone());
        }
    }
    nodes
}

/// Names that the graphs inside of nodes make for themselves.
fn inner_names(nodes: &[NodeProto]) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut open: Vec<&NodeProto> = nodes.iter().collect();
    while let Some(node) = open.pop() {
        for inner in node
            .attribute
            .iter()
            .flat_map(|a| a.g.iter().chain(&a.graphs))
        {
            found.extend(inner.initializer.iter().map(|tensor| tensor.name.clone()));
            for node in &inner.node {
                found.extend(node.output.iter().cloned());
                open.push(node);
            }
        }
    }
    found
}

fn port(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: name.to_owned(),
        ..Default::default()
    }
}

/// `None` for a type that is given to nobody.
pub(super) fn output_spec(output: &ValueInfoProto) -> Option<TensorSpec> {
    let port = Port::new(output).ok()?;
    let element = match DataType::try_from(port.data_type).ok()? {
        DataType::Float | DataType::Float16 | DataType::Double => Element::F32,
        DataType::Uint8 | DataType::Bool => Element::U8,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Element::I32,
        DataType::Int64 => Element::I64,
        _ => return None,
    };
    Some(TensorSpec {
        dims: port.dims().iter().map(|dim| dim.unwrap_or(0)).collect(),
        name: port.name,
        element,
    })
}

fn value(tensor: &Tensor) -> Value {
    let data = match &tensor.data {
        TensorData::F32(numbers) => Data::F32(numbers.clone()),
        TensorData::Foreign(numbers) => Data::F32(numbers.numbers().to_vec()),
        TensorData::U8(numbers) => Data::I64(numbers.iter().map(|n| i64::from(*n)).collect()),
        TensorData::I32(numbers) => Data::I64(numbers.iter().map(|n| i64::from(*n)).collect()),
        TensorData::I64(numbers) => Data::I64(numbers.clone()),
    };
    Value::new(tensor.dims.clone(), Some(data))
}

/// `None` if the numbers are not known, or not of the type that `spec` promises.
pub(super) fn fill(output: &mut Tensor, spec: &TensorSpec, value: &Value) -> Option<()> {
    let dims = value.dims.iter().copied();
    match (value.data.as_deref()?, spec.element) {
        (Data::F32(numbers), Element::F32) => output.refill(dims, numbers.iter().copied()),
        (Data::I64(numbers), Element::I64) => output.refill(dims, numbers.iter().copied()),
        (Data::I64(numbers), Element::I32) => {
            output.refill(dims, numbers.iter().map(|n| *n as i32))
        }
        (Data::I64(numbers), Element::U8) => output.refill(dims, numbers.iter().map(|n| *n as u8)),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests;
