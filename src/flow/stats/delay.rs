//! [`DeclaredDelay`]: the time that a frame may stay inside the element, as declared to the pipeline.
//!
//! A sink waits for the declared delay. Too short, and frames are dropped as late; too long, and the picture lags. Each
//! change is a LATENCY message and a jump of the picture, so it must not change with every frame. It follows the delays
//! measured in the last [`WINDOW`]:
//!
//! - It is 5 % above the 99th percentile of the window.
//! - It is raised as soon as a frame takes longer than declared, or comes within 1 % of it: the frame still has to be
//!   pushed, and on a slow ramp the next one would be late. One frame of a hundred that is far out of the ordinary
//!   (40 % above the 95th percentile) is forgiven and forgotten. A second one is believed, and then so is the first.
//! - It is lowered when it could be 10 % less.
//!
//! The 5 % and the dead band come from NNStreamer's `latency-report`. `now` is the time since any fixed origin.

use super::percentile;
use std::collections::VecDeque;
use std::time::Duration;

/// Age at which a delay is forgotten, and so the time until a lower one is declared.
pub const WINDOW: Duration = Duration::from_secs(8);
/// Shortest time between two LATENCY messages.
pub const MESSAGE_INTERVAL: Duration = Duration::from_secs(1);

const MARGIN: f64 = 1.05;
/// A delay that is so much shorter than declared, or longer, raises it.
const HEADROOM: f64 = 1.01;
const LOWER_BELOW: f64 = 0.9;
const OUTLIER: f64 = 1.4;
/// Delays needed before percentiles say what is ordinary.
const ORDINARY_COUNT: usize = 10;
/// One frame of this many may be far out of the ordinary, since the 99th percentile is promised.
const FORGIVEN_OF: u32 = 100;
/// Most delays kept, whatever the frame rate.
const MOST_SAMPLES: usize = 1024;

/// The declared delay, and the measurements that it follows.
#[derive(Debug, Default)]
pub struct DeclaredDelay {
    declared: Duration,
    /// Set by the user; overrides what is measured.
    fixed: Option<Duration>,
    told: Duration,
    told_at: Option<Duration>,
    measured: VecDeque<(Duration, Duration)>,
    /// Scratch memory for sorting.
    sorted: Vec<Duration>,
    forgiven: Option<(Duration, Duration)>,
    /// Frames since that one.
    frames_since: u32,
}

impl DeclaredDelay {
    /// Starts from an estimate, which holds until the first frame.
    pub fn new(estimate: Duration) -> Self {
        Self {
            declared: estimate,
            told: estimate,
            ..Self::default()
        }
    }

    /// Returns the declared delay.
    pub fn get(&self) -> Duration {
        self.fixed.unwrap_or(self.declared)
    }

    /// Declares `fixed` from now on, or with `None` what is measured.
    pub fn fix(&mut self, fixed: Option<Duration>) {
        self.fixed = fixed;
    }

    /// Returns the delay that the user has set.
    pub fn fixed(&self) -> Option<Duration> {
        self.fixed
    }

    /// Starts again from an estimate, because earlier measurements no longer apply.
    pub fn restart(&mut self, estimate: Duration) {
        self.declared = estimate;
        self.measured.clear();
        self.forgiven = None;
    }

    /// Records how long a frame was inside.
    pub fn record(&mut self, now: Duration, delay: Duration) {
        self.forget(now);
        self.frames_since += 1;
        let recent = self.frames_since < FORGIVEN_OF;
        self.forgiven = self.forgiven.filter(|_| recent);
        if delay.is_zero() && self.declared.is_zero() {
            self.measured.push_back((now, delay));
            return; // there is nothing to raise or to lower
        }
        let mut sorted = std::mem::take(&mut self.sorted);
        self.sort_into(&mut sorted);
        self.follow(now, delay, &mut sorted);
        self.sorted = sorted;
    }

    /// Raises or lowers the declared delay; `sorted` holds the earlier delays.
    fn follow(&mut self, now: Duration, delay: Duration, sorted: &mut Vec<Duration>) {
        if delay > self.declared && is_outlier(sorted, delay) {
            let Some(first) = self.forgiven.take() else {
                self.forgiven = Some((now, delay));
                self.frames_since = 0;
                return;
            };
            self.measured.push_back(first);
            insert(sorted, first.1);
        }
        self.measured.push_back((now, delay));
        insert(sorted, delay);
        let target = percentile(sorted, 0.99).unwrap_or_default().mul_f64(MARGIN);
        if delay.mul_f64(HEADROOM) > self.declared {
            self.declared = target.max(delay.mul_f64(MARGIN));
        } else if target < self.declared.mul_f64(LOWER_BELOW) {
            self.declared = target;
        }
    }

    /// Returns when a LATENCY message is due, if the delay has changed: a second after the last one.
    pub fn message_due(&self) -> Option<Duration> {
        let due = self
            .told_at
            .map_or(Duration::ZERO, |at| at + MESSAGE_INTERVAL);
        (self.told != self.get()).then_some(due)
    }

    /// Returns whether a LATENCY message is due now, and counts it as posted.
    pub fn take_message(&mut self, now: Duration) -> bool {
        let due = self.message_due().is_some_and(|due| due <= now);
        if due {
            self.told = self.get();
            self.told_at = Some(now);
        }
        due
    }

    /// Makes another message due although nothing changed, because nobody heard the last one.
    pub fn tell_again(&mut self) {
        self.told = Duration::MAX;
    }

    fn forget(&mut self, now: Duration) {
        while let Some((at, _)) = self.measured.front() {
            if now.saturating_sub(*at) <= WINDOW && self.measured.len() < MOST_SAMPLES {
                break;
            }
            self.measured.pop_front();
        }
    }

    fn sort_into(&self, sorted: &mut Vec<Duration>) {
        sorted.clear();
        sorted.extend(self.measured.iter().map(|(_, delay)| *delay));
        sorted.sort_unstable();
    }
}

fn is_outlier(sorted: &[Duration], delay: Duration) -> bool {
    sorted.len() >= ORDINARY_COUNT
        && percentile(sorted, 0.95).is_some_and(|ordinary| delay > ordinary.mul_f64(OUTLIER))
}

fn insert(sorted: &mut Vec<Duration>, value: Duration) {
    let place = sorted.partition_point(|v| *v < value);
    sorted.insert(place, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Records frames one after the other, each as long as its delay, from `start`. Returns the time of the end.
    fn feed(
        delay: &mut DeclaredDelay,
        start: Duration,
        delays: impl IntoIterator<Item = u32>,
    ) -> Duration {
        let mut now = start;
        for ms in delays {
            now += MS * ms;
            delay.record(now, MS * ms);
        }
        now
    }

    #[test]
    fn steady_delays_are_declared_with_a_small_margin() {
        let mut delay = DeclaredDelay::new(MS * 50);
        feed(
            &mut delay,
            Duration::ZERO,
            (0..200).map(|n| 100 + (n * 7) % 11),
        );
        let declared = delay.get();
        assert!(
            declared >= MS * 110 && declared <= MS * 117,
            "{declared:?} for 100 to 110 ms"
        );
    }

    #[test]
    fn a_step_up_is_declared_within_two_analyses() {
        let mut delay = DeclaredDelay::new(MS * 100);
        let now = feed(&mut delay, Duration::ZERO, [100; 50]);
        feed(&mut delay, now, [300; 2]);
        assert!(delay.get() >= MS * 300, "{:?}", delay.get());
    }

    #[test]
    fn a_step_down_is_declared_within_ten_seconds() {
        let mut delay = DeclaredDelay::new(MS * 300);
        let now = feed(&mut delay, Duration::ZERO, [300; 30]);
        feed(&mut delay, now, [100; 100]);
        assert!(delay.get() <= MS * 110, "{:?}", delay.get());
    }

    #[test]
    fn one_frame_out_of_the_ordinary_changes_nothing() {
        let mut delay = DeclaredDelay::new(MS * 110);
        let now = feed(&mut delay, Duration::ZERO, [100; 50]);
        let before = delay.get();
        feed(&mut delay, now, [500, 100, 106, 100]);
        assert!(
            delay.get() <= before.mul_f64(1.1),
            "{:?} after {before:?}",
            delay.get()
        );
    }

    #[test]
    fn a_ramp_is_followed_upwards() {
        let mut delay = DeclaredDelay::new(MS * 50);
        let mut now = Duration::ZERO;
        for ms in 50..400 {
            now = feed(&mut delay, now, [ms]);
            assert!(
                delay.get() >= MS * ms,
                "{:?} declared at {ms} ms",
                delay.get()
            );
            assert!(
                delay.get() <= MS * (ms * 3 / 2),
                "{:?} declared at {ms} ms",
                delay.get()
            );
        }
    }

    #[test]
    fn a_creeping_delay_never_comes_close_to_the_declared_one() {
        let mut delay = DeclaredDelay::new(MS * 42);
        let mut now = Duration::ZERO;
        for step in 0..1_000 {
            let inside = MS * 40 + Duration::from_micros(20) * step;
            now += inside;
            delay.record(now, inside);
            let outside = inside + Duration::from_micros(100);
            assert!(delay.get() >= outside, "{:?} for {outside:?}", delay.get());
        }
    }

    #[test]
    fn a_fixed_delay_is_declared_whatever_is_measured() {
        let mut delay = DeclaredDelay::new(MS * 100);
        delay.fix(Some(MS * 250));
        assert!(delay.take_message(Duration::ZERO));
        let now = feed(&mut delay, Duration::ZERO, [300; 20]);
        assert_eq!(delay.get(), MS * 250);
        assert!(!delay.take_message(now));
        delay.fix(None);
        assert!(delay.get() >= MS * 300);
        assert!(delay.take_message(now + MESSAGE_INTERVAL));
    }

    #[test]
    fn a_restart_forgets_what_was_measured() {
        let mut delay = DeclaredDelay::new(MS * 100);
        let now = feed(&mut delay, Duration::ZERO, [300; 20]);
        delay.restart(Duration::ZERO);
        assert_eq!(delay.get(), Duration::ZERO);
        delay.record(now, MS);
        assert!(delay.get() < MS * 2, "{:?}", delay.get());
    }

    #[test]
    fn a_message_for_each_change_and_at_most_one_a_second() {
        let mut delay = DeclaredDelay::new(MS * 100);
        assert!(!delay.take_message(Duration::ZERO), "nothing has changed");
        let mut now = feed(&mut delay, Duration::ZERO, [200]);
        assert!(delay.take_message(now));
        now = feed(&mut delay, now, [300]);
        assert!(!delay.take_message(now), "the last message is 300 ms ago");
        assert!(delay.take_message(now + MESSAGE_INTERVAL));
        assert!(!delay.take_message(now + MESSAGE_INTERVAL * 2));
        delay.tell_again();
        assert!(delay.take_message(now + MESSAGE_INTERVAL * 2));
    }
}
