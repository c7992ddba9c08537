//! [`PlaneResizer`]: resizes the rows of one plane, and returns one float row for each component in it.
//!
//! Rows come first, columns second. The source rows of a target row are mixed as bytes, whatever they mean, in one
//! sequential pass that vectorises. Then the samples that the target's columns need are picked. A source row is read
//! once; if a later target row needs it again, it is kept as a copy.
//!
//! Linear interpolation, the common case, mixes rows in 16 bits: a sample is `value · 256` with an error of at most 2
//! (0.008 of a level). It picks a sample and its neighbour in one step. Other kernels work in floats.

use super::axis::{Axis, Tap};
use super::layout::Component;
use crate::base::image::Plane;
use crate::base::tensor::Interpolation;

/// Samples after the end of a line that a pair at the border may read; the widest step is 4.
const LINE_MARGIN: usize = 4;
/// One level in a line of 16 bits.
const LINE_LEVEL: f32 = 256.0;

/// Tables and scratch rows of one plane.
#[derive(Debug)]
pub(super) struct PlaneResizer {
    rows: Rows,
    vertical: Axis,
    kernel: Kernel,
}

#[derive(Debug)]
enum Kernel {
    Linear {
        line: Vec<u16>,
        pairs: Vec<u32>,
        columns: Vec<Pairs>,
    },
    Weighted {
        line: Vec<f32>,
        columns: Vec<Weighted>,
    },
}

impl PlaneResizer {
    /// Prepares for rows of `row_bytes`. `components` lie in the plane, each with its place in the output of
    /// [`Self::row`]. The axes are those of full resolution.
    pub fn new(
        row_bytes: usize,
        components: &[(usize, Component)],
        horizontal: &Axis,
        vertical: &Axis,
        interpolation: Interpolation,
    ) -> Self {
        let halved = |axis: &Axis, by: bool| if by { axis.halved() } else { axis.clone() };
        let halved_y = components.iter().any(|(_, component)| component.halved_y);
        let vertical = halved(vertical, halved_y);
        let columns = components.iter().map(|&(target, component)| {
            (target, component, halved(horizontal, component.halved_x))
        });
        let kernel = match interpolation {
            Interpolation::Linear => Kernel::Linear {
                line: vec![0; row_bytes + LINE_MARGIN],
                pairs: vec![0; horizontal.len()],
                columns: columns
                    .map(|(target, component, axis)| Pairs::new(target, component, &axis))
                    .collect(),
            },
            Interpolation::Cubic | Interpolation::Area => Kernel::Weighted {
                line: vec![0.0; row_bytes],
                columns: columns
                    .map(|(target, component, axis)| Weighted {
                        target,
                        component,
                        axis,
                    })
                    .collect(),
            },
        };
        let slots = if interpolation == Interpolation::Cubic {
            4
        } else {
            2
        };
        Self {
            rows: Rows::new(row_bytes, slots, &vertical),
            vertical,
            kernel,
        }
    }

    /// Forgets the rows of the previous frame.
    pub fn start_frame(&mut self) {
        self.rows.forget();
    }

    /// Writes target row `t` of every component of this plane, 0 to 255 (cubic: slightly beyond). Ask for rows in
    /// rising order.
    #[inline(always)]
    pub fn row(&mut self, plane: &Plane, t: usize, components: &mut [Vec<f32>; 3]) {
        match &mut self.kernel {
            Kernel::Linear {
                line,
                pairs,
                columns,
            } => {
                let (base, next) = match self.vertical.taps(t) {
                    [base, next] => (base, next),
                    taps => unreachable!("{} taps in a linear axis", taps.len()),
                };
                let (upper, lower) = self.rows.two(plane, base.index, next.index);
                let line_end = upper.len();
                if base.index == next.index {
                    widen(upper, &mut line[..line_end]);
                } else {
                    mix(upper, lower, next.weight, &mut line[..line_end]);
                }
                for column in columns {
                    column.pick(line, pairs, &mut components[column.target]);
                }
            }
            Kernel::Weighted { line, columns } => {
                line.fill(0.0);
                for tap in self.vertical.taps(t) {
                    accumulate(self.rows.one(plane, tap.index), tap.weight, line);
                }
                for column in columns {
                    column.sum(line, &mut components[column.target]);
                }
            }
        }
    }
}

/// The source rows of a plane, each read once, in order.
#[derive(Debug)]
struct Rows {
    row_bytes: usize,
    /// Copies, with row `y` in slot `y % slots`; no slots if no row is needed twice.
    slots: Vec<Vec<u8>>,
    /// Row in each slot.
    held: Vec<Option<usize>>,
}

impl Rows {
    fn new(row_bytes: usize, slots: usize, vertical: &Axis) -> Self {
        let last = |t: usize| vertical.taps(t).last().map(|tap| tap.index);
        let first = |t: usize| vertical.taps(t).first().map(|tap| tap.index);
        let shared = (1..vertical.len()).any(|t| first(t) <= last(t - 1));
        let repeated = |t: usize| {
            vertical
                .taps(t)
                .windows(2)
                .any(|pair| pair[0].index == pair[1].index)
        };
        let more_than_a_pair =
            (0..vertical.len()).any(|t| vertical.taps(t).len() > 2 && repeated(t));
        let slots = if shared || more_than_a_pair { slots } else { 0 };
        Self {
            row_bytes,
            slots: vec![vec![0; row_bytes]; slots],
            held: vec![None; slots],
        }
    }

    fn forget(&mut self) {
        self.held.fill(None);
    }

    fn one<'a>(&'a mut self, plane: &Plane<'a>, y: usize) -> &'a [u8] {
        self.two(plane, y, y).0
    }

    /// Returns rows `y` and `next`, which is `y` or the row below.
    fn two<'a>(&'a mut self, plane: &Plane<'a>, y: usize, next: usize) -> (&'a [u8], &'a [u8]) {
        if self.slots.is_empty() {
            return (
                plane.row(y, self.row_bytes),
                plane.row(next, self.row_bytes),
            );
        }
        for y in [y, next] {
            let slot = y % self.slots.len();
            if self.held[slot] != Some(y) {
                self.slots[slot].copy_from_slice(plane.row(y, self.row_bytes));
                self.held[slot] = Some(y);
            }
        }
        (
            &self.slots[y % self.slots.len()],
            &self.slots[next % self.slots.len()],
        )
    }
}

/// Columns of one component for linear interpolation.
#[derive(Debug)]
struct Pairs {
    target: usize,
    offset: usize,
    step: usize,
    /// Place in the line of the first sample, counted from `offset`.
    starts: Vec<u32>,
    /// Share of the second sample.
    shares: Vec<f32>,
}

impl Pairs {
    fn new(target: usize, component: Component, axis: &Axis) -> Self {
        let (starts, shares) = axis
            .pairs()
            .map(|(base, share)| ((base * component.step) as u32, share))
            .unzip();
        Self {
            target,
            offset: component.offset,
            step: component.step,
            starts,
            shares,
        }
    }

    #[inline(always)]
    fn pick(&self, line: &[u16], pairs: &mut [u32], row: &mut [f32]) {
        let line = &line[self.offset..];
        match self.step {
            1 => gather::<1>(line, &self.starts, pairs),
            2 => gather::<2>(line, &self.starts, pairs),
            3 => gather::<3>(line, &self.starts, pairs),
            4 => gather::<4>(line, &self.starts, pairs),
            step => unreachable!("no format has a sample every {step} bytes"),
        }
        for ((pair, share), value) in pairs.iter().zip(&self.shares).zip(row) {
            let first = (pair & 0xffff) as i32 as f32;
            let second = (pair >> 16) as i32 as f32;
            *value = (first + (second - first) * share) * (1.0 / LINE_LEVEL);
        }
    }
}

/// Columns of one component for any number of taps.
#[derive(Debug)]
struct Weighted {
    target: usize,
    component: Component,
    axis: Axis,
}

impl Weighted {
    #[inline(always)]
    fn sum(&self, line: &[f32], row: &mut [f32]) {
        let Component { offset, step, .. } = self.component;
        for (t, value) in row.iter_mut().enumerate() {
            let share = |tap: &Tap| line[offset + tap.index * step] * tap.weight;
            *value = self.axis.taps(t).iter().map(share).sum();
        }
    }
}

/// Collects the sample at each start in the low half, and the one `STEP` later in the high half.
#[inline(always)]
fn gather<const STEP: usize>(line: &[u16], starts: &[u32], pairs: &mut [u32]) {
    for (start, pair) in starts.iter().zip(pairs) {
        let samples = &line[*start as usize..][..STEP + 1];
        *pair = u32::from(samples[0]) | u32::from(samples[STEP]) << 16;
    }
}

/// Copies one row into a line.
#[inline(always)]
fn widen(row: &[u8], line: &mut [u16]) {
    for (value, byte) in line.iter_mut().zip(row) {
        *value = u16::from(*byte) << 8;
    }
}

/// Mixes two rows into a line, the lower with the share `share`.
#[inline(always)]
fn mix(upper: &[u8], lower: &[u8], share: f32, line: &mut [u16]) {
    // Shares of 16 bits that sum to 65535, as high and low byte. No product and no sum of two exceeds 16 bits, so a
    // vector unit works on eight samples at once.
    let [lower_high, lower_low] = ((share * 65535.0).round() as u16)
        .to_be_bytes()
        .map(u16::from);
    let (upper_high, upper_low) = (255 - lower_high, 255 - lower_low);
    for ((value, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
        let (a, b) = (u16::from(*upper), u16::from(*lower));
        *value = a * upper_high + b * lower_high + ((a * upper_low + b * lower_low) >> 8);
    }
}

#[inline(always)]
fn accumulate(row: &[u8], weight: f32, line: &mut [f32]) {
    for (value, byte) in line.iter_mut().zip(row) {
        *value += f32::from(*byte) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: usize = 6;

    fn resizer(
        source: usize,
        target: usize,
        interpolation: Interpolation,
        halved: bool,
    ) -> PlaneResizer {
        let component = Component {
            plane: 0,
            offset: 0,
            step: 1,
            halved_x: false,
            halved_y: halved,
        };
        let horizontal = Axis::new(ROW, ROW, interpolation);
        let vertical = Axis::new(source, target, interpolation);
        PlaneResizer::new(
            ROW,
            &[(0, component)],
            &horizontal,
            &vertical,
            interpolation,
        )
    }

    /// Returns all target rows; before each, `spoil` may change the memory of the source.
    fn rows(
        resizer: &mut PlaneResizer,
        mut data: Vec<u8>,
        spoil: impl Fn(&PlaneResizer, usize, &mut [u8]),
    ) -> Vec<Vec<f32>> {
        let mut components = [vec![0.0; ROW], Vec::new(), Vec::new()];
        resizer.start_frame();
        (0..resizer.vertical.len())
            .map(|t| {
                spoil(resizer, t, &mut data);
                resizer.row(
                    &Plane {
                        data: &data,
                        stride: ROW,
                    },
                    t,
                    &mut components,
                );
                components[0].clone()
            })
            .collect()
    }

    #[test]
    fn no_row_is_read_again() {
        use Interpolation::*;
        let cases = [
            (9, 20),
            (20, 20),
            (20, 13),
            (20, 9),
            (21, 10),
            (40, 9),
            (40, 3),
        ];
        for (source, target) in cases {
            for interpolation in [Linear, Cubic, Area] {
                if interpolation == Area && target > source {
                    continue;
                }
                for halved in [false, true] {
                    let data: Vec<u8> = (0..source * ROW).map(|i| (i * 31 % 251) as u8).collect();
                    let mut resizer = resizer(source, target, interpolation, halved);
                    let calm = rows(&mut resizer, data.clone(), |_, _, _| {});
                    let spoilt = rows(&mut resizer, data, |resizer, t, data| {
                        let read = t
                            .checked_sub(1)
                            .and_then(|t| resizer.vertical.taps(t).last());
                        let read = read.map_or(0, |tap| tap.index + 1);
                        data[..read * ROW].fill(0);
                    });
                    assert_eq!(
                        spoilt, calm,
                        "{interpolation:?} {source} -> {target}, halved: {halved}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_mixed_line_is_exact_to_a_hundredth_of_a_level() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut line = vec![0; 256];
        for (step, lower) in [0_u8, 1, 127, 128, 254, 255].into_iter().enumerate() {
            for share in [0.0, 1e-6, 0.25, 0.5, 0.7001 + step as f32 / 20.0, 1.0] {
                mix(&bytes, &[lower; 256], share, &mut line);
                for (upper, value) in bytes.iter().zip(&line) {
                    let expected = f32::from(*upper) * (1.0 - share) + f32::from(lower) * share;
                    let found = f32::from(*value) / LINE_LEVEL;
                    assert!(
                        (found - expected).abs() < 0.01,
                        "{upper} and {share} of {lower}: {found}"
                    );
                }
            }
        }
    }
}
