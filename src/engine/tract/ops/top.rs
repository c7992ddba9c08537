//! [`SelectTop`]: the largest or smallest numbers along an axis, in order, with their places.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::Topk;

/// Selects `count` numbers of f32. tract sorts all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SelectTop {
    /// Dims of both outputs.
    dims: Vec<usize>,
    /// Length of the axis in the input, and distance between its neighbours.
    length: usize,
    step: usize,
    count: usize,
    largest: bool,
}

impl SelectTop {
    /// Returns the operator for `top`, or `None` if it is not of f32 or its count is computed.
    pub fn from_top(top: &Topk, inputs: &[&TypedFact]) -> Option<Self> {
        let [input, count] = inputs else {
            return None;
        };
        let count = count.konst.as_ref()?.cast_to_scalar::<i64>().ok()?;
        let count = usize::try_from(count).ok()?;
        let mut dims = input.shape.as_concrete()?.to_vec();
        let length = *dims.get(top.axis)?;
        let step = dims[top.axis + 1..].iter().product();
        let fits = 0 < count && count <= length && length <= u32::MAX as usize;
        dims[top.axis] = count;
        (fits && !dims.contains(&0) && input.datum_type == f32::datum_type()).then(|| Self {
            dims,
            length,
            step,
            count,
            largest: top.largest,
        })
    }

    /// Returns a number that is the larger the sooner `value`, at place `index`, is taken. Equal values are taken in the
    /// order of their places, and NaN last.
    #[inline]
    fn rank(&self, value: f32, index: usize) -> u64 {
        // negative zero equals zero
        let bits = (value + 0.0).to_bits();
        let rising = match bits >> 31 {
            0 => bits | 1 << 31,
            _ => !bits,
        };
        let first = match (value.is_nan(), self.largest) {
            (true, _) => 0,
            (_, true) => rising,
            (_, false) => !rising,
        };
        u64::from(first) << 32 | u64::from(u32::MAX - index as u32)
    }

    /// Selects along the axis at place `inner` of a slice of the input.
    fn select(&self, input: &[f32], ranks: &mut Vec<u64>, mut take: impl FnMut(usize, usize)) {
        ranks.clear();
        let numbers = input.iter().step_by(self.step).take(self.length);
        ranks.extend(numbers.enumerate().map(|(i, &value)| self.rank(value, i)));
        if self.count < self.length {
            let last = self.count - 1;
            ranks.select_nth_unstable_by(last, |a, b| b.cmp(a));
            ranks.truncate(self.count);
        }
        ranks.sort_unstable_by(|a, b| b.cmp(a));
        for (place, rank) in ranks.iter().enumerate() {
            take(place, (u32::MAX - *rank as u32) as usize);
        }
    }
}

impl Op for SelectTop {
    fn name(&self) -> StaticName {
        "DetectTop".into()
    }

    op_as_typed_op!();
}

impl TypedOp for SelectTop {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(&self.dims), i64::fact(&self.dims)))
    }

    as_op!();
}

impl EvalOp for SelectTop {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let (from, to) = (self.length * self.step, self.count * self.step);
        let mut values = Tensor::zero::<f32>(&self.dims)?;
        let mut places = Tensor::zero::<i64>(&self.dims)?;
        ensure!(
            input.len() / from == values.len() / to,
            "an input of {:?} for the best {:?}",
            input.shape(),
            self.dims
        );
        let input = input.try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        {
            let (mut values, mut places) = (
                values.try_as_plain_ram_mut()?,
                places.try_as_plain_ram_mut()?,
            );
            let values = values.as_slice_mut::<f32>()?.chunks_exact_mut(to);
            let places = places.as_slice_mut::<i64>()?.chunks_exact_mut(to);
            let mut ranks = Vec::with_capacity(self.length);
            for ((input, values), places) in input.chunks_exact(from).zip(values).zip(places) {
                for inner in 0..self.step {
                    self.select(&input[inner..], &mut ranks, |place, index| {
                        values[place * self.step + inner] = input[index * self.step + inner];
                        places[place * self.step + inner] = index as i64;
                    });
                }
            }
        }
        Ok(tvec!(values.into_tvalue(), places.into_tvalue()))
    }

    op_out_of_plan!();
}
