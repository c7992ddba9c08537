//! [`Coverage`]: how much of a model the executor runs, and what stays outside.

use super::Refusal;
use std::fmt;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::Cost;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;

/// Share of a model that the executor runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Networks that the executor runs: 1 is best, as data changes its layout between them.
    pub networks: usize,
    /// Multiply-adds that the executor computes.
    pub inside: u64,
    /// Multiply-adds of the model.
    pub all: u64,
    /// Operators that tract computes, the most multiply-adds first.
    pub outside: Vec<Outside>,
}

/// Operators that tract computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// tract's name of the operator.
    pub operator: String,
    pub count: usize,
    pub multiply_adds: u64,
    /// Reason, as the end of a sentence that begins with the operator.
    pub reason: String,
}

impl Coverage {
    /// Share of the multiply-adds that the executor computes; 0 of a model that has none.
    pub fn share(&self) -> f64 {
        match self.all {
            0 => 0.0,
            all => self.inside as f64 / all as f64,
        }
    }

    pub(super) fn add_inside(&mut self, multiply_adds: u64) {
        self.inside += multiply_adds;
        self.all += multiply_adds;
    }

    pub(super) fn add_outside(&mut self, node: &TypedNode, multiply_adds: u64, reason: &Refusal) {
        self.all += multiply_adds;
        let (operator, reason) = (node.op.name().into_owned(), reason.to_string());
        let known = self.outside.iter_mut();
        match known
            .into_iter()
            .find(|o| o.operator == operator && o.reason == reason)
        {
            Some(known) => {
                known.count += 1;
                known.multiply_adds += multiply_adds;
            }
            None => self.outside.push(Outside {
                operator,
                count: 1,
                multiply_adds,
                reason,
            }),
        }
    }

    pub(super) fn sort(&mut self) {
        self.outside.sort_by_key(|o| {
            (
                std::cmp::Reverse(o.multiply_adds),
                std::cmp::Reverse(o.count),
            )
        });
    }
}

/// Kinds of operators that are listed in words; a model that cannot run inside has dozens.
const MAX_LISTED: usize = 6;

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.share() * 100.0;
        match self.networks {
            0 => write!(f, "tract computes everything")?,
            1 => write!(f, "our executor computes {share:.1} % of the multiply-adds")?,
            n => write!(
                f,
                "our executor computes {share:.1} % of the multiply-adds, in {n} networks"
            )?,
        }
        for (index, outside) in self.outside.iter().take(MAX_LISTED).enumerate() {
            let begin = match (index, self.networks) {
                (0, 0) => ": ",
                (0, _) => "; tract the rest: ",
                _ => ", ",
            };
            let Outside {
                operator,
                count,
                reason,
                ..
            } = outside;
            let share = outside.multiply_adds as f64 / self.all.max(1) as f64 * 100.0;
            write!(f, "{begin}{count} {operator} ({share:.1} %, {reason})")?;
        }
        let more: usize = self
            .outside
            .iter()
            .skip(MAX_LISTED)
            .map(|outside| outside.count)
            .sum();
        match more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Whether a node computes nothing while the model runs.
pub(super) fn is_given(node: &TypedNode) -> bool {
    node.op.is::<Const>()
        || node.op.is::<TypedSource>()
        || node
            .outputs
            .iter()
            .all(|output| output.fact.konst.is_some())
}

/// Multiply-adds of a node that multiplies matrices or convolves, where its shapes are known.
pub(super) fn multiply_adds(model: &TypedModel, node: &TypedNode) -> u64 {
    // tract counts one for each number that these compute.
    let is_small = node.op_is::<ElementWiseOp>() || node.op_is::<TypedBinOp>();
    if is_small {
        return 0;
    }
    let cost = || {
        let inputs = model.node_input_facts(node.id).ok()?;
        let costs = node.op.cost(&inputs).ok()?;
        let counted = costs
            .iter()
            .filter(|(cost, _)| matches!(cost, Cost::FMA(_)));
        Some(
            counted
                .filter_map(|(_, count)| count.to_i64().ok())
                .sum::<i64>(),
        )
    };
    cost()
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0)
}
