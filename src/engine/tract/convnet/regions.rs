//! [`find`]: what the executor runs of a model, as networks.
//!
//! A [`Survey`] says which nodes it can run. What leaves a network must lie in memory as tract wants it; a node whose output
//! cannot is left outside, and the survey repeated.

use super::Refusal;
use super::builder::{Builder, Value};
use super::chooser::Chooser;
use super::coverage::Coverage;
use super::op::{Network, Output};
use super::survey::{Survey, admit, leaves};
use super::translate::refusal;
use super::view::{self, Counts, View};
use crate::convnet::graph::{Layout, TensorId};
use std::collections::{HashMap, HashSet};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::InletId;

/// A network for the executor, and where it meets tract.
pub(super) struct Region {
    pub network: Network,
    /// Where the network's inputs are read, one place for each.
    pub readers: Vec<InletId>,
    /// tract's name of each of the network's outputs.
    pub outlets: Vec<OutletId>,
}

/// Rounds of leaving out what cannot leave a network; a real model needs one or two.
const MAX_ROUNDS: usize = 16;

/// Finds what the executor runs. A network must compute `least_work` numbers for each that goes in or out.
///
/// # Errors
/// If tract's graph is not in order.
pub(super) fn find(
    model: &TypedModel,
    least_work: u64,
    chooser: &mut Chooser,
) -> TractResult<(Vec<Region>, Coverage)> {
    let order = model.eval_order()?;
    let mut banned = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let mut survey = Survey::new(model, &order, &banned);
        survey.leave_out_small_parts(least_work);
        let networks = survey.networks();
        let drafts = networks.iter().map(|nodes| Draft::new(model, nodes));
        let drafts = all_or_errors(drafts);
        // Planning takes time: only what fits is planned.
        let regions = drafts.and_then(|drafts| {
            all_or_errors(drafts.into_iter().zip(&networks).map(|(draft, nodes)| {
                let everything =
                    |reason: Refusal| nodes.iter().map(|&id| (id, reason.clone())).collect();
                draft.plan(chooser).map_err(everything)
            }))
        });
        match regions {
            Ok(regions) => {
                let coverage = survey.coverage(regions.len());
                return Ok((regions, coverage));
            }
            Err(unfit) => banned.extend(unfit),
        }
    }
    let all = order
        .iter()
        .map(|&id| (id, refusal("belongs to a graph that is cut too often")));
    let banned = all.collect();
    let survey = Survey::new(model, &order, &banned);
    Ok((Vec::new(), survey.coverage(0)))
}

/// Nodes that must stay outside, and why.
type Unfit = Vec<(usize, Refusal)>;

fn all_or_errors<T>(results: impl Iterator<Item = Result<T, Unfit>>) -> Result<Vec<T>, Unfit> {
    let (mut all, mut unfit) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(nodes) => unfit.extend(nodes),
        }
    }
    if unfit.is_empty() {
        Ok(all)
    } else {
        Err(unfit)
    }
}

/// A region before its network is planned.
struct Draft {
    builder: Builder,
    readers: Vec<InletId>,
    outputs: Vec<(OutletId, Output)>,
}

impl Draft {
    /// Builds the network of some nodes.
    fn new(model: &TypedModel, nodes: &[usize]) -> Result<Self, Unfit> {
        let within: HashSet<usize> = nodes.iter().copied().collect();
        let mut builder = Builder::default();
        let mut readers = Vec::new();
        for &id in nodes {
            let node = model.node(id);
            let known = builder.inputs.len();
            admit(model, node, &mut builder, |id| within.contains(&id))
                .map_err(|reason| vec![(id, reason)])?;
            for outlet in &builder.inputs[known..] {
                let slot = node.inputs.iter().position(|input| input == outlet);
                readers.extend(slot.map(|slot| InletId::new(id, slot)));
            }
        }
        let (mut outputs, mut unfit) = (Vec::new(), Vec::new());
        for &id in nodes.iter().filter(|&&id| leaves(model, id, &within)) {
            let outlet = OutletId::from(id);
            match export(&mut builder, outlet) {
                Ok(made) => outputs.push((outlet, made)),
                Err(reason) => unfit.push((id, reason)),
            }
        }
        match unfit.is_empty() {
            true => Ok(Self {
                builder,
                readers,
                outputs,
            }),
            false => Err(unfit),
        }
    }

    fn plan(self, chooser: &mut Chooser) -> Result<Region, Refusal> {
        let options = chooser.options(&self.builder.graph)?;
        let (outlets, outputs) = self.outputs.into_iter().unzip();
        let network = Network::new(self.builder.graph, outputs, options, chooser.arithmetic())?;
        Ok(Region {
            network,
            readers: self.readers,
            outlets,
        })
    }
}

/// Makes a tensor an output of the graph, or several outputs that lie one behind the other.
fn export(builder: &mut Builder, outlet: OutletId) -> Result<Output, Refusal> {
    let view = match builder.values.get(&outlet) {
        Some(Value::Tensor(view)) => view.clone(),
        Some(Value::Scores(_)) => return Err(refusal("computes attention for a reader outside")),
        _ => return Err(refusal("compares for a reader outside")),
    };
    let mut layouts = Vec::with_capacity(view.parts.len());
    for part in &view.parts {
        let in_order = builder.channels_in_order(part)?;
        layouts.push((in_order.tensor, layout(&in_order.axes)?));
    }
    let buffers = join(builder, &view, &layouts)?;
    Ok(Output {
        dims: view.dims(),
        buffers,
    })
}

/// Adds the outputs; how many they are.
fn join(
    builder: &mut Builder,
    view: &View,
    parts: &[(TensorId, Layout)],
) -> Result<usize, Refusal> {
    let graph = &mut builder.graph;
    let Some(joined) = view.joined else {
        graph.output(parts[0].0, parts[0].1)?;
        return Ok(1);
    };
    let in_front = view
        .parts
        .iter()
        .all(|part| part.axes[..joined].iter().all(|axis| axis.is_empty()));
    if in_front {
        for &(tensor, layout) in parts {
            graph.output(tensor, layout)?;
        }
        return Ok(parts.len());
    }
    if parts.iter().any(|&(_, layout)| layout != Layout::Planar) {
        return Err(refusal(
            "joins maps in an order that the executor cannot write",
        ));
    }
    let tensors: Vec<TensorId> = parts.iter().map(|&(tensor, _)| tensor).collect();
    graph.output_joined(&tensors, Layout::Planar)?;
    Ok(1)
}

/// Returns the order in which a tensor with its channels in order lies in tract's memory.
fn layout(axes: &[view::Axis]) -> Result<Layout, Refusal> {
    let odd = || refusal("has its pixels in an order that the executor cannot write");
    if !view::in_order(axes, Counts::Pixels) {
        return Err(odd());
    }
    let mut kinds = axes
        .iter()
        .flatten()
        .map(|atom| atom.counts)
        .collect::<Vec<_>>();
    kinds.dedup();
    match kinds[..] {
        [] | [_] | [Counts::Channels, Counts::Pixels] => Ok(Layout::Planar),
        [Counts::Pixels, Counts::Channels] => Ok(Layout::Rows),
        _ => Err(odd()),
    }
}
