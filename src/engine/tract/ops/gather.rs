//! [`GatherAlong`]: numbers at computed places along an axis, as heads without suppression take the best boxes.

use super::planes::of_dims;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{GatherElements, MultiBroadcastTo, Tile};

/// Gathers f32: the output at `[outer, place, inner]` is the data at `[outer, index, inner]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GatherAlong {
    output: Vec<usize>,
    /// Length of the axis in the data, and in the indices.
    lengths: [usize; 2],
    outer: usize,
    inner: usize,
    /// True if one index serves all inner numbers.
    whole_rows: bool,
}

impl GatherAlong {
    /// Returns the operator for a node that gathers, and what it reads, or `None` if it gathers otherwise.
    ///
    /// Exporters repeat an index for each number of a row. It is then read where it was not yet repeated.
    pub fn from_node(
        model: &TypedModel,
        node: &TypedNode,
        gather: &GatherElements,
    ) -> Option<(Self, TVec<OutletId>)> {
        let &[data, mut indices] = node.inputs.as_slice() else {
            return None;
        };
        let dims = |outlet: OutletId| {
            let fact = model.outlet_fact(outlet).ok()?;
            Some((fact.datum_type, fact.shape.as_concrete()?.to_vec()))
        };
        let (kind, from) = dims(data)?;
        let (index_kind, output) = dims(indices)?;
        let axis = gather.axis;
        let others = |dims: &[usize]| [dims[..axis].to_vec(), dims[axis + 1..].to_vec()];
        let plain = kind == f32::datum_type() && index_kind == i64::datum_type();
        let sound = from.len() == output.len() && !from.contains(&0) && !output.contains(&0);
        if !plain || !sound || others(&from) != others(&output) {
            return None;
        }
        let [outer, inner] = others(&output).map(|dims| dims.iter().product());
        let repeated = model.node(indices.node);
        let mut whole_rows = inner == 1;
        if (repeated.op_is::<Tile>() || repeated.op_is::<MultiBroadcastTo>()) && inner > 1 {
            let once = repeated.inputs[0];
            let mut each = output.clone();
            each[axis + 1..].fill(1);
            if dims(once)?.1 == each {
                (indices, whole_rows) = (once, true);
            }
        }
        let op = Self {
            lengths: [from[axis], output[axis]],
            outer,
            inner,
            output,
            whole_rows,
        };
        Some((op, tvec!(data, indices)))
    }

    /// Returns the place that an index names; negative ones count from the end.
    fn place(&self, index: i64) -> TractResult<usize> {
        let length = self.lengths[0];
        let place = if index < 0 {
            index + length as i64
        } else {
            index
        };
        let place = usize::try_from(place).ok().filter(|&place| place < length);
        place.with_context(|| format!("index {index} of an axis of {length}"))
    }
}

of_dims!(GatherAlong, "DetectGather", output);

impl EvalOp for GatherAlong {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (data, indices) = args_2!(inputs);
        let ([length, count], inner) = (self.lengths, self.inner);
        let each = if self.whole_rows { 1 } else { inner };
        ensure!(
            data.len() == self.outer * length * inner && indices.len() == self.outer * count * each,
            "data {:?} and indices {:?} for {:?}",
            data.shape(),
            indices.shape(),
            self.output
        );
        let (data, indices) = (data.try_as_plain_ram()?, indices.try_as_plain_ram()?);
        let (data, indices) = (data.as_slice::<f32>()?, indices.as_slice::<i64>()?);
        let mut output = Tensor::zero::<f32>(&self.output)?;
        {
            let mut plain = output.try_as_plain_ram_mut()?;
            let rows = plain.as_slice_mut::<f32>()?.chunks_exact_mut(inner);
            for (row, (output, indices)) in rows.zip(indices.chunks_exact(each)).enumerate() {
                let from = &data[row / count * length * inner..][..length * inner];
                if self.whole_rows {
                    let place = self.place(indices[0])?;
                    output.copy_from_slice(&from[place * inner..][..inner]);
                    continue;
                }
                for (i, (number, &index)) in output.iter_mut().zip(indices).enumerate() {
                    *number = from[self.place(index)? * inner + i];
                }
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }

    op_out_of_plan!();
}
