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

/// A stage of a plan, and what it computes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPrecision {
    /// Number of the stage, for [`HalfPrecision::kept`].
    pub stage: usize,
    /// Name and size, in words.
    pub name: String,
    /// Zero for all but convolutions.
    pub multiply_adds: u64,
    pub element: Element,
}

fn layers(stages: &Stages) -> Vec<LayerPrecision> {
    let computing = stages.stages.iter().enumerate();
    let computing = computing.filter_map(|(i, stage)| Some((i, stage, stage.out?)));
    computing
        .map(|(i, stage, out)| LayerPrecision {
            stage: i,
            name: format!(
                "{}, {}x{}",
                name(&stage.work),
                stages.roots[out as usize].h,
                stages.roots[out as usize].w
            ),
            multiply_adds: multiply_adds(&stage.work),
            element: stage.element,
        })
        .collect()
}

fn multiply_adds(work: &Work) -> u64 {
    let Work::Conv { layers, .. } = work else {
        return 0;
    };
    let each = layers
        .iter()
        .map(|layer| layer.weights.len() as u64 * (layer.size[0] * layer.size[1]) as u64);
    each.sum()
}

fn name(work: &Work) -> String {
    match work {
        Work::Load { .. } => "input".into(),
        Work::Constant(_) => "constant".into(),
        Work::Conv { layers, .. } => {
            let layer = &layers[0];
            let [h, w] = layer.kernel;
            let kind = match layer.is_depthwise() {
                true => "depthwise convolution",
                false => "convolution",
            };
            let (from, to) = (layer.in_channels, layer.out_channels);
            format!("{kind} {h}x{w} of {from} to {to} channels")
        }
        Work::Pool(..) | Work::Global(_) => "pooling".into(),
        Work::OverChannels(_) => "reduction over channels".into(),
        Work::Resize(_) => "resize".into(),
        Work::Elementwise(function, epilogue) => match (function, epilogue.before) {
            (Pointwise::Copy, Some(activation)) => format!("{activation:?}").to_lowercase(),
            (Pointwise::Binary(binary), _) => format!("{binary:?}").to_lowercase(),
            (Pointwise::Affine { .. }, _) => "scale and bias".into(),
            _ => "elementwise function".into(),
        },
        Work::Softmax { .. } => "softmax".into(),
        Work::Attention(_) => "attention".into(),
        Work::Crop(_)
        | Work::Pad(..)
        | Work::Reshape
        | Work::DepthToSpace { .. }
        | Work::Gather
        | Work::Convert
        | Work::Store { .. } => "copy".into(),
    }
}

/// Sets the element of every stage, and lists those that compute something.
pub fn assign(stages: &mut Stages, half: &HalfPrecision) -> Vec<LayerPrecision> {
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
    layers(stages)
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
        Work::OverChannels(_) | Work::Softmax { .. } | Work::Attention(_) => false,
        _ => true,
    }
}
