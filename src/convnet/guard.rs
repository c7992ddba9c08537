//! [`plan_in_f16`]: a plan that computes with f16 only where that keeps the outputs.
//!
//! The plan in f16 and the one in f32 run on the same inputs. If their outputs differ too much, the fewest stages are
//! sought that must stay in f32, by leaving half of them out, then a quarter, and so on.

use std::fmt;
use std::sync::Arc;

use super::error::Result;
use super::graph::{Graph, Input, Layout, Output};
use super::plan::{Algorithm, Element, HalfPrecision, Options, Plan};
use super::session::Session;

/// Largest error of a channel of the outputs that passes, as a part of the channel's spread, both root mean squares.
pub const LIMIT: f64 = 0.05;

/// Most plans that are tried. Each is made and run once.
const MOST_TRIALS: usize = 24;

/// A plan in f16 whose stages in f32 do more than this part of the multiply-adds is not worth its conversions.
const LEAST_WORTH: f64 = 0.5;

/// Result of a comparison of f16 with f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Part of the multiply-adds that the plan computes with f16.
    pub share: f64,
    /// Largest error of a channel of the outputs, as a part of its spread; `None` if nothing was compared.
    pub error: Option<f64>,
    /// Stages in f32 that would compute with f16 if it kept the outputs.
    pub kept: Vec<String>,
    /// The error with all of them in f16, if they were kept in f32.
    pub refused: Option<f64>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST_NAMED: usize = 4;
        let percent = |x: f64| format!("{:.1} %", x * 100.);
        match (self.share > 0., self.refused) {
            (false, Some(error)) => {
                let error = percent(error);
                return write!(f, "f32, because f16 changes the outputs by {error}");
            }
            (false, None) => return write!(f, "f32, because f16 has nothing to compute"),
            _ => write!(f, "f16 for {} of the multiply-adds", percent(self.share))?,
        }
        if let Some(error) = self.error {
            write!(f, ", which changes the outputs by {}", percent(error))?;
        }
        if let Some(error) = self.refused {
            let named = self.kept.len().min(MOST_NAMED);
            let names = self.kept[..named].join(", ");
            let more = match self.kept.len() - named {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let error = percent(error);
            write!(
                f,
                "; f32 for {names}{more}, where f16 would change them by {error}"
            )?;
        }
        Ok(())
    }
}

/// Plans a graph in f16 as far as its outputs allow, on these inputs.
///
/// # Errors
/// As for [`Plan::new`] and [`Session::run`].
pub fn plan_in_f16(graph: &Graph, options: &Options, inputs: &[Input]) -> Result<(Plan, Verdict)> {
    let trial = |algorithm, half: Option<HalfPrecision>| -> Result<(Plan, Vec<Vec<f32>>)> {
        let options = Options {
            algorithm,
            half,
            ..options.clone()
        };
        run(Plan::new(graph, &options)?, inputs)
    };
    let with = |kept: &[usize]| {
        Some(HalfPrecision {
            kept: kept.to_vec(),
            ..HalfPrecision::default()
        })
    };
    let (full, wanted) = trial(options.algorithm, None)?;
    let compare = |outputs: &[Vec<f32>]| error(graph, &wanted, outputs);
    let mut first = f64::INFINITY;
    // Winograd's transforms multiply the errors of f16
    for algorithm in [options.algorithm, Algorithm::Winograd2, Algorithm::Direct] {
        let (half, outputs) = trial(algorithm, with(&[]))?;
        first = compare(&outputs);
        if first <= LIMIT {
            let verdict = verdict(&half, Some(first), &[], None);
            return Ok((half, verdict));
        }
    }
    let direct = |kept: &[usize]| trial(Algorithm::Direct, with(kept));
    let mut passes = |kept: &[usize]| Ok(compare(&direct(kept)?.1) <= LIMIT);
    let all = in_f16(&direct(&[])?.0);
    let kept = fewest(all, MOST_TRIALS, &mut passes)?;
    let (best, outputs) = direct(&kept)?;
    let found = verdict(&best, Some(compare(&outputs)), &kept, Some(first));
    if found.share < LEAST_WORTH {
        let nothing = verdict(&full, None, &[], Some(first));
        return Ok((full, nothing));
    }
    Ok((best, found))
}

/// Describes a plan in f16.
pub fn verdict(plan: &Plan, error: Option<f64>, kept: &[usize], refused: Option<f64>) -> Verdict {
    let layers = plan.layers();
    let (mut half, mut all) = (0, 0);
    for layer in layers {
        all += layer.multiply_adds;
        if layer.element == Element::F16 {
            half += layer.multiply_adds;
        }
    }
    let name = |stage: &usize| {
        let layer = layers.iter().find(|layer| layer.stage == *stage);
        layer.map(|layer| layer.name.clone())
    };
    Verdict {
        share: half as f64 / all.max(1) as f64,
        error,
        kept: kept.iter().filter_map(name).collect(),
        refused,
    }
}

fn in_f16(plan: &Plan) -> Vec<usize> {
    let layers = plan.layers().iter();
    let half = layers.filter(|layer| layer.element == Element::F16);
    half.map(|layer| layer.stage).collect()
}

fn run(plan: Plan, inputs: &[Input]) -> Result<(Plan, Vec<Vec<f32>>)> {
    let plan = Arc::new(plan);
    let mut outputs: Vec<Vec<f32>> = plan.outputs().iter().map(|&n| vec![0.; n]).collect();
    let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
    let mut session = Session::new(Arc::clone(&plan));
    session.run(inputs, &mut slices)?;
    drop(session);
    let plan = Arc::into_inner(plan).expect("the session was its only other owner");
    Ok((plan, outputs))
}

/// Returns few of `all` that pass when they are kept, all of which do. `passes` is asked `most` times at most.
fn fewest(
    all: Vec<usize>,
    most: usize,
    passes: &mut impl FnMut(&[usize]) -> Result<bool>,
) -> Result<Vec<usize>> {
    let mut kept = all;
    let (mut parts, mut trials) = (2, 0);
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let mut found = None;
        for first in (0..kept.len()).step_by(size) {
            if trials == most {
                return Ok(kept);
            }
            trials += 1;
            let mut rest = kept.clone();
            rest.drain(first..(first + size).min(kept.len()));
            if passes(&rest)? {
                found = Some(rest);
                break;
            }
        }
        match found {
            Some(rest) => {
                kept = rest;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (2 * parts).min(kept.len()),
        }
    }
    Ok(kept)
}

/// Returns the largest error of a channel, as a part of its spread. Infinite if a number is not one.
fn error(graph: &Graph, wanted: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
    let outputs = graph.outputs().iter().zip(wanted).zip(got);
    let each = outputs.map(|((output, wanted), got)| error_of_output(graph, output, wanted, got));
    each.fold(0., f64::max)
}

fn error_of_output(graph: &Graph, output: &Output, wanted: &[f32], got: &[f32]) -> f64 {
    let channels = output.parts.first().map_or(1, |part| graph.shape(*part).c);
    let pixels = wanted.len() / channels.max(1);
    let (channel_step, pixel_step) = match output.layout {
        Layout::Planar => (pixels, 1),
        Layout::Rows => (1, channels),
    };
    let mut largest = 0f64;
    for channel in 0..channels {
        let (mut sum, mut squares, mut errors) = (0f64, 0f64, 0f64);
        for pixel in 0..pixels {
            let at = channel * channel_step + pixel * pixel_step;
            let (w, g) = (f64::from(wanted[at]), f64::from(got[at]));
            sum += w;
            squares += w * w;
            errors += (w - g) * (w - g);
        }
        // a single pixel has no spread, its size counts
        let n = pixels as f64;
        let mean = if pixels > 1 { sum / n } else { 0. };
        let spread = (squares / n - mean * mean).max(0.).sqrt();
        let error = (errors / n).sqrt();
        let part = if error == 0. {
            0.
        } else {
            // constant channels: what rounding does to numbers of this size is no error
            error / spread.max(1e-3 * (squares / n).sqrt())
        };
        if !part.is_finite() {
            return f64::INFINITY;
        }
        largest = largest.max(part);
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convnet::graph::{Activation, Conv, Shape, TensorId, Window};
    use crate::convnet::tests::random::Random;

    fn conv(graph: &mut Graph, x: TensorId, to: usize, size: f32, random: &mut Random) -> TensorId {
        let from = graph.shape(x).c;
        let weights = random.values(from * to).into_iter().map(|w| w * size);
        let conv = Conv {
            out_channels: to,
            groups: 1,
            window: Window::square(1, 1, 0),
            weights: weights.collect(),
            bias: None,
        };
        graph.conv(x, conv).unwrap()
    }

    /// Ten convolutions of moderate numbers; the results of the sixth are `factor` times as large.
    fn graph(factor: f32) -> Graph {
        let random = &mut Random::new(5);
        let mut graph = Graph::new();
        let mut x = graph.input(Shape::new(16, 9, 9)).unwrap();
        for i in 0..10 {
            let size = match i {
                5 => 0.4 * factor,
                6 => 0.4 / factor,
                _ => 0.4,
            };
            x = conv(&mut graph, x, 16, size, random);
            x = graph
                .activate(x, Activation::LeakyRelu { slope: 0.1 })
                .unwrap();
        }
        graph.output(x, Layout::Planar).unwrap();
        graph
    }

    fn planned(graph: &Graph) -> (Plan, Verdict) {
        let options = Options {
            kernels: Some("scalar".into()),
            ..Options::default()
        };
        let values = Random::new(9).values(16 * 81);
        plan_in_f16(graph, &options, &[Input::F32(&values)]).unwrap()
    }

    #[test]
    fn a_moderate_network_computes_with_f16_except_for_its_end() {
        let (plan, verdict) = planned(&graph(1.));
        assert_eq!((verdict.share, verdict.refused), (0.9, None), "{verdict}");
        assert!(verdict.error.unwrap() < LIMIT, "{verdict}");
        let elements: Vec<Element> = plan.layers().iter().map(|l| l.element).collect();
        assert_eq!(elements[elements.len() - 1], Element::F32);
        let text = verdict.to_string();
        assert!(
            text.starts_with("f16 for 90.0 % of the multiply-adds, which"),
            "{text}"
        );
    }

    #[test]
    fn layers_beyond_the_range_of_f16_stay_in_f32_and_are_named() {
        let (_, verdict) = planned(&graph(1e6));
        // the layer that leaves the range, and the one whose weights bring the numbers back
        assert!((1..=2).contains(&verdict.kept.len()), "{verdict:?}");
        assert!(verdict.share >= 0.7 && verdict.share < 0.9, "{verdict}");
        assert!(verdict.error.unwrap() <= LIMIT, "{verdict}");
        assert_eq!(verdict.refused, Some(f64::INFINITY));
        let text = verdict.to_string();
        assert!(
            text.contains("; f32 for convolution 1x1 of 16 to 16 channels, 9x9"),
            "{text}"
        );
    }

    #[test]
    fn the_search_finds_a_pair_among_many_and_stops_in_time() {
        let mut asked = 0;
        let mut passes = |kept: &[usize]| {
            asked += 1;
            Ok(kept.contains(&17) && kept.contains(&60))
        };
        let kept = fewest((0..100).collect(), 1000, &mut passes).unwrap();
        assert_eq!(kept, [17, 60]);
        assert!(asked < 60, "{asked}");
        let mut asked = 0;
        let mut passes = |_: &[usize]| {
            asked += 1;
            Ok(false)
        };
        let kept = fewest((0..100).collect(), 10, &mut passes).unwrap();
        assert_eq!((kept.len(), asked), (100, 10));
    }

    #[test]
    fn errors_are_measured_channel_by_channel() {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(2, 1, 4)).unwrap();
        graph.output(x, Layout::Rows).unwrap();
        let wanted = vec![vec![0., 0., 400., 1., 0., 0., 400., 1.]];
        let mut got = wanted.clone();
        got[0][0] = 2.;
        let coordinates = error(&graph, &wanted, &got);
        assert!((coordinates - 0.005).abs() < 1e-6, "{coordinates}");
        let mut got = wanted.clone();
        got[0][1] = 0.5;
        assert!((error(&graph, &wanted, &got) - 0.5).abs() < 1e-6);
        got[0][1] = f32::NAN;
        assert_eq!(error(&graph, &wanted, &got), f64::INFINITY);
        assert_eq!(error(&graph, &wanted, &wanted), 0.);
    }
}
