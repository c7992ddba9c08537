//! [`Recorder`]: counters, a rolling window of timings, percentiles. [`DeclaredDelay`]: the delay declared to the
//! pipeline. [`Overdue`]: analyses that do not end.
//!
//! Rates and percentiles cover the frames of the last `window`; counters cover the whole stream. Percentiles are
//! nearest-rank, so each is a value that was measured. `now` is the time since any fixed origin.

mod delay;
mod overdue;

pub use delay::DeclaredDelay;
pub use overdue::Overdue;

use std::collections::VecDeque;
use std::time::Duration;

/// Shortest window: five frames say nothing about a 99th percentile.
pub const SHORTEST_WINDOW: Duration = Duration::from_secs(5);
/// Most samples of one kind, to bound memory whatever the frame rate.
const MOST_SAMPLES: usize = 4096;

/// Time of each stage of one analysed frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// From the sink pad to the start of the analysis.
    pub wait: Duration,
    /// Pixels to tensor.
    pub preprocess: Duration,
    /// The engine alone.
    pub model: Duration,
    /// Decoding, suppression, mapping back to the frame.
    pub postprocess: Duration,
}

impl StageTimes {
    /// Returns the time of the analysis without waiting.
    pub fn processing(&self) -> Duration {
        self.preprocess + self.model + self.postprocess
    }
}

/// Frames of the stream so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that arrived.
    pub received: u64,
    /// Frames that were analysed.
    pub analysed: u64,
    /// Frames that left.
    pub pushed: u64,
    /// Frames that a newer one replaced while every worker was busy.
    pub dropped_busy: u64,
    /// Frames not offered for analysis.
    pub dropped_interval: u64,
    /// Frames that came too late to be shown.
    pub dropped_late: u64,
}

impl Counters {
    /// Returns how many frames were dropped for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_busy + self.dropped_interval + self.dropped_late
    }
}

/// Median and high percentiles of one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

impl Percentiles {
    /// Returns the percentiles of `values`; `None` for no values.
    pub fn from_samples(mut values: Vec<Duration>) -> Option<Self> {
        values.sort_unstable();
        Some(Self {
            p50: percentile(&values, 0.50)?,
            p95: percentile(&values, 0.95)?,
            p99: percentile(&values, 0.99)?,
        })
    }
}

/// Returns the nearest-rank percentile of sorted values: the smallest with at least `fraction` of all at or below it.
pub fn percentile<T: Copy>(sorted: &[T], fraction: f64) -> Option<T> {
    let rank = (fraction * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Figures from [`Recorder::snapshot`]. Times are absent if nothing was measured in the window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Length of the window that rates and times cover.
    pub window: Duration,
    /// Frames analysed a second.
    pub fps: f64,
    /// Frames received a second.
    pub input_fps: f64,
    /// Frames pushed a second.
    pub output_fps: f64,
    /// Mean time of the engine alone.
    pub model_mean: Option<Duration>,
    /// Percentiles of the time of the engine alone.
    pub model: Option<Percentiles>,
    /// Mean time from the sink pad to the start of the analysis.
    pub wait_mean: Option<Duration>,
    /// Mean time from pixels to tensor.
    pub preprocess_mean: Option<Duration>,
    /// Mean time to decode, suppress and map back.
    pub postprocess_mean: Option<Duration>,
    /// Time from the sink pad to the source pad.
    pub total: Option<Percentiles>,
    /// Clock time of leaving minus the frame's own running time; absent for sources that are not live.
    pub age: Option<Percentiles>,
    /// Counters of the stream.
    pub counters: Counters,
}

#[derive(Debug)]
struct Window<T>(VecDeque<(Duration, T)>);

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Window<T> {
    fn push(&mut self, now: Duration, value: T) {
        if self.0.len() == MOST_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back((now, value));
    }

    fn since(&self, start: Duration) -> impl Iterator<Item = &T> {
        let first = self.0.partition_point(|(at, _)| *at < start);
        self.0.range(first..).map(|(_, value)| value)
    }

    /// Returns samples a second between `start` and `now`.
    fn rate(&self, start: Duration, now: Duration) -> f64 {
        // A full ring may not reach back to `start`.
        let start = match self.0.front() {
            Some((oldest, _)) if self.0.len() == MOST_SAMPLES => start.max(*oldest),
            _ => start,
        };
        let seconds = now.saturating_sub(start).as_secs_f64();
        if seconds > 0.0 {
            self.since(start).count() as f64 / seconds
        } else {
            0.0
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Left {
    total: Option<Duration>,
    age: Option<Duration>,
}

/// Records what happens to frames, and computes rates and percentiles.
#[derive(Debug, Default)]
pub struct Recorder {
    counters: Counters,
    started: Option<Duration>,
    received: Window<()>,
    analysed: Window<StageTimes>,
    waited: Window<Duration>,
    /// Time of the last analysis, without waiting.
    processing: Option<Duration>,
    left: Window<Left>,
}

impl Recorder {
    /// Records that a frame arrived at the sink pad.
    pub fn received(&mut self, now: Duration) {
        self.started.get_or_insert(now);
        self.counters.received += 1;
        self.received.push(now, ());
    }

    /// Records that a newer frame replaced one.
    pub fn dropped_busy(&mut self) {
        self.counters.dropped_busy += 1;
    }

    /// Records that a frame was not offered for analysis and did not leave.
    pub fn dropped_interval(&mut self) {
        self.counters.dropped_interval += 1;
    }

    /// Records that a frame was too late to be shown.
    pub fn dropped_late(&mut self) {
        self.counters.dropped_late += 1;
    }

    /// Records a finished analysis. The wait of a frame that met a pause is left out.
    pub fn analysed(&mut self, now: Duration, times: StageTimes, met_a_pause: bool) {
        self.counters.analysed += 1;
        self.analysed.push(now, times);
        self.processing = Some(times.processing());
        if !met_a_pause {
            self.waited.push(now, times.wait);
        }
    }

    /// Records that a frame left, `total` after it arrived; `None` if that time means nothing.
    pub fn pushed(&mut self, now: Duration, total: Option<Duration>, age: Option<Duration>) {
        self.counters.pushed += 1;
        self.left.push(now, Left { total, age });
    }

    /// Returns the counters of the stream.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Clears the window and keeps the counters, after a flush or a pause.
    pub fn restart_window(&mut self) {
        *self = Self {
            counters: self.counters,
            processing: self.processing,
            ..Self::default()
        };
    }

    /// Returns rates and percentiles of the last `interval`, or of [`SHORTEST_WINDOW`] if that is longer.
    pub fn snapshot(&self, now: Duration, interval: Duration) -> Snapshot {
        let window = interval.max(SHORTEST_WINDOW);
        let start = now.saturating_sub(window).max(self.started.unwrap_or(now));
        let of = |stage: fn(&StageTimes) -> Duration| -> Vec<Duration> {
            self.analysed.since(start).map(stage).collect()
        };
        let left = || self.left.since(start);
        Snapshot {
            window: now.saturating_sub(start),
            fps: self.analysed.rate(start, now),
            input_fps: self.received.rate(start, now),
            output_fps: self.left.rate(start, now),
            model_mean: mean(&of(|t| t.model)),
            model: Percentiles::from_samples(of(|t| t.model)),
            wait_mean: mean(&self.waited.since(start).copied().collect::<Vec<_>>()),
            preprocess_mean: mean(&of(|t| t.preprocess)),
            postprocess_mean: mean(&of(|t| t.postprocess)),
            total: Percentiles::from_samples(left().filter_map(|l| l.total).collect()),
            age: Percentiles::from_samples(left().filter_map(|l| l.age).collect()),
            counters: self.counters,
        }
    }

    /// Returns the time of the last analysis, without waiting.
    pub fn last_processing(&self) -> Option<Duration> {
        self.processing
    }

    /// Returns the mean time of an analysis in the last [`SHORTEST_WINDOW`], if there was one.
    pub fn mean_processing(&self, now: Duration) -> Option<Duration> {
        let recent = self.analysed.since(now.saturating_sub(SHORTEST_WINDOW));
        mean(&recent.map(StageTimes::processing).collect::<Vec<_>>())
    }
}

fn mean(values: &[Duration]) -> Option<Duration> {
    let count = u32::try_from(values.len()).ok().filter(|n| *n > 0)?;
    Some(values.iter().sum::<Duration>() / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<_> = (1..=200).map(|n| MS * n).collect();
        let p = Percentiles::from_samples(values).unwrap();
        assert_eq!((p.p50, p.p95, p.p99), (MS * 100, MS * 190, MS * 198));
        let one = Percentiles::from_samples(vec![MS * 7]).unwrap();
        assert_eq!((one.p50, one.p99), (MS * 7, MS * 7));
        assert_eq!(Percentiles::from_samples(vec![]), None);
    }

    #[test]
    fn rates_are_of_the_window_and_counters_of_the_stream() {
        let mut recorder = Recorder::default();
        // 10 frames a second for 20 seconds, then 20 a second for five.
        for n in 0..200 {
            recorder.received(MS * (n * 100));
        }
        for n in 0..100 {
            recorder.received(MS * (20_000 + n * 50));
        }
        let snapshot = recorder.snapshot(MS * 25_000, MS * 1000);
        assert_eq!(snapshot.window, SHORTEST_WINDOW);
        assert!(
            (snapshot.input_fps - 20.0).abs() < 0.01,
            "{}",
            snapshot.input_fps
        );
        assert_eq!(snapshot.counters.received, 300);
        let longer = recorder.snapshot(MS * 25_000, MS * 10_000);
        assert!(
            (longer.input_fps - 15.0).abs() < 0.01,
            "{}",
            longer.input_fps
        );
    }

    #[test]
    fn the_window_begins_with_the_first_frame() {
        let mut recorder = Recorder::default();
        for n in 0..10 {
            recorder.received(MS * (60_000 + n * 100));
        }
        let snapshot = recorder.snapshot(MS * 61_000, MS * 1000);
        assert_eq!(snapshot.window, MS * 1000);
        assert!((snapshot.input_fps - 10.0).abs() < 0.01);
    }

    #[test]
    fn a_full_ring_does_not_lower_the_rate() {
        let mut recorder = Recorder::default();
        for n in 0..10_000 {
            recorder.received(MS * n);
        }
        let snapshot = recorder.snapshot(MS * 10_000, MS * 10_000);
        assert!(
            (snapshot.input_fps - 1000.0).abs() < 1.0,
            "{}",
            snapshot.input_fps
        );
    }

    #[test]
    fn nothing_measured_is_absent_and_not_zero() {
        let snapshot = Recorder::default().snapshot(MS * 5, MS * 1000);
        assert_eq!((snapshot.model, snapshot.age), (None, None));
        assert_eq!(snapshot.fps, 0.0);
    }

    #[test]
    fn stage_means_and_drops_add_up() {
        let mut recorder = Recorder::default();
        recorder.received(Duration::ZERO);
        for model in [10, 30] {
            let times = StageTimes {
                wait: MS * 4,
                preprocess: MS,
                model: MS * model,
                postprocess: MS * 2,
            };
            recorder.analysed(MS * 100, times, false);
        }
        recorder.dropped_busy();
        recorder.pushed(MS * 110, Some(MS * 37), Some(MS * 50));
        let snapshot = recorder.snapshot(MS * 200, MS * 1000);
        assert_eq!(snapshot.model_mean, Some(MS * 20));
        assert_eq!(snapshot.model.map(|m| m.p99), Some(MS * 30));
        assert_eq!(snapshot.wait_mean, Some(MS * 4));
        assert_eq!(recorder.mean_processing(MS * 200), Some(MS * 23));
        assert_eq!(snapshot.counters.dropped(), 1);
        assert_eq!(snapshot.age.map(|a| a.p50), Some(MS * 50));
        recorder.restart_window();
        let after = recorder.snapshot(MS * 300, MS * 1000);
        assert_eq!((after.model, after.counters.analysed), (None, 2));
    }
}
