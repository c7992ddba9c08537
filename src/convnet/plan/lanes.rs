//! Binds the operators that work on single lanes: gathers, reductions over channels, softmax.

use super::Step;
use super::bind::Binder;
use super::view::{Placed, View};
use crate::convnet::graph::Reduce;
use crate::convnet::kernels::vector::Picks;
use crate::convnet::kernels::*;
use crate::convnet::layout::RootId;

impl Binder<'_> {
    pub fn gather(&self, stage: &Placed, out: RootId) -> Step {
        let buffer = &self.placement.buffers[out as usize];
        let lane_of = |channel: u32| Some(buffer.lanes.lane_of(channel));
        Step::Gather(gather::Gather {
            blocks: self.gather_blocks(&stage.views[0], out, lane_of),
            size: [buffer.shape.h, buffer.shape.w],
            out_step: [buffer.row(), self.lanes()],
        })
    }

    /// Lists, for each block of `out`, the lanes that come from each source block. `lane_of` gives the output lane of a
    /// channel of the view, `None` for channels that are not wanted.
    fn gather_blocks(
        &self,
        view: &View,
        out: RootId,
        lane_of: impl Fn(u32) -> Option<usize>,
    ) -> Vec<(Vec<gather::Lanes>, usize)> {
        let View::Runs(runs) = view else {
            unreachable!("gathers read runs");
        };
        let width = self.lanes();
        let buffer = &self.placement.buffers[out as usize];
        let mut blocks: Vec<(Vec<gather::Lanes>, usize)> = (0..buffer.lanes.blocks())
            .map(|b| (Vec::new(), self.plane(out, b).offset))
            .collect();
        for run in runs {
            let plane = self.plane(run.root, run.block);
            let is_plane = self.placement.buffers[run.root as usize].lanes.width == 1;
            for (i, &channel) in run.channels.iter().enumerate() {
                let Some(lane) = lane_of(channel) else {
                    continue;
                };
                let sources = &mut blocks[lane / width].0;
                let known = sources.iter().position(|s| s.offset == plane.offset);
                let at = known.unwrap_or_else(|| {
                    sources.push(gather::Lanes {
                        offset: plane.offset,
                        row: plane.row,
                        plane: is_plane,
                        picks: Picks::none(buffer.lanes.element),
                    });
                    sources.len() - 1
                });
                sources[at].picks.add(lane % width, run.lane + i);
            }
        }
        blocks
    }

    pub fn convert(&self, stage: &Placed, out: RootId) -> Step {
        let View::Runs(runs) = &stage.views[0] else {
            unreachable!("conversions read runs");
        };
        let buffer = &self.placement.buffers[out as usize];
        let width = buffer.lanes.width;
        let mut blocks: Vec<(Vec<convert::Piece>, usize)> = (0..buffer.lanes.blocks())
            .map(|b| (Vec::new(), self.plane(out, b).offset))
            .collect();
        for run in runs {
            let source = &self.placement.buffers[run.root as usize].lanes;
            let plane = self.plane(run.root, run.block);
            for (i, &channel) in run.channels.iter().enumerate() {
                let lane = buffer.lanes.lane_of(channel);
                let (pieces, lane) = (&mut blocks[lane / width].0, lane % width);
                let offset = plane.offset + run.lane + i;
                match pieces.last_mut() {
                    Some(piece)
                        if piece.element == source.element
                            && piece.offset + piece.count == offset
                            && piece.lane + piece.count == lane =>
                    {
                        piece.count += 1
                    }
                    _ => pieces.push(convert::Piece {
                        element: source.element,
                        offset,
                        step: [plane.row, source.width],
                        count: 1,
                        lane,
                    }),
                }
            }
        }
        Step::Convert(convert::Convert {
            element: buffer.lanes.element,
            lanes: width,
            blocks,
            size: [buffer.shape.h, buffer.shape.w],
            row: buffer.row(),
        })
    }

    pub fn depth_to_space(
        &mut self,
        stage: &Placed,
        block: usize,
        channels_first: bool,
        out: RootId,
    ) {
        let buffer = &self.placement.buffers[out as usize];
        let (width, row, channels) = (self.lanes(), buffer.row(), buffer.shape.c);
        for (i, j) in (0..block).flat_map(|i| (0..block).map(move |j| (i, j))) {
            let lane_of = |channel: u32| {
                let channel = channel as usize;
                let (phase, c) = match channels_first {
                    true => (channel % (block * block), channel / (block * block)),
                    false => (channel / channels, channel % channels),
                };
                (phase == i * block + j).then(|| buffer.lanes.lane_of(c as u32))
            };
            let mut blocks = self.gather_blocks(&stage.views[0], out, lane_of);
            for (_, offset) in &mut blocks {
                *offset += i * row + j * width;
            }
            self.steps.push(Step::Gather(gather::Gather {
                blocks,
                size: [stage.shapes[0].h, stage.shapes[0].w],
                out_step: [block * row, block * width],
            }));
        }
    }

    pub fn over_channels(&self, stage: &Placed, reduce: Reduce, out: RootId) -> Step {
        let View::Runs(runs) = &stage.views[0] else {
            unreachable!("reductions over channels read runs");
        };
        let blocks = runs
            .iter()
            .map(|run| {
                let plane = self.plane(run.root, run.block);
                let block = dense::InBlock {
                    offset: plane.offset + run.lane,
                    lanes: run.channels.len(),
                };
                (block, plane.row)
            })
            .collect();
        Step::OverChannels(reduce::OverChannels {
            blocks,
            output: self.plane(out, 0),
            size: [stage.shapes[0].h, stage.shapes[0].w],
            reduce,
        })
    }

    pub fn softmax(&self, stage: &Placed, group: usize, out: RootId) -> Step {
        let View::Runs(runs) = &stage.views[0] else {
            unreachable!("softmax reads runs");
        };
        let buffer = &self.placement.buffers[out as usize];
        let width = self.lanes();
        let mut channels = vec![(0, 0, 0); buffer.shape.c];
        for run in runs {
            let plane = self.plane(run.root, run.block);
            for (i, &channel) in run.channels.iter().enumerate() {
                let lane = buffer.lanes.lane_of(channel);
                channels[channel as usize] = (
                    plane.offset + run.lane + i,
                    plane.row,
                    self.plane(out, lane / width).offset + lane % width,
                );
            }
        }
        Step::Softmax(reduce::Softmax {
            channels,
            out_row: buffer.row(),
            size: [buffer.shape.h, buffer.shape.w],
            group,
        })
    }
}
