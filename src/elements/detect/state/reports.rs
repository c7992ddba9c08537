//! [`Reports`]: what is measured, and when the user or the pipeline is to be told.

use super::frame::DropReason;
use crate::flow::stats::{Counters, DeclaredDelay, Overdue, Recorder, Snapshot, StageTimes};
use std::time::Duration;

/// Two warnings about a delay longer than the property `latency` are at least this far apart.
const EXCEEDED_INTERVAL: Duration = Duration::from_secs(10);
/// Two QoS messages about dropped frames are at least this far apart.
const QOS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Reports {
    recorder: Recorder,
    delay: DeclaredDelay,
    overdue: Overdue,
    /// When the last frame that stayed longer than the property `latency` was warned of.
    exceeded_at: Option<Duration>,
    /// When statistics were posted last.
    stats_at: Option<Duration>,
    /// When a QoS message was posted last.
    qos_at: Option<Duration>,
    /// A property has changed: something may be due that was not before.
    settings_changed: bool,
}

/// Messages that are due now. They count as posted.
#[derive(Debug, Default)]
pub struct Due {
    /// The delay that a LATENCY message is to make known.
    pub latency: Option<Duration>,
    /// How long an analysis has taken that does not end.
    pub overdue: Option<Duration>,
    pub stats: bool,
}

impl Reports {
    /// Begins anew with an estimate of the delay; `fixed` is the property `latency`.
    pub fn start(&mut self, estimate: Duration, fixed: Option<Duration>) {
        let mut delay = DeclaredDelay::new(estimate);
        delay.fix(fixed);
        let mut overdue = std::mem::take(&mut self.overdue);
        overdue.clear();
        *self = Self {
            delay,
            overdue,
            ..Self::default()
        };
    }

    /// Declares `fixed` from now on, or with `None` what is measured.
    pub fn follow_latency(&mut self, fixed: Option<Duration>) {
        self.delay.fix(fixed);
        self.settings_changed = true;
    }

    /// Whether a property has changed since the last call.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.settings_changed)
    }

    pub fn frame_received(&mut self, now: Duration) {
        self.recorder.received(now);
    }

    /// Whether the only frame so far is the one received last.
    pub fn is_first_frame(&self) -> bool {
        self.recorder.counters().received == 1
    }

    pub fn frame_dropped(&mut self, reason: DropReason) {
        match reason {
            DropReason::Busy => self.recorder.dropped_busy(),
            DropReason::Interval => self.recorder.dropped_interval(),
            DropReason::Late => self.recorder.dropped_late(),
        }
    }

    pub fn frame_pushed(&mut self, now: Duration, total: Option<Duration>, age: Option<Duration>) {
        self.recorder.pushed(now, total, age);
    }

    /// Starts to watch an analysis; returns its number.
    pub fn analysis_began(&mut self, now: Duration) -> u64 {
        self.overdue.begin(now)
    }

    pub fn analysis_ended(&mut self, number: u64) {
        self.overdue.end(number);
    }

    /// Takes in where the time of an analysis went.
    pub fn analysed(&mut self, now: Duration, times: StageTimes, met_a_pause: bool) {
        self.recorder.analysed(now, times, met_a_pause);
    }

    /// Takes in how long a frame was inside.
    pub fn record_delay(&mut self, now: Duration, delay: Duration) {
        self.delay.record(now, delay);
    }

    /// Returns `delay` if it is longer than the property `latency` and that is to be warned of now.
    pub fn exceeding(&mut self, now: Duration, delay: Duration) -> Option<Duration> {
        let exceeded = self.delay.fixed().is_some_and(|fixed| delay > fixed);
        let silent = |at: Duration| now.saturating_sub(at) < EXCEEDED_INTERVAL;
        if !exceeded || self.exceeded_at.is_some_and(silent) {
            return None;
        }
        self.exceeded_at = Some(now);
        Some(delay)
    }

    /// Follows the property `active`. Frames that are not analysed stay no time, and frames that are again stay as long as
    /// an analysis takes: another delay is declared at once.
    pub fn follow_active(&mut self, active: bool) {
        self.delay.restart(match active {
            true => self.recorder.last_processing().unwrap_or_default(),
            false => Duration::ZERO,
        });
    }

    /// Has the next LATENCY message be due although the delay has not changed.
    pub fn tell_latency_again(&mut self) {
        self.delay.tell_again();
    }

    pub fn restart_window(&mut self) {
        self.recorder.restart_window();
    }

    /// When the next message is due; `None` before the first frame.
    pub fn next_due(&self, stats_interval: Option<Duration>, live: bool) -> Option<Duration> {
        if self.recorder.counters().received == 0 {
            return None;
        }
        let stats = stats_interval.map(|i| self.stats_at.unwrap_or_default().saturating_add(i));
        let latency = self.delay.message_due().filter(|_| live);
        let overdue = self.overdue.due();
        [stats, latency, overdue].into_iter().flatten().min()
    }

    /// Takes all messages that are due now. LATENCY messages are for live sources only.
    pub fn take_due(&mut self, now: Duration, stats_interval: Option<Duration>, live: bool) -> Due {
        Due {
            latency: self.take_latency(now, live),
            overdue: self.overdue.take(now),
            stats: self.take_stats(now, stats_interval),
        }
    }

    /// The delay to make known, if it has changed and the last LATENCY message is a second ago.
    pub fn take_latency(&mut self, now: Duration, live: bool) -> Option<Duration> {
        (live && self.delay.take_message(now)).then(|| self.delay.get())
    }

    fn take_stats(&mut self, now: Duration, interval: Option<Duration>) -> bool {
        let Some(interval) = interval else {
            return false;
        };
        let due = match self.stats_at {
            None => false, // the first interval begins with the first frame
            Some(at) if now >= at.saturating_add(interval) => true,
            Some(_) => return false,
        };
        self.stats_at = Some(now);
        due
    }

    /// The counters for a QoS message, if one may be posted now.
    pub fn take_qos(&mut self, now: Duration) -> Option<Counters> {
        let silent = |at: Duration| now.saturating_sub(at) < QOS_INTERVAL;
        if self.qos_at.is_some_and(silent) {
            return None;
        }
        self.qos_at = Some(now);
        Some(self.recorder.counters())
    }

    pub fn snapshot(&self, now: Duration, stats_interval: Option<Duration>) -> Snapshot {
        self.recorder
            .snapshot(now, stats_interval.unwrap_or_default())
    }

    /// The declared delay.
    pub fn delay(&self) -> Duration {
        self.delay.get()
    }

    /// Mean time of one analysis; the declared delay if nothing was analysed lately.
    pub fn cycle(&self, now: Duration) -> Duration {
        let processing = self.recorder.mean_processing(now);
        processing.unwrap_or(self.delay.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_interval_of_statistics_begins_with_the_first_frame() {
        let mut reports = Reports::default();
        assert_eq!(reports.next_due(Some(SECOND), false), None);
        reports.frame_received(SECOND * 5);
        assert_eq!(reports.next_due(Some(SECOND), false), Some(SECOND));
        assert!(!reports.take_due(SECOND * 5, Some(SECOND), false).stats);
        assert_eq!(reports.next_due(Some(SECOND), false), Some(SECOND * 6));
        assert!(!reports.take_due(SECOND * 6, None, false).stats);
        assert!(reports.take_due(SECOND * 6, Some(SECOND), false).stats);
        assert!(!reports.take_due(SECOND * 6, Some(SECOND), false).stats);
    }

    #[test]
    fn a_latency_message_is_for_a_live_source() {
        let mut reports = Reports::default();
        reports.start(SECOND, None);
        reports.record_delay(SECOND * 3, SECOND * 2);
        assert_eq!(reports.take_latency(SECOND * 3, false), None);
        let told = reports.take_latency(SECOND * 3, true);
        assert!(told.is_some_and(|delay| delay >= SECOND * 2), "{told:?}");
        assert_eq!(reports.take_latency(SECOND * 9, true), None);
    }

    #[test]
    fn a_delay_beyond_the_property_is_warned_of_now_and_then() {
        let mut reports = Reports::default();
        reports.start(SECOND, Some(SECOND * 2));
        assert_eq!(reports.exceeding(SECOND, SECOND * 2), None);
        let warned: Vec<_> = [1, 5, 10, 11]
            .into_iter()
            .filter(|at| reports.exceeding(SECOND * *at, SECOND * 3).is_some())
            .collect();
        assert_eq!(warned, [1, 11]);
    }

    #[test]
    fn drops_are_reported_once_a_second() {
        let mut reports = Reports::default();
        reports.frame_dropped(DropReason::Busy);
        let dropped = |counters: Counters| counters.dropped();
        assert_eq!(reports.take_qos(SECOND).map(dropped), Some(1));
        reports.frame_dropped(DropReason::Late);
        assert_eq!(reports.take_qos(SECOND + SECOND / 2), None);
        assert_eq!(reports.take_qos(SECOND * 2).map(dropped), Some(2));
    }
}
