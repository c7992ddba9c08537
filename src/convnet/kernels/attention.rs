//! Attention among the pixels of maps: softmax of the products of queries and keys, as shares of values. Bound by the
//! multiply-adds of both products; for few channels in a head, by the exponentials.
//!
//! The products are those of `dense`, with its register tiles: keys and values of a head are packed as the weights of two
//! convolutions, whose output channels are the key's pixels and the value's channels. What a tile of queries shares out
//! stays in the scratch, so that the matrix of all pixels by all pixels never exists.

use super::activate::apply;
use super::dense::{InBlock, InBlocks, Source, Tiles};
use super::epilogue::{Epilogue, Target};
use super::reduce::fold;
use super::vector::Vector;
use super::{Context, Plane, RowTiles, split};
use crate::convnet::graph::Activation;
use std::any::Any;

/// Largest number of queries in a tile.
const MOST: usize = 32;

/// Neighbouring channels of a head's values, which stay within one block of the head's output.
#[derive(Clone, Copy, Debug)]
pub struct ValueRun {
    /// First channel in pixel (0, 0).
    pub plane: Plane,
    /// Its lane, counted through the blocks of the head's output.
    pub lane: usize,
    pub count: usize,
}

/// One head in one area, bound to its places in the arena.
#[derive(Clone, Debug)]
pub struct Head {
    pub queries: Vec<InBlocks>,
    /// The key's channel for each channel of the queries, in their order.
    pub keys: Vec<Plane>,
    pub values: Vec<ValueRun>,
    /// Pixel (0, 0) of each block of the output.
    pub outputs: Vec<usize>,
}

/// Attention, bound to its places in the arena. All heads are alike.
#[derive(Clone, Debug)]
pub struct Attention {
    pub heads: Vec<Head>,
    /// Rows and columns of the queries of an area, which are those of the output.
    pub size: [usize; 2],
    /// Floats from one row of the queries to the next, and of the output.
    pub rows: [usize; 2],
    pub key_size: [usize; 2],
    pub value_size: [usize; 2],
    pub scale: f32,
    /// Queries in a tile.
    pub tile: usize,
    /// Blocks of keys, which the second product reads: their places in the shares of one tile.
    pub shares: Vec<InBlock>,
    /// The same, joined.
    pub joined_shares: Vec<InBlocks>,
}

impl Attention {
    fn key_count(&self) -> usize {
        self.key_size[0] * self.key_size[1]
    }

    /// Floats of packed keys, of packed values, and of the shares of a tile.
    fn parts(&self, lanes: usize) -> [usize; 3] {
        let (head, blocks) = (&self.heads[0], self.shares.len());
        [
            head.keys.len() * blocks * lanes,
            self.key_count() * head.outputs.len() * lanes,
            self.tile * blocks * lanes,
        ]
    }

    /// Floats of scratch for one thread.
    pub fn scratch(&self, lanes: usize) -> usize {
        self.parts(lanes).iter().sum()
    }

    /// Multiply-adds of one run.
    pub fn work(&self, lanes: usize) -> usize {
        let head = &self.heads[0];
        let channels = head.keys.len() + head.outputs.len() * lanes;
        self.heads.len() * self.size[0] * self.size[1] * self.key_count() * channels
    }

    /// Returns the blocks of keys of a tile of `tile` queries.
    pub fn shares_of(keys: usize, tile: usize, lanes: usize) -> Vec<InBlock> {
        (0..keys.div_ceil(lanes))
            .map(|block| InBlock {
                offset: block * tile * lanes,
                lanes: lanes.min(keys - block * lanes),
            })
            .collect()
    }
}

/// Computes part `part` of `parts`.
///
/// # Safety
/// The processor has V's instruction set, `tiles` are its tiles for pixels side by side, and the step was bound for the
/// context's arena and scratch.
#[inline(always)]
pub unsafe fn run<V: Vector>(
    a: &Attention,
    tiles: Tiles<V::Element>,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let tiles: &dyn Any = &tiles;
    let tiles = tiles.downcast_ref::<Tiles<f32>>();
    let tiles = tiles.expect("no plan computes attention with f16");
    // SAFETY: the caller's; a register of f32 is its own wide one.
    unsafe { with_f32::<V::Wide>(a, *tiles, context, part, parts) }
}

#[inline(always)]
unsafe fn with_f32<V: Vector<Element = f32>>(
    a: &Attention,
    tiles: Tiles<f32>,
    context: &Context,
    part: usize,
    parts: usize,
) {
    let row = RowTiles::new(a.size[1], a.tile);
    let each = a.size[0] * row.count;
    let (from, to) = split(a.heads.len() * each, part, parts);
    let [of_keys, of_values, _] = a.parts(V::LANES);
    let mut packed = None;
    for unit in from..to {
        let (number, tile) = (unit / each, unit % each);
        let head = &a.heads[number];
        let (y, (x, count)) = (tile / row.count, row.get(tile % row.count));
        // SAFETY: the scratch holds the three parts one behind the other; the tile lies within the map.
        unsafe {
            let keys = context.scratch;
            let values = keys.add(of_keys);
            let shares = values.add(of_values);
            if packed != Some(number) {
                pack_keys::<V>(a, head, context.arena::<V>(), keys);
                pack_values::<V>(a, head, context.arena::<V>(), values);
                packed = Some(number);
            }
            let base = context.arena::<V>().cast_const();
            let shift = y * a.rows[0] + x * V::LANES;
            let blocks = a.shares.len();
            let places = (0..blocks).map(|b| shares.add(a.shares[b].offset));
            let queries = source(base, shift, &head.queries, V::LANES);
            multiply::<V>(tiles, &queries, keys, head.keys.len(), places, count);
            let inverse = exponentials::<V>(a, shares, count);
            let out = y * a.rows[1] + x * V::LANES;
            let outputs = head
                .outputs
                .iter()
                .map(|&o| context.arena::<V>().add(o + out));
            let weighed = source(shares, 0, &a.joined_shares, V::LANES);
            multiply::<V>(
                tiles,
                &weighed,
                values,
                a.key_count(),
                outputs.clone(),
                count,
            );
            for output in outputs {
                for (i, &factor) in inverse[..count].iter().enumerate() {
                    let at = output.add(i * V::LANES);
                    V::load(at).mul(V::splat(factor)).store(at);
                }
            }
        }
    }
}

fn source(base: *const f32, shift: usize, inputs: &[InBlocks], advance: usize) -> Source<'_, f32> {
    Source {
        base,
        shift: shift as isize,
        inputs,
        kernel: [1, 1],
        tap: [0, 0],
        advance,
    }
}

/// Multiplies a tile of `count` pixels, `depth` channels of them, by packed weights.
#[inline(always)]
unsafe fn multiply<V: Vector<Element = f32>>(
    tiles: Tiles<f32>,
    source: &Source<f32>,
    mut weights: *const f32,
    depth: usize,
    mut to: impl Iterator<Item = *mut f32>,
    count: usize,
) {
    let (plain, none, step) = (Epilogue::default(), std::ptr::null(), V::LANES);
    while let Some(first) = to.next() {
        // SAFETY: the caller's; weights lie in pairs of blocks, the last one may be alone.
        unsafe {
            match to.next() {
                Some(second) => {
                    let target = Target {
                        out: [first, second],
                        step,
                        residual: [none; 2],
                    };
                    tiles.two[count - 1](source, weights, none, &plain, true, &target, 1);
                    weights = weights.add(2 * depth * V::LANES);
                }
                None => {
                    let target = Target {
                        out: [first],
                        step,
                        residual: [none],
                    };
                    tiles.one[count - 1](source, weights, none, &plain, true, &target, 1);
                }
            }
        }
    }
}

/// Returns the place of a block in packed weights of `blocks` blocks and `depth` channels, and the floats from one channel
/// to the next.
fn place(block: usize, blocks: usize, depth: usize, lanes: usize) -> (usize, usize) {
    let (pair, second) = (block / 2, block % 2);
    let together = if 2 * pair + 1 < blocks { 2 } else { 1 };
    (2 * pair * depth * lanes + second * lanes, together * lanes)
}

/// Packs scaled keys: pixels in lanes, channel after channel. Lanes behind the last key get zeros.
#[inline(always)]
unsafe fn pack_keys<V: Vector<Element = f32>>(
    a: &Attention,
    head: &Head,
    base: *const f32,
    to: *mut f32,
) {
    let (blocks, [rows, columns]) = (a.shares.len(), a.key_size);
    let depth = head.keys.len();
    if a.shares[blocks - 1].lanes < V::LANES {
        // SAFETY: the packed keys have room for all blocks.
        unsafe { std::slice::from_raw_parts_mut(to, blocks * depth * V::LANES) }.fill(0.);
    }
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let (block, lane) = ((y * columns + x) / V::LANES, (y * columns + x) % V::LANES);
            let count = (V::LANES - lane).min(columns - x);
            let (first, step) = place(block, blocks, depth, V::LANES);
            for (channel, key) in head.keys.iter().enumerate() {
                // SAFETY: as above, and keys lie in the arena.
                unsafe {
                    let from = base.add(key.offset + y * key.row + x * V::LANES);
                    let row = to.add(first + channel * step + lane);
                    for i in 0..count {
                        *row.add(i) = *from.add(i * V::LANES) * a.scale;
                    }
                }
            }
            x += count;
        }
    }
}

/// Packs values: channels in lanes, pixel after pixel. Lanes without a channel get zeros.
#[inline(always)]
unsafe fn pack_values<V: Vector<Element = f32>>(
    a: &Attention,
    head: &Head,
    base: *const f32,
    to: *mut f32,
) {
    let (blocks, depth) = (head.outputs.len(), a.key_count());
    let used: usize = head.values.iter().map(|run| run.count).sum();
    if used < blocks * V::LANES {
        // SAFETY: the packed values have room for all blocks.
        unsafe { std::slice::from_raw_parts_mut(to, depth * blocks * V::LANES) }.fill(0.);
    }
    for run in &head.values {
        let (first, step) = place(run.lane / V::LANES, blocks, depth, V::LANES);
        let mut pixel = first + run.lane % V::LANES;
        for y in 0..a.value_size[0] {
            for x in 0..a.value_size[1] {
                // SAFETY: as above, and values lie in the arena.
                unsafe {
                    let value = base.add(run.plane.offset + y * run.plane.row + x * V::LANES);
                    if run.count == V::LANES {
                        V::load(value).store(to.add(pixel));
                    } else {
                        std::ptr::copy_nonoverlapping(value, to.add(pixel), run.count);
                    }
                }
                pixel += step;
            }
        }
    }
}

/// Turns products into exp(x - highest) for each of `count` queries. Returns the factors that make their sums 1.
#[inline(always)]
unsafe fn exponentials<V: Vector<Element = f32>>(
    a: &Attention,
    shares: *mut f32,
    count: usize,
) -> [f32; MOST] {
    let (blocks, stride) = (a.shares.len(), a.tile * V::LANES);
    let tail = a.shares[blocks - 1].lanes;
    let mut factors = [0.; MOST];
    // SAFETY: the shares of a tile are `blocks` blocks of `tile` registers.
    unsafe {
        for i in 0..count {
            let row = shares.add(i * V::LANES);
            for lane in tail..V::LANES {
                *row.add((blocks - 1) * stride + lane) = f32::NEG_INFINITY;
            }
            let mut highest = V::load(row);
            for block in 1..blocks {
                highest = V::load(row.add(block * stride)).max(highest);
            }
            let highest = V::splat(fold(highest, f32::max));
            for block in 0..blocks {
                let at = row.add(block * stride);
                V::load(at).sub(highest).store(at);
            }
        }
        for block in 0..blocks {
            apply::<V>(shares.add(block * stride), count, Activation::Exp);
        }
        for (i, factor) in factors[..count].iter_mut().enumerate() {
            let row = shares.add(i * V::LANES);
            for lane in tail..V::LANES {
                *row.add((blocks - 1) * stride + lane) = 0.;
            }
            let mut sum = V::load(row);
            for block in 1..blocks {
                sum = sum.add(V::load(row.add(block * stride)));
            }
            *factor = 1. / fold(sum, |a, b| a + b);
        }
    }
    factors
}
