//! Binds convolutions: packs their weights for the lanes in which their operands lie.

use std::sync::Arc;

use super::Step;
use super::bind::Binder;
use super::choice::level2_bytes;
use super::layer::Layer;
use super::view::{Cluster, Placed, View};
use super::weights::Form;
use crate::convnet::kernels::dense::{Dense, InBlock, InBlocks, OutBlock};
use crate::convnet::kernels::depthwise::{Depthwise, DepthwiseBlock};
use crate::convnet::kernels::pack::{Aligned, Packed};
use crate::convnet::kernels::winograd::{self, Winograd};
use crate::convnet::kernels::{Plane, narrow};
use crate::convnet::layout::{RootId, Run};

impl Binder<'_> {
    /// Binds one layer of a convolution stage.
    pub fn conv(&mut self, stage: &Placed, layer: &Layer, out: RootId) {
        let residual: Option<Vec<(usize, usize)>> = match stage.views.last() {
            Some(view @ View::Blocks(_)) if stage.shapes.len() > 1 => Some(
                self.view_planes(view)
                    .iter()
                    .map(|p| (p.offset, p.row))
                    .collect(),
            ),
            _ => None,
        };
        if layer.is_depthwise() {
            let step = self.depthwise(stage, layer, out, residual.as_deref());
            self.steps.push(step);
            return;
        }
        for (cluster, view) in stage.clusters.iter().zip(&stage.views) {
            let View::Runs(runs) = view else {
                unreachable!("dense layers read runs");
            };
            let step = match layer.winograd {
                0 if self.is_narrow(layer, runs, residual.is_some()) => {
                    self.narrow(layer, runs, out)
                }
                0 => self.dense(layer, cluster, runs, out, residual.as_deref()),
                _ => self.winograd(layer, cluster, runs, out, residual.as_deref()),
            };
            self.steps.push(step);
        }
    }

    /// Offset of the layer's first output pixel in a block, and floats to the next pixel down and right.
    fn out_geometry(&self, layer: &Layer, out: RootId) -> (usize, [usize; 2]) {
        let row = self.placement.buffers[out as usize].row();
        let lanes = self.kernels.lanes;
        (
            layer.out_first[0] * row + layer.out_first[1] * lanes,
            [layer.out_step[0] * row, layer.out_step[1] * lanes],
        )
    }

    fn dense(
        &self,
        layer: &Layer,
        cluster: &Cluster,
        runs: &[Run],
        out: RootId,
        residual: Option<&[(usize, usize)]>,
    ) -> Step {
        let input = &self.placement.buffers[runs[0].root as usize];
        let (row, pixel) = (input.row(), input.lanes.width);
        let inputs = InBlocks::join(runs.iter().map(|run| InBlock {
            offset: self.plane(run.root, run.block).offset + run.lane,
            lanes: run.channels.len(),
        }));
        let (first, out_step) = self.out_geometry(layer, out);
        let outputs: Vec<OutBlock> = (cluster.first_block..cluster.first_block + cluster.blocks)
            .map(|b| OutBlock {
                offset: self.plane(out, b).offset + first,
                residual: residual.map(|r| r[b]),
            })
            .collect();
        let weights = self.packed(layer, cluster, runs, out);
        // weights that crowd the level-2 cache stay in it group by group, if the input leaves them room
        let cache = level2_bytes();
        let input_bytes = runs.len() * input.plane() * self.kernels.element.size();
        let groups_outside = weights.bytes() > cache / 4 && input_bytes < cache / 2;
        let mut dense = Dense {
            inputs,
            outputs,
            kernel: layer.kernel,
            tap: [layer.dilation[0] * row, layer.dilation[1] * pixel],
            advance: [layer.stride[0] * row, layer.stride[1] * pixel],
            back: -(layer.start[0] * row as isize + layer.start[1] * pixel as isize),
            out_step,
            size: layer.size,
            weights,
            epilogue: layer.epilogue,
            groups_outside,
        };
        flatten(&mut dense, layer, row, self.kernels.lanes);
        Step::Dense(dense)
    }

    /// True if the layer has so few outputs that its registers should hold inputs.
    fn is_narrow(&self, layer: &Layer, runs: &[Run], residual: bool) -> bool {
        let lanes = self.kernels.lanes;
        let taps = layer.kernel[0] * layer.kernel[1];
        let whole = |run: &Run| run.channels.len() == lanes;
        layer.groups == 1
            && narrow::pays(lanes, layer.in_channels * taps, layer.out_channels)
            && layer.out_step == [1, 1]
            && !residual
            && runs.iter().all(whole)
    }

    fn narrow(&self, layer: &Layer, runs: &[Run], out: RootId) -> Step {
        let taps = layer.kernel[0] * layer.kernel[1];
        let read: Vec<(RootId, usize)> = runs.iter().map(|r| (r.root, r.block)).collect();
        let mut weights = Vec::with_capacity(layer.weights.len());
        for o in 0..layer.out_channels {
            for run in runs {
                for tap in 0..taps {
                    weights.extend(run.channels.iter().map(|&c| {
                        layer.weights[(o * layer.in_channels + c as usize) * taps + tap]
                    }));
                }
            }
        }
        let channels = 0..layer.out_channels as u32;
        Step::Narrow(narrow::Narrow {
            blocks: self.first_taps(layer, &read),
            kernel: layer.kernel,
            stride: layer.stride,
            dilation: layer.dilation,
            output: self.plane(out, 0),
            size: layer.size,
            weights: Aligned::from_values(self.kernels.element, &weights),
            bias: channels.map(|c| bias(layer, Some(c))).collect(),
            epilogue: layer.epilogue,
        })
    }

    fn winograd(
        &self,
        layer: &Layer,
        cluster: &Cluster,
        runs: &[Run],
        out: RootId,
        residual: Option<&[(usize, usize)]>,
    ) -> Step {
        let lanes = self.kernels.lanes;
        let weights = self.packed(layer, cluster, runs, out);
        let mut read: Vec<(RootId, usize)> = runs.iter().map(|r| (r.root, r.block)).collect();
        read.dedup();
        let chunk = winograd::chunk_for(
            level2_bytes(),
            layer.winograd,
            self.kernels,
            read.len() + cluster.blocks,
            weights.bytes(),
        );
        let inputs = InBlocks::join(transformed(runs, &read, chunk, lanes));
        let blocks = self.first_taps(layer, &read);
        let outputs = (cluster.first_block..cluster.first_block + cluster.blocks)
            .map(|b| OutBlock {
                offset: self.plane(out, b).offset,
                residual: residual.map(|r| r[b]),
            })
            .collect();
        Step::Winograd(Winograd {
            m: layer.winograd,
            blocks,
            inputs,
            outputs,
            out_row: self.placement.buffers[out as usize].row(),
            size: layer.size,
            weights,
            epilogue: layer.epilogue,
            chunk,
        })
    }

    /// Blocks of an input, from the first tap of output pixel (0, 0) on.
    fn first_taps(&self, layer: &Layer, blocks: &[(RootId, usize)]) -> Vec<Plane> {
        let lanes = self.kernels.lanes as isize;
        let shifted = |&(root, block): &(RootId, usize)| {
            let plane = self.plane(root, block);
            let start = layer.start[0] * plane.row as isize + layer.start[1] * lanes;
            let offset = plane.offset.checked_add_signed(start);
            Plane {
                offset: offset.expect("borders are part of the buffer"),
                row: plane.row,
            }
        };
        blocks.iter().map(shifted).collect()
    }

    fn packed(&self, layer: &Layer, cluster: &Cluster, runs: &[Run], out: RootId) -> Arc<Packed> {
        let lanes = self.kernels.lanes;
        let taps = layer.kernel[0] * layer.kernel[1];
        let kernel_taps = if layer.winograd > 0 { 1 } else { taps };
        // the kernel walks blocks, taps, lanes
        let mut rows: Vec<(u32, u32)> = Vec::new();
        for run in runs {
            for tap in 0..kernel_taps as u32 {
                rows.extend(run.channels.iter().map(|&c| (c, tap)));
            }
        }
        let place = &self.placement.buffers[out as usize].lanes;
        let first = cluster.first_block * lanes;
        let channels: Vec<Option<u32>> = (0..cluster.blocks * lanes)
            .map(|lane| place.channel_at(first + lane))
            .collect();
        let places = WeightPlaces::new(layer, cluster, &rows, &channels);
        let filter = |row: usize, lane: usize| places.filter(layer, row, lane);
        let bias = |lane: usize| bias(layer, channels[lane]);
        let (blocks, n) = (cluster.blocks, rows.len());
        let element = self.kernels.element;
        let form = Form::dense(
            layer,
            (element, lanes),
            &rows,
            &channels,
            cluster.inputs.start,
        );
        self.weights.get(form, || match layer.winograd {
            4 => Packed::new(
                element,
                lanes,
                blocks,
                n,
                |r, l| winograd::filter::<6, 36>(filter(r, l)),
                bias,
            ),
            2 => Packed::new(
                element,
                lanes,
                blocks,
                n,
                |r, l| winograd::filter::<4, 16>(filter(r, l)),
                bias,
            ),
            _ => {
                let weight = |r: usize, l: usize| [filter(r, l).first().copied().unwrap_or(0.)];
                Packed::new(element, lanes, blocks, n, weight, bias)
            }
        })
    }

    fn depthwise(
        &self,
        stage: &Placed,
        layer: &Layer,
        out: RootId,
        residual: Option<&[(usize, usize)]>,
    ) -> Step {
        let lanes = self.kernels.lanes;
        let (first, out_step) = self.out_geometry(layer, out);
        let blocks: Vec<DepthwiseBlock> = self
            .view_planes(&stage.views[0])
            .iter()
            .enumerate()
            .map(|(b, plane)| {
                let start = layer.start[0] * plane.row as isize + layer.start[1] * lanes as isize;
                DepthwiseBlock {
                    input: plane
                        .offset
                        .checked_add_signed(start)
                        .expect("borders are part of the buffer"),
                    row: plane.row,
                    output: self.plane(out, b).offset + first,
                    residual: residual.map(|r| r[b]),
                }
            })
            .collect();
        let place = &self.placement.buffers[out as usize].lanes;
        let channels: Vec<Option<u32>> = (0..blocks.len() * lanes)
            .map(|lane| place.channel_at(lane))
            .collect();
        let taps = layer.kernel[0] * layer.kernel[1];
        let element = self.kernels.element;
        let form = Form::depthwise(layer, (element, lanes), &channels);
        let weights = self.weights.get(form, || {
            let weight = |tap: usize, lane: usize| {
                [channels[lane].map_or(0., |c| layer.weights[c as usize * taps + tap])]
            };
            Packed::new(element, lanes, blocks.len(), taps, weight, |lane| {
                bias(layer, channels[lane])
            })
        });
        Step::Depthwise(Depthwise {
            blocks,
            kernel: layer.kernel,
            stride: layer.stride,
            dilation: layer.dilation,
            out_step,
            size: layer.size,
            weights,
            epilogue: layer.epilogue,
        })
    }
}

fn bias(layer: &Layer, channel: Option<u32>) -> f32 {
    match (channel, &layer.bias) {
        (Some(c), Some(bias)) => bias[c as usize],
        _ => 0.,
    }
}

/// Lanes that the products of a Winograd layer read from the transformed blocks `read`.
fn transformed(runs: &[Run], read: &[(RootId, usize)], chunk: usize, lanes: usize) -> Vec<InBlock> {
    let lanes_of = |run: &Run| {
        let block = read.iter().position(|&b| b == (run.root, run.block));
        let block = block.expect("every run's block is listed");
        InBlock {
            offset: Winograd::block_offset(chunk, lanes, block) + run.lane,
            lanes: run.channels.len(),
        }
    };
    runs.iter().map(lanes_of).collect()
}

/// Where the weights of each packed row and lane begin in the layer's weights, and their groups.
struct WeightPlaces {
    rows: Vec<(usize, usize)>,
    lanes: Vec<Option<(usize, usize)>>,
}

impl WeightPlaces {
    fn new(
        layer: &Layer,
        cluster: &Cluster,
        rows: &[(u32, u32)],
        channels: &[Option<u32>],
    ) -> Self {
        let taps = layer.kernel[0] * layer.kernel[1];
        let each_in = layer.in_channels / layer.groups;
        let each_out = layer.out_channels / layer.groups;
        let row = |&(channel, tap): &(u32, u32)| {
            let i = cluster.inputs.start + channel as usize;
            ((i % each_in) * taps + tap as usize, i / each_in)
        };
        let lane =
            |o: &Option<u32>| o.map(|o| (o as usize * each_in * taps, o as usize / each_out));
        WeightPlaces {
            rows: rows.iter().map(row).collect(),
            lanes: channels.iter().map(lane).collect(),
        }
    }

    /// Weights from a row's tap on, for an output lane; none for padding and for other groups.
    fn filter<'a>(&self, layer: &'a Layer, row: usize, lane: usize) -> &'a [f32] {
        let (row, group) = self.rows[row];
        match self.lanes[lane] {
            Some((first, of)) if of == group => &layer.weights[first + row..],
            _ => &[],
        }
    }
}

/// Makes one long row of a 1x1 convolution whose operands have no side borders.
fn flatten(dense: &mut Dense, layer: &Layer, row: usize, lanes: usize) {
    let columns = dense.size[1];
    let packed = columns * dense.advance[1] == row
        && columns * lanes == dense.out_step[0]
        && dense.out_step[1] == lanes
        && dense
            .outputs
            .iter()
            .all(|o| o.residual.is_none_or(|(_, row)| row == columns * lanes));
    if layer.kernel == [1, 1] && layer.stride == [1, 1] && packed {
        dense.size = [1, dense.size[0] * columns];
    }
}
