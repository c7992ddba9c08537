//! Multiply-adds that one core reaches with each width of vectors, from registers alone: the bound of any kernel.
//!
//! `cargo bench --bench peak`
//!
//! Prints one row of JSON: thousand millions of multiply-adds (f32) a second for each set of kernels, the best of several
//! turns. Widths that the processor lacks are left out. `tests/bench_executor.sh` compares the executor's kernels with them.

use serde_json::{Map, json};
use std::time::Instant;

/// Multiply-adds in flight: two a cycle, each ready after four or five.
const CHAINS: usize = 12;
const STEPS: usize = 4_000_000;
const TURNS: usize = 7;

fn main() {
    let mut row = Map::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has AVX2 and FMA.
            row.insert(
                "avx2".into(),
                json!(best(8, || unsafe { x86::chains256() })),
            );
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512.
            row.insert(
                "avx512".into(),
                json!(best(16, || unsafe { x86::chains512() })),
            );
        }
    }
    println!("{}", serde_json::Value::from(row));
}

/// Returns the multiply-adds a second of the fastest turn, in thousand millions, rounded to tenths.
fn best(lanes: usize, chains: impl Fn() -> f32) -> f64 {
    let seconds = (0..TURNS).map(|_| {
        let began = Instant::now();
        std::hint::black_box(chains());
        began.elapsed().as_secs_f64()
    });
    let seconds = seconds.fold(f64::INFINITY, f64::min);
    ((STEPS * CHAINS * lanes) as f64 / seconds / 1e8).round() / 10.0
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, STEPS};
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn chains256() -> f32 {
        let (factor, term) = (
            _mm256_set1_ps(black_box(0.5)),
            _mm256_set1_ps(black_box(0.25)),
        );
        let mut sums = [_mm256_set1_ps(black_box(1.0)); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, term);
            }
        }
        let sum = sums.into_iter().reduce(|a, b| _mm256_add_ps(a, b));
        _mm256_cvtss_f32(sum.unwrap_or(term))
    }

    /// # Safety
    /// The processor must have AVX-512.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn chains512() -> f32 {
        let (factor, term) = (
            _mm512_set1_ps(black_box(0.5)),
            _mm512_set1_ps(black_box(0.25)),
        );
        let mut sums = [_mm512_set1_ps(black_box(1.0)); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, term);
            }
        }
        let sum = sums.into_iter().reduce(|a, b| _mm512_add_ps(a, b));
        _mm512_cvtss_f32(sum.unwrap_or(term))
    }
}
