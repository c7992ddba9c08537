//! Channels of tensors, symbolically and in memory.
//!
//! A tensor is a list of [`Channel`]s of *roots*: tensors that an operator computes into a buffer of their own. Concat,
//! slice, split and shuffle only make new lists. A root's [`Lanes`] say where each of its channels lies in memory:
//! in blocks of as many lanes as a register has, or, for images, in planes.

use std::collections::HashMap;
use std::sync::Arc;

use super::kernels::element::Element;

/// Number of a buffer that an operator computes.
pub type RootId = u32;

/// A channel of a root.
pub type Channel = (RootId, u32);

/// Channels of a tensor, in order.
pub type Channels = Arc<[Channel]>;

/// Form of a root's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub element: Element,
    /// Lanes in a block; 1 for planes.
    pub width: usize,
}

/// Places of a root's channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    pub element: Element,
    /// Lanes in a block; 1 for planes.
    pub width: usize,
    channel_at: Vec<Option<u32>>,
    lane_of: Vec<u32>,
}

impl Lanes {
    /// Places `channels` channels in order.
    pub fn in_order(channels: usize, format: Format) -> Self {
        let Format { element, width } = format;
        let lanes = channels.next_multiple_of(width);
        Lanes {
            element,
            width,
            channel_at: (0..lanes)
                .map(|lane| (lane < channels).then_some(lane as u32))
                .collect(),
            lane_of: (0..channels as u32).collect(),
        }
    }

    /// Places channel `i` in lane `lane_of[i]`.
    pub fn at(lane_of: Vec<u32>, format: Format, blocks: usize) -> Self {
        let Format { element, width } = format;
        let mut channel_at = vec![None; blocks * width];
        for (channel, &lane) in lane_of.iter().enumerate() {
            channel_at[lane as usize] = Some(channel as u32);
        }
        Lanes {
            element,
            width,
            channel_at,
            lane_of,
        }
    }

    pub fn format(&self) -> Format {
        Format {
            element: self.element,
            width: self.width,
        }
    }

    pub fn blocks(&self) -> usize {
        self.channel_at.len() / self.width
    }

    /// Lane of a channel, counted through all blocks.
    pub fn lane_of(&self, channel: u32) -> usize {
        self.lane_of[channel as usize] as usize
    }

    /// Channel of a lane, `None` for padding.
    pub fn channel_at(&self, lane: usize) -> Option<u32> {
        self.channel_at[lane]
    }
}

/// Lanes of one block that hold consecutive entries of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub root: RootId,
    pub block: usize,
    /// First lane within the block.
    pub lane: usize,
    /// The tensor's channel in each lane.
    pub channels: Vec<u32>,
}

/// Splits a tensor's channels into runs of neighbouring lanes, in the tensor's order.
pub fn runs(channels: &[Channel], lanes: &[Lanes]) -> Vec<Run> {
    let order: Vec<u32> = (0..channels.len() as u32).collect();
    runs_in_order(channels, &order, lanes)
}

/// Splits a tensor's channels into as few runs as there are, in the order of memory.
pub fn sorted_runs(channels: &[Channel], lanes: &[Lanes]) -> Vec<Run> {
    let mut order: Vec<u32> = (0..channels.len() as u32).collect();
    order.sort_by_key(|&i| {
        let (root, channel) = channels[i as usize];
        (root, lanes[root as usize].lane_of(channel))
    });
    runs_in_order(channels, &order, lanes)
}

fn runs_in_order(channels: &[Channel], order: &[u32], lanes: &[Lanes]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &i in order {
        let (root, channel) = channels[i as usize];
        let place = &lanes[root as usize];
        let lane = place.lane_of(channel);
        let (block, lane) = (lane / place.width, lane % place.width);
        match runs.last_mut() {
            Some(run)
                if run.root == root
                    && run.block == block
                    && run.lane + run.channels.len() == lane =>
            {
                run.channels.push(i)
            }
            _ => runs.push(Run {
                root,
                block,
                lane,
                channels: vec![i],
            }),
        }
    }
    runs
}

/// A tensor as whole blocks of roots, for operators that work lane by lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockView {
    pub blocks: Vec<(RootId, usize)>,
    /// Places of the tensor's channels in these blocks.
    pub lanes: Lanes,
}

/// Views a tensor as whole blocks.
///
/// Returns `None` if it has another format, names a channel twice, or would drag along so many lanes that belong to others
/// that a copy is better.
pub fn block_view(channels: &[Channel], lanes: &[Lanes], format: Format) -> Option<BlockView> {
    let width = format.width;
    let mut blocks: Vec<(RootId, usize)> = Vec::new();
    let mut number = HashMap::new();
    let mut lane_of = Vec::with_capacity(channels.len());
    for run in runs(channels, lanes) {
        if lanes[run.root as usize].format() != format {
            return None;
        }
        let block = (run.root, run.block);
        let at = *number.entry(block).or_insert_with(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        lane_of.extend((0..run.channels.len()).map(|i| (at * width + run.lane + i) as u32));
    }
    let mut sorted = lane_of.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let needed = channels.len().div_ceil(width);
    if sorted.len() < lane_of.len() || blocks.len() > needed + needed / 2 + 1 {
        return None;
    }
    let lanes = Lanes::at(lane_of, format, blocks.len());
    Some(BlockView { blocks, lanes })
}

/// Finds the block that holds each block of `wanted` in the same lanes: the blocks of a second operand.
///
/// Returns `None` if some channel lies elsewhere.
pub fn matching_blocks(
    channels: &[Channel],
    lanes: &[Lanes],
    wanted: &Lanes,
) -> Option<Vec<(RootId, usize)>> {
    let mut blocks = vec![None; wanted.blocks()];
    for (i, &(root, channel)) in channels.iter().enumerate() {
        let place = &lanes[root as usize];
        let (lane, target) = (place.lane_of(channel), wanted.lane_of(i as u32));
        if place.format() != wanted.format() || lane % place.width != target % wanted.width {
            return None;
        }
        let block = (root, lane / place.width);
        if *blocks[target / wanted.width].get_or_insert(block) != block {
            return None;
        }
    }
    // blocks of padding alone do not occur: every block holds a channel
    blocks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Format = Format {
        element: Element::F32,
        width: 4,
    };

    fn whole(root: RootId, n: u32) -> Vec<Channel> {
        (0..n).map(|c| (root, c)).collect()
    }

    #[test]
    fn a_slice_across_blocks_is_two_runs() {
        let lanes = [Lanes::in_order(10, FOUR)];
        let r = runs(&whole(0, 10)[2..6], &lanes);
        assert_eq!(r.len(), 2);
        assert_eq!(
            (r[0].block, r[0].lane, &r[0].channels[..]),
            (0, 2, &[0, 1][..])
        );
        assert_eq!(
            (r[1].block, r[1].lane, &r[1].channels[..]),
            (1, 0, &[2, 3][..])
        );
    }

    #[test]
    fn a_shuffle_read_as_a_whole_is_sorted_back() {
        let lanes = [Lanes::in_order(4, FOUR), Lanes::in_order(4, FOUR)];
        let shuffled: Vec<Channel> = (0..4).flat_map(|c| [(0, c), (1, c)]).collect();
        let r = sorted_runs(&shuffled, &lanes);
        assert_eq!(r.len(), 2);
        assert_eq!(r[1].channels, [1, 3, 5, 7]);
        assert_eq!(block_view(&shuffled, &lanes, FOUR).unwrap().blocks.len(), 2);
    }

    #[test]
    fn a_view_refuses_duplicates_and_waste() {
        let lanes = [Lanes::in_order(64, FOUR)];
        assert!(block_view(&[(0, 1), (0, 1)], &lanes, FOUR).is_none());
        let scattered: Vec<Channel> = (0..16).map(|i| (0, i * 4)).collect();
        assert!(block_view(&scattered, &lanes, FOUR).is_none());
    }

    #[test]
    fn a_second_operand_matches_lane_by_lane() {
        let lanes = [
            Lanes::in_order(8, FOUR),
            Lanes::at(vec![4, 5, 6, 7, 0, 1, 2, 3], FOUR, 2),
        ];
        let wanted = Lanes::in_order(8, FOUR);
        assert_eq!(
            matching_blocks(&whole(1, 8), &lanes, &wanted),
            Some(vec![(1, 1), (1, 0)])
        );
        let reversed: Vec<Channel> = whole(0, 8).into_iter().rev().collect();
        assert_eq!(matching_blocks(&reversed, &lanes, &wanted), None);
    }
}
