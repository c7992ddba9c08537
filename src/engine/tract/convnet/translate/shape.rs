//! Reshapes, transpositions and padding.

use super::{Translation, refusal};
use crate::convnet::graph::Pads;
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::constants::Constant;
use crate::engine::tract::convnet::view::{self, Axis, Counts, Part, View, whole};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::change_axes::AxisOp;

impl Translation<'_> {
    pub(super) fn axis_op(&mut self, op: &AxisOp) -> Result<View, Refusal> {
        let view = self.tensor(0)?;
        match op {
            AxisOp::Add(at) => Ok(moved(
                &view,
                |axes| axes.insert(*at, tvec!()),
                |axis| axis + usize::from(axis >= *at),
            )),
            AxisOp::Rm(at) => Ok(moved(
                &view,
                |axes| {
                    axes.remove(*at);
                },
                |axis| axis - usize::from(axis > *at),
            )),
            AxisOp::Move(from, to) => Ok(moved(
                &view,
                |axes| {
                    let axis = axes.remove(*from);
                    axes.insert(*to, axis);
                },
                |axis| {
                    let mut order: Vec<usize> = (0..view.parts[0].axes.len()).collect();
                    let moved = order.remove(*from);
                    order.insert(*to, moved);
                    order.iter().position(|&old| old == axis).unwrap_or(axis)
                },
            )),
            AxisOp::Reshape(at, from, to) => {
                let to: Option<Vec<usize>> = to.iter().map(|dim| dim.to_usize().ok()).collect();
                let to = to.ok_or_else(|| refusal("computes its shape"))?;
                self.reshape(&view, *at, from.len(), &to)
            }
        }
    }

    fn reshape(
        &mut self,
        view: &View,
        at: usize,
        count: usize,
        to: &[usize],
    ) -> Result<View, Refusal> {
        let joined = view
            .joined
            .filter(|joined| (at..at + count).contains(joined));
        // Parts stay one behind the other if the axis that joins them is, or becomes, the slowest of those reshaped.
        let slow = joined.is_none_or(|joined| {
            let before = |part: &Part| part.axes[at..joined].iter().all(|axis| axis.is_empty());
            !to.is_empty() && view.parts.iter().all(before)
        });
        let inner: usize = to.iter().skip(1).product();
        if !slow || inner == 0 {
            return Err(uneven());
        }
        let made = view.try_map(|_, part| {
            let mut own = to.to_vec();
            if joined.is_some() {
                let numbers: usize = part.axes[at..at + count].iter().map(view::length).product();
                own[0] = numbers / inner;
            }
            self.reshaped(part, at, count, &own)
        })?;
        let joined = view.joined.map(|axis| match joined {
            Some(_) => at,
            None if axis >= at + count => axis + to.len() - count,
            None => axis,
        });
        Ok(View { joined, ..made })
    }

    fn reshaped(
        &mut self,
        part: &Part,
        at: usize,
        count: usize,
        to: &[usize],
    ) -> Result<Part, Refusal> {
        if let Some(axes) = view::reshaped(&part.axes, at, count, to) {
            let tensor = part.tensor;
            return self.blocks_as_channels(Part { tensor, axes });
        }
        // Shuffled channels may not divide where channels in order do.
        let part = self.builder.channels_in_order(part)?;
        let axes = view::reshaped(&part.axes, at, count, to).ok_or_else(uneven)?;
        let tensor = part.tensor;
        self.blocks_as_channels(Part { tensor, axes })
    }

    pub(super) fn pad(&mut self, pad: &Pad) -> Result<View, Refusal> {
        let PadMode::Constant(value) = &pad.mode else {
            return Err(refusal("pads with other than a constant"));
        };
        let value = Constant::new(value)?.values.first().copied();
        let value = value.ok_or_else(|| refusal("pads with other than a constant"))?;
        let part = self.part(0)?;
        let padded = (0..pad.pads.len()).filter(|&axis| pad.pads[axis] != (0, 0));
        let padded: Vec<usize> = padded.collect();
        let rank = part.axes.len();
        let channels = (0..rank).find(|&axis| {
            part.axes[axis]
                .iter()
                .any(|atom| atom.counts == Counts::Channels)
        });
        let (rows, columns) = match channels {
            Some(axis) if axis + 1 == rank && rank >= 3 => (rank - 3, rank - 2),
            _ if rank >= 3 => (rank - 2, rank - 1),
            _ => return Err(refusal("pads what is no picture")),
        };
        if padded.iter().any(|&axis| axis != rows && axis != columns) {
            return Err(refusal("pads channels"));
        }
        let part = self.builder.planes(&part, Some(rows), columns)?;
        let pads = Pads {
            top: pad.pads[rows].0,
            bottom: pad.pads[rows].1,
            left: pad.pads[columns].0,
            right: pad.pads[columns].1,
        };
        let tensor = self.builder.graph.pad(part.tensor, pads, value)?;
        let shape = self.builder.graph.shape(tensor);
        let mut axes = part.axes;
        axes[columns] = whole(Counts::Pixels, shape.w);
        axes[rows] = whole(Counts::Pixels, shape.h);
        axes[rows].iter_mut().for_each(|atom| atom.stride = shape.w);
        Ok(View::single(tensor, axes))
    }
}

/// The view with its axes changed; `place` says where the axis of joined parts goes.
pub(super) fn moved(
    view: &View,
    change: impl Fn(&mut Vec<Axis>),
    place: impl Fn(usize) -> usize,
) -> View {
    let mut moved = view.clone();
    for part in &mut moved.parts {
        change(&mut part.axes);
    }
    moved.joined = view.joined.map(place);
    moved
}

fn uneven() -> Refusal {
    refusal("cuts channels or pixels unevenly")
}
