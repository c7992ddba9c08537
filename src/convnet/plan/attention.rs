//! Binds attention: which lanes hold the queries, keys and values of each head.

use super::Step;
use super::bind::Binder;
use super::view::{Placed, View};
use crate::convnet::graph;
use crate::convnet::kernels::Plane;
use crate::convnet::kernels::attention::{Attention, Head, ValueRun};
use crate::convnet::kernels::dense::{InBlock, InBlocks};
use crate::convnet::layout::{RootId, Run};

/// An area of a map: rows and columns, and floats from one pixel to the next.
struct Area {
    size: [usize; 2],
    /// True if areas lie side by side in the only row.
    within_row: bool,
    lanes: usize,
}

impl Area {
    fn new(shape: graph::Shape, areas: usize, lanes: usize) -> Self {
        let within_row = shape.h == 1;
        let size = match within_row {
            true => [1, shape.w / areas],
            false => [shape.h / areas, shape.w],
        };
        Area {
            size,
            within_row,
            lanes,
        }
    }

    /// Floats from one area to the next, where rows are `row` floats apart.
    fn step(&self, row: usize) -> usize {
        match self.within_row {
            true => self.size[1] * self.lanes,
            false => self.size[0] * row,
        }
    }
}

impl Binder<'_> {
    pub fn attention(&self, stage: &Placed, attention: graph::Attention, out: RootId) -> Step {
        let lanes = self.lanes();
        let buffer = &self.placement.buffers[out as usize];
        let queries = match &stage.views[0] {
            View::Runs(runs) => &self.placement.buffers[runs[0].root as usize],
            _ => unreachable!("attention reads runs"),
        };
        let rows = [queries.row(), buffer.row()];
        let heads = stage.views.chunks_exact(3).enumerate();
        let heads: Vec<Head> = heads
            .map(|(head, views)| self.head(head, views, attention.heads, out))
            .collect();
        let [q, k, v] = [0, 1, 2].map(|i| Area::new(stage.shapes[i], attention.areas, lanes));
        let in_area = |head: &Head, area: usize| {
            let mut head = head.clone();
            let by = |at: &Area, row: usize| area * at.step(row);
            head.queries
                .iter_mut()
                .for_each(|x| x.first.offset += by(&q, rows[0]));
            head.keys.iter_mut().for_each(|x| x.offset += by(&k, x.row));
            (head.values.iter_mut()).for_each(|x| x.plane.offset += by(&v, x.plane.row));
            head.outputs.iter_mut().for_each(|x| *x += by(&q, rows[1]));
            head
        };
        let heads = (0..attention.areas).flat_map(|area| heads.iter().map(move |h| (h, area)));
        let heads = heads.map(|(head, area)| in_area(head, area)).collect();
        let tile = self.kernels.width;
        let size = q.size;
        // rows without a border between them are one long row
        let joined = rows.iter().all(|&row| row == size[1] * lanes);
        let shares = Attention::shares_of(k.size[0] * k.size[1], tile, lanes);
        Step::Attention(Attention {
            heads,
            size: if joined { [1, size[0] * size[1]] } else { size },
            rows,
            key_size: k.size,
            value_size: v.size,
            scale: attention.scale,
            tile,
            joined_shares: InBlocks::join(shares.iter().copied()),
            shares,
        })
    }

    /// Binds head number `head` of `heads` in the first area.
    fn head(&self, head: usize, views: &[View], heads: usize, out: RootId) -> Head {
        let [queries, keys, values] = [0, 1, 2].map(|i| match &views[i] {
            View::Runs(runs) => runs.as_slice(),
            _ => unreachable!("attention reads runs"),
        });
        let blocks = self.placement.buffers[out as usize].lanes.blocks() / heads;
        Head {
            queries: InBlocks::join(queries.iter().map(|run| self.in_block(run))),
            keys: self.channels(keys),
            values: self.value_runs(values),
            outputs: (head * blocks..(head + 1) * blocks)
                .map(|block| self.plane(out, block).offset)
                .collect(),
        }
    }

    fn in_block(&self, run: &Run) -> InBlock {
        InBlock {
            offset: self.plane(run.root, run.block).offset + run.lane,
            lanes: run.channels.len(),
        }
    }

    /// Places of single channels.
    fn channels(&self, runs: &[Run]) -> Vec<Plane> {
        let of_run = |run: &Run| {
            let plane = self.plane(run.root, run.block);
            (0..run.channels.len())
                .map(|i| Plane {
                    offset: plane.offset + run.lane + i,
                    row: plane.row,
                })
                .collect::<Vec<_>>()
        };
        runs.iter().flat_map(of_run).collect()
    }

    /// Splits runs where a block of the output ends.
    fn value_runs(&self, runs: &[Run]) -> Vec<ValueRun> {
        let width = self.lanes();
        let mut split = Vec::new();
        for run in runs {
            let plane = self.plane(run.root, run.block);
            let (mut done, first) = (0, run.channels[0] as usize);
            while done < run.channels.len() {
                let lane = first + done;
                let count = (width - lane % width).min(run.channels.len() - done);
                let offset = plane.offset + run.lane + done;
                split.push(ValueRun {
                    plane: Plane {
                        offset,
                        row: plane.row,
                    },
                    lane,
                    count,
                });
                done += count;
            }
        }
        split
    }
}
