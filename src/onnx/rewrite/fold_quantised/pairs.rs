//! The QDQ form to float: QuantizeLinear and DequantizeLinear of activations go, those of weights are computed.
//!
//! Between the two there may be operators that only move numbers (a Reshape, a MaxPool): they then move floats.

use super::draft::{Draft, int_attribute, node};
use super::params::{Params, limits};
use super::ranges::NonNegative;
use super::{KeptNames, Reason};
use std::collections::HashMap;
use std::rc::Rc;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// Operators that move numbers, or choose among them, without computing new ones.
const MOVES: [&str; 16] = [
    "Identity",
    "Reshape",
    "Transpose",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Gather",
    "Split",
    "Concat",
    "MaxPool",
    "Resize",
    "Upsample",
    "Expand",
    "SpaceToDepth",
    "DepthToSpace",
];

/// From this version on, Clip takes its bounds as inputs.
const CLIP_OF_INPUTS: i64 = 11;

pub struct Folded {
    pub nodes: Vec<NodeProto>,
    /// Constants made f32.
    pub weights: usize,
    /// Names that were those of integers, and the value that they stand for.
    pub integers: HashMap<String, String>,
    /// Results of DequantizeLinear, and what holds the same value now.
    pub renamed: HashMap<String, String>,
}

/// # Errors
/// Scales that are not constant, or anything that computes with integers.
pub fn fold(
    nodes: Vec<NodeProto>,
    draft: &mut Draft,
    kept: &KeptNames,
    opset: i64,
) -> Result<Folded, Reason> {
    let mut folding = Folding {
        draft,
        kept,
        opset,
        nodes: Vec::with_capacity(nodes.len()),
        real: HashMap::new(),
        renamed: HashMap::new(),
        scales: HashMap::new(),
        zeros: HashMap::new(),
        positive: NonNegative::default(),
        clips: HashMap::new(),
        weights: 0,
    };
    for mut node in nodes {
        for input in &mut node.input {
            if let Some(name) = folding.renamed.get(input) {
                input.clone_from(name);
            }
        }
        match node.op_type.as_str() {
            "QuantizeLinear" => folding.quantise(&node)?,
            "DequantizeLinear" => folding.dequantise(node)?,
            _ => folding.other(node)?,
        }
    }
    Ok(Folded {
        integers: (folding.real.into_iter())
            .map(|(q, real)| (q, real.name))
            .collect(),
        renamed: folding.renamed,
        nodes: folding.nodes,
        weights: folding.weights,
    })
}

/// The float value that an integer tensor stands for.
struct Real {
    name: String,
    params: Params,
}

/// Zero points and ONNX's number of their type.
type Zero = (Rc<[i32]>, i32);

struct Folding<'a, 'b> {
    draft: &'a mut Draft<'b>,
    kept: &'a KeptNames,
    opset: i64,
    nodes: Vec<NodeProto>,
    /// By the name of the integers.
    real: HashMap<String, Real>,
    /// Results of DequantizeLinear, and what holds the same value now.
    renamed: HashMap<String, String>,
    /// Numbers by the name of their constant, which a short file may refer to many times.
    scales: HashMap<String, Rc<[f32]>>,
    zeros: HashMap<String, Zero>,
    positive: NonNegative,
    /// Clips made before, by the value and the upper limit.
    clips: HashMap<(String, Option<u32>), String>,
    weights: usize,
}

impl Folding<'_, '_> {
    fn push(&mut self, node: NodeProto) {
        self.positive.learn(&node, self.draft);
        self.nodes.push(node);
    }

    fn params(&mut self, node: &NodeProto) -> Result<Params, Reason> {
        let odd = |what: &str| Err(format!("{} \"{}\" {what}", node.op_type, node.name));
        let Some(scale) = node.input.get(1) else {
            return odd("has no scale");
        };
        let Some(scale) = self.scale(scale)? else {
            return odd("has a scale that is not above 0");
        };
        if int_attribute(node, "block_size").is_some_and(|size| size != 0) {
            return odd("has scales in blocks");
        }
        let (zero, kind) = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => {
                let Some(zero) = self.zero(name)? else {
                    return odd("has a zero point that is not a constant of 8, 16 or 32 bits");
                };
                zero
            }
            None => {
                let kind = int_attribute(node, "output_dtype").filter(|kind| *kind != 0);
                let kind = kind.and_then(|kind| i32::try_from(kind).ok());
                (Rc::from([0]), kind.unwrap_or(DataType::Uint8 as i32))
            }
        };
        if zero.len() != 1 && zero.len() != scale.len() {
            return odd("has not as many zero points as scales");
        }
        let Some(limits) = limits(kind) else {
            return odd("makes numbers of a type that is not known here");
        };
        let axis = (scale.len() > 1).then(|| int_attribute(node, "axis").unwrap_or(1));
        Ok(Params {
            scale,
            zero,
            axis,
            limits,
        })
    }

    /// None if it is not above 0.
    fn scale(&mut self, name: &str) -> Result<Option<Rc<[f32]>>, Reason> {
        if let Some(scale) = self.scales.get(name) {
            return Ok(Some(scale.clone()));
        }
        let scale: Rc<[f32]> = self.draft.floats(name)?.into();
        if scale.is_empty() || !scale.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Ok(None);
        }
        self.scales.insert(name.to_owned(), scale.clone());
        Ok(Some(scale))
    }

    /// None if it is not a constant of a type that is quantised to.
    fn zero(&mut self, name: &str) -> Result<Option<Zero>, Reason> {
        if let Some(zero) = self.zeros.get(name) {
            return Ok(Some(zero.clone()));
        }
        let Some(zero) = self.draft.quantised(name)? else {
            return Ok(None);
        };
        let zero = (zero.numbers.into(), zero.kind);
        self.zeros.insert(name.to_owned(), zero.clone());
        Ok(Some(zero))
    }

    fn quantise(&mut self, node: &NodeProto) -> Result<(), Reason> {
        let ([x, ..], [output]) = (&node.input[..], &node.output[..]) else {
            return Err(format!(
                "QuantizeLinear \"{}\" has no input or output",
                node.name
            ));
        };
        if self.real.contains_key(x) {
            return Err(format!("\"{x}\" is quantised twice"));
        }
        let params = self.params(node)?;
        let name = if params.starts_at_zero() && !self.positive.contains(x) {
            self.clipped(x, &params)?
        } else {
            x.clone()
        };
        self.stands_for(output, name, params)
    }

    /// The range of the integers starts at 0, so that they did the work of a Relu, or of a Clip up to 6.
    fn clipped(&mut self, x: &str, params: &Params) -> Result<String, Reason> {
        let key = (x.to_owned(), params.largest().map(f32::to_bits));
        if let Some(name) = self.clips.get(&key) {
            return Ok(name.clone());
        }
        let name = self.draft.fresh(&format!("{x}/clipped"));
        let clip = match (params.largest(), self.opset < CLIP_OF_INPUTS) {
            (None, _) => node("Relu", &[x], &name, Vec::new()),
            (Some(max), true) => {
                let bounds = vec![float_attribute("min", 0.0), float_attribute("max", max)];
                node("Clip", &[x], &name, bounds)
            }
            (Some(max), false) => {
                let min = self.draft.add(&format!("{name}/min"), Vec::new(), &[0.0])?;
                let max = self.draft.add(&format!("{name}/max"), Vec::new(), &[max])?;
                node("Clip", &[x, &min, &max], &name, Vec::new())
            }
        };
        self.push(clip);
        self.positive.insert(&name);
        self.clips.insert(key, name.clone());
        Ok(name)
    }

    /// From now on the integers `q` are the value `name`.
    fn stands_for(&mut self, q: &str, name: String, params: Params) -> Result<(), Reason> {
        if self.kept.inside.contains(q) {
            return Err(format!(
                "the integers \"{q}\" are taken by a graph inside a node"
            ));
        }
        if self.kept.outputs.contains(q) {
            // Decoders want the value, so the output becomes float.
            self.push(node("Identity", &[&name], q, Vec::new()));
        }
        self.real.insert(q.to_owned(), Real { name, params });
        Ok(())
    }

    fn dequantise(&mut self, node: NodeProto) -> Result<(), Reason> {
        let ([q, ..], [output]) = (&node.input[..], &node.output[..]) else {
            return Err(format!(
                "DequantizeLinear \"{}\" has no input or output",
                node.name
            ));
        };
        if self.real.contains_key(q) {
            let params = self.params(&node)?;
            let real = self
                .real
                .get(q)
                .filter(|real| params.same_numbers(&real.params));
            let Some(name) = real.map(|real| real.name.clone()) else {
                return Err(format!(
                    "\"{q}\" is quantised with one scale and read with another"
                ));
            };
            return self.rename(output, name);
        }
        let Some(weights) = self.draft.quantised(q)? else {
            // An input of integers, for example: dequantised once, as it stands.
            self.push(node);
            return Ok(());
        };
        let floats = self
            .params(&node)?
            .dequantised(&weights.numbers, &weights.dims)?;
        let name = self
            .draft
            .add(&format!("{output}/weights"), weights.dims, &floats)?;
        self.weights += 1;
        self.rename(output, name)
    }

    fn rename(&mut self, output: &str, name: String) -> Result<(), Reason> {
        if self.kept.outputs.contains(output) || self.kept.inside.contains(output) {
            self.push(node("Identity", &[&name], output, Vec::new()));
        } else {
            self.renamed.insert(output.to_owned(), name);
        }
        Ok(())
    }

    fn other(&mut self, mut node: NodeProto) -> Result<(), Reason> {
        let quantised = |name: &String| self.real.contains_key(name);
        if !node.input.iter().any(quantised) {
            self.push(node);
            return Ok(());
        }
        // All parts of a Concat, the first input of the others.
        let moved = match node.op_type.as_str() {
            "Concat" => node.input.len(),
            _ => 1,
        };
        let known = MOVES.contains(&node.op_type.as_str())
            && node.input.iter().take(moved).all(quantised)
            && !node.input.iter().skip(moved).any(quantised);
        let Some(first) = node
            .input
            .first()
            .and_then(|name| self.real.get(name))
            .filter(|_| known)
        else {
            return Err(format!(
                "{} \"{}\" computes with integers",
                node.op_type, node.name
            ));
        };
        if first.params.axis.is_some() {
            return Err(format!(
                "{} \"{}\" moves channels of several scales",
                node.op_type, node.name
            ));
        }
        let params = first.params.clone();
        for input in node.input.iter_mut().take(moved) {
            match self.real.get(input) {
                Some(real)
                    if real.params.same_numbers(&params) && real.params.limits == params.limits =>
                {
                    input.clone_from(&real.name);
                }
                _ => return Err(format!("Concat \"{}\" mixes several scales", node.name)),
            }
        }
        // The second output of a MaxPool tells places.
        let carried = match node.op_type.as_str() {
            "Split" => node.output.len(),
            _ => 1,
        };
        // The values have a name of their own, for that of the integers still means integers.
        let mut outputs = Vec::new();
        for output in node.output.iter_mut().take(carried) {
            let name = self.draft.fresh(&format!("{output}/float"));
            outputs.push((std::mem::replace(output, name.clone()), name));
        }
        self.push(node);
        for (output, name) in outputs {
            self.stands_for(&output, name, params.clone())?;
        }
        Ok(())
    }
}

fn float_attribute(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: tract_onnx::pb::attribute_proto::AttributeType::Float as i32,
        f: value,
        ..Default::default()
    }
}
