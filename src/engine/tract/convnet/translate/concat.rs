//! Concatenations: of channels, or of the pixels of several maps.

use super::{Operand, Translation, refusal};
use crate::convnet::graph::Shape;
use crate::engine::tract::convnet::Refusal;
use crate::engine::tract::convnet::constants::{Constant, READING, Values};
use crate::engine::tract::convnet::view::{self, Axis, Counts, Part, View, whole};

impl Translation<'_> {
    pub(super) fn concat(&mut self, axis: usize) -> Result<View, Refusal> {
        let operands = (0..self.node.inputs.len()).map(|index| self.operand(index));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let first = operands.iter().find_map(|operand| match operand {
            Operand::Tensor(view) => Some(view.clone()),
            Operand::Constant(_) => None,
        });
        let first = first.ok_or_else(|| refusal("reads constants alone"))?;
        let counted = |view: &View| {
            let axes = view.parts.iter().map(|part| &part.axes[axis]);
            axes.flatten().next().map(|atom| atom.counts)
        };
        let along_pixels = operands.iter().any(|operand| match operand {
            Operand::Tensor(view) => {
                view.joined == Some(axis) || counted(view) == Some(Counts::Pixels)
            }
            Operand::Constant(_) => false,
        });
        if along_pixels {
            let views = operands.into_iter().map(|operand| match operand {
                Operand::Tensor(view) => Ok(view),
                Operand::Constant(_) => Err(refusal("joins a constant with maps")),
            });
            return join(&views.collect::<Result<Vec<_>, _>>()?, axis);
        }
        first.try_map(|index, _| {
            let parts = operands.iter().map(|operand| match operand {
                Operand::Tensor(view) if view.joined == first.joined => Ok(view.parts.get(index)),
                Operand::Tensor(_) => Err(refusal("combines tensors of different order")),
                Operand::Constant(_) => Ok(None),
            });
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            self.concat_channels(axis, &first, index, &parts, &operands)
        })
    }

    /// One part of a concatenation along channels. `parts` are none where an operand is a constant.
    fn concat_channels(
        &mut self,
        axis: usize,
        first: &View,
        index: usize,
        parts: &[Option<&Part>],
        operands: &[Operand],
    ) -> Result<Part, Refusal> {
        let model = &first.parts[index];
        let shape = self.builder.graph.shape(model.tensor);
        let others = |axes: &[Axis]| {
            let mut axes = view::reordered(axes, Counts::Channels);
            axes.remove(axis);
            axes.iter_mut().flatten().for_each(|atom| {
                // Channels count differently where the axis is longer.
                if atom.counts == Counts::Channels {
                    atom.stride = 0;
                }
            });
            axes
        };
        let (mut tensors, mut lengths) = (Vec::new(), Vec::new());
        for (part, operand) in parts.iter().zip(operands) {
            let made = match (part, operand) {
                (Some(part), _) => {
                    if others(&part.axes) != others(&model.axes) {
                        return Err(refusal("combines tensors of different order"));
                    }
                    self.builder.channels_in_order(part)?
                }
                (None, Operand::Constant(constant)) => {
                    self.constant_part(constant, model, shape, axis)?
                }
                _ => return Err(refusal("combines tensors of different order")),
            };
            let tensor = self.builder.sized(made.tensor, shape.h, shape.w)?;
            tensors.push(tensor);
            lengths.push(view::length(&made.axes[axis]));
        }
        let tensor = match tensors[..] {
            [tensor] => tensor,
            _ => self.builder.graph.concat(&tensors)?,
        };
        let mut axes = model.axes.clone();
        axes[axis] = whole(Counts::Channels, lengths.iter().sum());
        let axes = view::reordered(&axes, Counts::Channels);
        let picks = interleaved(&axes, axis, &lengths);
        let tensor = match picks.iter().zip(0..).all(|(&pick, i)| pick == i) {
            true => tensor,
            false => self.builder.graph.channels(tensor, picks.into())?,
        };
        Ok(Part { tensor, axes })
    }

    /// A constant beside `model`, which is as large but for `axis`.
    fn constant_part(
        &mut self,
        constant: &Constant,
        model: &Part,
        shape: Shape,
        axis: usize,
    ) -> Result<Part, Refusal> {
        let length = *(constant.dims.get(axis)).ok_or_else(|| refusal("joins a scalar"))?;
        let mut axes = model.axes.clone();
        axes[axis] = whole(Counts::Channels, length);
        let axes = view::reordered(&axes, Counts::Channels);
        let channels = view::total(&axes, Counts::Channels);
        let shape = Shape::new(channels, shape.h, shape.w);
        let view = View::single(model.tensor, axes.clone());
        self.builder.spend(READING * shape.len())?;
        let values = match constant.along(&view, 0, shape)? {
            Values::Uniform(value) => vec![value; shape.len()],
            Values::PerChannel(values) => {
                let pixels = shape.pixels();
                values.iter().flat_map(|&v| vec![v; pixels]).collect()
            }
            Values::Planes(made, values) if made == shape => values,
            Values::Planes(..) => return Err(refusal("joins a constant of another shape")),
        };
        Ok(Part {
            tensor: self.builder.graph.constant(shape, values.into())?,
            axes,
        })
    }
}

/// Puts the parts of all views one behind the other along `axis`.
fn join(views: &[View], axis: usize) -> Result<View, Refusal> {
    if views
        .iter()
        .any(|view| view.joined.is_some_and(|joined| joined != axis))
    {
        return Err(refusal("joins maps along two axes"));
    }
    let parts: Vec<Part> = views.iter().flat_map(|view| view.parts.clone()).collect();
    let others = |part: &Part| {
        let lengths = part.axes.iter().map(view::length).enumerate();
        lengths.filter(|&(i, _)| i != axis).collect::<Vec<_>>()
    };
    // Rows of a picture joined with another's would be one taller picture, which this is not.
    let whole = |part: &Part| {
        let pixels = view::total(&part.axes[axis..=axis], Counts::Pixels);
        pixels == view::total(&part.axes, Counts::Pixels)
    };
    if !parts
        .iter()
        .all(|part| whole(part) && others(part) == others(&parts[0]))
    {
        return Err(refusal("joins maps along their rows or columns"));
    }
    Ok(View {
        parts,
        joined: Some(axis),
    })
}

/// Where each channel of a concatenation along `axis` is if the operands' channels lie one behind the other.
fn interleaved(axes: &[Axis], axis: usize, lengths: &[usize]) -> Vec<u32> {
    let channels = |axes: &[Axis]| view::total(axes, Counts::Channels);
    let (outer, inner) = (channels(&axes[..axis]), channels(&axes[axis + 1..]));
    let mut picks = Vec::with_capacity(channels(axes));
    for row in 0..outer {
        let mut first = 0;
        for length in lengths {
            let each = length * inner;
            let begin = first + row * each;
            picks.extend((begin..begin + each).map(|channel| channel as u32));
            first += outer * each;
        }
    }
    picks
}
