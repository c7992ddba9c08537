//! Steps of a plan: kernels bound to their places.

use super::*;

/// One step.
#[derive(Debug)]
pub enum Step {
    Dense(dense::Dense),
    Winograd(winograd::Winograd),
    Narrow(narrow::Narrow),
    Attention(attention::Attention),
    Depthwise(depthwise::Depthwise),
    Pooling(pooling::Pooling),
    Elementwise(elementwise::Elementwise),
    Resample(resample::Resample),
    Gather(gather::Gather),
    Convert(convert::Convert),
    Global(reduce::Global),
    OverChannels(reduce::OverChannels),
    Softmax(reduce::Softmax),
    Load(transfer::Load),
    Border(transfer::Border),
    Store(transfer::Store),
}

impl Step {
    /// Returns the step's name for listings.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Dense(_) => "dense",
            Step::Winograd(_) => "winograd",
            Step::Narrow(_) => "narrow dense",
            Step::Attention(_) => "attention",
            Step::Depthwise(_) => "depthwise",
            Step::Pooling(_) => "pooling",
            Step::Elementwise(_) => "elementwise",
            Step::Resample(_) => "resample",
            Step::Gather(_) => "gather",
            Step::Convert(_) => "convert",
            Step::Global(_) => "global pooling",
            Step::OverChannels(_) => "channel reduction",
            Step::Softmax(_) => "softmax",
            Step::Load(_) => "load",
            Step::Border(_) => "border",
            Step::Store(_) => "store",
        }
    }

    /// True for dense convolutions, whatever their algorithm.
    pub fn is_dense(&self) -> bool {
        matches!(self, Step::Dense(_) | Step::Winograd(_) | Step::Narrow(_))
    }

    /// Describes the step in one line: its name, sizes and channels.
    pub fn describe(&self) -> String {
        let size = |[h, w]: [usize; 2]| format!("{h}x{w}");
        let name = self.name();
        match self {
            Step::Dense(s) => format!(
                "{name} {0}x{1}, {2} channels of {3} blocks to {4} blocks of {5}",
                s.kernel[0],
                s.kernel[1],
                s.inputs
                    .iter()
                    .map(|b| b.count * b.first.lanes)
                    .sum::<usize>(),
                s.inputs.iter().map(|b| b.count).sum::<usize>(),
                s.outputs.len(),
                size(s.size)
            ),
            Step::Winograd(s) => format!(
                "{name} F({0}, 3), {1} blocks to {2} blocks of {3}, {4} tiles at once",
                s.m,
                s.blocks.len(),
                s.outputs.len(),
                size(s.size),
                s.chunk
            ),
            Step::Depthwise(s) => format!(
                "{name} {0}x{1} stride {2}, {3} blocks of {4}",
                s.kernel[0],
                s.kernel[1],
                s.stride[0],
                s.blocks.len(),
                size(s.size)
            ),
            Step::Pooling(s) => format!("{name}, {} blocks of {}", s.blocks.len(), size(s.size())),
            Step::Attention(s) => format!(
                "{name} of {} heads, {} pixels of {}",
                s.heads.len(),
                s.size[0] * s.size[1],
                size(s.key_size)
            ),
            Step::Elementwise(s) => {
                format!(
                    "{name} {:?}, {} blocks of {}",
                    s.epilogue.before,
                    s.blocks.len(),
                    size(s.size)
                )
            }
            Step::Resample(s) => format!("{name}, {} blocks of {}", s.blocks.len(), size(s.size)),
            Step::Gather(s) => format!("{name}, {} blocks of {}", s.blocks.len(), size(s.size)),
            Step::Convert(s) => format!(
                "{name} to {}, {} blocks of {}",
                s.element,
                s.blocks.len(),
                size(s.size)
            ),
            Step::Store(s) => format!("{name}, {} channels of {}", s.channels, size(s.size)),
            _ => name.to_string(),
        }
    }

    /// Runs part `part` of `parts`.
    ///
    /// # Safety
    /// `k` is the table that the step was bound for, and this machine can run it. The context holds an arena and a
    /// scratch of the plan's sizes, and inputs and outputs that fit the plan. All steps before this one are done. No two
    /// threads run the same part.
    pub unsafe fn run(&self, k: &Kernels, context: &Context, part: usize, parts: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Step::Dense(s) => (k.dense)(s, context, part, parts),
                Step::Winograd(s) => (k.winograd)(s, context, part, parts),
                Step::Narrow(s) => (k.narrow)(s, context, part, parts),
                Step::Attention(s) => (k.attention)(s, context, part, parts),
                Step::Depthwise(s) => (k.depthwise)(s, context, part, parts),
                Step::Pooling(s) => (k.pooling)(s, context, part, parts),
                Step::Elementwise(s) => (k.elementwise)(s, context, part, parts),
                Step::Resample(s) => (k.resample)(s, context, part, parts),
                Step::Gather(s) => (k.gather)(s, context, part, parts),
                Step::Convert(s) => (k.convert)(s, context, part, parts),
                Step::Global(s) => (k.global)(s, context, part, parts),
                Step::OverChannels(s) => (k.over_channels)(s, context, part, parts),
                Step::Softmax(s) => (k.softmax)(s, context, part, parts),
                Step::Load(s) => (k.load)(s, context, part, parts),
                Step::Border(s) => (k.border)(s, context, part, parts),
                Step::Store(s) => (k.store)(s, context, part, parts),
            }
        }
    }

    /// Estimates the step's time in cycles of one core, to decide whether threads are worth it.
    pub fn cost(&self, lanes: usize) -> usize {
        let pixels = |size: [usize; 2]| size[0] * size[1];
        match self {
            Step::Dense(s) => s.work() / lanes,
            Step::Winograd(s) => s.work() / lanes,
            Step::Narrow(s) => s.work() / lanes,
            Step::Attention(s) => s.work(lanes) / lanes,
            Step::Depthwise(s) => s.work() / lanes,
            Step::Pooling(s) => s.blocks.len() * pixels(s.size()) * s.taps,
            Step::Elementwise(s) => s.blocks.len() * pixels(s.size) * 2,
            Step::Resample(s) => s.blocks.len() * pixels(s.size) * 3,
            Step::Gather(s) => s.blocks.len() * pixels(s.size) * 3,
            Step::Convert(s) => s.blocks.len() * pixels(s.size) * 8,
            Step::Global(s) => s.blocks.len() * pixels(s.size),
            Step::OverChannels(s) => s.blocks.len() * pixels(s.size) * lanes,
            Step::Softmax(s) => s.channels.len() * pixels(s.size) * 3,
            Step::Load(s) => s.shape.len() / 4,
            Step::Border(s) => s.planes * s.size[0] * 8,
            Step::Store(s) => s.channels * pixels(s.size),
        }
    }

    /// Floats of scratch that one thread needs, however small its values are.
    pub fn scratch(&self, lanes: usize) -> usize {
        match self {
            Step::Winograd(s) => s.scratch(lanes),
            Step::Attention(s) => s.scratch(lanes),
            Step::Pooling(s) => s.scratch(lanes),
            Step::Softmax(s) => s.scratch(lanes),
            _ => 0,
        }
    }
}
