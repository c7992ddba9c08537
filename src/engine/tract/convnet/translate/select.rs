//! Selections along an axis: slices, every second row, gathered channels.

use super::shape::moved;
use super::{Translation, refusal};
use crate::convnet::graph::Crop;
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::view::{self, Counts, Part, View, whole};
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::ops::array::{Gather, Slice};
use tract_onnx::tract_core::ops::downsample::Downsample;

impl Translation<'_> {
    pub(super) fn slice(&mut self, slice: &Slice) -> Result<View, Refusal> {
        let (Ok(start), Ok(end)) = (slice.start.to_usize(), slice.end.to_usize()) else {
            return Err(refusal("computes its bounds"));
        };
        let view = self.tensor(0)?;
        if view.joined == Some(slice.axis) {
            return cut(&view, slice.axis, start, end);
        }
        let picks: Vec<usize> = (start..end).collect();
        view.try_map(|_, part| self.picked(part, slice.axis, &picks))
    }

    pub(super) fn downsample(&mut self, downsample: &Downsample) -> Result<View, Refusal> {
        let view = self.tensor(0)?;
        let stride = usize::try_from(downsample.stride).unwrap_or(0);
        if stride == 0 || view.joined == Some(downsample.axis) {
            return Err(refusal("reads an axis backwards"));
        }
        view.try_map(|_, part| {
            let length = view::length(&part.axes[downsample.axis]);
            let picks: Vec<usize> = (downsample.modulo..length).step_by(stride).collect();
            self.picked(part, downsample.axis, &picks)
        })
    }

    pub(super) fn gather(&mut self, gather: &Gather) -> Result<View, Refusal> {
        if gather.output_type.is_some() {
            return Err(refusal("changes the type of its numbers"));
        }
        let outlet = self.node.inputs.get(1);
        let fact = outlet.and_then(|&outlet| self.model.outlet_fact(outlet).ok());
        let indices = fact.and_then(|fact| fact.konst.clone());
        let indices = indices.ok_or_else(|| refusal("computes its indices"))?;
        let view = self.tensor(0)?;
        if view.joined == Some(gather.axis) || indices.rank() > 1 {
            return Err(refusal("gathers along several axes"));
        }
        let length = view.dims()[gather.axis] as i64;
        let numbers = (indices.cast_to::<i64>().ok())
            .and_then(|numbers| {
                Some(
                    numbers
                        .try_as_plain_ram()
                        .ok()?
                        .as_slice::<i64>()
                        .ok()?
                        .to_vec(),
                )
            })
            .ok_or_else(|| refusal("computes its indices"))?;
        let picks = numbers.iter().map(|&i| if i < 0 { i + length } else { i });
        let picks: Option<Vec<usize>> = picks.map(|i| usize::try_from(i).ok()).collect();
        let picks = picks.filter(|picks| picks.iter().all(|&i| (i as i64) < length));
        let picks = picks.ok_or_else(|| refusal("gathers what is not there"))?;
        let made = view.try_map(|_, part| self.picked(part, gather.axis, &picks))?;
        match indices.rank() {
            0 => Ok(moved(
                &made,
                |axes| {
                    axes.remove(gather.axis);
                },
                |axis| axis - usize::from(axis > gather.axis),
            )),
            _ => Ok(made),
        }
    }

    /// Selects positions along an axis.
    fn picked(&mut self, part: &Part, axis: usize, picks: &[usize]) -> Result<Part, Refusal> {
        if view::only(&part.axes[axis], Counts::Channels) {
            return self.picked_channels(part, axis, picks);
        }
        let all = picks.iter().copied().eq(0..view::length(&part.axes[axis]));
        if all {
            return Ok(part.clone());
        }
        let step = match picks {
            [a, b, ..] if b > a => b - a,
            _ => 1,
        };
        let even = picks.windows(2).all(|pair| pair[1] == pair[0] + step);
        if !even || picks.is_empty() || !view::only(&part.axes[axis], Counts::Pixels) {
            return Err(refusal("selects pixels unevenly"));
        }
        let spatial: Vec<usize> = (0..part.axes.len())
            .filter(|&axis| part.axes[axis].iter().any(|a| a.counts == Counts::Pixels))
            .collect();
        let (rows, columns) = match spatial[..] {
            [x] => (None, x),
            [y, x] => (Some(y), x),
            _ => return Err(refusal("selects pixels of what is no picture")),
        };
        let part = self.builder.planes(part, rows, columns)?;
        let shape = self.builder.graph.shape(part.tensor);
        let mut crop = Crop {
            top: 0,
            left: 0,
            step: [1, 1],
            size: [shape.h, shape.w],
        };
        if axis == columns {
            (crop.left, crop.step[1], crop.size[1]) = (picks[0], step, picks.len());
        } else {
            (crop.top, crop.step[0], crop.size[0]) = (picks[0], step, picks.len());
        }
        let tensor = self.builder.graph.crop(part.tensor, crop)?;
        let mut axes = part.axes;
        axes[columns] = whole(Counts::Pixels, crop.size[1]);
        if let Some(rows) = rows {
            axes[rows] = whole(Counts::Pixels, crop.size[0]);
            axes[rows]
                .iter_mut()
                .for_each(|atom| atom.stride = crop.size[1]);
        }
        Ok(Part { tensor, axes })
    }

    fn picked_channels(
        &mut self,
        part: &Part,
        axis: usize,
        picks: &[usize],
    ) -> Result<Part, Refusal> {
        if picks.is_empty() {
            return Err(refusal("selects nothing"));
        }
        let lengths = || {
            part.axes.iter().map(|axis| {
                let channels = axis.iter().filter(|atom| atom.counts == Counts::Channels);
                channels.map(|atom| atom.size).product::<usize>()
            })
        };
        let inner: usize = lengths().skip(axis + 1).product();
        let length = view::length(&part.axes[axis]);
        let places = view::positions(&part.axes, Counts::Channels);
        let chosen: Vec<u32> = (places.chunks_exact(length * inner))
            .flat_map(|outer| {
                picks
                    .iter()
                    .flat_map(|&pick| &outer[pick * inner..(pick + 1) * inner])
            })
            .map(|&channel| channel as u32)
            .collect();
        let mut axes = part.axes.clone();
        axes[axis] = whole(Counts::Channels, picks.len());
        Ok(Part {
            tensor: self.builder.graph.channels(part.tensor, chosen.into())?,
            axes: view::reordered(&axes, Counts::Channels),
        })
    }
}

/// A slice of joined parts, if it holds whole parts.
fn cut(view: &View, axis: usize, start: usize, end: usize) -> Result<View, Refusal> {
    let (mut at, mut parts, mut covered) = (0, Vec::new(), 0);
    for part in &view.parts {
        let next = at + view::length(&part.axes[axis]);
        if start <= at && next <= end {
            parts.push(part.clone());
            covered += next - at;
        }
        at = next;
    }
    if parts.is_empty() || covered != end - start {
        return Err(refusal("cuts through joined maps"));
    }
    let joined = (parts.len() > 1).then_some(axis);
    Ok(View { parts, joined })
}
