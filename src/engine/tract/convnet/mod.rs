//! The executor inside tract: the maximal parts of a typed graph that [`crate::convnet`] can run become one operator each.
//!
//! tract reads the file, derives shapes, folds constants and runs what stays outside. [`inside`] is the way in.
//!
//! `GST_DETECT_CONVNET=off` in the environment leaves everything to tract.

mod arithmetic;
mod builder;
mod chooser;
mod constants;
mod coverage;
mod op;
mod regions;
mod replace;
mod scores;
mod survey;
mod translate;
mod view;
mod whole;

pub(super) use arithmetic::Arithmetic;
pub(super) use chooser::Chooser;
pub(super) use coverage::Coverage;
pub(super) use op::{verdicts, with_threads};
pub(super) use whole::Whole;

use std::borrow::Cow;
use std::fmt;
use tract_onnx::prelude::*;

/// Reason why a node stays outside, as the end of a sentence that begins with the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(Cow<'static, str>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Numbers that a network must compute for each that goes in or out; none if the environment leaves everything to tract.
pub(super) fn least_work() -> Option<u64> {
    const LEAST_WORK: u64 = 4;
    let off = std::env::var_os("GST_DETECT_CONVNET").is_some_and(|value| value == "off");
    (!off).then_some(LEAST_WORK)
}

/// Hands the parts of a decluttered model that the executor can run over to it, and tells what stays outside.
///
/// # Errors
/// If tract refuses the changed graph.
pub(super) fn inside(
    model: &mut TypedModel,
    least_work: u64,
    chooser: &mut Chooser,
) -> TractResult<Coverage> {
    let (regions, coverage) = regions::find(model, least_work, chooser)?;
    chooser.remember();
    for region in regions {
        replace::replace(model, region)?;
    }
    Ok(coverage)
}

#[cfg(test)]
mod tests;
