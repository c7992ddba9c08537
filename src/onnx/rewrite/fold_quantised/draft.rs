//! [`Draft`]: the constants of a graph, and those that a rewrite adds, before the graph is changed.

use super::Reason;
use crate::onnx::parse::MAX_ELEMENTS;
use crate::onnx::rewrite::constants;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

pub struct Draft<'a> {
    known: HashMap<&'a str, &'a TensorProto>,
    added: Vec<TensorProto>,
    /// Where in `added`.
    index: HashMap<String, usize>,
    /// Every name that has a meaning.
    taken: HashSet<String>,
    /// Numbers made so far.
    names: usize,
    /// Numbers in `added`, and numbers looked at: a short file may ask for the same ones many times.
    made: u64,
    read: u64,
}

/// Numbers that may be looked at in all.
const MAX_READ: u64 = 4 * MAX_ELEMENTS;

impl<'a> Draft<'a> {
    pub fn new(graph: &'a GraphProto) -> Self {
        let known = constants::by_name(graph);
        let made = graph.node.iter().flat_map(|node| &node.output).cloned();
        let inputs = graph.input.iter().map(|input| input.name.clone());
        let constants = known.keys().map(|name| (*name).to_owned());
        let taken = made.chain(inputs).chain(constants).collect();
        Self {
            known,
            added: Vec::new(),
            index: HashMap::new(),
            taken,
            names: 0,
            made: 0,
            read: 0,
        }
    }

    pub fn constant(&self, name: &str) -> Option<&TensorProto> {
        let added = self
            .index
            .get(name)
            .and_then(|index| self.added.get(*index));
        added.or_else(|| self.known.get(name).copied())
    }

    /// The float numbers of a constant.
    pub fn floats(&mut self, name: &str) -> Result<Vec<f32>, Reason> {
        let numbers = self.constant(name).and_then(constants::floats);
        let numbers = numbers.ok_or_else(|| format!("\"{name}\" is not a constant of floats"))?;
        self.count_read(numbers.len())?;
        Ok(numbers)
    }

    /// Integers of a constant with its dims, if it is one of a type that weights are quantised to.
    pub fn quantised(&mut self, name: &str) -> Result<Option<Quantised>, Reason> {
        let Some(tensor) = self.constant(name) else {
            return Ok(None);
        };
        let (kind, dims) = (tensor.data_type, tensor.dims.clone());
        let Some(numbers) = constants::quantised(tensor) else {
            return Ok(None);
        };
        self.count_read(numbers.len())?;
        Ok(Some(Quantised {
            kind,
            dims,
            numbers,
        }))
    }

    fn count_read(&mut self, length: usize) -> Result<(), Reason> {
        self.read += length as u64;
        within(self.read, MAX_READ)
    }

    /// Adds a constant under a name like `base`, and returns the name.
    pub fn add(&mut self, base: &str, dims: Vec<i64>, numbers: &[f32]) -> Result<String, Reason> {
        self.made += numbers.len() as u64;
        within(self.made, MAX_ELEMENTS)?;
        let name = self.fresh(base);
        self.index.insert(name.clone(), self.added.len());
        self.added
            .push(constants::float_tensor(name.clone(), dims, numbers));
        Ok(name)
    }

    /// A name that nothing has.
    pub fn fresh(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        while !self.taken.insert(name.clone()) {
            self.names += 1;
            name = format!("{base}_{}", self.names);
        }
        name
    }

    /// The constants added, in the order of adding.
    pub fn into_added(self) -> Vec<TensorProto> {
        self.added
    }
}

/// A constant of integers.
pub struct Quantised {
    /// ONNX's number of the type.
    pub kind: i32,
    pub dims: Vec<i64>,
    pub numbers: Vec<i32>,
}

fn within(numbers: u64, limit: u64) -> Result<(), Reason> {
    if numbers > limit {
        return Err(format!("its constants are more than {limit} numbers"));
    }
    Ok(())
}

/// A node of ONNX's own operators.
pub fn node(op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: format!("{output}/{op}"),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes,
        ..Default::default()
    }
}

pub fn int_attribute(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name == name)
        .map(|attribute| attribute.i)
}

pub fn axis(axis: i64) -> AttributeProto {
    AttributeProto {
        name: "axis".into(),
        r#type: tract_onnx::pb::attribute_proto::AttributeType::Int as i32,
        i: axis,
        ..Default::default()
    }
}
