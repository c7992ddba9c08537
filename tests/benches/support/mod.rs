//! Shared by the benches: command lines, spreads of numbers, and noise.

#![allow(dead_code)] // each bench uses its part

pub mod arguments;

use gstdetect::flow::stats::percentile;

/// Numbers measured again and again: the median, and the 10th and 90th percentile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// Returns `None` for an empty list.
    pub fn measure(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |fraction| percentile(&sorted, fraction);
        Some(Self {
            low: at(0.1)?,
            median: at(0.5)?,
            high: at(0.9)?,
        })
    }
}

/// Returns a generator of numbers from 0 to 1 that are the same in every run.
pub fn noise() -> impl FnMut() -> f32 {
    let mut state = 5_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    }
}
