//! Which algorithm computes a 3x3 convolution: what the caller or the environment says, what was measured on this
//! machine, or an estimate from its size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::layer::Layer;
use super::stage::{Stages, Work};
use super::{Options, Plan, simplify, stage};
use crate::convnet::error::{Error, Result};
use crate::convnet::graph::*;
use crate::convnet::kernels::Kernels;
use crate::convnet::session::Session;

/// Algorithm for dense 3x3 convolutions of stride 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// What was measured, else what an estimate says.
    #[default]
    Auto,
    Direct,
    /// Winograd with tiles of 2x2 outputs.
    Winograd2,
    /// Winograd with tiles of 4x4 outputs.
    Winograd4,
}

/// Environment variable that fixes the algorithm where [`Algorithm::Auto`] is asked for: `direct`, `winograd2` or
/// `winograd4`.
pub const VARIABLE: &str = "GST_DETECT_CONVOLUTION";

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "direct" => Some(Algorithm::Direct),
            "winograd2" => Some(Algorithm::Winograd2),
            "winograd4" => Some(Algorithm::Winograd4),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Auto => "auto",
            Algorithm::Direct => "direct",
            Algorithm::Winograd2 => "winograd2",
            Algorithm::Winograd4 => "winograd4",
        }
    }

    /// Reads `GST_DETECT_CONVOLUTION`.
    pub fn from_environment() -> Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => Ok(Algorithm::Auto),
            Ok(name) => Self::named(name).ok_or_else(|| {
                Error::Kernels(format!(
                    "{VARIABLE} is {name:?}, expected direct, winograd2 or winograd4"
                ))
            }),
        }
    }
}

/// Size of a 3x3 convolution: input channels, output channels, output rows and columns.
type Key = [usize; 4];

/// Algorithms that were measured, for one set of kernels on one machine.
///
/// As text, to be remembered: `avx512; 64 64 40 40 winograd4; ..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    kernels: String,
    map: BTreeMap<Key, Algorithm>,
}

/// A best time that the median exceeds by more than this factor is not worth remembering.
const MAX_SPREAD: f64 = 1.2;

impl Choices {
    /// Measures every 3x3 convolution of `graph` where the algorithms might be close, the largest first, for at most
    /// about `limit`. Returns the choices, and whether the times were steady enough to be remembered.
    ///
    /// # Errors
    /// As for [`Plan::new`].
    pub fn measure(graph: &Graph, options: &Options, limit: Duration) -> Result<(Self, bool)> {
        let start = Instant::now();
        let kernels = options.kernels()?;
        let nodes = simplify::simplify(graph);
        let stages = stage::build(&nodes, graph.inputs(), graph.outputs())?;
        let mut keys: Vec<Key> = layers(&stages)
            .filter(|l| eligible(l) && (0.3..3.).contains(&gain(l, kernels.lanes)))
            .map(key)
            .collect();
        keys.sort_by_key(|k| std::cmp::Reverse(k.iter().product::<usize>()));
        keys.dedup();
        let mut choices = Choices {
            kernels: kernels.name.to_string(),
            map: BTreeMap::new(),
        };
        let mut steady = true;
        for key in keys {
            if start.elapsed() > limit {
                steady = false;
                break;
            }
            let (direct, steady_direct) = time(key, Algorithm::Direct, kernels)?;
            let (winograd, steady_winograd) = time(key, Algorithm::Winograd4, kernels)?;
            steady &= steady_direct && steady_winograd;
            let best = match direct < winograd {
                true => Algorithm::Direct,
                false => Algorithm::Winograd4,
            };
            choices.map.insert(key, best);
        }
        Ok((choices, steady))
    }
}

impl std::fmt::Display for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kernels)?;
        for ([from, to, h, w], algorithm) in &self.map {
            write!(f, "; {from} {to} {h} {w} {}", algorithm.name())?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Choices {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut entries = text.split("; ");
        let kernels = entries.next().unwrap_or_default().to_string();
        let mut map = BTreeMap::new();
        for entry in entries {
            let words: Vec<&str> = entry.split(' ').collect();
            let numbers: Option<Vec<usize>> =
                words.iter().take(4).map(|w| w.parse().ok()).collect();
            let key = numbers.and_then(|n| Key::try_from(n).ok());
            let algorithm = words.get(4).and_then(|w| Algorithm::named(w));
            match (key, algorithm) {
                (Some(key), Some(algorithm)) => map.insert(key, algorithm),
                _ => {
                    return Err(Error::Kernels(format!(
                        "{entry:?} is no choice of an algorithm, expected \"64 64 40 40 winograd4\""
                    )));
                }
            };
        }
        Ok(Choices { kernels, map })
    }
}

/// Best of a few times of one convolution, in seconds, and whether they were steady.
fn time([from, to, h, w]: Key, algorithm: Algorithm, kernels: &Kernels) -> Result<(f64, bool)> {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(from, h, w))?;
    let conv = Conv {
        out_channels: to,
        groups: 1,
        window: Window::square(3, 1, 1),
        weights: vec![0.5; from * to * 9].into(),
        bias: None,
    };
    let y = graph.conv(x, conv)?;
    graph.output(y, Layout::Planar)?;
    let options = Options {
        kernels: Some(kernels.name.to_string()),
        algorithm,
        ..Options::default()
    };
    let plan = Arc::new(Plan::new(&graph, &options)?);
    let step = plan.steps().iter().position(|s| s.is_dense());
    let mut session = Session::new(plan);
    let (input, mut output) = (vec![0.5; from * h * w], vec![0.; to * h * w]);
    let mut times = Vec::new();
    for _ in 0..5 {
        let seconds = session.profile(&[Input::F32(&input)], &mut [&mut output])?;
        times.extend(step.map(|i| seconds[i]));
    }
    times.sort_by(f64::total_cmp);
    let (best, median) = (times[0], times[times.len() / 2]);
    Ok((best, median <= best * MAX_SPREAD))
}

fn layers(stages: &Stages) -> impl Iterator<Item = &Layer> {
    stages.stages.iter().filter_map(|stage| match &stage.work {
        Work::Conv { layers, .. } => match &layers[..] {
            [layer] => Some(layer),
            _ => None,
        },
        _ => None,
    })
}

fn key(layer: &Layer) -> Key {
    let [h, w] = layer.size;
    [layer.in_channels, layer.out_channels, h, w]
}

/// Sets the algorithm of every layer.
pub fn choose(stages: &mut Stages, algorithm: Algorithm, choices: &Choices, kernels: &Kernels) {
    for stage in &mut stages.stages {
        let Work::Conv { layers, .. } = &mut stage.work else {
            continue;
        };
        let [layer] = &mut layers[..] else {
            continue;
        };
        if !eligible(layer) {
            continue;
        }
        let measured = choices
            .map
            .get(&key(layer))
            .filter(|_| choices.kernels == kernels.name);
        let algorithm = match (algorithm, measured) {
            (Algorithm::Auto, Some(&measured)) => measured,
            (Algorithm::Auto, None) if gain(layer, kernels.lanes) > 1. => Algorithm::Winograd4,
            (fixed, _) => fixed,
        };
        layer.winograd = match algorithm {
            Algorithm::Winograd2 => 2,
            Algorithm::Winograd4 => 4,
            Algorithm::Direct | Algorithm::Auto => 0,
        };
    }
}

fn eligible(layer: &Layer) -> bool {
    layer.groups == 1
        && layer.kernel == [3, 3]
        && layer.stride == [1, 1]
        && layer.dilation == [1, 1]
        && layer.in_channels >= 8
        && layer.size.iter().all(|&n| n >= 2)
}

/// Estimates the time of the direct kernel over that of F(4,3).
///
/// Counts registers of multiply-adds, transforms, and weights that have to come from beyond the level-2 cache.
fn gain(layer: &Layer, lanes: usize) -> f64 {
    let cache = level2_bytes();
    let (ins, outs) = (layer.in_channels, layer.out_channels.div_ceil(lanes));
    let pixels = layer.size[0] * layer.size[1];
    let tiles = layer.size[0].div_ceil(4) * layer.size[1].div_ceil(4);
    // weights beyond half of the cache come at 4 bytes a cycle, once for each chunk of tiles
    let beyond = |weights: usize, chunks: usize| match weights * size_of::<f32>() {
        bytes if bytes > cache / 2 => chunks * bytes / 4,
        _ => 0,
    };
    // two multiply-adds a cycle
    let direct = pixels * 9 * ins * outs / 2 + beyond(9 * ins * outs * lanes, 1);
    let transforms = tiles * (ins.div_ceil(lanes) * 130 + outs * 110);
    let winograd = tiles * 36 * ins * outs / 2
        + transforms
        + beyond(36 * ins * outs * lanes, tiles.div_ceil(28));
    direct as f64 / winograd as f64
}

/// Bytes of one core's level-2 cache; 512 KiB where the system does not say.
pub fn level2_bytes() -> usize {
    static BYTES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BYTES.get_or_init(|| {
        let path = "/sys/devices/system/cpu/cpu0/cache/index2/size";
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let kib: Option<usize> = text.trim().strip_suffix('K').and_then(|n| n.parse().ok());
        kib.filter(|kib| (64..=65_536).contains(kib)).unwrap_or(512) * 1024
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_as_text() {
        let text = "avx2; 16 32 40 40 winograd4; 64 64 10 10 direct";
        let choices: Choices = text.parse().unwrap();
        assert_eq!(choices.to_string(), text);
        assert_eq!(choices.map[&[64, 64, 10, 10]], Algorithm::Direct);
        assert!("avx2; 16 32 40 winograd4".parse::<Choices>().is_err());
    }

    #[test]
    fn measured_choices_are_followed_and_complete() {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(16, 12, 12)).unwrap();
        let conv = Conv {
            out_channels: 16,
            groups: 1,
            window: Window::square(3, 1, 1),
            weights: vec![0.1; 16 * 16 * 9].into(),
            bias: None,
        };
        let y = graph.conv(x, conv).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        let limit = Duration::from_secs(5);
        let (choices, _) = Choices::measure(&graph, &Options::default(), limit).unwrap();
        assert_eq!(choices.map.len(), 1);
        for (algorithm, name) in [
            (Algorithm::Direct, "dense"),
            (Algorithm::Winograd4, "winograd"),
        ] {
            let mut choices = choices.clone();
            choices.map.insert([16, 16, 12, 12], algorithm);
            let options = Options {
                choices,
                ..Options::default()
            };
            let plan = Plan::new(&graph, &options).unwrap();
            assert!(plan.steps().iter().any(|s| s.name() == name), "{name}");
        }
    }
}
