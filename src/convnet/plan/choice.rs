//! Which algorithm computes a 3x3 convolution: what the caller or the environment says, what was measured on this
//! machine, or an estimate from its size.

use std::collections::BTreeMap;

use super::Tables;
use super::layer::Layer;
use super::stage::{Stages, Work};
use crate::convnet::error::{Error, Result};
use crate::convnet::kernels::Kernels;
use crate::convnet::kernels::element::Element;

/// Algorithm for dense 3x3 convolutions of stride 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// The fastest one measured, else the fastest by estimate.
    #[default]
    Auto,
    /// The fastest by estimate, whatever was measured.
    Estimate,
    Direct,
    /// Winograd with tiles of 2x2 outputs.
    Winograd2,
    /// Winograd with tiles of 4x4 outputs.
    Winograd4,
}

/// Environment variable that fixes the algorithm where [`Algorithm::Auto`] is asked for: `direct`, `winograd2`,
/// `winograd4`, or `estimate`, which measures nothing.
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
            Algorithm::Estimate => "estimate",
            Algorithm::Direct => "direct",
            Algorithm::Winograd2 => "winograd2",
            Algorithm::Winograd4 => "winograd4",
        }
    }

    /// Reads `GST_DETECT_CONVOLUTION`.
    ///
    /// # Errors
    /// [`Error::Kernels`] if it names no algorithm.
    pub fn from_environment() -> Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => Ok(Algorithm::Auto),
            Ok("estimate") => Ok(Algorithm::Estimate),
            Ok(name) => Self::named(name).ok_or_else(|| {
                Error::Kernels(format!(
                    "{VARIABLE} is {name:?}, expected direct, winograd2, winograd4 or estimate"
                ))
            }),
        }
    }
}

/// Size of a 3x3 convolution: input channels, output channels, output rows and columns.
pub type Key = [usize; 4];

/// Algorithms that were measured, for one set of kernels on one machine.
///
/// A choice holds for every layer of its size, whatever model it is in. The text form can be remembered:
/// `avx512; 64 64 40 40 winograd4; ..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    kernels: String,
    map: BTreeMap<Key, Algorithm>,
}

impl Choices {
    /// Creates an empty set for the kernels of this name.
    pub fn new(kernels: &str) -> Self {
        Choices {
            kernels: kernels.to_string(),
            map: BTreeMap::new(),
        }
    }

    /// Name of the kernels that were measured.
    pub fn kernels(&self) -> &str {
        &self.kernels
    }

    /// Number of layer sizes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Adds the choices of `others`, if they are for the same kernels, as long as there are at most `most`. A choice that
    /// is here already stays.
    pub fn add(&mut self, others: &Choices, most: usize) {
        if self.kernels != others.kernels {
            return;
        }
        for (&key, &algorithm) in &others.map {
            if self.map.len() >= most {
                return;
            }
            self.map.entry(key).or_insert(algorithm);
        }
    }

    pub(super) fn insert(&mut self, key: Key, algorithm: Algorithm) {
        self.map.insert(key, algorithm);
    }

    /// Returns the choice for a layer, if it was measured with these kernels and may be the fastest at all: the text may
    /// come from a file that somebody else wrote.
    pub(super) fn get(&self, key: Key, kernels: &Kernels) -> Option<Algorithm> {
        let measured = self
            .map
            .get(&key)
            .filter(|_| self.kernels == kernels.name)?;
        let possible = candidates(key, kernels.lanes);
        possible.contains(measured).then_some(*measured)
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
        let mut choices = Choices::new(entries.next().unwrap_or_default());
        for entry in entries {
            let (key, algorithm) = read_entry(entry).ok_or_else(|| {
                let entry: String = entry.chars().take(80).collect();
                Error::Kernels(format!(
                    "{entry:?} is no choice of an algorithm, expected \"64 64 40 40 winograd4\""
                ))
            })?;
            choices.insert(key, algorithm);
        }
        Ok(choices)
    }
}

fn read_entry(entry: &str) -> Option<(Key, Algorithm)> {
    let words: Vec<&str> = entry.split(' ').collect();
    let [from, to, h, w, name] = words[..] else {
        return None;
    };
    let number = |word: &str| word.parse::<usize>().ok();
    let key = [number(from)?, number(to)?, number(h)?, number(w)?];
    Some((key, Algorithm::named(name)?))
}

/// Returns the sizes of the layers for which more than one algorithm may be the fastest, the largest first.
pub fn open_questions(stages: &Stages, lanes: usize) -> Vec<Key> {
    let layers = stages.stages.iter().filter_map(|stage| match &stage.work {
        Work::Conv { layers, .. } => match &layers[..] {
            [layer] if eligible(layer) => Some(key(layer)),
            _ => None,
        },
        _ => None,
    });
    let mut keys: Vec<Key> = layers
        .filter(|&key| candidates(key, lanes).len() > 1)
        .collect();
    // equal sizes side by side
    let work = |key: &Key| key.iter().fold(1usize, |n, &k| n.saturating_mul(k));
    keys.sort_by_key(|key| std::cmp::Reverse((work(key), *key)));
    keys.dedup();
    keys
}

fn key(layer: &Layer) -> Key {
    let [h, w] = layer.size;
    [layer.in_channels, layer.out_channels, h, w]
}

/// Sets the algorithm of every layer.
pub fn choose(stages: &mut Stages, algorithm: Algorithm, choices: &Choices, tables: Tables) {
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
        let key = key(layer);
        let kernels = tables.get(stage.element);
        let algorithm = match algorithm {
            // nothing is measured for f16
            Algorithm::Auto if stage.element == Element::F16 => None,
            Algorithm::Auto => choices.get(key, kernels),
            Algorithm::Estimate => None,
            fixed => Some(fixed),
        };
        let algorithm = algorithm.unwrap_or_else(|| candidates(key, kernels.lanes)[0]);
        layer.winograd = match algorithm {
            Algorithm::Winograd2 => 2,
            Algorithm::Winograd4 => 4,
            Algorithm::Direct | Algorithm::Auto | Algorithm::Estimate => 0,
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
pub fn candidates(key: Key, lanes: usize) -> Vec<Algorithm> {
    let cache = level2_bytes();
    let mut all = [
        Algorithm::Direct,
        Algorithm::Winograd2,
        Algorithm::Winograd4,
    ]
    .map(|algorithm| (cycles(key, algorithm, lanes, cache), algorithm));
    all.sort_by_key(|(cycles, _)| *cycles);
    let limit = all[0].0.saturating_mul(2);
    all.into_iter()
        .filter(|a| a.0 < limit)
        .map(|a| a.1)
        .collect()
}

/// Estimates the cycles of a convolution.
///
/// Counts multiply-adds, two a cycle, transforms, and weights that come from beyond the level-2 cache. F(2,3) wins on
/// small maps: its weights are 2.25 times smaller than those of F(4,3), and fewer tiles share their transport.
pub fn cycles([from, to, h, w]: Key, algorithm: Algorithm, lanes: usize, cache: usize) -> usize {
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
        Algorithm::Direct | Algorithm::Auto | Algorithm::Estimate => (h * w, 9, 0, 1),
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

    fn choices(text: &str) -> Choices {
        text.parse().unwrap()
    }

    #[test]
    fn choices_survive_as_text() {
        let text = "avx2; 16 32 40 40 winograd4; 64 64 10 10 direct";
        assert_eq!(choices(text).to_string(), text);
        assert_eq!(choices(text).map[&[64, 64, 10, 10]], Algorithm::Direct);
    }

    #[test]
    fn texts_of_no_sense_are_refused() {
        for entry in [
            "",
            "16 32 40 winograd4",
            "16 32 40 40 40 winograd4",
            "16 32 40 40 auto",
            "16 32 40 40 estimate",
            "16 32 40 -4 direct",
            "16 32 40 99999999999999999999999 direct",
            "16 32 40 40 direct ",
        ] {
            let text = format!("avx2; {entry}");
            assert!(text.parse::<Choices>().is_err(), "{text}");
        }
        let long = format!("avx2; {}", "x".repeat(10_000));
        let error = long.parse::<Choices>().unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
    }

    #[test]
    fn sets_are_joined_up_to_a_bound() {
        let mut all = choices("avx2; 8 8 4 4 direct; 8 8 5 5 direct");
        all.add(&choices("avx2; 8 8 4 4 winograd2; 8 8 6 6 winograd2"), 10);
        assert_eq!(
            all,
            choices("avx2; 8 8 4 4 direct; 8 8 5 5 direct; 8 8 6 6 winograd2")
        );
        all.add(&choices("avx512; 8 8 7 7 direct"), 10);
        assert_eq!(all.len(), 3, "other kernels");
        all.add(&choices("avx2; 8 8 8 8 direct; 8 8 9 9 direct"), 4);
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn choices_that_cannot_be_the_fastest_are_not_followed() {
        let kernels = Kernels::available()[0];
        let key = [256, 256, 2, 2];
        let possible = candidates(key, kernels.lanes);
        let all = [
            Algorithm::Direct,
            Algorithm::Winograd2,
            Algorithm::Winograd4,
        ];
        for algorithm in all {
            let mut choices = Choices::new(kernels.name);
            choices.insert(key, algorithm);
            let followed = possible.contains(&algorithm).then_some(algorithm);
            assert_eq!(choices.get(key, kernels), followed);
        }
        assert!(possible.len() < all.len(), "{possible:?}");
    }
}
