//! Places of attention: what each head reads and writes.

use super::{Placer, whole};
use crate::convnet::graph::{Attention, Shape};
use crate::convnet::layout::*;
use crate::convnet::plan::view::*;

impl Placer {
    /// Views of the queries, keys and values of each head, one behind the other. Each head's output begins with a block.
    pub(super) fn attention(
        &mut self,
        attention: Attention,
        reads: &[Channels],
        shapes: &[Shape],
        out: Option<RootId>,
    ) -> Vec<View> {
        let heads = attention.heads;
        let operands: Vec<Channels> = (reads.iter().zip(shapes))
            .map(|(channels, shape)| match self.fits_dense(channels, true) {
                true => channels.clone(),
                false => whole(self.copy(channels, *shape), channels.len()),
            })
            .collect();
        let mut views = Vec::with_capacity(3 * heads);
        for head in 0..heads {
            for channels in &operands {
                let each = channels.len() / heads;
                let own = &channels[head * each..(head + 1) * each];
                views.push(View::Runs(runs(own, &self.lanes)));
            }
        }
        // a tile reads all queries with one distance between rows
        let first = operands[0][0].0;
        for &(root, _) in operands[0].iter() {
            self.join(first, root);
        }
        let each = shapes[2].c / heads;
        let width = self.format.width;
        let blocks = each.div_ceil(width);
        let lane_of = |channel: usize| channel / each * blocks * width + channel % each;
        let lane_of = (0..shapes[2].c).map(|c| lane_of(c) as u32).collect();
        let lanes = Lanes::at(lane_of, self.format, heads * blocks);
        self.set(out, lanes);
        views
    }
}
