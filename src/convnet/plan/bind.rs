//! From views to steps: every operand becomes an offset into the arena.

use super::memory::Memory;
use super::stage::{Pointwise, Work};
use super::view::{Placed, Placement, View};
use super::weights::WeightCache;
use super::{Step, Tables};
use crate::convnet::graph::*;
use crate::convnet::kernels::element::Element;
use crate::convnet::kernels::epilogue::Epilogue;
use crate::convnet::kernels::pack::Aligned;
use crate::convnet::kernels::*;
use crate::convnet::layout::RootId;

/// Makes steps of stages.
pub struct Binder<'a> {
    pub placement: &'a Placement,
    pub memory: &'a Memory,
    pub tables: Tables,
    /// Table of the stage that is being bound.
    pub kernels: &'static Kernels,
    pub weights: &'a WeightCache,
    pub steps: Vec<Step>,
    /// The table of each step.
    pub tables_of_steps: Vec<&'static Kernels>,
    /// Memory that the arena holds from the start: floats before it, and what follows there.
    pub constants: Vec<(usize, Aligned)>,
}

impl Binder<'_> {
    /// Binds all stages in order.
    pub fn run(&mut self) {
        let placement = self.placement;
        let mut started = vec![false; placement.buffers.len()];
        for stage in &placement.stages {
            self.kernels = self.tables.get(stage.element);
            if let Some(out) = stage.out
                && !std::mem::replace(&mut started[out as usize], true)
            {
                self.border(out);
            }
            self.tables_of_steps.resize(self.steps.len(), self.kernels);
            self.stage(stage);
            // the kernels of f16 convert, whichever way
            let table = match stage.work {
                Work::Convert => self.tables.get(Element::F16),
                _ => self.kernels,
            };
            self.tables_of_steps.resize(self.steps.len(), table);
        }
    }

    pub fn lanes(&self) -> usize {
        self.kernels.lanes
    }

    /// Returns one block of a root.
    pub fn plane(&self, root: RootId, block: usize) -> Plane {
        let buffer = &self.placement.buffers[root as usize];
        let spot = &self.memory.spots[root as usize];
        let start = spot.offset * buffer.lanes.element.per_float();
        Plane {
            offset: start + block * buffer.plane() + buffer.origin(),
            row: buffer.row(),
        }
    }

    fn border(&mut self, root: RootId) {
        let buffer = &self.placement.buffers[root as usize];
        let spot = &self.memory.spots[root as usize];
        // memory of its own stays zero from the start
        if buffer.has_border() && spot.shared {
            self.steps.push(Step::Border(transfer::Border {
                offset: spot.offset * buffer.lanes.element.per_float(),
                planes: buffer.lanes.blocks(),
                pixel: buffer.lanes.width,
                pads: buffer.pads,
                size: [buffer.shape.h, buffer.shape.w],
            }));
        }
    }

    /// Pairs the blocks of a view with the blocks of the output.
    fn pairs(&self, view: &View, out: RootId) -> Vec<(Plane, Plane)> {
        self.view_planes(view)
            .into_iter()
            .enumerate()
            .map(|(b, plane)| (plane, self.plane(out, b)))
            .collect()
    }

    pub fn view_planes(&self, view: &View) -> Vec<Plane> {
        match view {
            View::Blocks(blocks) => blocks.iter().map(|&(r, b)| self.plane(r, b)).collect(),
            View::Runs(runs) => runs.iter().map(|r| self.plane(r.root, r.block)).collect(),
            View::Lane(root, lane) => vec![self.plane(*root, lane / self.lanes())],
        }
    }

    fn stage(&mut self, stage: &Placed) {
        let Some(out) = stage.out else {
            let step = self.store(stage);
            self.steps.push(step);
            return;
        };
        let shape = self.placement.buffers[out as usize].shape;
        let size = [shape.h, shape.w];
        let from = stage.shapes.first().map_or(size, |s| [s.h, s.w]);
        let step = match &stage.work {
            work @ Work::Load { .. } => self.load(work, out),
            Work::Constant(values) => return self.constant(values, out),
            Work::Conv { layers, .. } => {
                for layer in layers {
                    self.conv(stage, layer, out);
                }
                return;
            }
            Work::DepthToSpace {
                block,
                channels_first,
            } => return self.depth_to_space(stage, *block, *channels_first, out),
            Work::Gather => self.gather(stage, out),
            Work::Convert => self.convert(stage, out),
            Work::Pool(pool, window) => Step::Pooling(pooling::Pooling {
                blocks: self.pairs(&stage.views[0], out),
                pool: *pool,
                rows: pooling::taps(window, 0, from[0], size[0]),
                columns: pooling::taps(window, 1, from[1], size[1]),
                dilation: window.dilation,
                taps: window.kernel[0] * window.kernel[1],
                width: from[1],
            }),
            Work::Global(reduce) => Step::Global(reduce::Global {
                blocks: self
                    .pairs(&stage.views[0], out)
                    .into_iter()
                    .map(|(input, output)| (input, output.offset))
                    .collect(),
                size: from,
                reduce: *reduce,
            }),
            Work::OverChannels(reduce) => self.over_channels(stage, *reduce, out),
            Work::Softmax { group } => self.softmax(stage, *group, out),
            Work::Attention(attention) => self.attention(stage, *attention, out),
            Work::Resize(_) | Work::Crop(_) | Work::Pad(..) | Work::Reshape => {
                Step::Resample(resample::Resample {
                    blocks: self.pairs(&stage.views[0], out),
                    size,
                    pixels: pixels(&stage.work, stage.shapes[0], shape),
                })
            }
            Work::Elementwise(function, epilogue) => {
                self.elementwise(stage, function, *epilogue, out)
            }
            Work::Store { .. } => unreachable!("stores have no root"),
        };
        self.steps.push(step);
    }

    fn load(&self, work: &Work, out: RootId) -> Step {
        let Work::Load {
            input,
            format,
            limits,
        } = work
        else {
            unreachable!("only inputs are loaded");
        };
        let buffer = &self.placement.buffers[out as usize];
        let plane = self.plane(out, 0);
        Step::Load(transfer::Load {
            input: *input,
            shape: buffer.shape,
            format: format.clone(),
            limits: *limits,
            offset: plane.offset,
            row: plane.row,
            plane: buffer.plane(),
        })
    }

    fn constant(&mut self, values: &[f32], out: RootId) {
        let buffer = &self.placement.buffers[out as usize];
        let spot = &self.memory.spots[out as usize];
        let mut all = vec![0.; buffer.len()];
        let (shape, width) = (buffer.shape, buffer.lanes.width);
        for c in 0..shape.c {
            let lane = buffer.lanes.lane_of(c as u32);
            let plane = buffer.origin() + lane / width * buffer.plane() + lane % width;
            for y in 0..shape.h {
                for x in 0..shape.w {
                    all[plane + y * buffer.row() + x * width] =
                        values[(c * shape.h + y) * shape.w + x];
                }
            }
        }
        let all = Aligned::from_values(buffer.lanes.element, &all);
        self.constants.push((spot.offset, all));
    }

    fn store(&self, stage: &Placed) -> Step {
        let (
            Work::Store {
                output,
                layout,
                first,
                pixels,
            },
            View::Runs(runs),
        ) = (&stage.work, &stage.views[0])
        else {
            unreachable!("only stores have no root, and they read runs");
        };
        let shape = stage.shapes[0];
        let runs = runs
            .iter()
            .map(|run| {
                let plane = self.plane(run.root, run.block);
                transfer::Run {
                    offset: plane.offset + run.lane,
                    row: plane.row,
                    pixel: self.placement.buffers[run.root as usize].lanes.width,
                    channel: run.channels[0] as usize,
                    count: run.channels.len(),
                }
            })
            .collect();
        Step::Store(transfer::Store {
            output: *output,
            layout: *layout,
            runs,
            channels: shape.c,
            size: [shape.h, shape.w],
            first: *first,
            pixels: *pixels,
        })
    }

    fn elementwise(
        &self,
        stage: &Placed,
        function: &Pointwise,
        epilogue: Epilogue,
        out: RootId,
    ) -> Step {
        let buffer = &self.placement.buffers[out as usize];
        let lanes = &buffer.lanes;
        let n = lanes.blocks() * lanes.width;
        let per_lane =
            |values: &[f32], lane: usize| lanes.channel_at(lane).map_or(0., |c| values[c as usize]);
        let function = match function {
            Pointwise::Copy => elementwise::Function::Copy,
            Pointwise::Binary(binary) => {
                elementwise::Function::Binary(*binary, self.operands(stage, lanes.blocks()))
            }
            Pointwise::Affine { scale, bias } => {
                let scales = (0..n).map(|lane| per_lane(scale, lane));
                let biases = (0..n).map(|lane| per_lane(bias, lane));
                let values: Vec<f32> = scales.chain(biases).collect();
                elementwise::Function::Affine(Aligned::from_values(lanes.element, &values))
            }
            Pointwise::PRelu { slopes } => {
                let values: Vec<f32> = (0..n).map(|lane| per_lane(slopes, lane)).collect();
                elementwise::Function::PRelu(Aligned::from_values(lanes.element, &values))
            }
        };
        Step::Elementwise(elementwise::Elementwise {
            blocks: self.pairs(&stage.views[0], out),
            size: [buffer.shape.h, buffer.shape.w],
            function,
            epilogue,
        })
    }

    /// Second operand of a binary function, for each block of the output.
    fn operands(&self, stage: &Placed, blocks: usize) -> Vec<elementwise::Operand> {
        let shape = stage.shapes[1];
        let planes = self.view_planes(&stage.views[1]);
        let lane = match stage.views[1] {
            View::Lane(_, lane) => Some(lane % self.lanes()),
            _ => None,
        };
        (0..blocks)
            .map(|b| {
                let plane = planes[b.min(planes.len() - 1)];
                elementwise::Operand {
                    offset: plane.offset + lane.unwrap_or(0),
                    step: [
                        if shape.h == 1 { 0 } else { plane.row },
                        if shape.w == 1 { 0 } else { self.lanes() },
                    ],
                    one_lane: lane.is_some(),
                }
            })
            .collect()
    }
}

/// Where the pixels of an operator that moves them come from.
fn pixels(work: &Work, from: Shape, to: Shape) -> resample::Pixels {
    let separate = |row: &dyn Fn(usize) -> Option<usize>,
                    column: &dyn Fn(usize) -> Option<usize>,
                    constant: f32| resample::Pixels::Separate {
        rows: (0..to.h).map(row).collect(),
        columns: (0..to.w).map(column).collect(),
        constant,
    };
    match work {
        Work::Resize(resize) => {
            let (rows, columns) = (resize.taps(0, from.h), resize.taps(1, from.w));
            match resize.interpolation {
                Interpolation::Linear => resample::Pixels::Linear { rows, columns },
                _ => separate(&|y| Some(rows[y].0), &|x| Some(columns[x].0), 0.),
            }
        }
        Work::Crop(crop) => separate(
            &|y| Some(crop.top + y * crop.step[0]),
            &|x| Some(crop.left + x * crop.step[1]),
            0.,
        ),
        Work::Pad(pads, value) => separate(
            &|y| y.checked_sub(pads.top).filter(|&y| y < from.h),
            &|x| x.checked_sub(pads.left).filter(|&x| x < from.w),
            *value,
        ),
        _ => resample::Pixels::Reshape { columns: from.w },
    }
}
