//! [`slowness`]: how much longer than usual this machine computes, for limits of time that must hold on slow boards too.

use super::child::thread_time;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

/// Letters of a text that is checked, of two bytes each: few enough for the second cache of a board.
const LETTERS: usize = 128 << 10;
/// Shortest of so many counts: others disturb some.
const ROUNDS: usize = 8;
/// Twice the time on one core of a server of 2023, which may share the core with another program.
const USUAL: Duration = Duration::from_micros(240);
/// A slower machine is not waited for any longer.
const MOST: f64 = 8.0;

/// Returns the factor, 1 for a usual machine and for a faster one. The first call takes a few milliseconds; whatever else
/// the machine does has no influence.
pub fn slowness() -> f64 {
    static FACTOR: OnceLock<f64> = OnceLock::new();
    *FACTOR.get_or_init(|| factor(measure()))
}

fn factor(time: Option<Duration>) -> f64 {
    // A machine that cannot tell is taken for a slow one.
    time.map_or(MOST, |time| time.div_duration_f64(USUAL).clamp(1.0, MOST))
}

/// Returns the least processor time of a piece of work.
fn measure() -> Option<Duration> {
    let text = "é".repeat(LETTERS);
    let round = || {
        let begin = thread_time()?;
        // Code of the standard library, which is compiled for speed in every build of ours.
        black_box(std::str::from_utf8(black_box(text.as_bytes())).is_ok());
        thread_time()?.checked_sub(begin)
    };
    (0..ROUNDS).filter_map(|_| round()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_has_more_time_up_to_a_bound() {
        let of = |micros: u64| factor(Some(Duration::from_micros(micros)));
        assert_eq!([of(1), of(240), of(960), of(60_000)], [1.0, 1.0, 4.0, MOST]);
        assert_eq!(factor(None), MOST);
    }

    #[test]
    fn the_machine_is_measured() {
        assert!(measure().is_some_and(|time| !time.is_zero()));
        assert!((1.0..=MOST).contains(&slowness()));
    }
}
