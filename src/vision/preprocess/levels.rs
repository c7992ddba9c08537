//! [`Levels`]: resizes a picture of RGB bytes exactly as OpenCV does, to the last bit.
//!
//! A model that computes with integers may find other boxes if a single pixel differs by one level. Models are trained,
//! calibrated and judged with `cv2.resize`. So RGB pictures get its levels (compared with OpenCV 5.0.0): columns first,
//! rows second.
//!
//! - Linear: positions and shares are f32; shares are then integers of 11 bits. Sums of a row lose 4 bits, their
//!   products with the shares of rows 16, and the sum of two is rounded to whole levels, `(sum + 2) >> 2`.
//! - Area: sums of f32 in the order of the pixels. Parts of a pixel up to a thousandth are left out. If both ratios are
//!   whole numbers, the levels are summed first and divided then; if both are 2, it is the same as linear.
//!
//! A source row is copied first, so camera memory is read once, in order.

use super::layout::Component;
use crate::base::image::Plane;
use crate::base::tensor::Interpolation;

/// Bits of a share, and a share of 1.
const SHARE_BITS: u32 = 11;
const WHOLE: f32 = (1 << SHARE_BITS) as f32;
/// Bits dropped from the sums of a row, and from their products with the shares of rows.
const ROW_BITS: u32 = 4;
const PRODUCT_BITS: u32 = 16;
/// Part of a pixel below which it is no tap of an area.
const NEGLIGIBLE: f64 = 1e-3;
/// Bytes after a row that may be read, with weight 0.
const MARGIN: usize = 8;
const COLOURS: usize = 3;
/// Samples summed at once.
const LANES: usize = 4;

/// Tables and scratch rows for the single plane of an RGB picture.
#[derive(Debug)]
pub(super) struct Levels {
    kernel: Kernel,
    /// The source row, with its margin.
    line: Vec<u8>,
    row_bytes: usize,
    /// Byte of a row where the first colour lies; the three colours are adjacent.
    first: usize,
    /// Component of each of them.
    places: [usize; COLOURS],
    /// Bytes of a pixel.
    step: usize,
}

#[derive(Debug)]
enum Kernel {
    Linear(Linear),
    Area(Area),
}

impl Levels {
    /// Prepares for `components` of full resolution in one plane, from `source` to `target`, width and height. Returns
    /// `None` for formats that are not resized here.
    pub fn new(
        row_bytes: usize,
        components: &[(usize, Component)],
        source: [usize; 2],
        target: [usize; 2],
        interpolation: Interpolation,
    ) -> Option<Self> {
        let mut components = components.to_vec();
        components.sort_by_key(|(_, component)| component.offset);
        let [(first, component), (second, _), (third, _)] = components[..] else {
            return None;
        };
        let step = component.step;
        let ratio = |axis: usize| source[axis] as f64 / target[axis] as f64;
        let kernel = match interpolation {
            Interpolation::Area if ratio(0) != 2.0 || ratio(1) != 2.0 => {
                Kernel::Area(Area::new(source, target))
            }
            Interpolation::Area | Interpolation::Linear => {
                Kernel::Linear(Linear::new(source, target, step))
            }
            Interpolation::Cubic => return None,
        };
        Some(Self {
            kernel,
            line: vec![0; row_bytes + MARGIN],
            row_bytes,
            first: component.offset,
            places: [first, second, third],
            step,
        })
    }

    /// Forgets the rows of the previous frame.
    pub fn start_frame(&mut self) {
        match &mut self.kernel {
            Kernel::Linear(linear) => linear.held = [None; 2],
            Kernel::Area(area) => area.held = None,
        }
    }

    /// Writes target row `t` of every component, 0 to 255. Ask for rows in rising order.
    pub fn row(&mut self, plane: &Plane, t: usize, components: &mut [Vec<f32>; 3]) {
        let mut source = Source {
            plane,
            line: &mut self.line,
            row_bytes: self.row_bytes,
            first: self.first,
        };
        // Each row is taken once.
        let mut rows = components.each_mut().map(|row| Some(&mut row[..]));
        let places = self
            .places
            .map(|place| rows[place].take().unwrap_or_default());
        match (&mut self.kernel, self.step) {
            (Kernel::Linear(linear), 3) => linear.row::<3>(t, &mut source, places),
            (Kernel::Linear(linear), 4) => linear.row::<4>(t, &mut source, places),
            (Kernel::Area(area), 3) => area.row::<3>(t, &mut source, places),
            (Kernel::Area(area), 4) => area.row::<4>(t, &mut source, places),
            (_, step) => unreachable!("no format of RGB has a pixel of {step} bytes"),
        }
    }
}

/// Rows as they come from the camera.
struct Source<'a> {
    plane: &'a Plane<'a>,
    line: &'a mut [u8],
    row_bytes: usize,
    first: usize,
}

impl Source<'_> {
    /// Returns row `y` from its first colour, with a margin.
    fn read(&mut self, y: usize) -> &[u8] {
        self.line[..self.row_bytes].copy_from_slice(self.plane.row(y, self.row_bytes));
        &self.line[self.first..]
    }
}

/// Returns where the centre of target pixel `t` lies in the source: the pixel before it, and the distance behind that.
fn centre(source: usize, target: usize, t: usize) -> (i64, f32) {
    let ratio = 1.0 / (target as f64 / source as f64);
    let position = ((t as f64 + 0.5) * ratio - 0.5) as f32;
    let base = position.floor();
    (base as i64, position - base)
}

/// Returns `1 - share` and `share` in 11 bits.
fn shares(share: f32) -> [u16; 2] {
    [1.0 - share, share].map(|share| (share * WHOLE).round_ties_even() as u16)
}

/// Pairs of adjacent pixels: for each colour the sample of the first and of the second.
#[derive(Debug)]
struct Pairs {
    /// Byte of the first pixel of each pair.
    starts: Vec<u32>,
    /// Shares of the first pixel.
    first: Vec<u16>,
    second: Vec<u16>,
}

#[derive(Debug)]
struct Linear {
    columns: Pairs,
    /// Source rows of each target row and their shares. At the borders both rows are the same.
    rows: Vec<([usize; 2], [u16; 2])>,
    /// Samples of one row: those of the first pixel in the low half, those of the second in the high half.
    pairs: [Vec<u32>; COLOURS],
    /// Sums of two source rows; row `y` is in slot `y % 2`.
    sums: [[Vec<u16>; COLOURS]; 2],
    held: [Option<usize>; 2],
    /// True if rows have the target's width: their samples are the sums, but for the scale.
    same_width: bool,
}

impl Linear {
    fn new(source: [usize; 2], target: [usize; 2], step: usize) -> Self {
        let last = source.map(|side| side as i64 - 1);
        let column = |t: usize| match centre(source[0], target[0], t) {
            (base, _) if base < 0 => (0, 0.0),
            (base, _) if base >= last[0] => (last[0], 0.0),
            inside => inside,
        };
        let row = |t: usize| {
            let (base, share) = centre(source[1], target[1], t);
            let rows = [base, base + 1].map(|y| y.clamp(0, last[1]) as usize);
            match shares(share) {
                // No row is read in vain.
                [whole, 0] => ([rows[0]; 2], [whole, 0]),
                shares => (rows, shares),
            }
        };
        let columns = (0..target[0]).map(column);
        let (starts, (first, second)) = columns
            .map(|(base, share)| {
                let [first, second] = shares(share);
                ((base as usize * step) as u32, (first, second))
            })
            .unzip();
        let sums = || [(); COLOURS].map(|()| vec![0; target[0]]);
        Self {
            columns: Pairs {
                starts,
                first,
                second,
            },
            rows: (0..target[1]).map(row).collect(),
            pairs: [(); COLOURS].map(|()| vec![0; target[0]]),
            sums: [sums(), sums()],
            held: [None; 2],
            same_width: source[0] == target[0],
        }
    }

    fn row<const STEP: usize>(
        &mut self,
        t: usize,
        source: &mut Source,
        components: [&mut [f32]; COLOURS],
    ) {
        let (rows, shares) = self.rows[t];
        for y in rows {
            let place = y % 2;
            if self.held[place] != Some(y) {
                let line = source.read(y);
                if self.same_width {
                    copy::<STEP>(line, &mut self.sums[place]);
                } else {
                    gather::<STEP>(line, &self.columns.starts, &mut self.pairs);
                    for (pairs, sums) in self.pairs.iter().zip(&mut self.sums[place]) {
                        sum_pairs(pairs, &self.columns, sums);
                    }
                }
                self.held[place] = Some(y);
            }
        }
        let [upper, lower] = rows.map(|y| &self.sums[y % 2]);
        for ((upper, lower), levels) in upper.iter().zip(lower).zip(components) {
            mix(upper, lower, shares, levels);
        }
    }
}

/// Writes the sums of pixels that are not interpolated: as [`sum_pairs`] does for shares of 1 and 0.
fn copy<const STEP: usize>(line: &[u8], sums: &mut [Vec<u16>; COLOURS]) {
    let [a, b, c] = sums;
    let sum = |byte: u8| u16::from(byte) << (SHARE_BITS - ROW_BITS);
    for (((pixel, a), b), c) in line.chunks_exact(STEP).zip(a).zip(b).zip(c) {
        (*a, *b, *c) = (sum(pixel[0]), sum(pixel[1]), sum(pixel[2]));
    }
}

/// Collects the pairs of the three colours, whose bytes are adjacent.
fn gather<const STEP: usize>(line: &[u8], starts: &[u32], pairs: &mut [Vec<u32>; COLOURS]) {
    let [a, b, c] = pairs;
    for (((start, a), b), c) in starts.iter().zip(a).zip(b).zip(c) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&line[*start as usize..][..8]);
        let both = u64::from_le_bytes(bytes);
        let (first, second) = (both as u32, (both >> (8 * STEP)) as u32);
        *a = first & 0xff | (second & 0xff) << 16;
        *b = first >> 8 & 0xff | (second & 0xff00) << 8;
        *c = first >> 16 & 0xff | (second & 0xff_0000);
    }
}

fn sum_pairs(pairs: &[u32], columns: &Pairs, sums: &mut [u16]) {
    let shares = columns.first.iter().zip(&columns.second);
    for ((pair, (first, second)), sum) in pairs.iter().zip(shares).zip(sums) {
        // Masking shows the compiler that the number is short, so it multiplies it as such.
        let short = |n: &u16| u32::from(*n) & 0xfff;
        let of_both = (pair & 0xff) * short(first) + (pair >> 16 & 0xff) * short(second);
        *sum = (of_both >> ROW_BITS) as u16;
    }
}

fn mix(upper: &[u16], lower: &[u16], shares: [u16; 2], levels: &mut [f32]) {
    let part =
        |sum: &u16, share: u16| ((u32::from(*sum) * u32::from(share)) >> PRODUCT_BITS) as u16;
    for ((level, upper), lower) in levels.iter_mut().zip(upper).zip(lower) {
        let sum = part(upper, shares[0]) + part(lower, shares[1]);
        *level = f32::from((sum + 2) >> 2);
    }
}

/// Source pixels and their weights, for one target pixel after the other.
#[derive(Debug, Default)]
struct Taps {
    taps: Vec<(usize, f32)>,
    ends: Vec<usize>,
}

impl Taps {
    /// Computes the taps; with `whole` every pixel has a weight of 1.
    fn new(source: usize, target: usize, whole: bool) -> Self {
        let ratio = 1.0 / (target as f64 / source as f64);
        let mut taps = Self::default();
        for t in 0..target {
            let start = t as f64 * ratio;
            let end = start + ratio;
            let length = ratio.min(source as f64 - start);
            let last = (end.floor() as usize).min(source - 1);
            let first = (start.ceil() as usize).min(last);
            let mut push = |index: usize, part: f64| {
                let weight = if whole { 1.0 } else { (part / length) as f32 };
                taps.taps.push((index, weight));
            };
            if first as f64 - start > NEGLIGIBLE {
                push(first - 1, first as f64 - start);
            }
            (first..last).for_each(|index| push(index, 1.0));
            if end - last as f64 > NEGLIGIBLE {
                push(last, (end - last as f64).min(1.0).min(length));
            }
            taps.ends.push(taps.taps.len());
        }
        taps
    }

    fn for_pixel(&self, t: usize) -> &[(usize, f32)] {
        let start = t.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.taps[start..self.ends[t]]
    }
}

#[derive(Debug)]
struct Area {
    columns: Taps,
    rows: Taps,
    /// Factor for every sum.
    factor: f32,
    /// Sums of one source row: a pixel's colours, and the byte behind them.
    sums: Vec<[f32; LANES]>,
    held: Option<usize>,
    levels: Vec<[f32; LANES]>,
}

impl Area {
    fn new(source: [usize; 2], target: [usize; 2]) -> Self {
        let whole = (0..2).all(|axis| source[axis].is_multiple_of(target[axis]));
        let area = (source[0] / target[0]) * (source[1] / target[1]);
        let axis = |axis: usize| Taps::new(source[axis], target[axis], whole);
        Self {
            columns: axis(0),
            rows: axis(1),
            factor: if whole { 1.0 / area as f32 } else { 1.0 },
            sums: vec![[0.0; LANES]; target[0]],
            held: None,
            levels: vec![[0.0; LANES]; target[0]],
        }
    }

    fn row<const STEP: usize>(
        &mut self,
        t: usize,
        source: &mut Source,
        components: [&mut [f32]; COLOURS],
    ) {
        self.levels.fill([0.0; LANES]);
        for (y, weight) in self.rows.for_pixel(t) {
            if self.held != Some(*y) {
                sum_areas::<STEP>(source.read(*y), &self.columns, &mut self.sums);
                self.held = Some(*y);
            }
            let sums = self.sums.as_flattened();
            for (level, sum) in self.levels.as_flattened_mut().iter_mut().zip(sums) {
                *level += sum * weight;
            }
        }
        for (colour, levels) in components.into_iter().enumerate() {
            for (out, pixel) in levels.iter_mut().zip(&self.levels) {
                *out = pixel[colour] * self.factor;
            }
        }
    }
}

fn sum_areas<const STEP: usize>(line: &[u8], columns: &Taps, sums: &mut [[f32; LANES]]) {
    let mut start = 0;
    for (end, sum) in columns.ends.iter().zip(sums) {
        *sum = [0.0; LANES];
        for (index, weight) in &columns.taps[start..*end] {
            let pixel: &[u8] = &line[index * STEP..][..LANES];
            for (sum, sample) in sum.iter_mut().zip(pixel) {
                *sum += f32::from(*sample) * weight;
            }
        }
        start = *end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interpolation::{Area, Linear};

    type Golden = ([usize; 2], [usize; 2], Interpolation, u32);

    #[rustfmt::skip] // a table
    const GOLDEN: [Golden; 13] = [
        ([64, 48], [41, 31], Linear, 0xa2f86f45),
        ([64, 48], [32, 24], Linear, 0x21f17c54),
        ([64, 48], [32, 40], Linear, 0x7bf220e5),
        ([10, 8], [25, 20], Linear, 0x52392317),
        ([9, 7], [9, 7], Linear, 0x2cebeb96),
        ([2, 1], [7, 7], Linear, 0x3bb45199),
        ([97, 53], [40, 61], Linear, 0x2c211533),
        ([64, 48], [35, 29], Area, 0x53f17cd0),
        ([64, 48], [32, 24], Area, 0x21f17c54),
        ([63, 48], [21, 24], Area, 0xe2c33e32),
        ([60, 45], [20, 15], Area, 0x9f51a031),
        ([97, 53], [31, 52], Area, 0x1a76fa50),
        ([50, 20], [50, 20], Area, 0x8a671b2a),
    ];

    /// Returns a picture of noise, `width * height` pixels of 3 bytes.
    fn noise(width: usize, height: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..width * height * 3).map(|_| next()).collect()
    }

    fn resized(
        source: [usize; 2],
        target: [usize; 2],
        interpolation: Interpolation,
        step: usize,
    ) -> Vec<u8> {
        let data = noise(source[0], source[1]);
        let spread = |pixel: &[u8]| [pixel, &[9][..step - 3]].concat();
        let data: Vec<u8> = data.chunks(3).flat_map(spread).collect();
        let colour = |offset| Component {
            plane: 0,
            offset,
            step,
            halved_x: false,
            halved_y: false,
        };
        let components = [0, 1, 2].map(|c| (c, colour(c)));
        let stride = source[0] * step;
        let levels = Levels::new(stride, &components, source, target, interpolation);
        let mut levels = levels.expect("it is served");
        let mut rows = [0; 3].map(|_| vec![0.0; target[0]]);
        let mut found = Vec::new();
        for _ in 0..2 {
            found.clear();
            levels.start_frame();
            let mut data = data.clone();
            for t in 0..target[1] {
                // What has been read is not read again.
                let read = match &levels.kernel {
                    Kernel::Linear(linear) => linear.held.iter().flatten().max(),
                    Kernel::Area(area) => area.held.iter().max(),
                };
                let read = read.map_or(0, |y| y + 1);
                data[..read * stride].fill(0);
                let plane = Plane {
                    data: &data,
                    stride,
                };
                levels.row(&plane, t, &mut rows);
                for x in 0..target[0] {
                    found.extend(rows.iter().map(|row| row[x].round_ties_even() as u8));
                }
            }
        }
        found
    }

    /// FNV-1a, 32 bits.
    fn hash(levels: &[u8]) -> u32 {
        levels.iter().fold(0x811c_9dc5, |hash, level| {
            (hash ^ u32::from(*level)).wrapping_mul(0x0100_0193)
        })
    }

    /// The hashes come from `cv2.resize` of OpenCV 5.0.0 for the same noise.
    #[test]
    fn levels_are_those_of_opencv() {
        for (source, target, interpolation, wanted) in GOLDEN {
            for step in [3, 4] {
                let found = resized(source, target, interpolation, step);
                let what = format!("{source:?} to {target:?}, {interpolation:?}, {step} bytes");
                assert_eq!(hash(&found), wanted, "{what}");
            }
        }
    }
}
