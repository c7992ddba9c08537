//! [`Row`]: a row of a plane, sorted so that the numbers seen by one column of the window are contiguous.

use super::window::Window;

/// A row with its padding, sorted by remainder. With a stride of n, column k of the window sees every nth number from
/// the kth on. So the numbers at multiples of n come first, then those one further, and so on.
#[derive(Debug, Clone)]
pub(super) struct Row {
    numbers: Vec<f32>,
    /// Numbers of each remainder.
    length: usize,
    stride: usize,
    before: usize,
    /// Numbers that each column of the window sees.
    output: usize,
}

impl Row {
    /// Creates a row that holds only padding.
    pub fn new(window: &Window, padding: f32) -> Self {
        let [_, stride] = window.strides;
        let [_, before] = window.before;
        let seen = (window.output[1] - 1) * stride + window.kernel[1];
        let length = seen.max(before + window.input[1]).div_ceil(stride);
        Self {
            numbers: vec![padding; length * stride],
            length,
            stride,
            before,
            output: window.output[1],
        }
    }

    /// Fills in another row of the input; the padding stays.
    pub fn fill(&mut self, row: &[f32]) {
        let (before, stride) = (self.before, self.stride);
        match stride {
            1 => self.numbers[before..before + row.len()].copy_from_slice(row),
            2 => self.fill_in_pairs(row),
            _ => {
                for (place, &number) in (before..).zip(row) {
                    self.numbers[place % stride * self.length + place / stride] = number;
                }
            }
        }
    }

    fn fill_in_pairs(&mut self, row: &[f32]) {
        let begin = self.before / 2;
        let (even, odd) = self.numbers.split_at_mut(self.length);
        let (first, second) = match self.before % 2 {
            0 => (&mut even[begin..], &mut odd[begin..]),
            _ => (&mut odd[begin..], &mut even[begin + 1..]),
        };
        let (pairs, last) = row.as_chunks::<2>();
        for ((first, second), pair) in first.iter_mut().zip(second.iter_mut()).zip(pairs) {
            (*first, *second) = (pair[0], pair[1]);
        }
        if let [last] = last {
            first[pairs.len()] = *last;
        }
    }

    /// Returns what column `column` of the window sees, for each column of the output.
    pub fn seen_by(&self, column: usize) -> &[f32] {
        let begin = column % self.stride * self.length + column / self.stride;
        &self.numbers[begin..begin + self.output]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_the_window_sees_every_number_it_comes_over() {
        for (width, kernel, stride, before, output) in [
            (7, 3, 1, 1, 7),
            (7, 3, 2, 1, 4),
            (8, 3, 2, 0, 3),
            (8, 4, 2, 1, 4),
            (8, 5, 2, 2, 4),
            (9, 2, 3, 1, 4),
            (1, 3, 2, 1, 1),
            (11, 1, 2, 0, 6),
        ] {
            let window = Window {
                dims: vec![1, 1, output],
                channels: 1,
                input: [1, width],
                output: [1, output],
                kernel: [1, kernel],
                strides: [1, stride],
                before: [0, before],
            };
            let mut row = Row::new(&window, -1.0);
            for begin in [100.0, 0.0] {
                let numbers: Vec<f32> = (0..width).map(|x| begin + x as f32).collect();
                row.fill(&numbers);
                for column in 0..kernel {
                    let seen = (0..output).map(|x| {
                        let place = (x * stride + column).checked_sub(before);
                        place.and_then(|place| numbers.get(place)).unwrap_or(&-1.0)
                    });
                    assert!(
                        row.seen_by(column).iter().eq(seen),
                        "{window:?}, column {column}: {:?}",
                        row.seen_by(column)
                    );
                }
            }
        }
    }
}
