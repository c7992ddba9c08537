//! The declared delay against the measured one by the clock of a test: steady, after a step up or down, and on a ramp.
//! `tests/measure` holds it against a pipeline.

use crate::support::delays::{Left, Part, judge, part};
use gstdetect::flow::stats::DeclaredDelay;
use std::time::Duration;

/// A camera of so many frames a second and `mode=newest`, by a clock of the test's own.
fn simulated(script: &[Part], fps: u32, jitter: f64) -> Vec<Vec<Left>> {
    let frame = Duration::from_secs(1) / fps;
    let mut declared = DeclaredDelay::new(script[0].from);
    let (mut free, mut next, mut random) = (Duration::ZERO, 0u32, 1u64);
    let mut analysed = |duration: Duration| {
        // The newest frame that is here, or the next one.
        let newest = (free.as_secs_f64() / frame.as_secs_f64()) as u32;
        let taken = newest.max(next);
        next = taken + 1;
        let arrived = frame * taken;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let noise = 1.0 + jitter * ((random >> 33) as f64 / f64::from(1u32 << 31) - 0.5);
        free = free.max(arrived) + duration.mul_f64(noise);
        let told = declared.get();
        declared.record(free, free - arrived);
        Left {
            at: free,
            delay: free - arrived,
            told,
            declared: declared.get(),
        }
    };
    let mut parts = Vec::new();
    for part in script {
        parts.push(
            (0..part.analyses)
                .map(|n| analysed(part.duration(n)))
                .collect(),
        );
    }
    parts
}

#[test]
fn promises_hold_by_the_clock_of_a_test() {
    let script = [
        part(300, 100, 100),
        part(300, 250, 250),
        part(400, 100, 100),
        part(400, 100, 300),
        part(300, 300, 300),
        part(400, 300, 100),
        part(300, 40, 40),
        part(600, 20, 20),
    ];
    for fps in [15, 25, 30, 60] {
        for jitter in [0.0, 0.1, 0.3] {
            let parts = simulated(&script, fps, jitter);
            judge(&script, &parts, true)
                .unwrap_or_else(|broken| panic!("{fps} frames/s, jitter {jitter}: {broken}"));
        }
    }
}
