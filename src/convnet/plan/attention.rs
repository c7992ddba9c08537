//! Binds attention: which lanes hold the queries, keys and values of each head.

use super::Step;
use super::bind::Binder;
use super::view::{Placed, View};
use crate::convnet::graph;
use crate::convnet::kernels::Plane;
use crate::convnet::kernels::attention::{Attention, Head, ValueRun};
use crate::convnet::kernels::dense::InBlock;
use crate::convnet::layout::{RootId, Run};

impl Binder<'_> {
    pub fn attention(&self, stage: &Placed, attention: graph::Attention, out: RootId) -> Step {
        let lanes = self.lanes();
        let buffer = &self.placement.buffers[out as usize];
        let blocks = buffer.lanes.blocks() / attention.heads;
        let heads: Vec<Head> = stage
            .views
            .chunks_exact(3)
            .enumerate()
            .map(|(head, views)| {
                let [queries, keys, values] = [0, 1, 2].map(|i| match &views[i] {
                    View::Runs(runs) => runs.as_slice(),
                    _ => unreachable!("attention reads runs"),
                });
                Head {
                    queries: queries.iter().map(|run| self.in_block(run)).collect(),
                    keys: self.channels(keys),
                    values: self.value_runs(values),
                    outputs: (head * blocks..(head + 1) * blocks)
                        .map(|block| self.plane(out, block).offset)
                        .collect(),
                }
            })
            .collect();
        let [q, k, v] = [0, 1, 2].map(|i| [stage.shapes[i].h, stage.shapes[i].w]);
        let View::Runs(queries) = &stage.views[0] else {
            unreachable!("attention reads runs");
        };
        let rows = [
            self.placement.buffers[queries[0].root as usize].row(),
            buffer.row(),
        ];
        let tile = self.kernels.dense.width();
        // rows without a border between them are one long row
        let joined = rows.iter().all(|&row| row == q[1] * lanes);
        Step::Attention(Attention {
            heads,
            size: if joined { [1, q[0] * q[1]] } else { q },
            rows,
            key_size: k,
            value_size: v,
            scale: attention.scale,
            tile,
            shares: Attention::shares_of(k[0] * k[1], tile, lanes),
        })
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
