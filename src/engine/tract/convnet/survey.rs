//! [`Survey`]: which nodes of a model the executor runs.
//!
//! A survey goes through the nodes in their order and tries to translate each. A node that can be translated is in the
//! level of what it reads, or one above what reached it through nodes outside: nodes of one level never wait for each
//! other through a node outside, so that a level can run as a whole. Connected parts of a level that compute too little
//! stay with tract.

use super::Refusal;
use super::builder::Builder;
use super::coverage::{Coverage, is_given, multiply_adds};
use super::translate::{refusal, translate};
use std::collections::{BTreeMap, HashMap, HashSet};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::InletId;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;

/// Networks of one model, the largest ones: each has memory and threads of its own.
const MAX_NETWORKS: usize = 8;

pub(super) struct Survey<'a> {
    model: &'a TypedModel,
    order: &'a [usize],
    /// Levels of the nodes inside.
    inside: BTreeMap<usize, usize>,
    reasons: HashMap<usize, Refusal>,
}

impl<'a> Survey<'a> {
    pub fn new(
        model: &'a TypedModel,
        order: &'a [usize],
        banned: &HashMap<usize, Refusal>,
    ) -> Self {
        let mut survey = Self {
            model,
            order,
            inside: BTreeMap::new(),
            reasons: HashMap::new(),
        };
        let mut builders: HashMap<usize, Builder> = HashMap::new();
        // The highest level that each node outside has read from, directly or not.
        let mut reached: HashMap<usize, usize> = HashMap::new();
        for node in order
            .iter()
            .map(|&id| model.node(id))
            .filter(|node| !is_given(node))
        {
            let read = node.inputs.iter().filter_map(|input| {
                let inside = survey.inside.get(&input.node).copied();
                let outside = reached.get(&input.node).map(|&level| (level, level + 1));
                inside.map(|level| (level, level)).or(outside)
            });
            let (seen, level) =
                read.fold((0, 1), |(a, b), (seen, level)| (a.max(seen), b.max(level)));
            let verdict = match banned.get(&node.id) {
                Some(reason) => Err(reason.clone()),
                None => {
                    let inside = &survey.inside;
                    let builder = builders.entry(level).or_default();
                    let within = |id: usize| inside.get(&id) == Some(&level);
                    admit(model, node, builder, within)
                }
            };
            match verdict {
                Ok(()) => {
                    survey.inside.insert(node.id, level);
                }
                Err(reason) => {
                    reached.insert(node.id, seen);
                    survey.reasons.insert(node.id, reason);
                }
            }
        }
        survey
    }

    /// Connected parts of each level, each in the order of the model.
    fn parts(&self) -> Vec<Vec<usize>> {
        let mut leader: HashMap<usize, usize> = HashMap::new();
        fn find(leader: &mut HashMap<usize, usize>, mut node: usize) -> usize {
            while let Some(&next) = leader.get(&node).filter(|&&next| next != node) {
                let over = leader.get(&next).copied().unwrap_or(next);
                leader.insert(node, over);
                node = next;
            }
            node
        }
        for (&id, level) in &self.inside {
            for input in &self.model.node(id).inputs {
                if self.inside.get(&input.node) == Some(level) {
                    let (a, b) = (find(&mut leader, id), find(&mut leader, input.node));
                    leader.insert(a.max(b), a.min(b));
                }
            }
        }
        let mut parts: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for &id in self.order {
            if let Some(&level) = self.inside.get(&id) {
                let leader = find(&mut leader, id);
                parts.entry((level, leader)).or_default().push(id);
            }
        }
        parts.into_values().collect()
    }

    /// Leaves parts outside that compute too little for the way in and out, and all but the largest networks.
    pub fn leave_out_small_parts(&mut self, least_work: u64) {
        for nodes in self.parts() {
            let (products, worth) = self.work(&nodes);
            if products == 0 || worth < least_work {
                self.leave_out(nodes, "computes too little to leave tract for it");
            }
        }
        let mut networks = self.networks();
        networks.sort_by_cached_key(|nodes| std::cmp::Reverse(self.work(nodes).0));
        for nodes in networks.into_iter().skip(MAX_NETWORKS) {
            self.leave_out(nodes, "lies between operators that stay outside");
        }
    }

    fn leave_out(&mut self, nodes: Vec<usize>, reason: &'static str) {
        for id in nodes {
            self.inside.remove(&id);
            self.reasons.insert(id, refusal(reason));
        }
    }

    /// Returns the nodes of each network: those of one level, in the order of the model.
    pub fn networks(&self) -> Vec<Vec<usize>> {
        let mut levels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &id in self.order {
            if let Some(&level) = self.inside.get(&id) {
                levels.entry(level).or_default().push(id);
            }
        }
        levels.into_values().collect()
    }

    /// Multiply-adds of convolutions, and numbers computed for each that goes in or out.
    fn work(&self, nodes: &[usize]) -> (u64, u64) {
        let within: HashSet<usize> = nodes.iter().copied().collect();
        let (mut work, mut products, mut border) = (0, 0, 0);
        for &id in nodes {
            let node = self.model.node(id);
            let of_node = multiply_adds(self.model, node);
            products += of_node;
            work += of_node / 4 + volume(self.model, id.into());
            let incoming = (node.inputs.iter().copied())
                .filter(|input| !within.contains(&input.node))
                .filter(|&input| !is_given_outlet(self.model, input));
            border += incoming.map(|input| volume(self.model, input)).sum::<u64>();
            if leaves(self.model, id, &within) {
                border += volume(self.model, id.into());
            }
        }
        (products, work / border.max(1))
    }

    pub fn coverage(&self, networks: usize) -> Coverage {
        let mut coverage = Coverage {
            networks,
            ..Coverage::default()
        };
        for node in self
            .order
            .iter()
            .map(|&id| self.model.node(id))
            .filter(|node| !is_given(node))
        {
            let products = multiply_adds(self.model, node);
            match self.reasons.get(&node.id) {
                Some(reason) => coverage.add_outside(node, products, reason),
                None => coverage.add_inside(products),
            }
        }
        coverage.sort();
        coverage
    }
}

/// Translates `node` into `builder`; what it reads from nodes that are not `within` becomes an input.
pub(super) fn admit(
    model: &TypedModel,
    node: &TypedNode,
    builder: &mut Builder,
    within: impl Fn(usize) -> bool,
) -> Result<(), Refusal> {
    let is_f32 = |datum_type| datum_type == f32::datum_type();
    let [output] = node.outputs.as_slice() else {
        return Err(refusal("has several outputs"));
    };
    let output = &output.fact;
    if !(is_f32(output.datum_type) || output.datum_type == bool::datum_type()) {
        return Err(refusal(format!("computes {:?}", output.datum_type)));
    }
    for &input in &node.inputs {
        let fact = model
            .outlet_fact(input)
            .map_err(|_| refusal("lacks an operand"))?;
        if fact.konst.is_some() || builder.values.contains_key(&input) {
            continue;
        }
        if within(input.node) || !is_f32(fact.datum_type) {
            return Err(refusal(format!("reads {:?}", fact.datum_type)));
        }
        let dims = fact.shape.as_concrete();
        let dims =
            dims.ok_or_else(|| refusal("reads a tensor whose size is known in a run only"))?;
        builder.external(input, dims, channels_of(model, input, dims, 0))?;
    }
    translate(model, node, builder)
}

/// The window of a convolution or a pooling.
fn pool_spec(node: &TypedNode) -> Option<&PoolSpec> {
    if let Some(conv) = node.op_as::<Conv>() {
        Some(&conv.pool_spec)
    } else if let Some(deconv) = node.op_as::<Deconv>() {
        Some(&deconv.pool_spec)
    } else if let Some(pool) = node.op_as::<MaxPool>() {
        Some(&pool.pool_spec)
    } else {
        node.op_as::<SumPool>().map(|pool| &pool.pool_spec)
    }
}

/// The axis of a tensor from outside that counts channels: what its first reader that cares takes for them.
fn channels_of(
    model: &TypedModel,
    outlet: OutletId,
    dims: &[usize],
    depth: usize,
) -> Option<usize> {
    // What lies farther away, or with many readers, is not worth the search.
    const FARTHEST: usize = 6;
    const READERS: usize = 3;
    let by_reader = |inlet: &InletId| {
        let node = model.node(inlet.node);
        if let Some(spec) = pool_spec(node) {
            let format = spec.data_format;
            let first = usize::from(format.has_n());
            let behind = first + spec.kernel_shape.len();
            return (inlet.slot == 0).then_some(if format.c_is_last() { behind } else { first });
        }
        if let Some(einsum) = node.op_as::<EinSum>() {
            let axes = einsum.axes.iter_all_axes();
            let summed = axes.filter(|axis| axis.outputs[0].is_empty());
            let places = summed.filter_map(|axis| axis.inputs[inlet.slot].first().copied());
            return places
                .into_iter()
                .find(|&axis| dims.get(axis).is_some_and(|&dim| dim > 1));
        }
        if depth == FARTHEST {
            return None;
        }
        let made = OutletId::from(inlet.node);
        let after = model.outlet_fact(made).ok()?;
        let after = after.shape.as_concrete()?;
        if node.op_is::<ElementWiseOp>() || node.op_is::<TypedBinOp>() {
            return match after == dims {
                true => channels_of(model, made, after, depth + 1),
                false => None,
            };
        }
        let op = node.op_as::<AxisOp>()?;
        let axis = channels_of(model, made, after, depth + 1)?;
        before(op, axis, dims.len())
    };
    let readers = model.outlet_successors(outlet).iter();
    let found = readers.take(READERS).find_map(by_reader);
    found.or(match (depth, dims) {
        (0, [_, _, _, _]) => Some(1),
        (0, [1, _, _]) => Some(2),
        (0, [_, _, _]) => Some(0),
        (0, [_, _]) => Some(1),
        (0, [_]) => Some(0),
        _ => None,
    })
}

/// Returns the axis of `op`'s input, a tensor of `rank` axes, that becomes `axis` of its output.
fn before(op: &AxisOp, axis: usize, rank: usize) -> Option<usize> {
    match *op {
        AxisOp::Add(at) => (axis != at).then(|| axis - usize::from(axis > at)),
        AxisOp::Rm(at) => Some(axis + usize::from(axis >= at)),
        AxisOp::Move(from, to) => {
            let mut order: Vec<usize> = (0..rank).collect();
            let moved = order.remove(from);
            order.insert(to, moved);
            order.get(axis).copied()
        }
        AxisOp::Reshape(..) => None,
    }
}

fn is_given_outlet(model: &TypedModel, outlet: OutletId) -> bool {
    model
        .outlet_fact(outlet)
        .is_ok_and(|fact| fact.konst.is_some())
}

fn volume(model: &TypedModel, outlet: OutletId) -> u64 {
    let fact = model.outlet_fact(outlet).ok();
    let dims = fact.and_then(|fact| fact.shape.as_concrete().map(<[usize]>::to_vec));
    dims.map_or(0, |dims| dims.iter().map(|&dim| dim as u64).product())
}

/// Whether somebody outside reads what a node makes.
pub(super) fn leaves(model: &TypedModel, id: usize, within: &HashSet<usize>) -> bool {
    let outlet = OutletId::from(id);
    let readers = model.outlet_successors(outlet);
    model.outputs.contains(&outlet) || readers.iter().any(|inlet| !within.contains(&inlet.node))
}
