//! [`Pace`]: which frames are offered for analysis.
//!
//! Every `interval`-th frame is offered, and no more than `max_rate` a second. The rate is kept over time: an analysis
//! that came late because of the frame rate does not delay the next. So 10 a second from a camera with 30 frames a
//! second is every third frame, and 8 a second are eight. `now` is the time since any fixed origin.

use std::time::Duration;

/// Limits set by the user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceOptions {
    /// Offers every Nth frame; 0 counts as 1.
    pub interval: u32,
    /// Most analyses a second; 0 = no limit.
    pub max_rate: f64,
}

/// Counts frames, and decides which are offered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pace {
    /// Frames since the last one offered.
    skipped: u32,
    /// Time from which the rate allows the next frame; `None` before the first.
    due: Option<Duration>,
    /// Whether any frame has been counted.
    begun: bool,
}

impl Pace {
    /// Counts a frame that could not be analysed.
    pub fn skip(&mut self) {
        self.skipped = self.skipped.saturating_add(1);
    }

    /// Returns whether the frame that arrived at `now` is offered. The first frame is.
    pub fn offers(&mut self, now: Duration, options: PaceOptions) -> bool {
        self.skip();
        let nth = !self.begun || self.skipped >= options.interval.max(1);
        self.begun = true;
        if !nth {
            return false;
        }
        if options.max_rate > 0.0 {
            let period = Duration::try_from_secs_f64(1.0 / options.max_rate);
            let period = period.unwrap_or(Duration::MAX);
            // The rate may have been lower when this was set.
            let due = self.due.unwrap_or(now).min(now.saturating_add(period));
            self.due = Some(due);
            if now < due {
                return false;
            }
            // After a gap of more than a period, the missed analyses are not caught up.
            let next = due.saturating_add(period);
            self.due = Some(if next > now {
                next
            } else {
                now.saturating_add(period)
            });
        } else {
            self.due = None;
        }
        self.skipped = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the numbers of the frames offered out of `count` at 30 a second.
    fn offered(interval: u32, max_rate: f64, count: u32) -> Vec<u32> {
        let mut pace = Pace::default();
        let options = PaceOptions { interval, max_rate };
        let frame = Duration::from_secs(1) / 30;
        (0..count)
            .filter(|n| pace.offers(frame * *n, options))
            .collect()
    }

    #[test]
    fn every_nth_frame_beginning_with_the_first() {
        assert_eq!(offered(1, 0.0, 4), [0, 1, 2, 3]);
        assert_eq!(offered(0, 0.0, 3), [0, 1, 2]);
        assert_eq!(offered(3, 0.0, 8), [0, 3, 6]);
    }

    #[test]
    fn a_rate_is_kept_over_time() {
        for rate in [0.5, 1.0, 7.0, 8.0, 10.0, 29.0, 30.0, 100.0] {
            let count = offered(1, rate, 300).len() as f64;
            let wanted = (rate * 10.0).min(300.0);
            assert!(
                (count - wanted).abs() <= 1.0,
                "{count} offered, wanted {wanted}"
            );
        }
    }

    #[test]
    fn both_limits_hold() {
        let both = offered(6, 2.0, 300);
        assert!(
            both.windows(2).all(|pair| pair[1] - pair[0] >= 6),
            "{both:?}"
        );
        assert!((19..=21).contains(&both.len()), "{both:?}");
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::default();
        let options = PaceOptions {
            interval: 1,
            max_rate: 10.0,
        };
        let ms = Duration::from_millis;
        assert!(pace.offers(ms(0), options));
        assert!(pace.offers(ms(5000), options));
        assert!(!pace.offers(ms(5050), options));
        assert!(pace.offers(ms(5100), options));
    }

    #[test]
    fn frames_that_nobody_could_analyse_count() {
        let mut pace = Pace::default();
        let mut offers = |free| {
            let options = PaceOptions {
                interval: 3,
                max_rate: 0.0,
            };
            match free {
                true => pace.offers(Duration::ZERO, options),
                false => {
                    pace.skip();
                    false
                }
            }
        };
        let free = [true, false, false, false, true, true, true, true];
        let offered = free.map(&mut offers);
        assert_eq!(
            offered,
            [true, false, false, false, true, false, false, true]
        );
    }

    #[test]
    fn a_higher_rate_holds_at_once() {
        let mut pace = Pace::default();
        let mut offers = |ms, max_rate| {
            let options = PaceOptions {
                interval: 1,
                max_rate,
            };
            pace.offers(Duration::from_millis(ms), options)
        };
        assert!(offers(0, 0.01));
        assert!(!offers(1000, 10.0));
        assert!(offers(1100, 10.0));
    }

    #[test]
    fn odd_rates_do_no_harm() {
        for rate in [f64::MIN_POSITIVE, f64::INFINITY, f64::NAN, -1.0] {
            assert_eq!(offered(1, rate, 5)[0], 0, "{rate}");
        }
    }
}
