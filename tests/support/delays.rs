//! The declared delay against the measured one: what is promised of frames that have left, whatever measured them.
//!
//! Windows of a hundred frames, the ten analyses after a step left out: at most one of the hundred is inside for longer
//! than declared, and the declared delay is at most 1.5 times the 95th percentile. It is raised within two analyses, and
//! lowered within ten seconds. By the clock of a test, where nothing is disturbed, a frame of a steady part is held against
//! what was declared before it had left; elsewhere, and on a ramp, against what is declared with it.

use gstdetect::flow::stats::percentile;
use std::time::Duration;

const WINDOW: usize = 100;
const LEFT_OUT: usize = 10;
const LOWERED: Duration = Duration::from_secs(10);
const MOST_OVER: f64 = 1.5;

/// One part of a script: so many analyses, the first and the last of them so long.
#[derive(Clone, Copy)]
pub struct Part {
    pub analyses: usize,
    pub from: Duration,
    pub to: Duration,
}

pub fn part(analyses: usize, from_ms: u64, to_ms: u64) -> Part {
    Part {
        analyses,
        from: Duration::from_millis(from_ms),
        to: Duration::from_millis(to_ms),
    }
}

impl Part {
    pub fn duration(&self, number: usize) -> Duration {
        let share = number as f64 / (self.analyses.max(2) - 1) as f64;
        self.from.mul_f64(1.0 - share) + self.to.mul_f64(share)
    }
}

/// A frame that has left: when, how long it was inside, and what was declared then.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    pub at: Duration,
    pub delay: Duration,
    /// Before its own delay was known, and after.
    pub told: Duration,
    pub declared: Duration,
}

/// Checks the promises on the frames of each part; returns the first that is broken.
pub fn judge(script: &[Part], parts: &[Vec<Left>], undisturbed: bool) -> Result<(), String> {
    let mut before = Duration::ZERO;
    for (number, part) in parts.iter().enumerate() {
        let Some(begin) = part.first().map(|left| left.at) else {
            return Err(format!("part {number} has no frames"));
        };
        let third = part.get(2).ok_or("too few frames")?;
        let shorter = third.delay.min(part[1].delay);
        if third.declared < shorter {
            return Err(format!(
                "part {number}: {shorter:?} is not declared after two analyses, but {third:?}"
            ));
        }
        let stepped_down = begin > Duration::ZERO && third.delay < before;
        before = third.delay;
        for window in part[LEFT_OUT..].windows(WINDOW) {
            let mut delays: Vec<_> = window.iter().map(|left| left.delay).collect();
            delays.sort();
            let last = window[WINDOW - 1];
            let of = |share| percentile(&delays, share).unwrap_or_default();
            let (p95, p99) = (of(0.95), of(0.99));
            let before = undisturbed && script[number].from == script[number].to;
            let longer = |left: &&Left| left.delay > if before { left.told } else { left.declared };
            let over: Vec<_> = window.iter().filter(longer).collect();
            if over.len() > 1 {
                return Err(format!(
                    "part {number}: {} of {WINDOW} are longer than declared; p99 {p99:?}, they are {over:?}",
                    over.len()
                ));
            }
            let lowered = !stepped_down || last.at > begin + LOWERED;
            if lowered && last.declared > p95.mul_f64(MOST_OVER) {
                return Err(format!(
                    "part {number}: {:?} declared for a p95 of {p95:?}",
                    last.declared
                ));
            }
        }
    }
    Ok(())
}
