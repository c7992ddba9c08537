//! [`Level`]: the heads of one stride, with numbers drawn by lot for them.

use crate::base::geometry::Size;
use crate::onnx::infer::{Data, Inference, Value};
use std::collections::BTreeMap;

/// A map over the cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Name in the graph.
    pub name: String,
    /// Numbers of one cell.
    pub channels: usize,
    /// Without its numbers until they are drawn.
    pub value: Value,
}

/// One level of a head: its maps over one grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Input pixels per cell.
    pub stride: u32,
    columns: usize,
    rows: usize,
    /// The maps of this level.
    pub heads: Vec<Head>,
}

/// The heads, in the order of the file, of each grid over the input, finest first.
pub fn levels(heads: &[String], shapes: &Inference, input: Size) -> Option<Vec<Level>> {
    let mut levels: BTreeMap<u32, Level> = BTreeMap::new();
    for name in heads {
        let dims = shapes.get(name)?.dims.clone();
        let &[1, channels, rows, columns] = &dims[..] else {
            return None;
        };
        let (width, height) = (u32::try_from(columns).ok()?, u32::try_from(rows).ok()?);
        let stride = input.width.checked_div(width)?;
        if stride.checked_mul(width) != Some(input.width)
            || stride.checked_mul(height) != Some(input.height)
        {
            return None;
        }
        let empty = || Level {
            stride,
            columns,
            rows,
            heads: Vec::new(),
        };
        let level = levels.entry(stride).or_insert_with(empty);
        level.heads.push(Head {
            name: name.clone(),
            channels,
            value: Value::new(dims, None),
        });
    }
    (!levels.is_empty()).then(|| levels.into_values().collect())
}

impl Level {
    /// Number of cells.
    pub fn area(&self) -> usize {
        self.columns * self.rows
    }

    /// Returns the number of channels of each head.
    pub fn channels(&self) -> Vec<usize> {
        self.heads.iter().map(|head| head.channels).collect()
    }

    /// The same with its heads in this order.
    pub fn in_order(&self, order: &[usize]) -> Self {
        let heads = order.iter().map(|i| self.heads[*i].clone()).collect();
        Self { heads, ..*self }
    }

    /// Draws numbers from -4 to 4, the same each time.
    pub fn draw(&mut self) {
        let mut lot = u64::from(self.stride);
        let mut one = || {
            // The congruential generator of Knuth's MMIX; its upper bits.
            lot = lot
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (lot >> 40) as f32 / (1 << 24) as f32 * 8.0 - 4.0
        };
        for head in &mut self.heads {
            let dims = std::mem::take(&mut head.value.dims);
            let count = dims.iter().product();
            let numbers = std::iter::repeat_with(&mut one).take(count).collect();
            head.value = Value::new(dims, Some(Data::F32(numbers)));
        }
    }

    /// Row by row.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        (0..self.area()).map(|place| Cell { level: self, place })
    }
}

/// One cell of a level.
pub struct Cell<'a> {
    level: &'a Level,
    place: usize,
}

impl<'a> Cell<'a> {
    /// Returns the numbers drawn for head `index`, channel by channel.
    pub fn numbers(&self, index: usize) -> impl Iterator<Item = f32> + Clone + use<'a> {
        let numbers = self.level.heads[index].value.floats();
        let numbers = &numbers.unwrap_or_default()[self.place..];
        numbers.iter().step_by(self.level.area()).copied()
    }

    /// Input pixels.
    pub fn stride(&self) -> f32 {
        self.level.stride as f32
    }

    /// Column and row of its middle, in cells.
    pub fn middle(&self) -> [f32; 2] {
        let columns = self.level.columns;
        [self.place % columns, self.place / columns].map(|n| n as f32 + 0.5)
    }
}

/// `1 / (1 + e^-x)`
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
