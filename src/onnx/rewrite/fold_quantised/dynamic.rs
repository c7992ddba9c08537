//! Dynamic quantisation, where the scale of an activation is measured while running, to the QDQ form of its weights.
//!
//! `DynamicQuantizeLinear` gives q, scale and zero point of x; `ConvInteger` or `MatMulInteger` takes q and constant
//! weights; its result is cast to float and multiplied by the product of both scales. So the chain computes
//! `Conv(x, W)` but for the rounding of x, and that is what takes its place, W being dequantised. An addition of one
//! constant for each channel behind a Conv is its bias, which the quantiser had to take out.

use super::Reason;
use super::draft::{Draft, axis, int_attribute, node};
use crate::onnx::parse;
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

/// Dims of a scale or bias that are looked at; weights have at most five.
const MAX_RANK: usize = 8;

/// The meaning of a name in such a chain.
enum Meaning {
    /// One of the integers of x.
    Quantised {
        x: String,
        scale: String,
        zero: String,
    },
    /// The scale of x.
    Scale,
    /// The sum of products, in units of both scales.
    Product {
        node: NodeProto,
        x: String,
        scale: String,
    },
    /// The scale of x times that of the weights, a constant.
    BothScales { scale: String, weights: String },
    /// The result of a Conv without bias, which is this one of the nodes done.
    Unbiased {
        node: usize,
        channels: i64,
        rank: usize,
    },
}

/// # Errors
/// A chain that ends otherwise than said above.
pub fn to_pairs(nodes: Vec<NodeProto>, draft: &mut Draft) -> Result<Vec<NodeProto>, Reason> {
    if nodes
        .iter()
        .all(|node| node.op_type != "DynamicQuantizeLinear")
    {
        return Ok(nodes);
    }
    let mut chains = Chains {
        meanings: HashMap::new(),
        reshaped: reshaped_constants(&nodes, draft),
        uses: uses(&nodes),
        done: Vec::with_capacity(nodes.len()),
        draft,
    };
    for node in nodes {
        if !chains.takes(&node)? {
            chains.done.push(node);
        }
    }
    Ok(chains.done)
}

struct Chains<'a, 'b> {
    meanings: HashMap<String, Meaning>,
    /// Constants that a Reshape gives other dims: the constant and those dims.
    reshaped: HashMap<String, (String, Vec<i64>)>,
    /// How many nodes take a name.
    uses: HashMap<String, usize>,
    done: Vec<NodeProto>,
    draft: &'a mut Draft<'b>,
}

impl Chains<'_, '_> {
    /// Whether the node is part of a chain, and so need not be written as it stands.
    fn takes(&mut self, node: &NodeProto) -> Result<bool, Reason> {
        let input = |at: usize| node.input.get(at).map_or("", String::as_str);
        let Some(output) = node.output.first() else {
            return Ok(false);
        };
        match node.op_type.as_str() {
            "DynamicQuantizeLinear" => {
                let result = |at: usize| node.output.get(at).cloned().unwrap_or_default();
                let scale = result(1);
                let quantised = Meaning::Quantised {
                    x: input(0).to_owned(),
                    scale: scale.clone(),
                    zero: result(2),
                };
                self.meanings.insert(output.clone(), quantised);
                self.meanings.insert(scale, Meaning::Scale);
                Ok(true)
            }
            "ConvInteger" | "MatMulInteger" => match self.meanings.get(input(0)) {
                Some(Meaning::Quantised { x, scale, zero }) if zero == input(2) => {
                    let product = Meaning::Product {
                        node: node.clone(),
                        x: x.clone(),
                        scale: scale.clone(),
                    };
                    self.meanings.insert(output.clone(), product);
                    Ok(true)
                }
                _ => Ok(false),
            },
            "Cast" if int_attribute(node, "to") == Some(DataType::Float as i64) => {
                match self.take_product(input(0)) {
                    Some(product) => {
                        self.meanings.insert(output.clone(), product);
                        Ok(true)
                    }
                    None => Ok(false),
                }
            }
            "Mul" => self.multiplied(input(0), input(1), output),
            "Add" => self.added(input(0), input(1), output),
            _ => Ok(false),
        }
    }

    /// A product is used once; whoever takes it a second time finds nothing, and then the graph is left as it is.
    fn take_product(&mut self, name: &str) -> Option<Meaning> {
        match self.meanings.get(name) {
            Some(Meaning::Product { .. }) => self.meanings.remove(name),
            _ => None,
        }
    }

    fn multiplied(&mut self, a: &str, b: &str, output: &str) -> Result<bool, Reason> {
        for (one, other) in [(a, b), (b, a)] {
            match (self.meanings.get(one), self.meanings.get(other)) {
                (Some(Meaning::Scale), None) => {
                    let both = Meaning::BothScales {
                        scale: one.to_owned(),
                        weights: other.to_owned(),
                    };
                    self.meanings.insert(output.to_owned(), both);
                    return Ok(true);
                }
                (
                    Some(Meaning::Product { scale: of_x, .. }),
                    Some(Meaning::BothScales { scale, weights }),
                ) if of_x == scale => {
                    let weights = weights.clone();
                    let Some(Meaning::Product { node, x, .. }) = self.take_product(one) else {
                        continue;
                    };
                    self.write(&node, &x, &weights, output)?;
                    return Ok(true);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// The float operator on x and on weights that are dequantised.
    fn write(&mut self, old: &NodeProto, x: &str, scale: &str, output: &str) -> Result<(), Reason> {
        let weights = old.input.get(1).map_or("", String::as_str);
        let dims = self
            .draft
            .constant(weights)
            .map(|tensor| tensor.dims.clone())
            .ok_or_else(|| format!("the weights \"{weights}\" are not constant"))?;
        let (op, channel_axis) = match old.op_type.as_str() {
            "ConvInteger" => ("Conv", 0),
            _ => ("MatMul", dims.len().saturating_sub(1)),
        };
        // The result has as many dims as the weights; its channels are second in a Conv, last in a MatMul.
        let place = if op == "Conv" {
            dims.len().saturating_sub(1)
        } else {
            1
        };
        let scale = self.channel_scale(scale, dims.get(channel_axis), place)?;
        let name = self.draft.fresh(&format!("{output}/weights"));
        let zero = old.input.get(3).filter(|zero| !zero.is_empty());
        let inputs: Vec<&str> = [weights, &scale]
            .into_iter()
            .chain(zero.map(String::as_str))
            .collect();
        let attributes = vec![axis(channel_axis as i64)];
        self.done
            .push(node("DequantizeLinear", &inputs, &name, attributes));
        if let ("Conv", Some(channels)) = (op, dims.first()) {
            let unbiased = Meaning::Unbiased {
                node: self.done.len(),
                channels: *channels,
                rank: dims.len(),
            };
            self.meanings.insert(output.to_owned(), unbiased);
        }
        self.done
            .push(node(op, &[x, &name], output, old.attribute.clone()));
        Ok(())
    }

    fn added(&mut self, a: &str, b: &str, output: &str) -> Result<bool, Reason> {
        for (one, other) in [(a, b), (b, a)] {
            let Some(Meaning::Unbiased {
                node,
                channels,
                rank,
            }) = self.meanings.get(one)
            else {
                continue;
            };
            let (node, channels, place) = (*node, *channels, rank.saturating_sub(1));
            if self.uses.get(one) != Some(&1) || !self.is_per_channel(other, channels, place) {
                continue;
            }
            let source = self.reshaped.get(other).map_or(other, |(source, _)| source);
            let numbers = self.draft.floats(source)?;
            let bias = self.draft.add(other, vec![channels], &numbers)?;
            if let Some(conv) = self.done.get_mut(node) {
                conv.input.push(bias);
                conv.output = vec![output.to_owned()];
            }
            self.meanings.remove(one);
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a constant of floats is one number for each channel, these being at `place` from the end.
    fn is_per_channel(&self, name: &str, channels: i64, place: usize) -> bool {
        let (source, dims) = match self.reshaped.get(name) {
            Some((source, dims)) => (source.as_str(), Some(dims)),
            None => (name, self.draft.constant(name).map(|tensor| &tensor.dims)),
        };
        let float =
            (self.draft.constant(source)).is_some_and(|t| t.data_type == DataType::Float as i32);
        let count = |dims: &Vec<i64>| dims.iter().try_fold(1_i64, |n, dim| n.checked_mul(*dim));
        let fits = |dims: &Vec<i64>| {
            let at = dims.len().checked_sub(place).and_then(|at| dims.get(at));
            at == Some(&channels) && count(dims) == Some(channels)
        };
        float && dims.is_some_and(fits)
    }

    /// The scale of the weights, as one number or one for each channel. `place` is where the result has its channels,
    /// counted from the end.
    fn channel_scale(
        &mut self,
        name: &str,
        channels: Option<&i64>,
        place: usize,
    ) -> Result<String, Reason> {
        let (source, dims) = match self.reshaped.get(name) {
            Some((source, dims)) => (source.clone(), dims.clone()),
            None => {
                let dims = self.draft.constant(name).map(|tensor| tensor.dims.clone());
                (name.to_owned(), dims.unwrap_or_default())
            }
        };
        let numbers = self.draft.floats(&source)?;
        if numbers.len() == 1 {
            return self.draft.add(&source, Vec::new(), &numbers);
        }
        let length = numbers.len() as i64;
        if channels != Some(&length) || !self.is_per_channel(name, length, place) {
            return Err(format!(
                "the scale \"{name}\" has dims {dims:?}, expected one number for each of {channels:?} channels"
            ));
        }
        self.draft.add(&source, vec![length], &numbers)
    }
}

fn uses(nodes: &[NodeProto]) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    for name in nodes.iter().flat_map(|node| &node.input) {
        *uses.entry(name.clone()).or_default() += 1;
    }
    uses
}

/// Returns the names that are the Reshape of a constant, each with the constant and its new dims.
fn reshaped_constants(nodes: &[NodeProto], draft: &Draft) -> HashMap<String, (String, Vec<i64>)> {
    let reshapes = nodes.iter().filter(|node| node.op_type == "Reshape");
    let constant = reshapes.filter_map(|node| {
        let ([data, shape], [output]) = (&node.input[..], &node.output[..]) else {
            return None;
        };
        let count = |dims: &[i64]| {
            let mut known = dims.iter().filter(|dim| **dim > 0);
            known.try_fold(1_i64, |product, dim| product.checked_mul(*dim))
        };
        let length = count(&draft.constant(data)?.dims)?;
        let shape = draft.constant(shape)?;
        // Many may name one shape, so what is kept of it must be short.
        if shape
            .int64_data
            .len()
            .max(shape.raw_data.len() / size_of::<i64>())
            > MAX_RANK
        {
            return None;
        }
        let mut dims = parse::integers(shape)?;
        let known = count(&dims)?;
        for dim in dims.iter_mut().filter(|dim| **dim == -1) {
            *dim = length / known;
        }
        Some((output.clone(), (data.clone(), dims)))
    });
    constant.collect()
}
