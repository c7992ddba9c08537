use super::*;
use crate::convnet::graph::Activation;
use crate::convnet::kernels::dense::{InBlock, OutBlock};
use crate::convnet::kernels::element::Element;
use crate::convnet::kernels::pack::{Aligned, Packed};
use crate::convnet::kernels::{Base, Kernels};
use crate::convnet::tests::random::{ACTIVATIONS, Random};

/// A layer in memory of its own: NaN wherever it must not read, and a mark wherever it must not write.
struct Case {
    lanes: usize,
    /// First used lane and number of lanes of each input block.
    runs: Vec<(usize, usize)>,
    blocks: usize,
    size: [usize; 2],
    residual: bool,
    epilogue: Epilogue,
    /// Channel, row, column; rows and columns are those of the results and two more.
    inputs: Vec<f32>,
    /// Result's lane, channel, row, column.
    kernels: Vec<f32>,
    bias: Vec<f32>,
    /// Residual, in the order of the results: block, row, column, lane.
    others: Vec<f32>,
}

const MARK: f32 = 12345.;

impl Case {
    fn random(r: &mut Random, lanes: usize) -> Self {
        let size = [r.between(1, 40), r.between(1, 40)];
        let runs: Vec<(usize, usize)> = (0..r.between(1, 4))
            .map(|_| {
                let first = if r.chance(70) { 0 } else { r.below(lanes) };
                (
                    first,
                    if r.chance(70) {
                        lanes - first
                    } else {
                        r.between(1, lanes - first)
                    },
                )
            })
            .collect();
        let (blocks, residual) = (r.between(1, 5), r.chance(50));
        let before = r.chance(60).then(|| r.pick(&ACTIVATIONS));
        let after = r.chance(40).then(|| r.pick(&ACTIVATIONS));
        let channels: usize = runs.iter().map(|run| run.1).sum();
        let pixels = (size[0] + 2) * (size[1] + 2);
        Case {
            lanes,
            blocks,
            size,
            residual,
            epilogue: Epilogue { before, after },
            inputs: r.values(channels * pixels),
            kernels: r.values(channels * blocks * lanes * 9),
            bias: r.values(blocks * lanes),
            others: r.values(blocks * lanes * size[0] * size[1]),
            runs,
        }
    }

    fn channels(&self) -> usize {
        self.runs.iter().map(|run| run.1).sum()
    }

    /// Result by definition, before the epilogue: block, row, column, lane.
    fn wanted(&self) -> Vec<f64> {
        let ([h, w], n) = (self.size, self.blocks * self.lanes);
        let mut result = Vec::with_capacity(n * h * w);
        for (b, y, x) in (0..self.blocks).flat_map(|b| (0..h * w).map(move |i| (b, i / w, i % w))) {
            for o in b * self.lanes..(b + 1) * self.lanes {
                let mut sum = f64::from(self.bias[o]);
                for c in 0..self.channels() {
                    for (ky, kx) in (0..9).map(|k| (k / 3, k % 3)) {
                        let at = (c * (h + 2) + y + ky) * (w + 2) + x + kx;
                        sum += f64::from(self.inputs[at])
                            * f64::from(self.kernels[(o * self.channels() + c) * 9 + ky * 3 + kx]);
                    }
                }
                result.push(sum);
            }
        }
        result
    }

    fn packed(&self, m: usize) -> Packed {
        let (lanes, blocks, channels) = (self.lanes, self.blocks, self.channels());
        let taps = |row: usize, lane: usize| &self.kernels[(lane * channels + row) * 9..][..9];
        let bias = |lane: usize| self.bias[lane];
        match m {
            4 => Packed::new(
                Element::F32,
                lanes,
                blocks,
                channels,
                |r, l| filter::<6, 36>(taps(r, l)),
                bias,
            ),
            _ => Packed::new(
                Element::F32,
                lanes,
                blocks,
                channels,
                |r, l| filter::<4, 16>(taps(r, l)),
                bias,
            ),
        }
    }

    /// Rows and columns of an input block: the taps, then the border that whole tiles read.
    fn input_size(&self, m: usize) -> [usize; 2] {
        self.size.map(|n| n.next_multiple_of(m) + 2)
    }

    /// Memory of the layer, and where the output and the residual begin in it.
    fn memory(&self, m: usize) -> (Aligned, [usize; 2]) {
        let ([h, w], lanes) = (self.size, self.lanes);
        let [rows, columns] = self.input_size(m);
        let in_plane = rows * columns * lanes;
        let out_at = self.runs.len() * in_plane + 16;
        let other_at = out_at + self.blocks * self.out_plane() + 16;
        let mut memory = Aligned::zeroed(other_at + self.blocks * self.other_plane() + 16);
        memory.fill(f32::NAN);
        memory[out_at..other_at].fill(MARK);
        let mut values = self.inputs.iter();
        for (block, &(first, n)) in self.runs.iter().enumerate() {
            for lane in first..first + n {
                for (y, x) in (0..rows * columns).map(|i| (i / columns, i % columns)) {
                    let tap = y < h + 2 && x < w + 2;
                    memory[block * in_plane + (y * columns + x) * lanes + lane] =
                        if tap { *values.next().unwrap() } else { 0. };
                }
            }
        }
        let mut values = self.others.iter();
        for (b, i) in (0..self.blocks).flat_map(|b| (0..h * w).map(move |i| (b, i))) {
            let at = other_at + b * self.other_plane() + (i / w * (w + 1) + i % w) * lanes;
            memory[at..at + lanes]
                .iter_mut()
                .for_each(|v| *v = *values.next().unwrap());
        }
        (memory, [out_at, other_at])
    }

    /// Floats of an output block: a pixel of margin all around.
    fn out_plane(&self) -> usize {
        (self.size[0] + 2) * (self.size[1] + 2) * self.lanes
    }

    /// Floats of a block of the residual: a column of margin.
    fn other_plane(&self) -> usize {
        self.size[0] * (self.size[1] + 1) * self.lanes
    }

    fn layer(&self, m: usize, chunk: usize, [out_at, other_at]: [usize; 2]) -> Winograd {
        let (lanes, w) = (self.lanes, self.size[1]);
        let [rows, columns] = self.input_size(m);
        let runs = self.runs.iter().enumerate();
        let block = |b: usize| OutBlock {
            offset: out_at + b * self.out_plane() + (w + 3) * lanes,
            residual: self
                .residual
                .then_some((other_at + b * self.other_plane(), (w + 1) * lanes)),
        };
        Winograd {
            m,
            blocks: (0..self.runs.len())
                .map(|b| Plane {
                    offset: b * rows * columns * lanes,
                    row: columns * lanes,
                })
                .collect(),
            inputs: InBlocks::join(runs.map(|(b, &(first, n))| InBlock {
                offset: Winograd::block_offset(chunk, lanes, b) + first,
                lanes: n,
            })),
            outputs: (0..self.blocks).map(block).collect(),
            out_row: (w + 2) * lanes,
            size: self.size,
            weights: Arc::new(self.packed(m)),
            epilogue: self.epilogue,
            chunk,
        }
    }

    /// Runs the layer in `parts` parts and returns its output, in the order of [`wanted`](Self::wanted).
    fn run(&self, kernels: &Kernels, m: usize, parts: usize, chunk: usize) -> Vec<f32> {
        let ([h, w], lanes) = (self.size, self.lanes);
        let (mut memory, places) = self.memory(m);
        let step = self.layer(m, chunk, places);
        let len = step.scratch(lanes);
        let mut scratch = Aligned::zeroed(len + 64);
        scratch.fill(f32::NAN);
        scratch[len..].fill(MARK);
        let context = Context {
            base: Base(memory.start()),
            scratch: scratch.start(),
            inputs: &[],
            outputs: &[],
        };
        for part in 0..parts {
            // SAFETY: the layer was bound for this memory, and this is the only thread.
            unsafe { (kernels.winograd)(&step, &context, part, parts) };
        }
        assert!(
            scratch[len..].iter().all(|&v| v == MARK),
            "wrote behind the scratch"
        );
        let mut result = Vec::new();
        for (b, i) in (0..self.blocks).flat_map(|b| (0..h * w).map(move |i| (b, i))) {
            let at = step.outputs[b].offset + i / w * step.out_row + i % w * lanes;
            result.extend_from_slice(&memory[at..at + lanes]);
            memory[at..at + lanes].fill(MARK);
        }
        let outside = memory[places[0]..places[1]].iter().position(|&v| v != MARK);
        assert_eq!(outside, None, "wrote outside of the output");
        result
    }

    /// Applies the epilogue to results by definition.
    fn finish(&self, sums: &[f64]) -> Vec<f64> {
        let apply = |f: Option<Activation>, v: f64| f.map_or(v, |f| f.apply(v));
        let values = sums.iter().enumerate().map(|(i, &v)| {
            let v = apply(self.epilogue.before, v);
            let residual = match self.residual {
                true => f64::from(self.others[i]),
                false => 0.,
            };
            apply(self.epilogue.after, v + residual)
        });
        values.collect()
    }
}

fn each_case(seeds: u64, mut check: impl FnMut(&mut Random, &'static Kernels, usize, &str)) {
    for kernels in Kernels::available() {
        for tile in [2, 4] {
            for seed in 0..seeds {
                let name = format!("{} F({tile},3) seed {seed}", kernels.name);
                check(&mut Random::new(seed), kernels, tile, &name);
            }
        }
    }
}

#[test]
fn equals_the_definition_and_keeps_within_its_views() {
    each_case(40, |r, kernels, m, name| {
        let case = Case::random(r, kernels.lanes);
        let sums = case.wanted();
        let wanted = case.finish(&sums);
        let got = case.run(kernels, m, r.between(1, 4), r.between(1, 60));
        // the steepest activation is the square
        let largest = sums.iter().chain(&wanted).fold(1f64, |m, v| m.max(v.abs()));
        for (i, (&a, b)) in got.iter().zip(&wanted).enumerate() {
            let error = (f64::from(a) - b).abs();
            assert!(
                error <= 1e-4 * largest,
                "{name}: value {i} is {a}, expected {b}, largest {largest}"
            );
        }
    });
}

#[test]
fn errors_stay_a_small_part_of_the_spread() {
    each_case(2, |r, kernels, tile, name| {
        let mut case = Case::random(r, kernels.lanes);
        case.size = [20, 21];
        case.runs = vec![(0, case.lanes); 64 / case.lanes];
        case.epilogue = Epilogue::default();
        case.residual = false;
        case.inputs = r.values(64 * 22 * 23);
        case.kernels = r.values(64 * case.blocks * case.lanes * 9);
        case.others = r.values(case.blocks * case.lanes * 20 * 21);
        let (wanted, got) = (case.wanted(), case.run(kernels, tile, 1, 28));
        let spread = (wanted.iter().map(|v| v * v).sum::<f64>() / wanted.len() as f64).sqrt();
        let largest = wanted
            .iter()
            .zip(&got)
            .fold(0f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
        let limit = if tile == 4 { 3.5e-5 } else { 1e-5 };
        assert!(
            largest <= limit * spread,
            "{name}: {:e} of the spread",
            largest / spread
        );
    });
}

#[test]
fn a_nan_spoils_what_reads_it_and_no_tile_beside() {
    each_case(12, |r, kernels, tile, name| {
        let mut case = Case::random(r, kernels.lanes);
        case.epilogue.before = case.epilogue.before.map(|_| Activation::Relu);
        case.epilogue.after = None;
        let clean = case.run(kernels, tile, 1, 28);
        let ([h, w], at) = (case.size, r.below(case.inputs.len()));
        case.inputs[at] = f32::NAN;
        let (y, x) = (at / (w + 2) % (h + 2), at % (w + 2));
        let dirty = case.run(kernels, tile, 1, 28);
        for (i, (a, b)) in dirty.iter().zip(&clean).enumerate() {
            let pixel = i / case.lanes % (h * w);
            let (oy, ox) = (pixel / w, pixel % w);
            let reads = (oy..oy + 3).contains(&y) && (ox..ox + 3).contains(&x);
            let (ty, tx) = (oy / tile * tile, ox / tile * tile);
            let tile_reads = (ty..ty + tile + 2).contains(&y) && (tx..tx + tile + 2).contains(&x);
            assert!(!reads || a.is_nan(), "{name}: value {i} lost a NaN");
            assert!(
                tile_reads || a.to_bits() == b.to_bits(),
                "{name}: value {i} changed"
            );
        }
    });
}

#[test]
fn parts_and_chunks_do_not_change_a_bit() {
    each_case(12, |r, kernels, tile, name| {
        let case = Case::random(r, kernels.lanes);
        let whole = case.run(kernels, tile, 1, 60);
        for (parts, chunk) in [(2, 28), (3, 1), (50, 14)] {
            let same = |a: &f32, b: &f32| a.to_bits() == b.to_bits();
            let got = case.run(kernels, tile, parts, chunk);
            assert!(
                got.iter().zip(&whole).all(|(a, b)| same(a, b)),
                "{name}: {parts} parts"
            );
        }
    });
}
