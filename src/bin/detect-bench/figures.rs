//! [`Recording`]: what happened to every frame, and the figures that follow from it. Times count from one origin.

use crate::report::{Histogram, Second, Stages, Times, ms};
use gstdetect::bridge::message::DetectStats;
use gstdetect::flow::stats::{StageTimes, percentile};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Bars of a histogram.
const BARS: usize = 30;
/// Shorter parts of a run are merged with the next: in them one frame more would double the rate.
const SHORTEST_PART: Duration = Duration::from_millis(500);
/// Beyond this percentile a histogram has one bar more, so that one late frame does not flatten all others.
const SHOWN: f64 = 0.99;

/// A frame that left `detect`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    pub at: Duration,
    /// Since it came in at the sink pad.
    pub inside: Option<Duration>,
    /// Clock time minus the frame's running time: the age of its picture if the source is live, else without meaning.
    pub age: Option<Duration>,
}

/// Everything seen of one run.
#[derive(Debug, Default)]
pub struct Recording {
    /// Arrival of each frame that is still inside, by timestamp.
    arrived: BTreeMap<u64, Duration>,
    first_arrival: Option<Duration>,
    left: Vec<Left>,
    analysed: Vec<(Duration, StageTimes)>,
    stats: Vec<(Duration, DetectStats)>,
}

impl Recording {
    pub fn arrived(&mut self, at: Duration, timestamp: u64) {
        self.first_arrival.get_or_insert(at);
        self.arrived.insert(timestamp, at);
    }

    pub fn first_arrival(&self) -> Option<Duration> {
        self.first_arrival
    }

    pub fn left(&mut self, at: Duration, timestamp: Option<u64>, age: Option<Duration>) {
        let inside = timestamp.and_then(|timestamp| {
            // Frames before this one were dropped, or the stream has jumped back in a seek.
            let later = self.arrived.split_off(&timestamp);
            let before = std::mem::replace(&mut self.arrived, later);
            drop(before);
            let arrived = self.arrived.remove(&timestamp)?;
            Some(at.saturating_sub(arrived))
        });
        self.left.push(Left { at, inside, age });
    }

    pub fn analysed(&mut self, at: Duration, times: StageTimes) {
        self.analysed.push((at, times));
    }

    pub fn stats_posted(&mut self, at: Duration, stats: DetectStats) {
        self.stats.push((at, stats));
    }

    pub fn frames_analysed(&self) -> usize {
        self.analysed.len()
    }

    /// Returns the figures of what happened within `span`. A source that is not live has no ages: its frames are as old
    /// as the latency that was declared.
    pub fn figures(&self, span: Range<Duration>, live: bool) -> Figures {
        let left: Vec<_> = self.left.iter().filter(|l| span.contains(&l.at)).collect();
        let analysed: Vec<_> = (self.analysed.iter())
            .filter(|(at, _)| span.contains(at))
            .collect();
        let times = |stage: fn(&StageTimes) -> Duration| -> Vec<Duration> {
            analysed.iter().map(|(_, times)| stage(times)).collect()
        };
        let instants: Vec<_> = analysed.iter().map(|(at, _)| *at).collect();
        let leaving: Vec<_> = left.iter().map(|l| l.at).collect();
        Figures {
            fps: rate(&instants),
            output_fps: rate(&leaving),
            model: times(|t| t.model),
            inside: left.iter().filter_map(|l| l.inside).collect(),
            age: left.iter().filter_map(|l| l.age.filter(|_| live)).collect(),
            stages: Stages {
                wait_ms: mean_ms(&times(|t| t.wait)),
                preprocess_ms: mean_ms(&times(|t| t.preprocess)),
                model_ms: mean_ms(&times(|t| t.model)),
                postprocess_ms: mean_ms(&times(|t| t.postprocess)),
            },
            seconds: self.seconds(&span, live),
        }
    }

    /// Returns one row for each `detect-stats` message in `span`, with what happened since the message before.
    fn seconds(&self, span: &Range<Duration>, live: bool) -> Vec<Second> {
        let mut from = span.start;
        let posted = self.stats.iter().filter(|(at, _)| span.contains(at));
        let mut rows = Vec::new();
        for (at, stats) in posted {
            if at.saturating_sub(from) < SHORTEST_PART {
                continue; // counted with the next
            }
            let part = from..*at;
            let mut model: Vec<_> = (self.analysed.iter())
                .filter(|(at, _)| part.contains(at))
                .map(|(_, times)| times.model)
                .collect();
            let mut latencies: Vec<_> = (self.left.iter())
                .filter(|l| part.contains(&l.at))
                .filter_map(|l| if live { l.age } else { l.inside })
                .collect();
            let passed = at.saturating_sub(from).as_secs_f64();
            let machine = &stats.machine;
            rows.push(Second {
                at_s: at.saturating_sub(span.start).as_secs_f64(),
                fps: model.len() as f64 / passed,
                model_ms: median_ms(&mut model),
                latency_ms: median_ms(&mut latencies),
                dropped: stats.snapshot.counters.dropped(),
                process_cpu: machine.process_cpu,
                system_cpu: machine.system_cpu,
                memory_bytes: machine.rss,
                temperature_c: machine.temperature,
                cpu_frequency_hz: machine.cpu_frequency,
                throttled: machine.throttled,
            });
            from = *at;
        }
        rows
    }
}

/// Figures of a part of a recording.
#[derive(Debug, Default)]
pub struct Figures {
    /// Frames analysed a second.
    pub fps: f64,
    pub output_fps: f64,
    pub model: Vec<Duration>,
    pub inside: Vec<Duration>,
    pub age: Vec<Duration>,
    pub stages: Stages,
    pub seconds: Vec<Second>,
}

/// Returns events a second between the first and the last event, so that no incomplete cycle counts.
fn rate(instants: &[Duration]) -> f64 {
    let span = match (instants.first(), instants.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first).as_secs_f64(),
        _ => 0.0,
    };
    if span > 0.0 {
        (instants.len() - 1) as f64 / span
    } else {
        0.0
    }
}

fn mean_ms(values: &[Duration]) -> f64 {
    let sum: Duration = values.iter().sum();
    ms(sum) / values.len().max(1) as f64
}

fn median_ms(values: &mut [Duration]) -> Option<f64> {
    values.sort_unstable();
    percentile(values, 0.5).map(ms)
}

impl Times {
    /// Returns `None` if there are no values.
    pub fn from_values(values: &[Duration]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let at = |share| percentile(&sorted, share).map(ms);
        Some(Self {
            count: sorted.len(),
            mean_ms: mean_ms(&sorted),
            min_ms: sorted.first().copied().map(ms)?,
            p50_ms: at(0.50)?,
            p90_ms: at(0.90)?,
            p95_ms: at(0.95)?,
            p99_ms: at(0.99)?,
            max_ms: sorted.last().copied().map(ms)?,
            histogram: Histogram::from_sorted(&sorted)?,
        })
    }
}

impl Histogram {
    /// Counts sorted times; `None` if there are none.
    fn from_sorted(sorted: &[Duration]) -> Option<Self> {
        let from_ms = ms(*sorted.first()?);
        let end = ms(percentile(sorted, SHOWN)?);
        let step_ms = ((end - from_ms) / BARS as f64).max(0.01);
        let mut counts = vec![0_u64; BARS + 1];
        for time in sorted {
            let bar = ((ms(*time) - from_ms) / step_ms) as usize;
            counts[bar.min(BARS)] += 1;
        }
        Some(Self {
            from_ms,
            step_ms,
            counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn times(model: u64) -> StageTimes {
        StageTimes {
            wait: at(1),
            preprocess: at(2),
            model: at(model),
            postprocess: at(3),
        }
    }

    #[test]
    fn a_rate_counts_the_spaces_between_frames() {
        assert_eq!(rate(&[at(0), at(100), at(200)]), 10.0);
        assert_eq!((rate(&[at(5)]), rate(&[])), (0.0, 0.0));
    }

    #[test]
    fn frames_are_known_by_their_timestamps() {
        let mut recording = Recording::default();
        for n in 0..4 {
            recording.arrived(at(n * 10), n);
        }
        recording.left(at(25), Some(1), Some(at(30)));
        recording.left(at(60), Some(3), None);
        recording.left(at(70), Some(3), None);
        recording.left(at(80), None, None);
        let figures = recording.figures(at(0)..at(100), true);
        assert_eq!(figures.inside, [at(15), at(30)]);
        assert_eq!(figures.age, [at(30)]);
        assert!(recording.arrived.is_empty(), "a dropped frame is forgotten");
    }

    #[test]
    fn only_the_span_counts() {
        let mut recording = Recording::default();
        for n in 0..10 {
            recording.analysed(at(n * 100), times(n));
        }
        let figures = recording.figures(at(300)..at(800), false);
        assert_eq!(figures.fps, 10.0);
        assert_eq!(figures.model, [3, 4, 5, 6, 7].map(at));
        assert_eq!(
            (figures.stages.model_ms, figures.stages.wait_ms),
            (5.0, 1.0)
        );
    }

    #[test]
    fn a_row_is_of_the_time_since_the_row_before() {
        let mut recording = Recording::default();
        for n in 0..20 {
            recording.analysed(at(n * 100), times(if n < 10 { 5 } else { 9 }));
        }
        recording.stats_posted(at(1000), DetectStats::default());
        recording.stats_posted(at(2000), DetectStats::default());
        let seconds = recording.figures(at(0)..at(2500), false).seconds;
        assert_eq!(
            seconds.iter().map(|s| s.fps).collect::<Vec<_>>(),
            [10.0, 10.0]
        );
        assert_eq!(seconds[0].model_ms, Some(5.0));
        assert_eq!((seconds[1].at_s, seconds[1].model_ms), (2.0, Some(9.0)));
    }

    #[test]
    fn latency_is_age_of_a_live_source_and_time_inside_of_another() {
        let mut recording = Recording::default();
        for n in 0..10 {
            recording.arrived(at(n * 100), n);
            recording.left(at(n * 100 + 40), Some(n), Some(at(7)));
        }
        recording.stats_posted(at(1000), DetectStats::default());
        let figures = |live| recording.figures(at(0)..at(1500), live);
        assert_eq!(figures(true).seconds[0].latency_ms, Some(7.0));
        assert_eq!(figures(false).seconds[0].latency_ms, Some(40.0));
        assert_eq!((figures(true).age.len(), figures(false).age.len()), (10, 0));
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<_> = (1..=100).map(at).collect();
        let times = Times::from_values(&values).expect("values");
        assert_eq!(
            (times.p50_ms, times.p95_ms, times.max_ms),
            (50.0, 95.0, 100.0)
        );
        assert_eq!(times.histogram.counts.iter().sum::<u64>(), 100);
        assert!(Times::from_values(&[]).is_none());
    }

    #[test]
    fn a_late_frame_does_not_flatten_the_histogram() {
        let mut values = vec![at(10); 150];
        values.extend(vec![at(20); 150]);
        values.push(at(5000));
        let histogram = Times::from_values(&values).expect("values").histogram;
        assert!(histogram.step_ms < 1.0);
        assert_eq!(histogram.counts[BARS], 151, "and those at the end");
    }
}
