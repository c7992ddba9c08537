//! Which algorithm computes a 3x3 convolution: an estimate from its size, or what the caller or the environment says.

use super::layer::Layer;
use super::stage::{Stages, Work};
use crate::convnet::error::{Error, Result};

/// Algorithm for dense 3x3 convolutions of stride 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// The fastest by estimate.
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
    /// Reads `GST_DETECT_CONVOLUTION`.
    pub fn from_environment() -> Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => Ok(Algorithm::Auto),
            Ok("direct") => Ok(Algorithm::Direct),
            Ok("winograd2") => Ok(Algorithm::Winograd2),
            Ok("winograd4") => Ok(Algorithm::Winograd4),
            Ok(other) => Err(Error::Kernels(format!(
                "{VARIABLE} is {other:?}, expected direct, winograd2 or winograd4"
            ))),
        }
    }
}

/// Sets the algorithm of every layer for a vector of `lanes` lanes.
pub fn choose(stages: &mut Stages, algorithm: Algorithm, lanes: usize) {
    let cache = level2_bytes();
    for stage in &mut stages.stages {
        if let Work::Conv { layers, .. } = &mut stage.work
            && let [layer] = &mut layers[..]
        {
            layer.winograd = match algorithm {
                _ if !eligible(layer) => 0,
                Algorithm::Direct => 0,
                Algorithm::Winograd2 => 2,
                Algorithm::Winograd4 => 4,
                Algorithm::Auto => estimate(layer, lanes, cache),
            };
        }
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

/// Returns 4 if F(4,3) is likely faster than the direct kernel, else 0.
///
/// Counts registers of multiply-adds, transforms, and weights that have to come from beyond the level-2 cache.
fn estimate(layer: &Layer, lanes: usize, cache: usize) -> usize {
    let (ins, outs) = (layer.in_channels, layer.out_channels.div_ceil(lanes));
    let pixels = layer.size[0] * layer.size[1];
    let tiles = layer.size[0].div_ceil(4) * layer.size[1].div_ceil(4);
    // two multiply-adds a cycle
    let direct = pixels * 9 * ins * outs / 2;
    let weights = 36 * ins * outs * lanes * size_of::<f32>();
    let beyond = if weights > cache * 3 / 4 {
        tiles.div_ceil(28) * weights / 10
    } else {
        0
    };
    let transforms = tiles * (ins.div_ceil(lanes) * 130 + outs * 110);
    let winograd = tiles * 36 * ins * outs / 2 + transforms + beyond;
    if winograd < direct && ins >= lanes.min(16) {
        4
    } else {
        0
    }
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
