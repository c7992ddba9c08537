//! The inner loops: one table of functions per instruction set.
//!
//! Kernels are generic over the register type (`vector.rs`). Each instruction set has a folder that implements
//! [`Vector`](vector::Vector) and compiles all kernels for it (`instantiate.rs`). A step is a struct that was bound to
//! its places in the arena when the plan was made; the kernel gets the arena's address when it runs.

pub mod activate;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod convert;
pub mod dense;
pub mod depthwise;
pub mod element;
pub mod elementwise;
pub mod epilogue;
pub mod gather;
pub mod instantiate;
pub mod narrow;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon_half;
pub mod pack;
pub mod pooling;
pub mod reduce;
pub mod resample;
mod scalar;
mod scalar_half;
pub mod step;
pub mod transfer;
pub mod vector;
pub mod winograd;

use super::error::{Error, Result};
use super::graph::Input;

/// Start of the arena. Steps write disjoint parts of it from several threads.
#[derive(Clone, Copy, Debug)]
pub struct Base(pub *mut f32);

// SAFETY: whoever runs a step promises that no two threads write the same floats.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

/// One block of channels of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Plane {
    /// Values from the arena's start to pixel (0, 0).
    pub offset: usize,
    /// Values from one row to the next.
    pub row: usize,
}

/// Memory that a step works on.
pub struct Context<'a> {
    pub base: Base,
    /// This thread's own floats, as many as the plan's largest step asks for.
    pub scratch: *mut f32,
    pub inputs: &'a [Input<'a>],
    /// Start of each output.
    pub outputs: &'a [Base],
}

impl Context<'_> {
    /// Start of the arena, for kernels that count in V's elements.
    #[inline(always)]
    pub fn arena<V: vector::Vector>(&self) -> *mut V::Element {
        self.base.0.cast()
    }

    /// Start of this thread's scratch, for kernels that count in V's elements.
    #[inline(always)]
    pub fn scratch_of<V: vector::Vector>(&self) -> *mut V::Element {
        self.scratch.cast()
    }
}

type StepFn<S> = unsafe fn(&S, &Context, usize, usize);

/// All kernels of one instruction set.
pub struct Kernels {
    /// Value of `GST_DETECT_KERNELS` that selects this table.
    pub name: &'static str,
    /// Channels in a block.
    pub lanes: usize,
    /// Type of the maps that these kernels read and write.
    pub element: element::Element,
    /// Largest number of pixels in a dense tile.
    pub width: usize,
    pub dense: StepFn<dense::Dense>,
    pub depthwise: StepFn<depthwise::Depthwise>,
    pub winograd: StepFn<winograd::Winograd>,
    pub narrow: StepFn<narrow::Narrow>,
    pub attention: StepFn<attention::Attention>,
    pub pooling: StepFn<pooling::Pooling>,
    pub elementwise: StepFn<elementwise::Elementwise>,
    pub resample: StepFn<resample::Resample>,
    pub gather: StepFn<gather::Gather>,
    pub convert: StepFn<convert::Convert>,
    pub global: StepFn<reduce::Global>,
    pub over_channels: StepFn<reduce::OverChannels>,
    pub softmax: StepFn<reduce::Softmax>,
    pub load: StepFn<transfer::Load>,
    pub border: StepFn<transfer::Border>,
    pub store: StepFn<transfer::Store>,
}

/// Environment variable that names the table to use: `avx512`, `avx2`, `neon` or `scalar`.
pub const VARIABLE: &str = "GST_DETECT_KERNELS";

impl Kernels {
    /// Returns the tables that this machine can run, the fastest first.
    pub fn available() -> Vec<&'static Kernels> {
        let mut tables = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("fma")
            {
                tables.push(&avx512::KERNELS);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                tables.push(&avx2::KERNELS);
            }
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        tables.push(&neon::KERNELS);
        tables.push(&scalar::KERNELS);
        tables
    }

    /// Returns the table for maps in f16 that belongs to this one for f32, if this machine can run it.
    ///
    /// The portable kernels emulate f16, for tests: nobody wants their speed. Other tables have one where the processor
    /// computes with f16.
    pub fn half(&self) -> Option<&'static Kernels> {
        match self.name {
            "scalar" => Some(&scalar_half::KERNELS),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            "neon" if std::arch::is_aarch64_feature_detected!("fp16") => Some(&neon_half::KERNELS),
            _ => None,
        }
    }

    /// True if these kernels need no instruction set.
    pub fn is_portable(&self) -> bool {
        self.name == scalar::KERNELS.name
    }

    /// Returns the table called `name`.
    ///
    /// # Errors
    /// [`Error::Kernels`] if there is none of that name for this machine.
    pub fn named(name: &str) -> Result<&'static Kernels> {
        let tables = Self::available();
        tables
            .iter()
            .find(|t| t.name == name)
            .copied()
            .ok_or_else(|| {
                let names: Vec<_> = tables.iter().map(|t| t.name).collect();
                Error::Kernels(format!(
                    "there are no kernels {name:?} for this processor; it can run {}",
                    names.join(", ")
                ))
            })
    }

    /// Returns the table that the environment variable `GST_DETECT_KERNELS` names, or the fastest one.
    pub fn from_environment() -> Result<&'static Kernels> {
        match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::named(&name),
            _ => Ok(Self::available()[0]),
        }
    }
}

/// Returns the range of `n` items that is part `part` of `parts` nearly equal ones.
#[inline(always)]
pub fn split(n: usize, part: usize, parts: usize) -> (usize, usize) {
    (n * part / parts, n * (part + 1) / parts)
}

/// Returns the blocks and rows of part `part` of `parts`, the rows of a block one after the other.
///
/// A part has the same rows of every block, as those of dense convolutions do: what a thread has written in one step it
/// reads in the next, from its own cache. Few rows are shared out block by block, for parts of the same size.
#[inline(always)]
pub fn units(
    blocks: usize,
    rows: usize,
    part: usize,
    parts: usize,
) -> impl Iterator<Item = (usize, usize)> {
    const FEW: usize = 3;
    let by_rows = rows >= FEW * parts;
    let (from, to) = split(if by_rows { rows } else { blocks * rows }, part, parts);
    let (first, count) = if by_rows {
        (from, to - from)
    } else {
        (0, rows)
    };
    let (start, end) = if by_rows {
        (0, blocks * count)
    } else {
        (from, to)
    };
    (start..end).map(move |unit| (unit / count, first + unit % count))
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A row of `columns` pixels in the fewest tiles of at most `most` pixels, of nearly equal widths.
#[derive(Clone, Copy)]
pub struct RowTiles {
    pub count: usize,
    width: usize,
    /// The first `wider` tiles have one pixel more.
    wider: usize,
}

impl RowTiles {
    pub fn new(columns: usize, most: usize) -> Self {
        let count = columns.div_ceil(most);
        RowTiles {
            count,
            width: columns / count,
            wider: columns % count,
        }
    }

    /// First pixel and width of tile `i`.
    #[inline(always)]
    pub fn get(&self, i: usize) -> (usize, usize) {
        let before = i * self.width + i.min(self.wider);
        (before, self.width + usize::from(i < self.wider))
    }

    /// Lists runs of tiles of one width among tiles `from..to`: first pixel, width, and number of tiles.
    #[inline(always)]
    pub fn runs(self, from: usize, to: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let middle = self.wider.clamp(from, to);
        let run = move |from: usize, to: usize| {
            let (x, t) = self.get(from);
            (x, t, to - from)
        };
        [(from, middle), (middle, to)]
            .into_iter()
            .filter(|(from, to)| from < to)
            .map(move |(from, to)| run(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_every_row_of_every_block_once() {
        for (blocks, rows, parts) in [(3, 40, 4), (5, 13, 4), (7, 11, 4), (2, 1, 8), (1, 3, 1)] {
            let all = (0..parts).flat_map(|part| units(blocks, rows, part, parts));
            let mut all: Vec<_> = all.collect();
            all.sort_unstable();
            let expected = (0..blocks).flat_map(|b| (0..rows).map(move |y| (b, y)));
            assert_eq!(all, expected.collect::<Vec<_>>());
        }
    }
}
