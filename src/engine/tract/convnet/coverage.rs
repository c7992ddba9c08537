//! [`Coverage`]: how much of a model the executor runs, and what stays outside.

use super::Refusal;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
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
    /// Operators that tract computes, those that take the most time or multiply-adds first.
    pub outside: Vec<Outside>,
    /// Times of one inference, if they were measured.
    pub times: Option<Times>,
}

/// Times of one inference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    pub inside: Duration,
    pub all: Duration,
}

/// Operators that tract computes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// tract's name of the operator.
    pub operator: String,
    pub count: usize,
    pub multiply_adds: u64,
    /// Time of one inference; zero if it was not measured.
    pub time: Duration,
    /// Reason, as the end of a sentence that begins with the operator.
    pub reason: String,
    /// Names of the nodes.
    nodes: Vec<String>,
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
        let is_known = |o: &Outside| o.operator == operator && o.reason == reason;
        let index = self.outside.iter().position(is_known).unwrap_or_else(|| {
            self.outside.push(Outside {
                operator: operator.clone(),
                reason: reason.clone(),
                ..Outside::default()
            });
            self.outside.len() - 1
        });
        let outside = &mut self.outside[index];
        outside.count += 1;
        outside.multiply_adds += multiply_adds;
        outside.nodes.push(node.name.clone());
    }

    pub(super) fn sort(&mut self) {
        self.outside
            .sort_by_key(|o| Reverse((o.time, o.multiply_adds, o.count)));
    }

    /// Adds the time that each node of the optimised model took: its name, whether it is a network, and the time.
    ///
    /// tract makes several nodes of one, whose names begin with the name of that one. A node that cannot be traced
    /// back counts for the whole alone.
    pub fn add_times<'a>(&mut self, nodes: impl Iterator<Item = (&'a str, bool, Duration)>) {
        let owners: HashMap<String, usize> = (self.outside.iter_mut().enumerate())
            .flat_map(|(index, o)| o.nodes.drain(..).map(move |name| (name, index)))
            .collect();
        let mut times = Times::default();
        for (name, is_network, time) in nodes {
            times.all += time;
            if is_network {
                times.inside += time;
            } else if let Some(owner) = beginnings(name).find_map(|name| owners.get(name)) {
                self.outside[*owner].time += time;
            }
        }
        self.times = Some(times);
        self.sort();
    }
}

/// Returns the name, then its beginnings that end before a sign, the longest first.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let signs = name.char_indices().rev();
    let signs = signs.filter(|(_, c)| !c.is_alphanumeric());
    std::iter::once(name).chain(signs.map(|(at, _)| &name[..at]))
}

/// Kinds of operators that are listed in words; a model that cannot run inside has dozens.
const MAX_LISTED: usize = 6;

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.share() * 100.0;
        match self.networks {
            0 => write!(f, "tract computes everything")?,
            _ => write!(f, "our executor computes {share:.1} % of the multiply-adds")?,
        }
        if let Some(times) = self.times.filter(|_| self.networks > 0) {
            let share = percent(times.inside, times.all);
            write!(f, " in {share:.1} % of the time")?;
        }
        if self.networks > 1 {
            write!(f, ", in {} networks", self.networks)?;
        }
        for (index, outside) in self.outside.iter().take(MAX_LISTED).enumerate() {
            let begin = match (index, self.networks) {
                (0, 0) => ": ",
                (0, _) => "; tract the rest: ",
                _ => ", ",
            };
            write!(f, "{begin}{} {} (", outside.count, outside.operator)?;
            if let Some(times) = self.times {
                write!(f, "time {:.1} %, ", percent(outside.time, times.all))?;
            }
            let share = outside.multiply_adds as f64 / self.all.max(1) as f64 * 100.0;
            write!(f, "multiply-adds {share:.1} %: {})", outside.reason)?;
        }
        let others = self.outside.iter().skip(MAX_LISTED);
        match others.map(|outside| outside.count).sum() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn percent(part: Duration, all: Duration) -> f64 {
    match all.is_zero() {
        true => 0.0,
        false => part.as_secs_f64() / all.as_secs_f64() * 100.0,
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn outside(operator: &str, multiply_adds: u64, nodes: &[&str]) -> Outside {
        Outside {
            operator: operator.into(),
            count: nodes.len(),
            multiply_adds,
            reason: "reads I64".into(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
            ..Outside::default()
        }
    }

    fn coverage() -> Coverage {
        Coverage {
            networks: 1,
            inside: 900,
            all: 1000,
            outside: vec![
                outside("EinSum", 100, &["/a/MatMul", "/a.1/MatMul"]),
                outside("Gather", 0, &["/a"]),
            ],
            times: None,
        }
    }

    #[test]
    fn what_stays_outside_is_named_with_its_shares() {
        let mut coverage = coverage();
        assert_eq!(
            coverage.to_string(),
            "our executor computes 90.0 % of the multiply-adds; tract the rest: \
             2 EinSum (multiply-adds 10.0 %: reads I64), 1 Gather (multiply-adds 0.0 %: reads I64)"
        );
        coverage.networks = 2;
        let nodes = [
            ("convnet./b", true, 60 * MS),
            ("/a/MatMul", false, 4 * MS),
            ("/a.1/MatMul.pack_a", false, 5 * MS),
            ("/a.1/MatMul.fused#2", false, MS),
            ("/a", false, 15 * MS),
            ("/a.output", false, 5 * MS),
            ("elsewhere", false, 10 * MS),
        ];
        coverage.add_times(nodes.into_iter());
        assert_eq!(
            coverage.to_string(),
            "our executor computes 90.0 % of the multiply-adds in 60.0 % of the time, in 2 networks; tract the rest: \
             1 Gather (time 20.0 %, multiply-adds 0.0 %: reads I64), \
             2 EinSum (time 10.0 %, multiply-adds 10.0 %: reads I64)"
        );
    }

    #[test]
    fn a_model_that_tract_computes_says_so() {
        let mut coverage = Coverage {
            networks: 0,
            inside: 0,
            ..coverage()
        };
        let text = coverage.to_string();
        let begin = "tract computes everything: 2 EinSum (multiply-adds 10.0 %";
        assert!(text.starts_with(begin), "{text}");
        coverage.add_times([("/a", false, MS)].into_iter());
        let text = coverage.to_string();
        let begin = "tract computes everything: 1 Gather (time 100.0 %, ";
        assert!(text.starts_with(begin), "{text}");
    }

    #[test]
    fn long_lists_are_cut() {
        let mut coverage = coverage();
        coverage.outside = (0..10).map(|n| outside("Cast", n, &["a", "b"])).collect();
        let text = coverage.to_string();
        assert!(text.ends_with(" and 8 more"), "{text}");
    }

    #[test]
    fn times_of_nothing_are_no_share() {
        let mut coverage = coverage();
        coverage.add_times(std::iter::empty());
        let text = coverage.to_string();
        assert!(text.contains("in 0.0 % of the time"), "{text}");
    }
}
