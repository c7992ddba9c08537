//! Winograd's transforms of one filter, and of one row or column of a tile. The points are 0, 1, -1, 2, -2 and infinity.

use crate::convnet::kernels::vector::Vector;

/// Transforms a 3x3 filter, in double precision, for tiles of `N` rows and columns; `NN` is N · N. No filter gives zeros.
pub fn filter<const N: usize, const NN: usize>(taps: &[f32]) -> [f32; NN] {
    const F4: [[f64; 3]; 6] = [
        [0.25, 0., 0.],
        [-1. / 6., -1. / 6., -1. / 6.],
        [-1. / 6., 1. / 6., -1. / 6.],
        [1. / 24., 1. / 12., 1. / 6.],
        [1. / 24., -1. / 12., 1. / 6.],
        [0., 0., 1.],
    ];
    const F2: [[f64; 3]; 4] = [
        [1., 0., 0.],
        [0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0., 0., 1.],
    ];
    let mut out = [0.; NN];
    if taps.is_empty() {
        return out;
    }
    let g: &[[f64; 3]] = if N == 6 { &F4 } else { &F2 };
    for (a, row) in g.iter().enumerate() {
        let column = [0, 1, 2].map(|x| {
            let tap = |y: usize| row[y] * f64::from(taps[y * 3 + x]);
            tap(0) + tap(1) + tap(2)
        });
        for (b, g) in g.iter().enumerate() {
            out[a * N + b] = (g[0] * column[0] + g[1] * column[1] + g[2] * column[2]) as f32;
        }
    }
    out
}

/// Transforms one column or row of the input.
///
/// # Safety
/// The processor has V's instruction set.
#[inline(always)]
pub unsafe fn forward<V: Vector, const N: usize>(d: &[V; N]) -> [V; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut o = [V::zero(); N];
        if N == 6 {
            let (four, five, two) = (V::splat(4.), V::splat(5.), V::splat(2.));
            let a = d[2].fnma(four, d[4]);
            let b = d[1].fnma(four, d[3]);
            let c = d[4].sub(d[2]);
            let e = d[3].sub(d[1]).mul(two);
            o[0] = d[0].fma(four, d[2].fnma(five, d[4]));
            o[1] = a.add(b);
            o[2] = a.sub(b);
            o[3] = c.add(e);
            o[4] = c.sub(e);
            o[5] = d[1].fma(four, d[3].fnma(five, d[5]));
        } else {
            o[0] = d[0].sub(d[2]);
            o[1] = d[1].add(d[2]);
            o[2] = d[2].sub(d[1]);
            o[3] = d[1].sub(d[3]);
        }
        o
    }
}

/// Transforms one column or row of the products back. Product 1 counts once in every result.
///
/// # Safety
/// The processor has V's instruction set.
#[inline(always)]
pub unsafe fn backward<V: Vector, const N: usize, const M: usize>(p: &[V; N]) -> [V; M] {
    // SAFETY: the caller's.
    unsafe {
        let mut o = [V::zero(); M];
        if N == 6 {
            let (s, d) = (p[1].add(p[2]), p[1].sub(p[2]));
            let (e, f) = (p[3].add(p[4]), p[3].sub(p[4]));
            o[0] = p[0].add(s).add(e);
            o[1] = f.fma(V::splat(2.), d);
            o[2] = e.fma(V::splat(4.), s);
            o[3] = f.fma(V::splat(8.), d.add(p[5]));
        } else {
            o[0] = p[0].add(p[1]).add(p[2]);
            o[1] = p[1].sub(p[2]).sub(p[3]);
        }
        o
    }
}
