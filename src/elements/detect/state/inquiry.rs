//! Answers to queries and properties.

use super::State;
use crate::base::geometry::Size;
use crate::flow::stats::Snapshot;
use std::time::Duration;

/// Figures for statistics, taken at one time.
pub struct Figures {
    pub snapshot: Snapshot,
    /// Nick of the mode in force.
    pub mode: &'static str,
    /// The declared delay.
    pub delay: Duration,
}

impl State {
    pub fn figures(&self, now: Duration) -> Figures {
        let interval = self.settings.stats_interval();
        Figures {
            snapshot: self.reports.snapshot(now, interval),
            mode: self.mode.current().nick(),
            delay: self.reports.delay(),
        }
    }

    /// The declared delay, and how much longer the output can hold frames: until the next one is done, which is an analysis
    /// later, or the time from frame to frame if that is longer.
    pub fn latency(&self, now: Duration) -> (Duration, Duration) {
        let places = match self.mode.is_passthrough() {
            true => 0,
            false => self.line.places(),
        };
        let stream = self.input.stream();
        let interval = stream.and_then(|stream| stream.interval());
        let cycle = self.reports.cycle(now).max(interval.unwrap_or_default());
        (self.reports.delay(), cycle * places)
    }

    /// Upstream cannot tell its latency, and so downstream was not told ours.
    pub fn latency_refused(&mut self) {
        self.mode.refuse_latency();
    }

    /// Size of the pictures that were negotiated last.
    pub fn picture_size(&self) -> Option<Size> {
        self.input.stream().map(|stream| stream.picture.size)
    }
}
