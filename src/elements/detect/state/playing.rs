//! [`Playing`]: whether the pipeline plays, and which frames lay still while it did not.

use std::time::Duration;

/// Whether the pipeline plays. `now` is the time since the element's origin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Playing {
    plays: bool,
    /// PLAYING was left and has not been entered again.
    paused: bool,
    /// When PLAYING was entered again.
    resumed: Duration,
    /// When PLAYING was entered last.
    entered: Duration,
    /// Time spent in PLAYING before that.
    played: Duration,
}

impl Playing {
    /// Notes that PLAYING is entered or left. Returns whether a pause ends.
    pub fn set(&mut self, plays: bool, now: Duration) -> bool {
        let resumes = plays && self.paused;
        self.paused = !plays && (self.plays || self.paused);
        if plays != self.plays {
            self.played = self.time(now);
            self.entered = now;
        }
        self.plays = plays;
        if resumes {
            self.resumed = now;
        }
        resumes
    }

    pub fn is_on(self) -> bool {
        self.plays
    }

    /// Time spent in PLAYING until `now`: the running time, as far as it is known without a clock.
    pub fn time(self, now: Duration) -> Duration {
        let further = match self.plays {
            true => now.saturating_sub(self.entered),
            false => Duration::ZERO,
        };
        self.played + further
    }

    /// Whether a frame that came in at `arrived`, and is still inside, has met a pause, so that the time it stays says nothing
    /// about the element. The first preroll is no pause.
    pub fn met_a_pause(self, arrived: Duration) -> bool {
        self.paused || arrived < self.resumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_before_and_during_a_pause_have_met_it() {
        const MS: Duration = Duration::from_millis(1);
        let mut playing = Playing::default();
        assert!(!playing.set(false, MS), "a preroll is no pause");
        assert!(!playing.met_a_pause(MS));
        assert!(!playing.set(true, MS * 2));
        assert!(playing.is_on() && !playing.met_a_pause(MS));
        assert!(!playing.set(false, MS * 10));
        assert!(!playing.is_on() && playing.met_a_pause(MS * 9) && playing.met_a_pause(MS * 11));
        assert!(playing.set(true, MS * 20));
        assert!(playing.is_on() && playing.met_a_pause(MS * 19));
        assert!(!playing.met_a_pause(MS * 20));
    }

    #[test]
    fn time_passes_while_it_plays() {
        const MS: Duration = Duration::from_millis(1);
        let mut playing = Playing::default();
        assert_eq!(playing.time(MS * 9), Duration::ZERO);
        playing.set(true, MS * 10);
        playing.set(true, MS * 11);
        assert_eq!(playing.time(MS * 15), MS * 5);
        playing.set(false, MS * 20);
        assert_eq!(playing.time(MS * 90), MS * 10);
        playing.set(true, MS * 100);
        assert_eq!(playing.time(MS * 101), MS * 11);
    }
}
