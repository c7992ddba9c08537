//! [`Overdue`]: analyses that take so long that the user should know.
//!
//! An analysis that takes longer than [`LIMIT`] is reported again and again while it lasts, but at most once per
//! [`INTERVAL`] for all of them. `now` is the time since any fixed origin.

use std::time::Duration;

/// Time after which an analysis is reported. No model of use for live video takes longer.
pub const LIMIT: Duration = Duration::from_secs(5);
/// Shortest time between two reports.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// The analyses under way.
#[derive(Debug, Default)]
pub struct Overdue {
    /// Number and start of each analysis.
    running: Vec<(u64, Duration)>,
    next: u64,
    reported_at: Option<Duration>,
}

impl Overdue {
    /// Begins an analysis and returns its number.
    pub fn begin(&mut self, now: Duration) -> u64 {
        let number = self.next;
        self.next += 1;
        self.running.push((number, now));
        number
    }

    /// Ends an analysis.
    pub fn end(&mut self, number: u64) {
        self.running.retain(|(running, _)| *running != number);
    }

    /// Forgets all analyses. Numbers count on.
    pub fn clear(&mut self) {
        self.running.clear();
    }

    /// Returns when the next report is due, if no analysis ends before.
    pub fn due(&self) -> Option<Duration> {
        let began = self.began()?;
        let silence = self.reported_at.map_or(Duration::ZERO, |at| at + INTERVAL);
        Some((began + LIMIT).max(silence))
    }

    /// Returns how long the longest analysis has taken, if a report is due now, and counts it as reported.
    pub fn take(&mut self, now: Duration) -> Option<Duration> {
        self.due().filter(|due| *due <= now)?;
        self.reported_at = Some(now);
        Some(now.saturating_sub(self.began()?))
    }

    fn began(&self) -> Option<Duration> {
        self.running.iter().map(|(_, began)| *began).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_ends_in_time_is_not_told() {
        let mut overdue = Overdue::default();
        for second in 0..100 {
            let number = overdue.begin(SECOND * second);
            assert_eq!(overdue.take(SECOND * second + LIMIT / 2), None);
            overdue.end(number);
        }
        assert_eq!(overdue.due(), None);
    }

    #[test]
    fn the_longest_is_told_and_told_again_while_it_lasts() {
        let mut overdue = Overdue::default();
        let stuck = overdue.begin(SECOND);
        let other = overdue.begin(SECOND * 2);
        assert_eq!(overdue.due(), Some(SECOND + LIMIT));
        assert_eq!(overdue.take(LIMIT), None);
        assert_eq!(overdue.take(SECOND + LIMIT), Some(LIMIT));
        assert_eq!(overdue.take(SECOND + LIMIT + INTERVAL / 2), None);
        let again = SECOND + LIMIT + INTERVAL;
        assert_eq!(overdue.due(), Some(again));
        assert_eq!(overdue.take(again), Some(LIMIT + INTERVAL));
        overdue.end(stuck);
        assert_eq!(overdue.due(), Some(again + INTERVAL), "{other} lasts too");
        overdue.clear();
        assert_eq!(overdue.due(), None);
        assert!(overdue.begin(SECOND) > other, "no number is used again");
    }
}
