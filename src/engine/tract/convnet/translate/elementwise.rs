//! Functions of single numbers, of one tensor and of two.

use super::{Operand, Translation, refusal};
use crate::convnet::graph::{Activation, Binary, Op, TensorId};
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::builder::{Value, uniform};
use crate::engine::tract::convnet::constants::{Constant, READING, Values};
use crate::engine::tract::convnet::view::{self, Counts, Part, View};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::{math, nn};

/// Functions of the executor whose results, one after the other, are a function of tract's.
fn functions(op: &ElementWiseOp) -> Option<Vec<Activation>> {
    let op = &op.0;
    let exponent = op.downcast_ref::<math::PowConst>().map(|pow| pow.exponent);
    let one = if op.is::<nn::Silu>() {
        Activation::Silu
    } else if op.is::<nn::Sigmoid>() {
        Activation::Sigmoid
    } else if op.is::<nn::HardSwish>() {
        Activation::HardSwish
    } else if let Some(leaky) = op.downcast_ref::<nn::LeakyRelu>() {
        Activation::LeakyRelu { slope: leaky.alpha }
    } else if op.is::<nn::gelu_exact::GeluExact>() {
        Activation::Gelu
    } else if let Some(gelu) = op.downcast_ref::<nn::gelu_approximate::GeluApproximate>() {
        match gelu.fast_impl {
            true => return None,
            false => Activation::GeluTanh,
        }
    } else if op.is::<math::Tanh>() {
        Activation::Tanh
    } else if op.is::<math::Exp>() {
        Activation::Exp
    } else if op.is::<math::Ln>() {
        Activation::Log
    } else if op.is::<math::Sqrt>() || exponent == Some(0.5) {
        Activation::Sqrt
    } else if op.is::<math::Square>() || exponent == Some(2.0) {
        Activation::Square
    } else if op.is::<math::Recip>() || exponent == Some(-1.0) {
        Activation::Reciprocal
    } else if op.is::<math::Abs>() {
        Activation::Abs
    } else if op.is::<math::Rsqrt>() {
        return Some(vec![Activation::Sqrt, Activation::Reciprocal]);
    } else {
        return None;
    };
    Some(vec![one])
}

/// A function of two tensors by tract's name.
fn function(op: &TypedBinOp) -> Option<Binary> {
    let op = &op.0;
    let binary = if op.is::<math::Add>() {
        Binary::Add
    } else if op.is::<math::Sub>() {
        Binary::Sub
    } else if op.is::<math::Mul>() {
        Binary::Mul
    } else if op.is::<math::Div>() {
        Binary::Div
    } else if op.is::<math::Max>() {
        Binary::Max
    } else if op.is::<math::Min>() {
        Binary::Min
    } else {
        return None;
    };
    Some(binary)
}

impl Translation<'_> {
    pub(super) fn unary(&mut self, op: &ElementWiseOp) -> Result<View, Refusal> {
        if op.1.is_some() {
            return Err(refusal("changes the type of its numbers"));
        }
        let view = self.tensor(0)?;
        if op.0.is::<math::Neg>() {
            return self.affine(&view, |c| (vec![-1.0; c], vec![0.0; c]));
        }
        let functions = functions(op).ok_or_else(|| refusal("is no operator of the executor"))?;
        view.try_map(|_, part| {
            let mut tensor = part.tensor;
            for &function in &functions {
                tensor = self.builder.graph.activate(tensor, function)?;
            }
            Ok(Part {
                tensor,
                axes: part.axes.clone(),
            })
        })
    }

    pub(super) fn binary(&mut self, op: &TypedBinOp) -> Result<Value, Refusal> {
        let Some(function) = function(op) else {
            return self.comparison(op);
        };
        let view = match (self.operand(0)?, self.operand(1)?) {
            (Operand::Tensor(a), Operand::Tensor(b)) => self.of_two(function, &a, &b)?,
            (Operand::Tensor(x), Operand::Constant(c)) => {
                let sole = self.sole_reader(0);
                self.with_constant(function, &x, &c, false, sole)?
            }
            (Operand::Constant(c), Operand::Tensor(x)) => {
                let sole = self.sole_reader(1);
                self.with_constant(function, &x, &c, true, sole)?
            }
            _ => return Err(refusal("reads constants alone")),
        };
        Ok(Value::Tensor(view))
    }

    fn affine(
        &mut self,
        view: &View,
        scale_and_bias: impl Fn(usize) -> (Vec<f32>, Vec<f32>),
    ) -> Result<View, Refusal> {
        let sole = self.sole_reader(0);
        view.try_map(|_, part| {
            let channels = self.builder.graph.shape(part.tensor).c;
            let (scale, bias) = scale_and_bias(channels);
            Ok(Part {
                tensor: self.builder.affine(part.tensor, scale, bias, sole)?,
                axes: part.axes.clone(),
            })
        })
    }

    /// `x ∘ constant`, or `constant ∘ x` if the constant comes `first`.
    fn with_constant(
        &mut self,
        function: Binary,
        x: &View,
        constant: &Constant,
        first: bool,
        sole: bool,
    ) -> Result<View, Refusal> {
        x.try_map(|index, part| {
            let shape = self.builder.graph.shape(part.tensor);
            if constant.values.len() > shape.c {
                self.builder.spend(READING * shape.len())?;
            }
            let tensor = match constant.along(x, index, shape)? {
                Values::Uniform(value) => {
                    self.per_channel(function, part.tensor, vec![value; shape.c], first, sole)?
                }
                Values::PerChannel(values) => {
                    self.per_channel(function, part.tensor, values, first, sole)?
                }
                Values::Planes(shape, values) => {
                    let constant = self.builder.graph.constant(shape, values.into())?;
                    self.ordered(function, part.tensor, constant, first)?
                }
            };
            Ok(Part {
                tensor,
                axes: part.axes.clone(),
            })
        })
    }

    fn per_channel(
        &mut self,
        function: Binary,
        x: TensorId,
        values: Vec<f32>,
        first: bool,
        sole: bool,
    ) -> Result<TensorId, Refusal> {
        let all = |value: f32| vec![value; values.len()];
        let negative = || values.iter().map(|v| -v).collect();
        let builder = &mut *self.builder;
        match function {
            Binary::Add => builder.affine(x, all(1.0), values, sole),
            Binary::Sub if first => builder.affine(x, all(-1.0), values, sole),
            Binary::Sub => builder.affine(x, all(1.0), negative(), sole),
            Binary::Mul => builder.affine(x, values.clone(), all(0.0), sole),
            Binary::Div if first => {
                let inverse = builder.graph.activate(x, Activation::Reciprocal)?;
                builder.affine(inverse, values.clone(), all(0.0), false)
            }
            Binary::Div => {
                let inverse = values.iter().map(|v| 1.0 / v).collect();
                builder.affine(x, inverse, all(0.0), sole)
            }
            Binary::Max | Binary::Min => match uniform(&values) {
                Some(value) if value.is_nan() => Err(refusal("limits to what is not a number")),
                Some(value) if function == Binary::Max => builder.clip(x, value, f32::INFINITY),
                Some(value) => builder.clip(x, f32::NEG_INFINITY, value),
                None => {
                    let shape = crate::convnet::graph::Shape::new(values.len(), 1, 1);
                    let constant = builder.graph.constant(shape, values.into())?;
                    Ok(builder.graph.binary(function, x, constant)?)
                }
            },
        }
    }

    /// `x ∘ other`, or `other ∘ x` if `swapped`; `other` may be repeated, `x` may not.
    fn ordered(
        &mut self,
        function: Binary,
        x: TensorId,
        other: TensorId,
        swapped: bool,
    ) -> Result<TensorId, Refusal> {
        let graph = &mut self.builder.graph;
        match function {
            Binary::Sub if swapped => {
                let negative = graph.scale(x, -1.0, 0.0)?;
                Ok(graph.add(negative, other)?)
            }
            Binary::Div if swapped => {
                let inverse = graph.activate(x, Activation::Reciprocal)?;
                Ok(graph.mul(inverse, other)?)
            }
            _ => Ok(graph.binary(function, x, other)?),
        }
    }

    fn of_two(&mut self, function: Binary, a: &View, b: &View) -> Result<View, Refusal> {
        let (larger, other, swapped) = match covers(a, b) {
            true => (a, b, false),
            false => (b, a, true),
        };
        if !covers(larger, other) {
            let dims = [a.dims(), b.dims()];
            return Err(refusal(format!("repeats both of {dims:?}")));
        }
        larger.try_map(|index, part| {
            let repeated = &other.parts[index.min(other.parts.len() - 1)];
            let (part, repeated) = self.alike(part, repeated)?;
            let shape = self.builder.graph.shape(part.tensor);
            let mut small = repeated.tensor;
            if self.builder.graph.shape(small).pixels() == shape.pixels() {
                small = self.builder.sized(small, shape.h, shape.w)?;
            }
            Ok(Part {
                tensor: self.ordered(function, part.tensor, small, swapped)?,
                axes: part.axes,
            })
        })
    }

    /// Two parts whose axes count the same, where the second one has any.
    fn alike(&mut self, a: &Part, b: &Part) -> Result<(Part, Part), Refusal> {
        let fits =
            |a: &Part, b: &Part| (a.axes.iter().zip(&b.axes)).all(|(a, b)| b.is_empty() || a == b);
        if fits(a, b) {
            return Ok((a.clone(), b.clone()));
        }
        let a = self.builder.channels_in_order(a)?;
        let b = self.builder.channels_in_order(b)?;
        match fits(&a, &b) {
            true => Ok((a, b)),
            false => Err(refusal("combines tensors of different order")),
        }
    }

    /// `x < 0` or `x > 0`, in any of the ways to write them. Whether zero itself counts makes no difference to PReLU
    /// and ELU.
    fn comparison(&mut self, op: &TypedBinOp) -> Result<Value, Refusal> {
        let unknown = || refusal("is no operator of the executor");
        let name = op.0.name().trim_end_matches(['E', 'e']).to_lowercase();
        let less = match name {
            name if name.ends_with("lt") => true,
            name if name.ends_with("gt") => false,
            _ => return Err(unknown()),
        };
        let is_zero = |c: &Constant| c.values.iter().all(|&v| v == 0.0);
        let (of, below) = match (self.operand(0)?, self.operand(1)?) {
            (Operand::Tensor(x), Operand::Constant(c)) if is_zero(&c) => (x, less),
            (Operand::Constant(c), Operand::Tensor(x)) if is_zero(&c) => (x, !less),
            _ => return Err(unknown()),
        };
        Ok(Value::Sign { of, below })
    }

    /// PReLU and ELU, which tract writes as a choice between two branches.
    pub(super) fn choice(&mut self) -> Result<View, Refusal> {
        let odd = || refusal("chooses between branches that are not PReLU or ELU");
        let condition = self.node.inputs.first();
        let (condition, negative) =
            match condition.and_then(|outlet| self.builder.values.get(outlet)) {
                Some(Value::Sign { of, below }) => (of.clone(), *below),
                _ => return Err(refusal("is no operator of the executor")),
            };
        let (below, above) = match negative {
            true => (self.tensor(1)?, self.tensor(2)?),
            false => (self.tensor(2)?, self.tensor(1)?),
        };
        if above != condition || below.parts.len() != above.parts.len() {
            return Err(odd());
        }
        above.try_map(|index, part| {
            let (x, branch) = (part.tensor, &below.parts[index]);
            if branch.axes != part.axes {
                return Err(odd());
            }
            let made = match self.builder.op(branch.tensor).clone() {
                Op::Affine { scale, bias } if bias.iter().all(|&b| b == 0.0) => {
                    if self.builder.operand(branch.tensor, 0) != x {
                        return Err(odd());
                    }
                    match uniform(&scale) {
                        Some(slope) => {
                            let function = Activation::LeakyRelu { slope };
                            self.builder.graph.activate(x, function)?
                        }
                        None => self.builder.graph.prelu(x, scale)?,
                    }
                }
                // alpha exp(x) - alpha
                Op::Affine { scale, bias } => {
                    let inside = self.builder.operand(branch.tensor, 0);
                    let exponential =
                        matches!(self.builder.op(inside), Op::Activate(Activation::Exp))
                            && self.builder.operand(inside, 0) == x;
                    match (uniform(&scale), uniform(&bias)) {
                        (Some(alpha), Some(beta)) if exponential && beta == -alpha => {
                            self.builder.graph.activate(x, Activation::Elu { alpha })?
                        }
                        _ => return Err(odd()),
                    }
                }
                _ => return Err(odd()),
            };
            Ok(Part {
                tensor: made,
                axes: part.axes.clone(),
            })
        })
    }
}

/// Whether `b` can be repeated to the shape of `a`.
fn covers(a: &View, b: &View) -> bool {
    let (da, db) = (a.dims(), b.dims());
    let fits = da.len() == db.len() && da.iter().zip(&db).all(|(a, b)| a == b || *b == 1);
    // Numbers of a joined axis go with their part; what is repeated along it has one.
    let joins = match (a.joined, b.joined) {
        (a_joined, None) => {
            b.parts.len() == 1 && a_joined.is_none_or(|axis| db.get(axis) == Some(&1))
        }
        (Some(x), Some(y)) => {
            x == y
                && a.parts.len() == b.parts.len()
                && (a.parts.iter().zip(&b.parts))
                    .all(|(a, b)| view::length(&a.axes[x]) == view::length(&b.axes[x]))
        }
        _ => false,
    };
    // Repeating along some of the pixels' axes alone would need the executor's rows and columns.
    let pixels = |view: &View| {
        let of_part = |part: &Part| view::total(&part.axes, Counts::Pixels);
        view.parts.iter().map(of_part).collect::<Vec<_>>()
    };
    let (pa, pb) = (pixels(a), pixels(b));
    let whole = pb.iter().all(|&n| n == 1) || pa == pb;
    fits && joins && whole
}
