//! [`Level`]: raw heads of one stride, each an f32 output `[1, channels, rows, columns]`.
//!
//! The outputs come level by level in the order of the strides, `N` of each.

use super::grid::Cell;
use super::output::{Dim, Output};
use crate::base::geometry::Size;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::DecodeError;

/// The number of channels that a head must have.
pub(crate) struct Channels {
    dim: Dim,
    text: String,
}

impl Channels {
    pub fn exactly(count: usize) -> Self {
        Self {
            dim: Dim::Is(count),
            text: count.to_string(),
        }
    }

    /// One a class; 0: not known how many.
    pub fn classes(classes: usize) -> Self {
        match classes {
            0 => Self {
                dim: Dim::AtLeast(1),
                text: "classes".into(),
            },
            _ => Self::exactly(classes),
        }
    }
}

pub(crate) struct Level<const N: usize> {
    stride: u32,
    heads: Vec<Output>,
}

/// # Errors
/// [`DecodeError`] if the outputs are not `N` heads of these channels for each of the strides.
pub(crate) fn levels<const N: usize>(
    strides: &[u32],
    channels: &[Channels; N],
    input: Size,
    outputs: &[TensorSpec],
) -> Result<Vec<Level<N>>, DecodeError> {
    let none = channels.iter().any(|head| head.dim == Dim::Is(0)) || strides.contains(&0);
    if none || outputs.len() != N * strides.len() {
        let head = |head: &Channels| format!("[1, {}, rows, columns]", head.text);
        let heads: Vec<String> = channels.iter().map(head).collect();
        return Err(DecodeError::Outputs {
            found: outputs.to_vec(),
            expected: format!(
                "{} for each of the strides {strides:?}",
                heads.join(" and ")
            ),
        });
    }
    let level = |(level, &stride): (usize, &u32)| {
        let (columns, rows) = (input.width.div_ceil(stride), input.height.div_ceil(stride));
        let head = |(index, head): (usize, &Channels)| {
            let index = N * level + index;
            let map = [Dim::Is(rows as usize), Dim::Is(columns as usize)];
            let wanted = [Dim::Is(1), head.dim, map[0], map[1]];
            let text = &head.text;
            let expected = format!("[1, {text}, {rows}, {columns}] (stride {stride} over {input})");
            Output::at(index, &outputs[index], &wanted, &expected)
        };
        let heads = channels.iter().enumerate().map(head);
        Ok(Level {
            stride,
            heads: heads.collect::<Result<_, _>>()?,
        })
    };
    strides.iter().enumerate().map(level).collect()
}

/// The numbers of one level of one run.
pub(crate) struct Maps<'a, const N: usize> {
    stride: f32,
    columns: usize,
    /// Numbers of one channel.
    pub area: usize,
    pub heads: [&'a [f32]; N],
}

/// Reads the maps of every level before the first is decoded, as an error must leave what was found as it was.
///
/// # Errors
/// [`DecodeError`] if the run gave another shape or type than the decoder was made for.
pub(crate) fn read<'a, const N: usize>(
    levels: &[Level<N>],
    outputs: &'a [Tensor],
) -> Result<Vec<Maps<'a, N>>, DecodeError> {
    let maps = |level: &Level<N>| {
        let mut maps = Maps {
            stride: level.stride as f32,
            columns: 0,
            area: 0,
            heads: [&[]; N],
        };
        for (numbers, head) in maps.heads.iter_mut().zip(&level.heads) {
            let (read, dims) = head.read(outputs)?;
            *numbers = read;
            (maps.columns, maps.area) = (dims[3], dims[2] * dims[3]);
        }
        Ok(maps)
    };
    levels.iter().map(maps).collect()
}

impl<const N: usize> Maps<'_, N> {
    pub fn cell(&self, place: usize) -> Cell {
        Cell {
            x: (place % self.columns) as f32,
            y: (place / self.columns) as f32,
            stride: self.stride,
        }
    }

    /// The numbers of the cell at `place` in head `index`, channel by channel.
    pub fn numbers(&self, index: usize, place: usize) -> impl Iterator<Item = f32> + Clone {
        let channels = self.heads[index][place..].iter().step_by(self.area);
        channels.copied()
    }
}
