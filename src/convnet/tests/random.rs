//! Random graphs for tests: every operator, odd sizes, all seeds reproducible.

use crate::convnet::error::{Error, Result};
use crate::convnet::graph::*;

/// Small generator of random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Number of `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Number of -1 to 1.
    pub fn value(&mut self) -> f32 {
        (self.next() % 20_001) as f32 / 10_000. - 1.
    }

    pub fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Activations whose values stay moderate for moderate inputs.
pub const ACTIVATIONS: [Activation; 17] = [
    Activation::Relu,
    Activation::Clip { min: 0., max: 6. },
    Activation::Clip {
        min: -0.5,
        max: 0.5,
    },
    Activation::LeakyRelu { slope: 0.1 },
    Activation::LeakyRelu { slope: 1.5 },
    Activation::Silu,
    Activation::HardSwish,
    Activation::HardSigmoid {
        alpha: 0.2,
        beta: 0.5,
    },
    Activation::Sigmoid,
    Activation::Mish,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Tanh,
    Activation::Elu { alpha: 0.7 },
    Activation::Softplus,
    Activation::Abs,
    Activation::Square,
];

/// Builds graphs of random operators.
pub struct Generator {
    pub random: Random,
    pub graph: Graph,
    tensors: Vec<TensorId>,
}

impl Generator {
    /// Builds a graph of about `operators` operators.
    pub fn graph(seed: u64, operators: usize) -> Graph {
        let mut g = Generator {
            random: Random::new(seed),
            graph: Graph::new(),
            tensors: Vec::new(),
        };
        g.inputs();
        while g.graph.nodes().len() < operators {
            let x = g.any();
            if let Some(y) = g.operator(x) {
                g.tensors.push(y);
            }
        }
        g.outputs();
        g.graph
    }

    fn inputs(&mut self) {
        let r = &mut self.random;
        let shape = Shape::new(r.pick(&[1, 3, 4, 17]), r.between(1, 23), r.between(1, 23));
        let format = match r.below(3) {
            0 => InputFormat::Interleaved,
            1 => InputFormat::Pixels {
                scale: (0..shape.c).map(|c| (c + 1) as f32 / 255.).collect(),
                bias: (0..shape.c).map(|c| c as f32 * 0.25 - 0.5).collect(),
                order: (0..shape.c as u8).rev().collect(),
            },
            _ => InputFormat::Planar,
        };
        let input = self.graph.input_as(shape, format).unwrap();
        self.tensors.push(input);
        if self.random.chance(30) {
            let c = self.random.between(1, 40);
            let second = self.graph.input(Shape::new(c, shape.h, shape.w)).unwrap();
            self.tensors.push(second);
        }
    }

    fn outputs(&mut self) {
        // at least the last one, so that most of the graph is needed
        for n in 0..self.random.between(1, 4) {
            let t = match n {
                0 => *self.tensors.last().unwrap(),
                _ => self.any(),
            };
            let layout = self.random.pick(&[Layout::Planar, Layout::Rows]);
            let c = self.graph.shape(t).c;
            let mut parts = vec![t];
            for &other in &self.tensors {
                if other != t && self.graph.shape(other).c == c && parts.len() < 3 {
                    parts.push(other);
                }
            }
            self.graph.output_joined(&parts, layout).unwrap();
        }
    }

    /// A tensor, more often a late one.
    fn any(&mut self) -> TensorId {
        let n = self.tensors.len();
        let back = self.random.below(n).min(self.random.below(n));
        self.tensors[n - 1 - back]
    }

    /// A tensor of the same height and width, if there is another one.
    fn like(&mut self, x: TensorId) -> Option<TensorId> {
        let shape = self.graph.shape(x);
        let same = |t: &&TensorId| {
            let s = self.graph.shape(**t);
            (s.h, s.w) == (shape.h, shape.w)
        };
        let found: Vec<TensorId> = self.tensors.iter().filter(same).copied().collect();
        Some(found[self.random.below(found.len())])
    }

    fn window(&mut self, shape: Shape) -> Window {
        let r = &mut self.random;
        let square = r.chance(70);
        let k = r.pick(&[1, 1, 2, 3, 3, 3, 5, 7]);
        let s = r.pick(&[1, 1, 1, 2, 2, 3]);
        let kernel = if square { [k, k] } else { [k, r.between(1, 4)] };
        let stride = if square { [s, s] } else { [s, r.between(1, 2)] };
        let dilation = if r.chance(15) {
            [2, r.between(1, 2)]
        } else {
            [1, 1]
        };
        let span = [0, 1].map(|a| (kernel[a] - 1) * dilation[a] + 1);
        // wide enough that one window fits
        let least = |n: usize, span: usize| span.saturating_sub(n);
        let same = r.chance(70);
        let mut pad = |a: usize, n: usize| {
            let wanted = if same { span[a] / 2 } else { r.below(3) };
            wanted.max(least(n, span[a]))
        };
        Window {
            kernel,
            stride,
            dilation,
            pads: Pads {
                top: pad(0, shape.h),
                left: pad(1, shape.w),
                bottom: pad(0, shape.h),
                right: pad(1, shape.w),
            },
        }
    }

    fn conv_of(&mut self, shape: Shape, transposed: bool) -> Conv {
        let r = &mut self.random;
        let divisors: Vec<usize> = (2..=shape.c)
            .filter(|g| shape.c.is_multiple_of(*g))
            .collect();
        let (groups, out_channels) = match r.below(10) {
            0..5 => (1, r.between(1, 70)),
            5..8 => (shape.c, shape.c),
            _ if divisors.is_empty() => (1, r.between(1, 20)),
            _ => {
                let g = r.pick(&divisors);
                (g, g * r.between(1, 5))
            }
        };
        let mut window = self.window(shape);
        if transposed {
            // padding takes away from the output
            window.pads = Pads::all(
                self.random
                    .below(window.span()[0].min(window.span()[1]).min(2)),
            );
        }
        let r = &mut self.random;
        let n = shape.c / groups * out_channels * window.kernel[0] * window.kernel[1];
        let fan = (n / out_channels).max(1) as f32;
        let weights = r.values(n).iter().map(|w| w * 1.5 / fan.sqrt()).collect();
        let bias = r.chance(70).then(|| r.values(out_channels).into());
        Conv {
            out_channels,
            groups,
            window,
            weights,
            bias,
        }
    }

    fn operator(&mut self, x: TensorId) -> Option<TensorId> {
        let shape = self.graph.shape(x);
        let kind = self.random.below(28);
        let result = match kind {
            0..8 => {
                let conv = self.conv_of(shape, false);
                // keeps the interpreter quick
                if conv.weights.len() * shape.pixels() > 2_000_000 {
                    return None;
                }
                let y = self.graph.conv(x, conv);
                self.behind_conv(y.ok()?)
            }
            8 => {
                let conv = self.conv_of(shape, true);
                if conv.weights.len() * shape.pixels() > 1_000_000 {
                    return None;
                }
                self.graph.transposed_conv(x, conv, [0, 0])
            }
            9 | 10 => {
                let window = self.window(shape);
                let pool = self.random.pick(&[
                    Pool::Max,
                    Pool::Average {
                        count_padding: true,
                    },
                    Pool::Average {
                        count_padding: false,
                    },
                ]);
                self.graph.pool(x, pool, window)
            }
            11 => {
                let reduce = self.random.pick(&[Reduce::Mean, Reduce::Max]);
                let gate = self.graph.global(x, reduce).ok()?;
                let gate = self.graph.activate(gate, Activation::Sigmoid).ok()?;
                self.graph.mul(x, gate)
            }
            12 => {
                let reduce = self.random.pick(&[Reduce::Mean, Reduce::Max]);
                let gate = self.graph.over_channels(x, reduce).ok()?;
                self.graph.mul(x, gate)
            }
            13 => self.resize(x),
            14 | 15 => {
                let other = self.like(x)?;
                self.graph.concat(&[x, other])
            }
            16 => {
                let first = self.random.below(shape.c);
                let count = self.random.between(1, shape.c - first);
                self.graph.slice(x, first, count)
            }
            17 => {
                let groups = [2, 3, 4].into_iter().find(|g| shape.c.is_multiple_of(*g))?;
                self.graph.shuffle(x, groups)
            }
            18 => {
                let picks = (0..shape.c)
                    .map(|_| self.random.below(shape.c) as u32)
                    .collect();
                self.graph.channels(x, picks)
            }
            19 => self.elementwise(x),
            20 => self.moved(x),
            21 => {
                let f = self.random.pick(&ACTIVATIONS);
                self.graph.activate(x, f)
            }
            22 => {
                let group = [shape.c, 4, 2]
                    .into_iter()
                    .find(|g| shape.c.is_multiple_of(*g))?;
                self.graph.softmax(x, group)
            }
            23 | 24 => self.limited(x),
            25 => self.blocks(x),
            26 => self.attention(x),
            _ => {
                let slopes = self.random.values(shape.c).into();
                self.graph.prelu(x, slopes)
            }
        };
        let y = result.ok()?;
        // keeps tests quick
        (self.graph.shape(y).len() < 20_000).then_some(y)
    }

    /// Attention of `x` to another tensor, in heads of any width; sometimes with queries and keys of one tensor.
    fn attention(&mut self, x: TensorId) -> Result<TensorId> {
        let other = if self.random.chance(50) {
            x
        } else {
            self.any()
        };
        let pixels = self.graph.shape(x).pixels() * self.graph.shape(other).pixels();
        // keeps the interpreter quick
        if pixels > 40_000 {
            return Err(Error::Data("a large map".into()));
        }
        let r = &mut self.random;
        let heads = r.between(1, 3);
        let [key, value] = [r.pick(&[1, 5, 8, 16, 32]), r.pick(&[1, 7, 16, 20, 33])];
        let mut projected = |from: TensorId, c: usize| {
            let shape = self.graph.shape(from);
            let weights = self.random.values(c * shape.c);
            let fan = shape.c as f32;
            let conv = Conv {
                out_channels: c,
                groups: 1,
                window: Window::square(1, 1, 0),
                weights: weights.iter().map(|w| w / fan.sqrt()).collect(),
                bias: None,
            };
            self.graph.conv(from, conv)
        };
        let scale = (key as f32).sqrt().recip();
        let operands = if other == x {
            // each head's channels lie together, as exporters write them
            let each = 2 * key + value;
            let joint = projected(x, heads * each)?;
            let joint = self.graph.activate(joint, Activation::Tanh)?;
            let mut part = |first: usize, count: usize| {
                let of_head = |head: usize| head * each + first;
                let picks = (0..heads).flat_map(|h| of_head(h)..of_head(h) + count);
                let picks = picks.map(|c| c as u32).collect();
                self.graph.channels(joint, picks)
            };
            [part(0, key)?, part(key, key)?, part(2 * key, value)?]
        } else {
            let parts = [(x, key), (other, key), (other, value)];
            let [q, k, v] = parts.map(|(from, each)| projected(from, heads * each));
            // large products would make a small error decide which value is taken
            let [q, k] = [q?, k?].map(|t| self.graph.activate(t, Activation::Tanh));
            [q?, k?, v?]
        };
        let divides = |t: &TensorId, n: usize| {
            let shape = self.graph.shape(*t);
            let length = if shape.h == 1 { shape.w } else { shape.h };
            length.is_multiple_of(n)
        };
        let fitting = [2, 3]
            .into_iter()
            .find(|&n| operands.iter().all(|t| divides(t, n)));
        let areas = fitting.filter(|_| self.random.chance(50)).unwrap_or(1);
        let attention = Attention {
            heads,
            areas,
            scale,
        };
        self.graph.attention(operands, attention)
    }

    /// Adds the usual successors of a convolution: scale, activation, residual, activation.
    fn behind_conv(&mut self, mut y: TensorId) -> Result<TensorId> {
        let shape = self.graph.shape(y);
        if self.random.chance(20) {
            let (scale, bias) = (self.random.values(shape.c), self.random.values(shape.c));
            y = self.graph.affine(y, scale.into(), bias.into())?;
        }
        for _ in 0..2 {
            if self.random.chance(50) {
                let f = self.random.pick(&ACTIVATIONS);
                y = self.graph.activate(y, f)?;
            }
            let same = |t: &&TensorId| self.graph.shape(**t) == shape;
            if let Some(&other) = self.tensors.iter().find(same)
                && self.random.chance(70)
            {
                y = match self.random.chance(50) {
                    true => self.graph.add(y, other)?,
                    false => self.graph.add(other, y)?,
                };
            }
        }
        Ok(y)
    }

    /// Adds limits behind operators that move values or choose the largest, and behind others.
    fn limited(&mut self, x: TensorId) -> Result<TensorId> {
        let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
        let limits = [
            (0., 6.),
            (0., high),
            (0., 1.),
            (-0.5, 0.5),
            (low, 0.25),
            (-1., high),
        ];
        let (min, max) = self.random.pick(&limits);
        let limit = match (min, max) {
            (0., f32::INFINITY) => Activation::Relu,
            _ => Activation::Clip { min, max },
        };
        let shape = self.graph.shape(x);
        let y = match self.random.below(7) {
            0 => {
                let window = self.window(shape);
                self.graph.pool(x, Pool::Max, window)?
            }
            1 => self.resize(x)?,
            2 => self.moved(x)?,
            3 => {
                let other = self.like(x).unwrap_or(x);
                self.graph.concat(&[x, other])?
            }
            4 => {
                // each reader limits, not always alike
                let first = self.graph.activate(x, limit)?;
                let limit = if self.random.chance(70) {
                    limit
                } else {
                    Activation::Relu
                };
                let count = self.random.between(1, shape.c);
                let rest = self.graph.slice(x, 0, count)?;
                let rest = self.graph.activate(rest, limit)?;
                return self.graph.concat(&[rest, first]);
            }
            5 => self.graph.activate(x, Activation::Sigmoid)?,
            _ => x,
        };
        self.graph.activate(y, limit)
    }

    /// Adds a convolution of the phases of blocks, as Focus and SpaceToDepth have them.
    fn blocks(&mut self, x: TensorId) -> Result<TensorId> {
        let shape = self.graph.shape(x);
        let r = &mut self.random;
        let (rows, columns) = r.pick(&[(2, 2), (2, 2), (1, 2), (3, 1), (3, 2)]);
        let size = [shape.h / rows, shape.w / columns];
        let whole = Crop {
            top: 0,
            left: 0,
            step: [1, 1],
            size: [size[0] * rows, size[1] * columns],
        };
        let mut from = self.graph.crop(x, whole)?;
        let clip = Activation::Clip {
            min: -0.25,
            max: 2.,
        };
        if self.random.chance(25) {
            from = self.graph.activate(from, clip)?;
        }
        let mut phases = Vec::new();
        for phase in 0..rows * columns {
            // sometimes one is missing
            if phase == 0 || self.random.chance(95) {
                let crop = Crop {
                    top: phase / columns,
                    left: phase % columns,
                    step: [rows, columns],
                    size,
                };
                phases.push(self.graph.crop(from, crop)?);
            }
        }
        let mut y = self.graph.concat(&phases)?;
        if self.random.chance(25) {
            y = self.graph.activate(y, clip)?;
        }
        if self.random.chance(40) {
            let c = self.graph.shape(y).c;
            let picks = (0..c).map(|_| self.random.below(c) as u32).collect();
            y = self.graph.channels(y, picks)?;
        }
        let shape = self.graph.shape(y);
        let mut conv = self.conv_of(shape, false);
        if self.random.chance(80) {
            conv.window.dilation = [1, 1];
        }
        // keeps the interpreter quick
        if conv.weights.len() * shape.pixels() > 2_000_000 {
            return Ok(y);
        }
        let y = self.graph.conv(y, conv)?;
        self.behind_conv(y)
    }

    fn resize(&mut self, x: TensorId) -> Result<TensorId> {
        let shape = self.graph.shape(x);
        let r = &mut self.random;
        let size = match r.below(3) {
            0 => [shape.h * 2, shape.w * 2],
            _ => [r.between(1, 30), r.between(1, 30)],
        };
        let interpolation = r.pick(&[
            Interpolation::NearestFloor,
            Interpolation::NearestRoundDown,
            Interpolation::NearestRoundUp,
            Interpolation::NearestCeil,
            Interpolation::Linear,
            Interpolation::Linear,
        ]);
        let coordinates = r.pick(&[
            Coordinates::HalfPixel,
            Coordinates::PytorchHalfPixel,
            Coordinates::AlignCorners,
            Coordinates::Asymmetric,
        ]);
        let scale = [
            size[0] as f64 / shape.h as f64,
            size[1] as f64 / shape.w as f64,
        ];
        self.graph.resize(
            x,
            Resize {
                interpolation,
                coordinates,
                size,
                scale,
            },
        )
    }

    fn elementwise(&mut self, x: TensorId) -> Result<TensorId> {
        let shape = self.graph.shape(x);
        let r = &mut self.random;
        let one = |n: usize, keep: bool| if keep { n } else { 1 };
        let [c, h, w] = [r.chance(70), r.chance(60), r.chance(60)];
        let small = Shape::new(one(shape.c, c), one(shape.h, h), one(shape.w, w));
        let values: Vec<f32> = r
            .values(small.len())
            .iter()
            .map(|v| v.abs() + 0.5)
            .collect();
        let binary = r.pick(&[
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Max,
            Binary::Min,
        ]);
        let same = |t: &&TensorId| self.graph.shape(**t) == shape;
        let tensors: Vec<TensorId> = self.tensors.iter().filter(same).copied().collect();
        if binary != Binary::Div && !tensors.is_empty() && self.random.chance(60) {
            let other = self.random.pick(&tensors);
            return self.graph.binary(binary, x, other);
        }
        let constant = self.graph.constant(small, values.into())?;
        self.graph.binary(binary, x, constant)
    }

    fn moved(&mut self, x: TensorId) -> Result<TensorId> {
        let shape = self.graph.shape(x);
        let r = &mut self.random;
        match r.below(4) {
            0 => {
                let pads = Pads {
                    top: r.below(3),
                    left: r.below(3),
                    bottom: r.below(3),
                    right: r.below(3),
                };
                let value = r.value();
                self.graph.pad(x, pads, value)
            }
            1 => {
                let (top, left) = (r.below(shape.h), r.below(shape.w));
                let step = [r.between(1, 2), r.between(1, 2)];
                let size = [
                    r.between(1, (shape.h - top).div_ceil(step[0])),
                    r.between(1, (shape.w - left).div_ceil(step[1])),
                ];
                self.graph.crop(
                    x,
                    Crop {
                        top,
                        left,
                        step,
                        size,
                    },
                )
            }
            2 => self.graph.reshape(x, shape.pixels(), 1),
            _ => self.graph.depth_to_space(x, 2, r.chance(50)),
        }
    }
}

/// Owned input data of one run.
pub enum Data {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

impl Data {
    pub fn borrow(&self) -> Input<'_> {
        match self {
            Data::F32(v) => Input::F32(v),
            Data::U8(v) => Input::U8(v),
        }
    }
}

/// Makes random data for every input.
pub fn data_for(graph: &Graph, random: &mut Random) -> Vec<Data> {
    graph
        .inputs()
        .iter()
        .map(|t| {
            let node = &graph.nodes()[t.index()];
            let n = node.shape.len();
            match &node.op {
                Op::Input(InputFormat::Pixels { .. }) => {
                    Data::U8((0..n).map(|_| random.below(256) as u8).collect())
                }
                _ => Data::F32(random.values(n)),
            }
        })
        .collect()
}
