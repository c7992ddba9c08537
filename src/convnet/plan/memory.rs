//! Places of buffers in the arena: buffers whose lives do not overlap share memory.

use super::stage::Work;
use super::view::{Buffer, Placement};

/// Place and life of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Floats from the arena's start to the buffer, border included.
    pub offset: usize,
    pub len: usize,
    /// First and last stage that touches the buffer.
    pub first: usize,
    pub last: usize,
    /// True if another buffer uses some of the same memory.
    pub shared: bool,
}

/// Places of all buffers.
#[derive(Debug)]
pub struct Memory {
    pub spots: Vec<Spot>,
    /// Floats of the arena.
    pub len: usize,
}

/// Floats that kernels may read, and ignore, behind a buffer.
const SLACK: usize = 16;

/// Buffers begin at multiples of a cache line.
const LINE: usize = 16;

impl Buffer {
    /// Values from one row to the next.
    pub fn row(&self) -> usize {
        (self.pads[1] + self.shape.w + self.pads[3]) * self.lanes.width
    }

    /// Values from one block or plane to the next.
    pub fn plane(&self) -> usize {
        (self.pads[0] + self.shape.h + self.pads[2]) * self.row()
    }

    /// Values of the whole buffer.
    pub fn len(&self) -> usize {
        self.lanes.blocks() * self.plane()
    }

    /// Memory of the whole buffer, in floats.
    pub fn floats(&self) -> usize {
        self.len().div_ceil(self.lanes.element.per_float())
    }

    /// Values from the buffer's start to pixel (0, 0).
    pub fn origin(&self) -> usize {
        self.pads[0] * self.row() + self.pads[1] * self.lanes.width
    }

    pub fn has_border(&self) -> bool {
        self.pads != [0; 4]
    }
}

/// Finds a place for every buffer: the largest first, each at the lowest offset that is free for its whole life.
pub fn assign(placement: &Placement) -> Memory {
    let mut spots: Vec<Spot> = lives(placement);
    let mut order: Vec<usize> = (0..spots.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(spots[i].len));
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| spots[j].first <= spots[i].last && spots[i].first <= spots[j].last)
            .map(|&j| (spots[j].offset, spots[j].offset + spots[j].len))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + spots[i].len > start && offset < end {
                offset = end;
            }
        }
        spots[i].offset = offset;
        total = total.max(offset + spots[i].len);
        placed.push(i);
    }
    mark_shared(&mut spots);
    Memory { spots, len: total }
}

fn lives(placement: &Placement) -> Vec<Spot> {
    let mut spots: Vec<Spot> = placement
        .buffers
        .iter()
        .map(|buffer| Spot {
            offset: 0,
            len: (buffer.floats() + SLACK).next_multiple_of(LINE),
            first: usize::MAX,
            last: 0,
            shared: false,
        })
        .collect();
    for (i, stage) in placement.stages.iter().enumerate() {
        let reads = stage.views.iter().flat_map(|v| v.roots());
        for root in reads.chain(stage.out) {
            let spot = &mut spots[root as usize];
            spot.first = spot.first.min(i);
            spot.last = spot.last.max(i);
        }
        if let (Work::Constant(_), Some(out)) = (&stage.work, stage.out) {
            // written once, when the arena is made
            spots[out as usize].first = 0;
            spots[out as usize].last = usize::MAX;
        }
    }
    spots
}

fn mark_shared(spots: &mut [Spot]) {
    let mut order: Vec<usize> = (0..spots.len()).collect();
    order.sort_by_key(|&i| spots[i].offset);
    let (mut end, mut owner) = (0, None);
    for i in order {
        let spot = spots[i];
        if spot.len == 0 {
            continue;
        }
        if spot.offset < end {
            spots[i].shared = true;
            if let Some(owner) = owner {
                let owner: &mut Spot = &mut spots[owner];
                owner.shared = true;
            }
        }
        if spot.offset + spot.len > end {
            end = spot.offset + spot.len;
            owner = Some(i);
        }
    }
}
