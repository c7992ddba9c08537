//! Weights in the order in which the kernels read them, and aligned memory.

use super::element::{Element, Half, Number};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// Zeroed f32 at an address that is a multiple of 64 bytes.
pub struct Aligned {
    ptr: std::ptr::NonNull<f32>,
    len: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Aligned {}
// SAFETY: shared access only reads.
unsafe impl Sync for Aligned {}

impl Aligned {
    fn layout(len: usize) -> Layout {
        Layout::array::<f32>(len.max(1))
            .and_then(|l| l.align_to(64))
            .expect("sizes are limited by the plan's budgets")
    }

    /// Allocates `len` zeros, plus a register's worth behind them that may be read but holds nothing.
    pub fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len + 16);
        // SAFETY: the layout's size is not zero.
        let ptr = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        let ptr = std::ptr::NonNull::new(ptr).unwrap_or_else(|| handle_alloc_error(layout));
        Aligned { ptr, len }
    }

    /// Allocates memory for these values, converted to `element`.
    pub fn from_values(element: Element, values: &[f32]) -> Self {
        let mut aligned = Self::zeroed(values.len().div_ceil(element.per_float()));
        aligned.write(element, 0, values);
        aligned
    }

    /// Converts values to `element` and writes them from number `at` of that element on.
    pub fn write(&mut self, element: Element, at: usize, values: &[f32]) {
        assert!((at + values.len()).div_ceil(element.per_float()) <= self.len);
        match element {
            Element::F32 => self[at..at + values.len()].copy_from_slice(values),
            Element::F16 => {
                let start = self.ptr.as_ptr().cast::<Half>();
                for (i, &value) in values.iter().enumerate() {
                    // SAFETY: the memory is long enough, as was asserted.
                    unsafe { *start.add(at + i) = Half::from_f32(value) };
                }
            }
        }
    }

    /// Converts floats to `element`.
    fn into_element(self, element: Element) -> Self {
        match element {
            Element::F32 => self,
            element => Self::from_values(element, &self),
        }
    }

    /// Returns the start, for kernels that know which type the values have.
    pub fn values<E: Number>(&self) -> *const E {
        self.ptr.as_ptr().cast_const().cast()
    }

    /// Returns the start, for writing through shared references: see `Arena`.
    pub fn start(&self) -> *mut f32 {
        self.ptr.as_ptr()
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.ptr.as_ptr().cast(), Self::layout(self.len + 16)) }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` values were allocated and initialised.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: `len` values were allocated and initialised.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl std::fmt::Debug for Aligned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} floats", self.len)
    }
}

/// Output blocks that one tile computes together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub first_block: usize,
    /// 1 or 2.
    pub blocks: usize,
    /// Weights before those of this group.
    pub offset: usize,
}

/// Weights `[set][group][input channel and tap][block of the group][lane]`, and the bias by output lane.
#[derive(Debug)]
pub struct Packed {
    weights: Aligned,
    bias: Aligned,
    groups: Vec<Group>,
    set: usize,
    len: usize,
}

impl Packed {
    /// Packs weights as `element`, for `rows` inputs (channel and tap in the kernel's order) and `blocks` output blocks.
    ///
    /// `weight(row, lane)` returns the value of each of the `SETS` sets; padding lanes return zeros.
    pub fn new<const SETS: usize>(
        element: Element,
        lanes: usize,
        blocks: usize,
        rows: usize,
        weight: impl Fn(usize, usize) -> [f32; SETS],
        bias: impl Fn(usize) -> f32,
    ) -> Self {
        let groups: Vec<Group> = (0..blocks)
            .step_by(2)
            .map(|first_block| Group {
                first_block,
                blocks: (blocks - first_block).min(2),
                offset: first_block * rows * lanes,
            })
            .collect();
        let set = blocks * rows * lanes;
        let mut weights = Aligned::zeroed(SETS * set);
        let mut at = 0;
        for group in &groups {
            let first = group.first_block * lanes;
            for row in 0..rows {
                for lane in first..first + group.blocks * lanes {
                    for (s, value) in weight(row, lane).into_iter().enumerate() {
                        weights[s * set + at] = value;
                    }
                    at += 1;
                }
            }
        }
        let mut all_bias = Aligned::zeroed(blocks * lanes);
        for (lane, value) in all_bias.iter_mut().enumerate() {
            *value = bias(lane);
        }
        Packed {
            weights: weights.into_element(element),
            bias: all_bias.into_element(element),
            groups,
            set,
            len: SETS * set,
        }
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn weights<E: Number>(&self) -> *const E {
        self.weights.values()
    }

    pub fn bias<E: Number>(&self) -> *const E {
        self.bias.values()
    }

    /// Offset of the weights of block `b`, and weights from one row's weights to the next's, for kernels that compute one
    /// block at a time.
    pub fn depthwise(&self, b: usize, lanes: usize) -> (usize, usize) {
        let group = self.groups[b / 2];
        (group.offset + b % 2 * lanes, group.blocks * lanes)
    }

    /// Weights of one set.
    pub fn set(&self) -> usize {
        self.set
    }

    /// Weights of all sets.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of weights and bias.
    pub fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }
}
