//! From stages to views: where each root's channels lie, which blocks each stage reads, and how wide borders must be.

mod attention;

use std::collections::HashMap;

use super::layer::Layer;
use super::stage::{Pointwise, Stage, Stages, Work};
use super::view::*;
use crate::convnet::graph::Shape;
use crate::convnet::kernels::element::Element;
use crate::convnet::layout::*;

/// Places the roots of `stages` in blocks, whose lanes `width` gives for each element.
pub fn place(stages: Stages, width: impl Fn(Element) -> usize) -> Placement {
    let format = |element| Format {
        element,
        width: width(element),
    };
    let mut placer = Placer {
        format: format(Element::F32),
        roots: stages.roots.clone(),
        lanes: Vec::with_capacity(stages.roots.len()),
        copies: HashMap::new(),
        placed: Vec::new(),
        pads: Vec::new(),
        same_row: Vec::new(),
    };
    let empty = Lanes::in_order(0, placer.format);
    placer.lanes = vec![empty; placer.roots.len()];
    placer.pads = vec![[0; 4]; placer.roots.len()];
    placer.same_row = (0..placer.roots.len() as u32).collect();
    for stage in stages.stages {
        placer.format = format(stage.element);
        placer.stage(stage);
    }
    placer.finish()
}

struct Placer {
    /// Format of the stage that is being placed.
    format: Format,
    roots: Vec<Shape>,
    lanes: Vec<Lanes>,
    /// Copies already made of lists of channels, in order.
    copies: HashMap<(Channels, Element), RootId>,
    placed: Vec<Placed>,
    pads: Vec<[usize; 4]>,
    /// Union-find of roots that one layer reads with one distance between rows.
    same_row: Vec<RootId>,
}

impl Placer {
    fn stage(&mut self, stage: Stage) {
        let shapes: Vec<Shape> = stage.reads.iter().map(|r| r.1).collect();
        let reads: Vec<Channels> = stage.reads.into_iter().map(|r| r.0).collect();
        let mut clusters = Vec::new();
        let views = match &stage.work {
            Work::Conv { layers, residual } if !layers[0].is_depthwise() => {
                clusters = clusters_of(&layers[0], self.format.width);
                self.dense(layers, *residual, &reads, &shapes, stage.out, &mut clusters)
            }
            Work::Conv { layers, residual } => {
                self.depthwise(layers, *residual, &reads, &shapes, stage.out)
            }
            work => self.views(work, &reads, &shapes, stage.out),
        };
        self.placed.push(Placed {
            work: stage.work,
            views,
            shapes,
            out: stage.out,
            clusters,
            element: stage.element,
        });
    }

    /// Places the output of everything but convolutions, and views its operands.
    fn views(
        &mut self,
        work: &Work,
        reads: &[Channels],
        shapes: &[Shape],
        out: Option<RootId>,
    ) -> Vec<View> {
        match work {
            Work::Load { .. } => {
                let out = self.out(out);
                let planes = Format {
                    width: 1,
                    ..self.format
                };
                self.lanes[out] = Lanes::in_order(self.roots[out].c, planes);
                vec![]
            }
            Work::Constant(_) => {
                self.in_order(out);
                vec![]
            }
            Work::Elementwise(Pointwise::Binary(_), _) => self.binary(reads, shapes, out),
            Work::OverChannels(_) | Work::Softmax { .. } => {
                let sorted = matches!(work, Work::OverChannels(_));
                let view = self.runs_of_blocks(&reads[0], shapes[0], sorted);
                self.in_order(out);
                vec![view]
            }
            Work::Attention(attention) => self.attention(*attention, reads, shapes, out),
            Work::Store { .. } => {
                let channels = self.in_element(&reads[0], shapes[0]);
                vec![View::Runs(runs(&channels, &self.lanes))]
            }
            Work::DepthToSpace { .. } | Work::Gather | Work::Convert => {
                let channels = self.in_element(&reads[0], shapes[0]);
                self.in_order(out);
                vec![View::Runs(runs(&channels, &self.lanes))]
            }
            Work::Conv { .. }
            | Work::Pool(..)
            | Work::Global(_)
            | Work::Resize(_)
            | Work::Crop(_)
            | Work::Pad(..)
            | Work::Reshape
            | Work::Elementwise(..) => {
                let view = self.blocks(&reads[0], shapes[0]);
                self.set(out, view.lanes);
                vec![View::Blocks(view.blocks)]
            }
        }
    }

    fn binary(&mut self, reads: &[Channels], shapes: &[Shape], out: Option<RootId>) -> Vec<View> {
        let view = self.blocks(&reads[0], shapes[0]);
        let second = if shapes[1].c == 1 && shapes[0].c > 1 {
            let (root, channel) = reads[1][0];
            let root = self.in_blocks(root);
            View::Lane(root, self.lanes[root as usize].lane_of(channel))
        } else {
            self.matching(&reads[1], shapes[1], &view.lanes)
        };
        self.set(out, view.lanes);
        vec![View::Blocks(view.blocks), second]
    }

    fn depthwise(
        &mut self,
        layers: &[Layer],
        residual: bool,
        reads: &[Channels],
        shapes: &[Shape],
        out: Option<RootId>,
    ) -> Vec<View> {
        let view = self.blocks(&reads[0], shapes[0]);
        let mut borders = [0; 4];
        for layer in layers {
            widen(&mut borders, layer.borders(shapes[0].h, shapes[0].w));
        }
        for &(root, _) in &view.blocks {
            widen(&mut self.pads[root as usize], borders);
        }
        let mut views = vec![View::Blocks(view.blocks)];
        if residual {
            views.push(self.matching(&reads[1], shapes[1], &view.lanes));
        }
        self.set(out, view.lanes);
        views
    }

    fn dense(
        &mut self,
        layers: &[Layer],
        residual: bool,
        reads: &[Channels],
        shapes: &[Shape],
        out: Option<RootId>,
        clusters: &mut [Cluster],
    ) -> Vec<View> {
        let mut channels = reads[0].clone();
        let in_blocks = layers[0].winograd > 0;
        if !self.fits_dense(&channels, in_blocks) {
            let copy = self.copy(&channels, shapes[0]);
            channels = whole(copy, channels.len());
        }
        let mut views: Vec<View> = clusters
            .iter()
            .map(|c| View::Runs(sorted_runs(&channels[c.inputs.clone()], &self.lanes)))
            .collect();
        let mut borders = [0; 4];
        for layer in layers {
            widen(&mut borders, layer.borders(shapes[0].h, shapes[0].w));
        }
        let roots: Vec<RootId> = views.iter().flat_map(View::roots).collect();
        for &root in &roots {
            widen(&mut self.pads[root as usize], borders);
            self.join(roots[0], root);
        }
        let lane_of = clusters
            .iter()
            .flat_map(|c| {
                (0..c.outputs.len()).map(|i| (c.first_block * self.format.width + i) as u32)
            })
            .collect();
        let blocks = clusters.iter().map(|c| c.blocks).sum();
        let mut lanes = Lanes::at(lane_of, self.format, blocks);
        if residual {
            let view = self.blocks(&reads[1], shapes[1]);
            if let [only] = clusters {
                only.blocks = view.blocks.len();
            }
            lanes = view.lanes;
            views.push(View::Blocks(view.blocks));
        }
        self.set(out, lanes);
        views
    }

    /// True if a dense layer can read these channels where they are; in planes only if `in_blocks` is false.
    fn fits_dense(&self, channels: &[Channel], in_blocks: bool) -> bool {
        let format = |c: &Channel| self.lanes[c.0 as usize].format();
        let first = format(&channels[0]);
        let same = |c: &Channel| format(c) == first;
        if first.element != self.format.element || !channels.iter().all(same) {
            return false;
        }
        if first.width == 1 {
            !in_blocks
        } else {
            let needed = channels.len().div_ceil(self.format.width);
            sorted_runs(channels, &self.lanes).len() <= 3 * needed + 4
        }
    }

    /// Views a tensor as whole blocks, copying it if need be.
    fn blocks(&mut self, channels: &Channels, shape: Shape) -> BlockView {
        if let Some(view) = block_view(channels, &self.lanes, self.format) {
            return view;
        }
        let copy = self.copy(channels, shape);
        block_view(&whole(copy, channels.len()), &self.lanes, self.format)
            .expect("a copy lies in order")
    }

    /// Views a second operand in the lanes of the first, copying it if need be.
    fn matching(&mut self, channels: &Channels, shape: Shape, wanted: &Lanes) -> View {
        if let Some(blocks) = matching_blocks(channels, &self.lanes, wanted) {
            return View::Blocks(blocks);
        }
        let copy = self.new_root(shape);
        self.lanes[copy as usize] = wanted.clone();
        self.push_gather(channels, shape, copy);
        View::Blocks((0..wanted.blocks()).map(|b| (copy, b)).collect())
    }

    fn runs_of_blocks(&mut self, channels: &Channels, shape: Shape, sorted: bool) -> View {
        let other = |c: &Channel| self.lanes[c.0 as usize].format() != self.format;
        let mut channels = channels.clone();
        if channels.iter().any(other) {
            let copy = self.copy(&channels, shape);
            channels = whole(copy, channels.len());
        }
        View::Runs(match sorted {
            true => sorted_runs(&channels, &self.lanes),
            false => runs(&channels, &self.lanes),
        })
    }

    /// Returns a root that holds the same channels in blocks.
    fn in_blocks(&mut self, root: RootId) -> RootId {
        if self.lanes[root as usize].format() == self.format {
            return root;
        }
        let shape = self.roots[root as usize];
        self.copy(&whole(root, shape.c), shape)
    }

    /// Returns channels of the stage's element: these, or copies of them.
    fn in_element(&mut self, channels: &Channels, shape: Shape) -> Channels {
        let element = |c: &Channel| self.lanes[c.0 as usize].element;
        match channels.iter().all(|c| element(c) == self.format.element) {
            true => channels.clone(),
            false => whole(self.copy(channels, shape), channels.len()),
        }
    }

    /// Returns a root with these channels in order.
    fn copy(&mut self, channels: &Channels, shape: Shape) -> RootId {
        let key = (channels.clone(), self.format.element);
        if let Some(&copy) = self.copies.get(&key) {
            return copy;
        }
        let copy = self.new_root(shape);
        self.lanes[copy as usize] = Lanes::in_order(shape.c, self.format);
        self.push_gather(channels, shape, copy);
        self.copies.insert(key, copy);
        copy
    }

    fn push_gather(&mut self, channels: &Channels, shape: Shape, out: RootId) {
        let mut elements = channels.iter().map(|c| self.lanes[c.0 as usize].element);
        let work = match elements.all(|element| element == self.format.element) {
            true => Work::Gather,
            false => Work::Convert,
        };
        self.placed.push(Placed {
            work,
            element: self.format.element,
            views: vec![View::Runs(runs(channels, &self.lanes))],
            shapes: vec![shape],
            out: Some(out),
            clusters: vec![],
        });
    }

    fn new_root(&mut self, shape: Shape) -> RootId {
        let id = self.roots.len() as RootId;
        self.roots.push(shape);
        self.lanes.push(Lanes::in_order(0, self.format));
        self.pads.push([0; 4]);
        self.same_row.push(id);
        id
    }

    fn out(&self, out: Option<RootId>) -> usize {
        out.expect("only stores have no root") as usize
    }

    fn set(&mut self, out: Option<RootId>, lanes: Lanes) {
        let out = self.out(out);
        self.lanes[out] = lanes;
    }

    fn in_order(&mut self, out: Option<RootId>) {
        let out = self.out(out);
        self.lanes[out] = Lanes::in_order(self.roots[out].c, self.format);
    }

    fn leader(&self, mut root: RootId) -> RootId {
        while self.same_row[root as usize] != root {
            root = self.same_row[root as usize];
        }
        root
    }

    fn join(&mut self, a: RootId, b: RootId) {
        let (a, b) = (self.leader(a), self.leader(b));
        self.same_row[a.max(b) as usize] = a.min(b);
    }

    fn finish(mut self) -> Placement {
        for root in 0..self.roots.len() as RootId {
            let (leader, pads) = (self.leader(root), self.pads[root as usize]);
            widen(&mut self.pads[leader as usize], pads);
        }
        let buffers = (0..self.roots.len())
            .map(|root| Buffer {
                shape: self.roots[root],
                lanes: self.lanes[root].clone(),
                pads: self.pads[self.leader(root as RootId) as usize],
            })
            .collect();
        Placement {
            stages: self.placed,
            buffers,
        }
    }
}

fn whole(root: RootId, channels: usize) -> Channels {
    (0..channels as u32).map(|c| (root, c)).collect()
}

fn widen(pads: &mut [usize; 4], by: [usize; 4]) {
    for (pad, by) in pads.iter_mut().zip(by) {
        *pad = (*pad).max(by);
    }
}
