//! Random ONNX graphs: the operators of detectors, put together in any way.

use prost::Message;
use tract_onnx::pb::*;

/// A generator of numbers that gives the same ones for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// From -1 to 1.
    fn float(&mut self) -> f32 {
        (self.next() % 20001) as f32 / 10000.0 - 1.0
    }
}

/// A tensor `[1, c, h, w]` of the graph.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Map {
    name: usize,
    c: usize,
    h: usize,
    w: usize,
}

pub struct Generator {
    random: Random,
    graph: GraphProto,
    maps: Vec<Map>,
    names: usize,
}

enum Value<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

fn attribute(name: &str, value: Value) -> AttributeProto {
    use attribute_proto::AttributeType as Type;
    let mut made = AttributeProto {
        name: name.into(),
        ..Default::default()
    };
    let kind = match value {
        Value::Int(i) => {
            made.i = i;
            Type::Int
        }
        Value::Ints(ints) => {
            made.ints = ints.to_vec();
            Type::Ints
        }
        Value::Float(f) => {
            made.f = f;
            Type::Float
        }
        Value::Text(text) => {
            made.s = text.as_bytes().to_vec();
            Type::String
        }
    };
    made.r#type = kind as i32;
    made
}

fn info(name: &str, dims: &[usize]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dim = dims.iter().map(|&dim| Dimension {
        value: Some(dimension::Value::DimValue(dim as i64)),
        ..Default::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: tensor_proto::DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Generator {
    /// A graph of `operators` operators on an input `in` of `[1, 3, h, w]`; its bytes, and `[h, w]`.
    pub fn file(seed: u64) -> (Vec<u8>, [usize; 2]) {
        let mut random = Random::new(seed);
        let operators = 5 + random.below(36);
        let [h, w] = [0, 0].map(|_| 8 + 2 * random.below(12));
        let mut this = Self {
            random,
            graph: GraphProto {
                name: "random".into(),
                input: vec![info("t0", &[1, 3, h, w])],
                ..Default::default()
            },
            maps: vec![Map {
                name: 0,
                c: 3,
                h,
                w,
            }],
            names: 1,
        };
        let stem = this.stem();
        this.maps.push(stem);
        while this.graph.node.len() < operators {
            let x = this.recent();
            let made = this.step(x);
            this.maps.push(made);
        }
        this.end();
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 14,
            }],
            graph: Some(this.graph),
            ..Default::default()
        };
        (model.encode_to_vec(), [h, w])
    }

    /// One of the latest tensors, but for the input.
    fn recent(&mut self) -> Map {
        let first = self.maps.len().saturating_sub(4).max(1);
        let count = self.maps.len() - first;
        self.maps[first + self.random.below(count)]
    }

    fn name(&mut self) -> usize {
        self.names += 1;
        self.names - 1
    }

    fn node(&mut self, op: &str, inputs: &[String], attributes: Vec<AttributeProto>) -> usize {
        let name = self.name();
        self.graph.node.push(NodeProto {
            name: format!("{op}_{name}"),
            op_type: op.into(),
            input: inputs.to_vec(),
            output: vec![format!("t{name}")],
            attribute: attributes,
            ..Default::default()
        });
        name
    }

    fn name_of(map: Map) -> String {
        format!("t{}", map.name)
    }

    fn floats(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        let name = format!("c{}", self.name());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: tensor_proto::DataType::Float as i32,
            float_data: values,
            ..Default::default()
        });
        name
    }

    fn random_floats(&mut self, dims: &[usize], scale: f32) -> String {
        let count = dims.iter().product();
        let values = (0..count).map(|_| self.random.float() * scale).collect();
        self.floats(dims, values)
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let name = format!("c{}", self.name());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: vec![values.len() as i64],
            data_type: tensor_proto::DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..Default::default()
        });
        name
    }

    fn conv(&mut self, x: Map, c: usize, kernel: usize, groups: usize) -> Map {
        let stride = self.random.pick(&[1, 1, 1, 2]);
        let dilation = if kernel > 1 {
            self.random.pick(&[1, 1, 1, 2])
        } else {
            1
        };
        let pad = dilation * (kernel / 2);
        let fan = (x.c / groups * kernel * kernel) as f32;
        let weights = self.random_floats(&[c, x.c / groups, kernel, kernel], 1.7 / fan.sqrt());
        let mut inputs = vec![Self::name_of(x), weights];
        if self.random.below(4) > 0 {
            inputs.push(self.random_floats(&[c], 0.3));
        }
        let mut attributes = vec![
            attribute("group", Value::Int(groups as i64)),
            attribute("strides", Value::Ints(&[stride as i64; 2])),
            attribute("dilations", Value::Ints(&[dilation as i64; 2])),
        ];
        let [h, w] = if dilation == 1 && self.random.below(5) == 0 {
            attributes.push(attribute("auto_pad", Value::Text("SAME_UPPER")));
            [x.h.div_ceil(stride), x.w.div_ceil(stride)]
        } else {
            attributes.push(attribute("pads", Value::Ints(&[pad as i64; 4])));
            [x.h, x.w].map(|n| (n - 1) / stride + 1)
        };
        let name = self.node("Conv", &inputs, attributes);
        Map { name, c, h, w }
    }

    fn step(&mut self, x: Map) -> Map {
        let c = self.random.pick(&[4, 8, 12, 24]);
        match self.random.below(25) {
            0 | 1 => self.conv(x, c, 1, 1),
            2 => self.conv(x, c, 3, 1),
            3 => self.conv(x, x.c, 3, x.c),
            4 if x.c.is_multiple_of(4) => self.conv(x, x.c, 3, 4),
            5 => self.conv(x, x.c, 5, x.c),
            6 | 7 => self.function(x),
            8 => self.pooled(x),
            9 => self.resized(x),
            10 => self.deconvolved(x),
            11 => self.shuffled(x),
            12 => self.sliced(x),
            13 | 14 => self.joined(x),
            15 => self.added(x),
            16 => self.gated(x),
            17 => self.scaled(x),
            18 => self.normalised(x),
            19 => self.padded(x),
            20 => self.turned(x),
            21 => self.limited(x),
            22 => self.blocks(x),
            23 => self.attended(x),
            _ => self.function(x),
        }
    }

    /// A convolution of the input, which may be limited and cut into blocks before.
    fn stem(&mut self) -> Map {
        let mut x = self.maps[0];
        if self.random.below(3) == 0 {
            x = self.clipped(x, -1.5, 1.75);
        }
        match self.random.below(3) {
            0 => self.blocks(x),
            _ => self.conv(x, 8, 3, 1),
        }
    }

    fn clipped(&mut self, x: Map, low: f32, high: f32) -> Map {
        let [low, high] = [low, high].map(|limit| self.floats(&[], vec![limit]));
        let name = self.node("Clip", &[Self::name_of(x), low, high], vec![]);
        Map { name, ..x }
    }

    /// Limits where folded quantisation leaves them.
    fn limited(&mut self, x: Map) -> Map {
        let y = match self.random.below(4) {
            0 => self.joined(x),
            1 => self.pooled(x),
            2 => self.resized(x),
            _ => self.function(x),
        };
        self.clipped(y, 0.0, 0.9)
    }

    /// A convolution of the pixels of blocks of two rows and columns: SpaceToDepth, or what PyTorch writes for it.
    fn blocks(&mut self, x: Map) -> Map {
        if x.c > 12 || x.h % 2 + x.w % 2 > 0 {
            return self.function(x);
        }
        let (c, h, w) = (4 * x.c, x.h / 2, x.w / 2);
        let name = if self.random.below(2) == 0 {
            let size = attribute("blocksize", Value::Int(2));
            self.node("SpaceToDepth", &[Self::name_of(x)], vec![size])
        } else {
            let cut = [1, x.c, h, 2, w, 2].map(|n| n as i64);
            let (cut, whole) = (self.integers(&cut), [1, c, h, w].map(|n| n as i64));
            let whole = self.integers(&whole);
            let a = self.node("Reshape", &[Self::name_of(x), cut], vec![]);
            let order = attribute("perm", Value::Ints(&[0, 1, 3, 5, 2, 4]));
            let b = self.node("Transpose", &[format!("t{a}")], vec![order]);
            self.node("Reshape", &[format!("t{b}"), whole], vec![])
        };
        let mut y = Map { name, c, h, w };
        if self.random.below(3) == 0 {
            y = self.clipped(y, -0.5, 1.5);
        }
        if self.random.below(2) == 0 {
            let picks: Vec<i64> = (0..c as i64).rev().collect();
            let picks = self.integers(&picks);
            let axis = attribute("axis", Value::Int(1));
            y.name = self.node("Gather", &[Self::name_of(y), picks], vec![axis]);
        }
        self.conv(y, 8, 3, 1)
    }

    fn function(&mut self, x: Map) -> Map {
        let inputs = [Self::name_of(x)];
        let name = match self.random.below(12) {
            0 => self.node("Relu", &inputs, vec![]),
            1 => self.node(
                "LeakyRelu",
                &inputs,
                vec![attribute("alpha", Value::Float(0.1))],
            ),
            2 => self.node("Sigmoid", &inputs, vec![]),
            3 => self.node("HardSwish", &inputs, vec![]),
            4 => self.node("HardSigmoid", &inputs, vec![]),
            5 => self.node("Elu", &inputs, vec![attribute("alpha", Value::Float(0.7))]),
            6 => self.node("Tanh", &inputs, vec![]),
            7 => {
                let slopes = self.random_floats(&[x.c, 1, 1], 0.4);
                self.node("PRelu", &[Self::name_of(x), slopes], vec![])
            }
            8 => {
                let [low, high] = [-0.5, 0.8].map(|limit| self.floats(&[], vec![limit]));
                self.node("Clip", &[Self::name_of(x), low, high], vec![])
            }
            9 => {
                let gate = self.node("Sigmoid", &inputs, vec![]);
                self.node("Mul", &[Self::name_of(x), format!("t{gate}")], vec![])
            }
            10 => {
                let softplus = self.node("Softplus", &inputs, vec![]);
                let tanh = self.node("Tanh", &[format!("t{softplus}")], vec![]);
                self.node("Mul", &[format!("t{tanh}"), Self::name_of(x)], vec![])
            }
            // x clip(x + 3, 0, 6) / 6
            _ => {
                let [three, zero, six] = [3.0, 0.0, 6.0].map(|n| self.floats(&[], vec![n]));
                let shifted = self.node("Add", &[Self::name_of(x), three], vec![]);
                let limits = [format!("t{shifted}"), zero, six.clone()];
                let clipped = self.node("Clip", &limits, vec![]);
                let product = self.node("Mul", &[Self::name_of(x), format!("t{clipped}")], vec![]);
                self.node("Div", &[format!("t{product}"), six], vec![])
            }
        };
        Map { name, ..x }
    }

    fn pooled(&mut self, x: Map) -> Map {
        if x.h < 5 || x.w < 5 {
            return self.function(x);
        }
        let (kernel, stride) = self.random.pick(&[(2, 2), (3, 1), (3, 2), (5, 1)]);
        let pad = if kernel == 2 { 0 } else { kernel / 2 };
        let mut attributes = vec![
            attribute("kernel_shape", Value::Ints(&[kernel as i64; 2])),
            attribute("strides", Value::Ints(&[stride as i64; 2])),
            attribute("pads", Value::Ints(&[pad as i64; 4])),
        ];
        let op = self.random.pick(&["MaxPool", "AveragePool"]);
        if op == "AveragePool" {
            let count = self.random.below(2) as i64;
            attributes.push(attribute("count_include_pad", Value::Int(count)));
        }
        let name = self.node(op, &[Self::name_of(x)], attributes);
        let [h, w] = [x.h, x.w].map(|n| (n + 2 * pad - kernel) / stride + 1);
        Map { name, h, w, ..x }
    }

    fn resized(&mut self, x: Map) -> Map {
        if x.h > 24 || x.w > 24 {
            return self.pooled(x);
        }
        let scales = self.floats(&[4], vec![1.0, 1.0, 2.0, 2.0]);
        let (mode, coordinates, nearest) = self.random.pick(&[
            ("nearest", "asymmetric", "floor"),
            ("nearest", "half_pixel", "round_prefer_ceil"),
            ("linear", "half_pixel", "floor"),
            ("linear", "align_corners", "floor"),
            ("linear", "pytorch_half_pixel", "floor"),
        ]);
        let attributes = vec![
            attribute("mode", Value::Text(mode)),
            attribute("coordinate_transformation_mode", Value::Text(coordinates)),
            attribute("nearest_mode", Value::Text(nearest)),
        ];
        let inputs = [Self::name_of(x), String::new(), scales];
        let name = self.node("Resize", &inputs, attributes);
        let (h, w) = (2 * x.h, 2 * x.w);
        Map { name, h, w, ..x }
    }

    fn deconvolved(&mut self, x: Map) -> Map {
        if x.h > 24 || x.w > 24 {
            return self.pooled(x);
        }
        let c = self.random.pick(&[4, 8]);
        let kernel = self.random.pick(&[2, 4]);
        let weights = self.random_floats(&[x.c, c, kernel, kernel], 1.0 / (x.c as f32).sqrt());
        let pad = (kernel as i64 - 2) / 2;
        let attributes = vec![
            attribute("strides", Value::Ints(&[2, 2])),
            attribute("pads", Value::Ints(&[pad; 4])),
        ];
        let name = self.node("ConvTranspose", &[Self::name_of(x), weights], attributes);
        let (h, w) = (2 * x.h, 2 * x.w);
        Map { name, c, h, w }
    }

    fn shuffled(&mut self, x: Map) -> Map {
        let groups = self.random.pick(&[2, 4]);
        if !x.c.is_multiple_of(groups) {
            return self.function(x);
        }
        let dims = [x.c, x.h, x.w].map(|n| n as i64);
        let each = (x.c / groups) as i64;
        let split = self.integers(&[1, groups as i64, each, dims[1], dims[2]]);
        let whole = self.integers(&[1, dims[0], dims[1], dims[2]]);
        let a = self.node("Reshape", &[Self::name_of(x), split], vec![]);
        let order = attribute("perm", Value::Ints(&[0, 2, 1, 3, 4]));
        let b = self.node("Transpose", &[format!("t{a}")], vec![order]);
        let name = self.node("Reshape", &[format!("t{b}"), whole], vec![]);
        Map { name, ..x }
    }

    fn sliced(&mut self, x: Map) -> Map {
        if x.c < 4 {
            return self.function(x);
        }
        let first = self.random.below(x.c / 2);
        let c = 1 + self.random.below(x.c - first);
        let [from, to, axis] = [first, first + c, 1].map(|n| self.integers(&[n as i64]));
        let name = self.node("Slice", &[Self::name_of(x), from, to, axis], vec![]);
        Map { name, c, ..x }
    }

    /// Another tensor of the same rows and columns, if there is one.
    fn partner(&mut self, x: Map, alike: impl Fn(Map) -> bool) -> Option<Map> {
        let fits = |m: &&Map| (m.h, m.w) == (x.h, x.w) && m.name != 0 && alike(**m);
        let fitting: Vec<Map> = self.maps.iter().filter(fits).copied().collect();
        (!fitting.is_empty()).then(|| fitting[self.random.below(fitting.len())])
    }

    fn joined(&mut self, x: Map) -> Map {
        let Some(other) = self.partner(x, |m| m.c + x.c <= 48) else {
            return self.function(x);
        };
        let axis = attribute("axis", Value::Int(1));
        let name = self.node(
            "Concat",
            &[Self::name_of(x), Self::name_of(other)],
            vec![axis],
        );
        let c = x.c + other.c;
        Map { name, c, ..x }
    }

    fn added(&mut self, x: Map) -> Map {
        let op = self.random.pick(&["Add", "Mul", "Sub"]);
        match self.partner(x, |m| m.c == x.c) {
            Some(other) => {
                let name = self.node(op, &[Self::name_of(other), Self::name_of(x)], vec![]);
                // Products of products leave the range.
                let name = self.node("Tanh", &[format!("t{name}")], vec![]);
                Map { name, ..x }
            }
            None => self.function(x),
        }
    }

    fn gated(&mut self, x: Map) -> Map {
        let mean = self.node("GlobalAveragePool", &[Self::name_of(x)], vec![]);
        let squeezed = Map {
            name: mean,
            h: 1,
            w: 1,
            ..x
        };
        let inner = self.conv(squeezed, x.c, 1, 1);
        let gate = self.node("Sigmoid", &[Self::name_of(inner)], vec![]);
        let name = self.node("Mul", &[Self::name_of(x), format!("t{gate}")], vec![]);
        Map { name, ..x }
    }

    fn scaled(&mut self, x: Map) -> Map {
        let dims: &[usize] = match self.random.below(3) {
            0 => &[],
            1 => &[x.c, 1, 1],
            _ => &[1, x.c, 1, 1],
        };
        let [scale, offset] = [1.2, 0.5].map(|most| self.random_floats(dims, most));
        let product = self.node("Mul", &[Self::name_of(x), scale], vec![]);
        let name = self.node("Add", &[format!("t{product}"), offset], vec![]);
        Map { name, ..x }
    }

    /// Softmax of the channels, or their layer normalisation as it was exported before it was an operator.
    fn normalised(&mut self, x: Map) -> Map {
        if self.random.below(2) == 0 {
            return self.levelled(x);
        }
        let axis = attribute("axis", Value::Int(1));
        let name = self.node("Softmax", &[Self::name_of(x)], vec![axis]);
        Map { name, ..x }
    }

    fn levelled(&mut self, x: Map) -> Map {
        let mean = |this: &mut Self, of: String| {
            let axes = attribute("axes", Value::Ints(&[1]));
            format!("t{}", this.node("ReduceMean", &[of], vec![axes]))
        };
        let middle = mean(self, Self::name_of(x));
        let moved = self.node("Sub", &[Self::name_of(x), middle], vec![]);
        let moved = format!("t{moved}");
        let squares = self.node("Mul", &[moved.clone(), moved.clone()], vec![]);
        let spread = mean(self, format!("t{squares}"));
        let least = self.floats(&[], vec![0.01]);
        let spread = self.node("Add", &[spread, least], vec![]);
        let root = self.node("Sqrt", &[format!("t{spread}")], vec![]);
        let name = self.node("Div", &[moved, format!("t{root}")], vec![]);
        Map { name, ..x }
    }

    fn padded(&mut self, x: Map) -> Map {
        let pads = self.integers(&[0, 0, 1, 0, 0, 0, 2, 1]);
        let name = self.node("Pad", &[Self::name_of(x), pads], vec![]);
        let (h, w) = (x.h + 3, x.w + 1);
        Map { name, h, w, ..x }
    }

    /// Channels last, a function, and back.
    fn turned(&mut self, x: Map) -> Map {
        let last = attribute("perm", Value::Ints(&[0, 2, 3, 1]));
        let first = attribute("perm", Value::Ints(&[0, 3, 1, 2]));
        let a = self.node("Transpose", &[Self::name_of(x)], vec![last]);
        let scale = self.random_floats(&[x.c], 1.0);
        let b = self.node("Mul", &[format!("t{a}"), scale], vec![]);
        let name = self.node("Transpose", &[format!("t{b}")], vec![first]);
        Map { name, ..x }
    }

    fn reshaped(&mut self, x: usize, dims: &[usize]) -> usize {
        let dims: Vec<i64> = dims.iter().map(|&n| n as i64).collect();
        let dims = self.integers(&dims);
        self.node("Reshape", &[format!("t{x}"), dims], vec![])
    }

    fn transposed(&mut self, x: usize, order: &[i64]) -> usize {
        let order = attribute("perm", Value::Ints(order));
        self.node("Transpose", &[format!("t{x}")], vec![order])
    }

    /// Attention among the pixels of a map, in heads: channels first, as YOLO11 has it, or last, as transformers do.
    fn attended(&mut self, x: Map) -> Map {
        let (heads, key, value) = (self.random.pick(&[1, 2, 3]), self.random.pick(&[4, 5]), 8);
        let (each, c) = (2 * key + value, heads * value);
        let joint = self.conv(x, heads * each, 1, 1);
        let (h, w, pixels) = (joint.h, joint.w, joint.h * joint.w);
        let joint = self.node("Tanh", &[Self::name_of(joint)], vec![]);
        let first = self.random.below(2) == 0;
        // YOLO12 has rows see only those of their own part of the map
        let areas = if h % 2 == 0 {
            self.random.pick(&[1, 2])
        } else {
            1
        };
        let of_heads = if first {
            self.reshaped(joint, &[1, heads, each, pixels])
        } else {
            let flat = self.reshaped(joint, &[1, heads * each, pixels]);
            let tokens = self.transposed(flat, &[0, 2, 1]);
            let tokens = self.reshaped(tokens, &[areas, pixels / areas, heads, each]);
            self.transposed(tokens, &[0, 2, 1, 3])
        };
        let axis = if first { 2 } else { 3 };
        let mut part = |from: usize, count: usize| {
            let bounds = [from, from + count, axis].map(|n| self.integers(&[n as i64]));
            let [from, to, axis] = bounds;
            self.node("Slice", &[format!("t{of_heads}"), from, to, axis], vec![])
        };
        let [q, k, v] = [part(0, key), part(key, key), part(2 * key, value)];
        let turned = [0, 1, 3, 2];
        let [q, k] = match first {
            true => [self.transposed(q, &turned), k],
            false => [q, self.transposed(k, &turned)],
        };
        let product = self.node("MatMul", &[format!("t{q}"), format!("t{k}")], vec![]);
        let factor = self.floats(&[], vec![1.5]);
        let scaled = self.random.pick(&["Mul", "Div"]);
        let scaled = self.node(scaled, &[format!("t{product}"), factor], vec![]);
        let axis = attribute("axis", Value::Int(3));
        let shares = self.node("Softmax", &[format!("t{scaled}")], vec![axis]);
        let name = if first {
            let shares = self.transposed(shares, &turned);
            self.node("MatMul", &[format!("t{v}"), format!("t{shares}")], vec![])
        } else {
            let taken = self.node("MatMul", &[format!("t{shares}"), format!("t{v}")], vec![]);
            let taken = self.transposed(taken, &[0, 2, 1, 3]);
            let taken = self.reshaped(taken, &[1, pixels, c]);
            self.transposed(taken, &[0, 2, 1])
        };
        let name = self.reshaped(name, &[1, c, h, w]);
        Map { name, c, h, w }
    }

    /// Gives out the latest tensors: as maps, as rows, as columns, and the rows of all behind each other.
    fn end(&mut self) {
        let count = self.maps.len().min(3);
        let last: Vec<Map> = self.maps[self.maps.len() - count..].to_vec();
        let mut rows = Vec::new();
        for (index, x) in last.into_iter().enumerate() {
            let x = self.conv(x, 6, 1, 1);
            let pixels = x.h * x.w;
            let flat = self.integers(&[1, 6, pixels as i64]);
            let flat = self.node("Reshape", &[Self::name_of(x), flat], vec![]);
            let order = attribute("perm", Value::Ints(&[0, 2, 1]));
            let turned = self.node("Transpose", &[format!("t{flat}")], vec![order]);
            rows.push((turned, pixels));
            match index {
                0 => self.give_out(x.name, &[1, x.c, x.h, x.w]),
                1 => self.give_out(flat, &[1, 6, pixels]),
                _ => self.give_out(turned, &[1, pixels, 6]),
            }
        }
        let inputs: Vec<String> = rows.iter().map(|(name, _)| format!("t{name}")).collect();
        let all: usize = rows.iter().map(|(_, pixels)| pixels).sum();
        let axis = attribute("axis", Value::Int(1));
        let joined = self.node("Concat", &inputs, vec![axis]);
        let joined = self.node("Sigmoid", &[format!("t{joined}")], vec![]);
        self.give_out(joined, &[1, all, 6]);
    }

    fn give_out(&mut self, name: usize, dims: &[usize]) {
        let given = info(&format!("t{name}"), dims);
        self.graph.output.push(given);
    }
}
