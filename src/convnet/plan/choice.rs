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
    /// The fastest one measured, else the fastest by estimate.
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
/// Its text form can be remembered: `avx512; 64 64 40 40 winograd4; ..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    kernels: String,
    map: BTreeMap<Key, Algorithm>,
}

/// A best time that the median exceeds by more than this factor is not worth remembering.
const MAX_SPREAD: f64 = 1.2;

impl Choices {
    /// Measures every 3x3 convolution of `graph` where two algorithms might be close, the largest first, for at most
    /// about `limit`. Returns the choices, and whether the times were steady enough to be remembered.
    ///
    /// # Errors
    /// As for [`Plan::new`].
    pub fn measure(graph: &Graph, options: &Options, limit: Duration) -> Result<(Self, bool)> {
        let start = Instant::now();
        let kernels = options.kernels()?;
        let stages = stage::build(&simplify::simplify(graph))?;
        let mut keys: Vec<Key> = layers(&stages)
            .filter(|l| eligible(l) && candidates(key(l), kernels.lanes).len() > 1)
            .map(key)
            .collect();
        // equal sizes side by side
        keys.sort_by_key(|&k| std::cmp::Reverse((k.iter().product::<usize>(), k)));
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
            let mut fastest = f64::MAX;
            for algorithm in candidates(key, kernels.lanes) {
                let (seconds, steady_time) = time(key, algorithm, kernels)?;
                steady &= steady_time;
                if seconds < fastest {
                    fastest = seconds;
                    choices.map.insert(key, algorithm);
                }
            }
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
///
/// In a whole network, a layer's input has just been written but its weights were last used a run ago. The level-2 cache
/// is therefore emptied before each run; the steps before the convolution bring its input back.
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
    let mut others = vec![0u8; level2_bytes() * 3 / 2];
    for run in 0..5 {
        for byte in others.iter_mut().step_by(64) {
            *byte = std::hint::black_box(run);
        }
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
            (Algorithm::Auto, None) => candidates(key(layer), kernels.lanes)[0],
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

/// Algorithms that may be the fastest, by estimate: the best one first, then those that take less than twice its time.
fn candidates(key: Key, lanes: usize) -> Vec<Algorithm> {
    let cache = level2_bytes();
    let mut all = [
        Algorithm::Direct,
        Algorithm::Winograd2,
        Algorithm::Winograd4,
    ]
    .map(|algorithm| (cycles(key, algorithm, lanes, cache), algorithm));
    all.sort_by_key(|(cycles, _)| *cycles);
    let limit = 2 * all[0].0;
    all.into_iter()
        .filter(|a| a.0 < limit)
        .map(|a| a.1)
        .collect()
}

/// Estimates the cycles of a convolution.
///
/// Counts multiply-adds, two a cycle, transforms, and weights that come from beyond the level-2 cache. F(2,3) wins on
/// small maps: its weights are 2.25 times smaller than those of F(4,3), and fewer tiles share their transport.
fn cycles([from, to, h, w]: Key, algorithm: Algorithm, lanes: usize, cache: usize) -> usize {
    let (in_blocks, out_blocks) = (from.div_ceil(lanes), to.div_ceil(lanes));
    let tiles = |m: usize| h.div_ceil(m) * w.div_ceil(m);
    // outputs or tiles, products for each pair of channels, cycles of the transforms of one tile
    let (count, products, transforms, chunks) = match algorithm {
        Algorithm::Winograd4 => (
            tiles(4),
            36,
            130 * in_blocks + 110 * out_blocks,
            tiles(4).div_ceil(28),
        ),
        Algorithm::Winograd2 => (
            tiles(2),
            16,
            55 * in_blocks + 45 * out_blocks,
            tiles(2).div_ceil(28),
        ),
        Algorithm::Direct | Algorithm::Auto => (h * w, 9, 0, 1),
    };
    let weights = products * from * out_blocks * lanes * size_of::<f32>();
    // half of the cache is the data's; the rest comes at 16 bytes a cycle, once for each chunk of tiles
    let transport = if weights > cache / 2 {
        chunks * weights / 16
    } else {
        0
    };
    count * (products * from * out_blocks / 2 + transforms) + transport
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

    /// The fastest algorithms on a Xeon with AVX-512 and 2 MiB of level-2 cache.
    #[test]
    fn estimates_agree_with_measurements() {
        let best = |from: usize, to: usize, size: usize| {
            let time = |a: &Algorithm| cycles([from, to, size, size], *a, 16, 2 << 20);
            let all = [
                Algorithm::Direct,
                Algorithm::Winograd2,
                Algorithm::Winograd4,
            ];
            all.into_iter().min_by_key(time).unwrap()
        };
        for (from, to, size) in [
            (16, 16, 80),
            (16, 16, 20),
            (64, 64, 40),
            (80, 80, 10),
            (128, 128, 20),
            (8, 32, 40),
        ] {
            assert_eq!(
                best(from, to, size),
                Algorithm::Winograd4,
                "{from} {to} {size}"
            );
        }
        for (from, to, size) in [
            (128, 128, 10),
            (256, 80, 10),
            (256, 256, 10),
            (64, 64, 5),
            (128, 128, 5),
            (32, 32, 6),
        ] {
            assert_eq!(
                best(from, to, size),
                Algorithm::Winograd2,
                "{from} {to} {size}"
            );
        }
        assert_eq!(best(256, 256, 1), Algorithm::Direct);
    }

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
