//! Families with made-up fields, and the dims of their outputs: what the decoders' contract tests and fuzzing run on.

use super::family::Family;
use crate::base::geometry::Size;

/// Makes a family with fields as readers and cards give them.
pub type Sampler = fn(&mut dyn Choices) -> Box<dyn Family>;

/// Where made-up fields are taken from.
pub trait Choices {
    /// Returns a number below `count`, which is at least 1.
    fn below(&mut self, count: usize) -> usize;
}

impl dyn Choices + '_ {
    /// Returns an item of `list`, which has at least one.
    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Returns a number from `least` to `most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// Returns one of two values.
    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Returns the place of an output in the order of the file.
    pub fn place(&mut self) -> usize {
        self.below(5)
    }

    /// Returns one to four strides in any order.
    pub fn strides(&mut self) -> Vec<u32> {
        let levels = self.between(1, 4);
        (0..levels)
            .map(|_| self.one_of(&[8, 16, 32, 64, 4, 7, 1024]))
            .collect()
    }

    /// Returns one to four widths and heights in input pixels, the largest that a card may state among them.
    pub fn sizes(&mut self) -> Vec<[f32; 2]> {
        const SIDES: [f32; 6] = [8.0, 16.0, 33.5, 1e-3, 8192.0, 64.0];
        let count = self.between(1, 4);
        (0..count)
            .map(|_| [self.one_of(&SIDES), self.one_of(&SIDES)])
            .collect()
    }
}

/// The facts that outputs depend on besides their family.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Size of the model's input in pixels.
    pub input: Size,
    /// Number of classes, at least 1.
    pub classes: usize,
    /// Number of candidates where the family leaves it open. Where it allows two forms, an odd number chooses the second.
    pub candidates: usize,
}

impl Given {
    /// Rows and columns of a grid over the input; a cell that reaches over the border is one.
    pub fn map(&self, stride: u32) -> [usize; 2] {
        [self.input.height, self.input.width].map(|side| side.div_ceil(stride) as usize)
    }

    /// Returns the number of cells of a grid over the input.
    pub fn cells(&self, stride: u32) -> usize {
        self.map(stride).iter().product()
    }

    /// Returns the number of cells of all grids over the input.
    pub fn all_cells(&self, strides: &[u32]) -> usize {
        strides.iter().map(|&stride| self.cells(stride)).sum()
    }
}

/// Returns outputs of `dims` at `places`, and empty ones between.
pub fn at_places<const N: usize>(places: [usize; N], dims: [Vec<usize>; N]) -> Vec<Vec<usize>> {
    let mut outputs = vec![vec![0]; places.iter().max().map_or(0, |last| last + 1)];
    for (place, dims) in places.into_iter().zip(dims) {
        outputs[place] = dims;
    }
    outputs
}
