//! One register of f32 or f16, whichever instruction set it belongs to: what the kernels are written in.
//!
//! Kernels are generic over [`Vector`] and inlined into functions that enable the instruction set (see `instantiate.rs`).

use super::element::{Element, Half, Number};
use super::epilogue::{Epilogue, Tile};

/// A register of [`Vector::LANES`] values.
///
/// # Safety
/// Every method needs a processor that has the instruction set. Pointers must be valid for as many lanes as a method names.
/// `max` and `min` return NaN if their second operand is NaN. If only the first one is, they return NaN or the second.
#[allow(clippy::missing_safety_doc)]
pub unsafe trait Vector: Copy {
    /// Type of a lane in memory.
    type Element: Number;
    /// Register of f32 for what this type is too coarse for; itself for one of f32.
    type Wide: Vector<Element = f32>;
    /// A register's lanes in f32, for sums; nothing where registers hold f32.
    type Sums: Copy + Default;
    /// Products that an accumulator may sum up before it goes into [`Vector::Sums`].
    const LONGEST_SUM: usize = usize::MAX;
    /// Lanes in a register: channels in a block.
    const LANES: usize;
    /// Registers that the instruction set has.
    const REGISTERS: usize;
    /// True if a multiply-add may read a factor from memory, so that a value used once needs no load of its own.
    const MEMORY_OPERANDS: bool = true;
    /// True if one instruction loads or stores two neighbouring registers: tiles then have a way of their own for pixels
    /// side by side, and for convolutions of one tap.
    const PAIRS: bool = false;

    unsafe fn load(p: *const Self::Element) -> Self;
    unsafe fn store(self, p: *mut Self::Element);
    /// Stores the first `n` lanes as f32.
    unsafe fn store_part(self, p: *mut f32, n: usize);
    unsafe fn splat(x: f32) -> Self;
    /// Repeats the value at `p`.
    #[inline(always)]
    unsafe fn splat_at(p: *const Self::Element) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::splat((*p).to_f32()) }
    }
    /// Stores all lanes as f32. Registers of f32 store what they hold; others convert it.
    #[inline(always)]
    unsafe fn widen(self, p: *mut f32) {
        const { assert!(matches!(Self::Element::ELEMENT, Element::F32)) };
        // SAFETY: the caller's; an element is f32.
        unsafe { self.store(p.cast()) }
    }
    /// Loads lanes from f32. Registers of f32 hold them as they are; others round them.
    #[inline(always)]
    unsafe fn narrow(p: *const f32) -> Self {
        const { assert!(matches!(Self::Element::ELEMENT, Element::F32)) };
        // SAFETY: the caller's; an element is f32.
        unsafe { Self::load(p.cast()) }
    }
    /// Converts `n` values, at most as many as there are lanes.
    #[inline(always)]
    unsafe fn widen_part(from: *const Half, to: *mut f32, n: usize) {
        // SAFETY: the caller's.
        unsafe { (0..n).for_each(|i| to.add(i).write((*from.add(i)).to_f32())) }
    }
    /// Adds to sums; does nothing where registers hold f32.
    #[inline(always)]
    unsafe fn add_to(self, _: &mut Self::Sums) {}
    /// Returns sums times a factor, rounded; zeros where registers hold f32.
    #[inline(always)]
    unsafe fn from_sums(_: &Self::Sums, _: f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::zero() }
    }
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    /// self · b + c
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// c − self · b
    unsafe fn fnma(self, b: Self, c: Self) -> Self;
    unsafe fn max(self, b: Self) -> Self;
    unsafe fn min(self, b: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    unsafe fn abs(self) -> Self;
    /// Rounds to the nearest integer.
    unsafe fn round(self) -> Self;
    /// `a` where self is negative, `b` elsewhere, NaN lanes included.
    unsafe fn if_negative(self, a: Self, b: Self) -> Self;
    /// self · 2ⁿ for integral `n` of −126 to 127.
    unsafe fn scale2(self, n: Self) -> Self;
    /// Approximate reciprocal, to at least 1e-7.
    unsafe fn reciprocal(self) -> Self;
    /// Sum of all lanes, in f32.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut lanes = [0f32; 16];
        // SAFETY: the caller's; no register has more lanes.
        unsafe { self.widen(lanes.as_mut_ptr()) };
        lanes[..Self::LANES].iter().sum()
    }
    /// Replaces the lanes that `picks` names by lanes of `source`.
    unsafe fn merge(self, source: Self, picks: &Picks) -> Self;

    /// Applies an epilogue to `n` pixels of one block in memory, `step` floats apart; `residual` may be null.
    ///
    /// A function of its own, so that not every tile contains every activation.
    unsafe fn finish_in_memory(
        out: *mut Self::Element,
        step: usize,
        residual: *const Self::Element,
        n: usize,
        epilogue: &Epilogue,
    );

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's.
        unsafe { Self::splat(0.) }
    }

    /// Adds, for each of `n` input channels, T pixels times B registers of weights to the accumulators.
    ///
    /// Channel 0 of pixel `t` lies at `x + t * step`, the next channels behind it. Returns the end of the weights.
    #[inline(always)]
    unsafe fn multiply_add<const T: usize, const B: usize>(
        acc: &mut Tile<Self, T, B>,
        x: *const Self::Element,
        step: usize,
        n: usize,
        mut weights: *const Self::Element,
    ) -> *const Self::Element {
        // SAFETY: the caller's.
        unsafe {
            for i in 0..n {
                let mut w = [Self::zero(); B];
                for (b, w) in w.iter_mut().enumerate() {
                    *w = Self::load(weights.add(b * Self::LANES));
                }
                weights = weights.add(B * Self::LANES);
                for (t, row) in acc.iter_mut().enumerate() {
                    let v = Self::splat_at(x.add(t * step + i));
                    for (b, acc) in row.iter_mut().enumerate() {
                        *acc = v.fma(w[b], *acc);
                    }
                }
            }
            weights
        }
    }

    /// self / (1 + e⁻ˣ): the logistic function of `x` times self.
    #[inline(always)]
    unsafe fn times_logistic(self, x: Self) -> Self {
        // SAFETY: the caller's.
        unsafe {
            // `min` returns its second operand for NaN, so that NaN stays.
            let e = exp(Self::splat(87.).min(Self::zero().sub(x)));
            let d = e.add(Self::splat(1.));
            self.mul(d.reciprocal())
        }
    }
}

/// Which lane of a source goes where.
#[derive(Clone, Copy, Debug)]
pub struct Picks {
    /// For each output lane in `mask`, the lane of the source.
    pub lanes: [u32; 16],
    pub mask: u32,
    /// The same for registers of 16 bytes, byte by byte; 255 where the source gives nothing.
    pub bytes: [u8; 16],
    /// Bytes of a lane.
    size: usize,
}

impl Picks {
    /// Picks nothing.
    pub fn none(element: Element) -> Self {
        Picks {
            size: element.size(),
            lanes: [0; 16],
            mask: 0,
            bytes: [u8::MAX; 16],
        }
    }

    /// Adds output lane `to`, taken from lane `from` of the source.
    pub fn add(&mut self, to: usize, from: usize) {
        self.lanes[to] = from as u32;
        self.mask |= 1 << to;
        let lane = self.bytes.iter_mut().skip(to * self.size);
        for (i, byte) in lane.take(self.size).enumerate() {
            *byte = (from * self.size + i) as u8;
        }
    }
}

/// eˣ, to 2e-7 of the value; x is limited to −87.3..=88.3, NaN stays.
#[inline(always)]
pub unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        let x = V::splat(88.3).min(V::splat(-87.3).max(x));
        let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
        // ln 2 in two parts, so that the remainder is exact
        let r = n.fnma(V::splat(0.693_359_4), x);
        let r = n.fnma(V::splat(-2.121_944_4e-4), r);
        let mut p = V::splat(1.987_569_1e-4);
        for c in [
            1.398_2e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_6e-1,
            0.5,
        ] {
            p = p.fma(r, V::splat(c));
        }
        p.fma(r.mul(r), r).add(V::splat(1.)).scale2(n)
    }
}
