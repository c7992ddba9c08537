//! Activation and residual, applied to a result while it is still in registers or in L1.

use super::activate::apply;
use super::vector::Vector;
use crate::convnet::graph::Activation;

/// `after(before(x) + residual)`, or `after(before(x))` without a residual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epilogue {
    pub before: Option<Activation>,
    pub after: Option<Activation>,
}

impl Epilogue {
    /// True if both activations are cheap enough to run on the accumulators.
    ///
    /// A loop over the accumulators with a large body makes the compiler keep them in memory, which costs more than
    /// half of a tile's speed. Costly functions therefore run on the tile just stored, which is still in L1.
    #[inline]
    pub fn in_registers(&self) -> bool {
        let cheap = |a: Option<Activation>| match a {
            None | Some(Activation::Relu | Activation::Clip { .. }) => true,
            Some(Activation::LeakyRelu { slope }) => slope > 0. && slope <= 1.,
            _ => false,
        };
        cheap(self.before) && cheap(self.after)
    }
}

/// Registers of a tile: `T` pixels by `B` blocks.
pub type Tile<V, const T: usize, const B: usize> = [[V; B]; T];

/// Destination of a tile.
#[derive(Clone, Copy)]
pub struct Target<E, const B: usize> {
    /// First pixel of each block.
    pub out: [*mut E; B],
    /// Floats from one pixel to the next.
    pub step: usize,
    /// First pixel of each block of the residual, one register after the other; null if there is none.
    pub residual: [*const E; B],
}

impl<E, const B: usize> Target<E, B> {
    /// Applies the epilogue to `pixels` pixels that [`store_tile`] stored without.
    ///
    /// # Safety
    /// The processor has V's instruction set, and the target is valid for these pixels.
    #[inline(always)]
    pub unsafe fn finish_in_memory<V: Vector<Element = E>>(
        &self,
        pixels: usize,
        epilogue: &Epilogue,
    ) {
        for (out, residual) in self.out.into_iter().zip(self.residual) {
            // SAFETY: the caller's.
            unsafe { V::finish_in_memory(out, self.step, residual, pixels, epilogue) };
        }
    }
}

/// Stores a tile `first` pixels behind the target's first one, finished if that is possible in registers; else
/// [`Target::finish_in_memory`] is to follow.
///
/// # Safety
/// The processor has V's instruction set; `to` is valid for `first` + T pixels.
#[inline(always)]
pub unsafe fn store_tile<V: Vector, const T: usize, const B: usize>(
    mut acc: Tile<V, T, B>,
    epilogue: &Epilogue,
    in_registers: bool,
    to: &Target<V::Element, B>,
    first: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        if in_registers {
            clamp(&mut acc, epilogue.before);
            if !to.residual[0].is_null() {
                for (t, row) in acc.iter_mut().enumerate() {
                    for (b, v) in row.iter_mut().enumerate() {
                        *v = v.add(V::load(to.residual[b].add((first + t) * V::LANES)));
                    }
                }
            }
            clamp(&mut acc, epilogue.after);
        }
        let out = to.out.map(|out| out.add(first * to.step));
        if V::PAIRS && to.step == V::LANES {
            // neighbours one after the other, so that two go with one instruction
            for (b, out) in out.iter().enumerate() {
                for (t, row) in acc.iter().enumerate() {
                    row[b].store(out.add(t * V::LANES));
                }
            }
        } else {
            for (t, row) in acc.iter().enumerate() {
                for (b, v) in row.iter().enumerate() {
                    v.store(out[b].add(t * to.step));
                }
            }
        }
    }
}

/// Applies a cheap activation to the accumulators.
#[inline(always)]
unsafe fn clamp<V: Vector, const T: usize, const B: usize>(
    acc: &mut Tile<V, T, B>,
    activation: Option<Activation>,
) {
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for row in acc.iter_mut() {
                for v in row.iter_mut() {
                    let $x = *v;
                    *v = $f;
                }
            }
        };
    }
    // SAFETY: the caller's.
    unsafe {
        match activation {
            Some(Activation::Relu) => each!(|x| V::zero().max(x)),
            Some(Activation::Clip { min, max }) => {
                let (min, max) = (V::splat(min), V::splat(max));
                each!(|x| max.min(min.max(x)))
            }
            Some(Activation::LeakyRelu { slope }) => {
                let slope = V::splat(slope);
                // the larger one, for slopes up to 1
                each!(|x| x.mul(slope).max(x))
            }
            _ => (),
        }
    }
}

/// Applies an epilogue to `n` pixels of one block in memory.
///
/// # Safety
/// The processor has V's instruction set; `out` is valid for n pixels, `residual` as well or null.
#[inline(always)]
pub unsafe fn in_memory<V: Vector>(
    out: *mut V::Element,
    step: usize,
    residual: *const V::Element,
    n: usize,
    epilogue: &Epilogue,
) {
    // SAFETY: the caller's.
    unsafe {
        if step != V::LANES {
            // No loop around what follows: the compiler would bring the constants of all activations before it, and
            // compute them for every call.
            for i in 0..n {
                let residual = match residual.is_null() {
                    true => residual,
                    false => residual.add(i * V::LANES),
                };
                V::finish_in_memory(out.add(i * step), V::LANES, residual, 1, epilogue);
            }
            return;
        }
        if let Some(activation) = epilogue.before {
            apply::<V>(out, n, activation);
        }
        if !residual.is_null() {
            for at in (0..n).map(|i| i * V::LANES) {
                let p = out.add(at);
                V::load(p).add(V::load(residual.add(at))).store(p);
            }
        }
        if let Some(activation) = epilogue.after {
            apply::<V>(out, n, activation);
        }
    }
}
