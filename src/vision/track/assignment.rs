//! [`assign`]: selects pairs of rows and columns with the largest sum of gains.
//!
//! The solution is exact, by shortest augmenting paths with potentials (the Hungarian method in the form of Jonker and
//! Volgenant). Only given pairs may be taken, and none must be: what is in no pair stays single at a gain of 0. Pairs
//! that share no row and no column, directly or through others, do not affect each other. Each such group is solved
//! alone, which limits the cubic cost to the few boxes that overlap.
//!
//! Existing crates need a square matrix of every row with every column, a crate for matrices, or integer weights.

/// A possible match of `row` and `column`, and its gain, which is finite and above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub row: usize,
    pub column: usize,
    pub gain: f32,
}

/// Returns the pairs taken, rows and columns at most once each, sorted by row. The same pairs give the same answer.
///
/// Cost: `r² (r + c)` for a group of `r` rows and `c` columns.
pub(super) fn assign(pairs: &[Pair]) -> Vec<(usize, usize)> {
    let mut taken: Vec<(usize, usize)> = groups(pairs).iter().flat_map(|g| g.solve()).collect();
    taken.sort_unstable();
    taken
}

/// Connected pairs, with their own numbering of rows and columns.
#[derive(Default)]
struct Group {
    rows: Vec<usize>,
    columns: Vec<usize>,
    pairs: Vec<Pair>,
}

fn groups(pairs: &[Pair]) -> Vec<Group> {
    let row_count = pairs.iter().map(|p| p.row + 1).max().unwrap_or(0);
    let column_count = pairs.iter().map(|p| p.column + 1).max().unwrap_or(0);
    // A forest over rows, then columns.
    let mut parents: Vec<usize> = (0..row_count + column_count).collect();
    for pair in pairs {
        let (a, b) = (
            root(&mut parents, pair.row),
            root(&mut parents, row_count + pair.column),
        );
        parents[a.max(b)] = a.min(b);
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of = vec![None; parents.len()];
    for pair in pairs {
        let top = root(&mut parents, pair.row);
        let index = *group_of[top].get_or_insert_with(|| {
            groups.push(Group::default());
            groups.len() - 1
        });
        groups[index].pairs.push(*pair);
    }
    groups.iter_mut().for_each(Group::number);
    groups
}

fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

impl Group {
    fn number(&mut self) {
        let sorted = |mut numbers: Vec<usize>| {
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        self.rows = sorted(self.pairs.iter().map(|p| p.row).collect());
        self.columns = sorted(self.pairs.iter().map(|p| p.column).collect());
    }

    fn solve(&self) -> Vec<(usize, usize)> {
        if let [only] = self.pairs[..] {
            return vec![(only.row, only.column)];
        }
        let (rows, columns) = (self.rows.len(), self.columns.len());
        // After the columns, each row has a place to stay single.
        let width = columns + rows;
        let mut costs = vec![f64::INFINITY; rows * width];
        for row in 0..rows {
            costs[row * width + columns..(row + 1) * width].fill(0.0);
        }
        for pair in &self.pairs {
            let row = self.rows.partition_point(|&r| r < pair.row);
            let column = self.columns.partition_point(|&c| c < pair.column);
            costs[row * width + column] = -f64::from(pair.gain);
        }
        let row_of = cheapest(&costs, rows, width);
        let taken = row_of.into_iter().take(columns).enumerate();
        taken
            .filter_map(|(column, row)| Some((self.rows[row?], self.columns[column])))
            .collect()
    }
}

/// Returns for each column of the row-major matrix the row that takes it, so that every row has one and the sum is
/// lowest.
///
/// Infinite costs are never taken. Each row needs enough finite ones; its place to stay single guarantees one.
fn cheapest(costs: &[f64], rows: usize, width: usize) -> Vec<Option<usize>> {
    let mut row_prices = vec![0.0; rows];
    let mut column_prices = vec![0.0; width];
    let mut row_of: Vec<Option<usize>> = vec![None; width];
    for start in 0..rows {
        let mut shortest = vec![f64::INFINITY; width];
        let mut before: Vec<Option<usize>> = vec![None; width];
        let mut visited = vec![false; width];
        let mut column: Option<usize> = None;
        let mut row = start;
        let end = loop {
            let mut next = (f64::INFINITY, 0);
            for c in (0..width).filter(|&c| !visited[c]) {
                let reduced = costs[row * width + c] - row_prices[row] - column_prices[c];
                if reduced < shortest[c] {
                    shortest[c] = reduced;
                    before[c] = column;
                }
                if shortest[c] < next.0 {
                    next = (shortest[c], c);
                }
            }
            let (step, nearest) = next;
            row_prices[start] += step;
            for c in 0..width {
                if !visited[c] {
                    shortest[c] -= step;
                } else if let Some(r) = row_of[c] {
                    row_prices[r] += step;
                    column_prices[c] -= step;
                }
            }
            visited[nearest] = true;
            column = Some(nearest);
            match row_of[nearest] {
                Some(taken) => row = taken,
                None => break nearest,
            }
        };
        give(&mut row_of, &before, end, start);
    }
    row_of
}

/// Shifts each row by one column along the path that ends at the free column `end`; `start` takes the first column.
fn give(row_of: &mut [Option<usize>], before: &[Option<usize>], end: usize, start: usize) {
    let mut column = end;
    while let Some(previous) = before[column] {
        row_of[column] = row_of[previous];
        column = previous;
    }
    row_of[column] = Some(start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::track::random::Random;

    /// Returns the largest sum, by trying everything.
    fn best(pairs: &[Pair], row: usize, rows: usize, used: u32) -> f32 {
        if row == rows {
            return 0.0;
        }
        let single = best(pairs, row + 1, rows, used);
        pairs
            .iter()
            .filter(|p| p.row == row && used & (1 << p.column) == 0)
            .map(|p| p.gain + best(pairs, row + 1, rows, used | (1 << p.column)))
            .fold(single, f32::max)
    }

    fn random_pairs(seed: u64) -> (Vec<Pair>, usize) {
        let mut random = Random::new(seed);
        let (rows, columns) = (random.below(7), random.below(7));
        let share = random.next();
        let mut pairs = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                if random.next() < share {
                    // Few values, so that equal sums are frequent.
                    let gain = (random.below(9) + 1) as f32 / 8.0;
                    pairs.push(Pair { row, column, gain });
                }
            }
        }
        (pairs, rows)
    }

    #[test]
    fn no_other_choice_is_worth_more() {
        for seed in 0..3000 {
            let (pairs, rows) = random_pairs(seed);
            let taken = assign(&pairs);
            let gain = |&(row, column): &(usize, usize)| {
                let pair = pairs.iter().find(|p| (p.row, p.column) == (row, column));
                pair.expect("only what was offered").gain
            };
            let sum: f32 = taken.iter().map(gain).sum();
            assert_eq!(sum, best(&pairs, 0, rows, 0), "seed {seed}");
            for (index, (row, column)) in taken.iter().enumerate() {
                let later = &taken[index + 1..];
                assert!(later.iter().all(|(r, c)| r != row && c != column));
            }
        }
    }

    #[test]
    fn a_greedy_choice_would_be_worse() {
        let pair = |row, column, gain| Pair { row, column, gain };
        let pairs = [pair(0, 0, 0.9), pair(0, 1, 0.8), pair(1, 0, 0.8)];
        assert_eq!(assign(&pairs), [(0, 1), (1, 0)]);
    }

    #[test]
    fn nothing_offered_is_nothing_taken() {
        assert_eq!(assign(&[]), []);
    }

    #[test]
    fn numbers_need_not_begin_at_0() {
        let pairs = [Pair {
            row: 7,
            column: 3,
            gain: 0.1,
        }];
        assert_eq!(assign(&pairs), [(7, 3)]);
    }
}
