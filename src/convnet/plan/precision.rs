//! Which stages of a plan compute with f16: those between the inputs and the last convolutions.
//!
//! The last convolutions and all behind them stay in f32, because they compute scores and coordinates: between 256 and 512,
//! numbers of f16 are a quarter of a pixel apart. So do operators without a kernel for f16, layers whose weights f16 does
//! not hold, and those that the caller names.

use super::stage::{Pointwise, Stage, Stages, Work};
use crate::convnet::graph::Activation;
use crate::convnet::kernels::element::{Element, Half};
use crate::convnet::layout::RootId;

/// Wish to compute with f16 where that is fine enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HalfPrecision {
    /// Numbers of the stages that are to stay in f32: see [`Plan::layers`](super::Plan::layers).
    pub kept: Vec<usize>,
    /// Element of the last convolutions and of all behind them.
    pub head: Element,
}

/// Sets the element of every stage.
pub fn assign(stages: &mut Stages, half: &HalfPrecision) {
    let inner = before_convolutions(stages);
    let mut elements = vec![Element::F32; stages.roots.len()];
    for (i, stage) in stages.stages.iter_mut().enumerate() {
        let is_half = match stage.out {
            Some(out) => {
                (inner[out as usize] || half.head == Element::F16)
                    && is_fit(&stage.work)
                    && !half.kept.contains(&i)
            }
            None => {
                let mut roots = stage.reads.iter().flat_map(|(channels, _)| channels.iter());
                roots.all(|&(root, _)| elements[root as usize] == Element::F16)
            }
        };
        if is_half {
            stage.element = Element::F16;
        }
        if let Some(out) = stage.out {
            elements[out as usize] = stage.element;
        }
    }
}

/// Tells of each root whether a convolution reads it, or something that was computed from it.
fn before_convolutions(stages: &Stages) -> Vec<bool> {
    let mut inner = vec![false; stages.roots.len()];
    for stage in stages.stages.iter().rev() {
        let leads_on = stage.out.is_some_and(|out| inner[out as usize]);
        if leads_on || is_of_body(stage) {
            roots(stage).for_each(|root| inner[root as usize] = true);
        }
    }
    inner
}

fn roots(stage: &Stage) -> impl Iterator<Item = RootId> {
    let channels = stage.reads.iter().flat_map(|(channels, _)| channels.iter());
    channels.map(|&(root, _)| root)
}

/// True for convolutions that extract features. One with a single output only sums up a distribution or scores.
fn is_of_body(stage: &Stage) -> bool {
    match &stage.work {
        Work::Conv { layers, .. } => layers[0].out_channels > 1,
        _ => false,
    }
}

/// True if f16 has a kernel for this work that is fine enough, and holds its constants.
fn is_fit(work: &Work) -> bool {
    let hold = |values: &[f32]| values.iter().all(|v| v.abs() <= Half::MAX);
    let fit = |activation: &Option<Activation>| {
        use Activation::*;
        !matches!(activation, Some(Exp | Log | Reciprocal | Square | Sqrt))
    };
    match work {
        Work::Conv { layers, .. } => layers.iter().all(|layer| {
            hold(&layer.weights)
                && layer.bias.as_ref().is_none_or(|bias| hold(bias))
                && fit(&layer.epilogue.before)
                && fit(&layer.epilogue.after)
        }),
        Work::Elementwise(function, epilogue) => {
            let held = match function {
                Pointwise::Affine { scale, bias } => hold(scale) && hold(bias),
                Pointwise::PRelu { slopes } => hold(slopes),
                Pointwise::Copy | Pointwise::Binary(_) => true,
            };
            held && fit(&epilogue.before) && fit(&epilogue.after)
        }
        Work::Constant(values) => hold(values),
        Work::OverChannels(_) | Work::Softmax { .. } => false,
        _ => true,
    }
}
