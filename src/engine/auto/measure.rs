//! [`measure`]: compares the time of several engines within a bounded time.

use std::time::Duration;

/// Most rounds; more would not move a median.
const MAX_ROUNDS: usize = 50;
/// A runner that takes this many times the shortest time is not run again, to leave time to the others.
const OUT_OF_SIGHT: u32 = 3;
/// A first run, which is often slow, excludes a runner only if it took this part of the budget.
const LONG_WARM_UP: u32 = 4;

/// Returns the median time of each of `count` runners, or its error.
///
/// Each runs once to warm up. Then they take turns, so that a drift of the machine's speed affects all alike, until
/// another run would exceed `budget`. Each runner that is not excluded runs at least once more. `now` is a clock that
/// begins at zero.
pub(super) fn measure<E>(
    count: usize,
    budget: Duration,
    now: &mut dyn FnMut() -> Duration,
    run: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Vec<Result<Duration, E>> {
    let mut timed = |index| {
        let begin = now();
        run(index).map(|()| {
            let end = now();
            (end.saturating_sub(begin), end)
        })
    };
    let mut runners: Vec<Result<Runner, E>> = (0..count)
        .map(|index| timed(index).map(|(time, end)| Runner::new(time, end)))
        .collect();
    'rounds: for round in 0..MAX_ROUNDS {
        let least = runners.iter().flatten().map(|r| r.least).min();
        let out_of_sight = least.unwrap_or_default() * OUT_OF_SIGHT;
        for index in 0..count {
            let end = runners.iter().flatten().map(|r| r.end).max();
            let Ok(runner) = &mut runners[index] else {
                continue;
            };
            let judged = round > 0 || runner.least > budget / LONG_WARM_UP;
            if judged && runner.least > out_of_sight {
                continue;
            }
            if round > 0 && end.unwrap_or_default() + runner.least > budget {
                break 'rounds;
            }
            match timed(index) {
                Ok((time, end)) => runner.has_run(time, end),
                Err(error) => runners[index] = Err(error),
            }
        }
    }
    let time = |runner: Result<Runner, E>| runner.map(Runner::time);
    runners.into_iter().map(time).collect()
}

/// Measurements of a runner that has not failed.
struct Runner {
    /// Shortest run, the first included.
    least: Duration,
    /// End of its last run.
    end: Duration,
    /// Times of the runs that count.
    times: Vec<Duration>,
}

impl Runner {
    fn new(warm_up: Duration, end: Duration) -> Self {
        Self {
            least: warm_up,
            end,
            times: Vec::new(),
        }
    }

    fn has_run(&mut self, time: Duration, end: Duration) {
        self.least = self.least.min(time);
        self.end = end;
        self.times.push(time);
    }

    /// Returns the median, or the time of the first run if that excluded the runner.
    fn time(mut self) -> Duration {
        self.times.sort_unstable();
        let median = self.times.get(self.times.len() / 2);
        median.copied().unwrap_or(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const BUDGET: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Measures runners whose runs take what `time` returns for their index and the number of runs so far. Returns the
    /// order of the runs.
    fn measured(
        count: usize,
        time: impl Fn(usize, &[usize]) -> Result<Duration, &'static str>,
    ) -> (Vec<Result<Duration, &'static str>>, Vec<usize>, Duration) {
        let (clock, order) = (RefCell::new(Duration::ZERO), RefCell::new(Vec::new()));
        let results = measure(count, BUDGET, &mut || *clock.borrow(), &mut |index| {
            let time = time(index, &order.borrow());
            order.borrow_mut().push(index);
            *clock.borrow_mut() += time?;
            Ok(())
        });
        (results, order.into_inner(), clock.into_inner())
    }

    #[test]
    fn runners_take_turns_until_the_time_is_over() {
        let (results, order, took) = measured(2, |index, _| Ok(ms([60, 40][index])));
        assert_eq!(results, [Ok(ms(60)), Ok(ms(40))]);
        assert!(
            order.chunks_exact(2).all(|turn| turn == [0, 1]),
            "{order:?}"
        );
        assert!(took > ms(900) && took <= BUDGET, "{took:?}");
    }

    #[test]
    fn the_first_run_does_not_count() {
        let cold = |index: usize, so_far: &[usize]| {
            Ok(ms(match so_far.contains(&index) {
                false => [80, 60][index],
                true => [30, 50][index],
            }))
        };
        assert_eq!(measured(2, cold).0, [Ok(ms(30)), Ok(ms(50))]);
    }

    #[test]
    fn medians_are_compared() {
        // Every fifth run of the first is disturbed by others.
        let disturbed = |index: usize, so_far: &[usize]| {
            let runs = so_far.iter().filter(|i| **i == index).count();
            Ok(ms(if index == 0 && runs % 5 == 4 {
                200
            } else {
                10 + 5 * index as u64
            }))
        };
        assert_eq!(measured(2, disturbed).0, [Ok(ms(10)), Ok(ms(15))]);
    }

    #[test]
    fn one_far_behind_is_not_run_again() {
        let runs_of = |index: usize, order: &[usize]| order.iter().filter(|i| **i == index).count();
        let (results, order, _) = measured(3, |index, _| Ok(ms([700, 100, 250][index])));
        assert_eq!(results[0], Ok(ms(700)));
        assert_eq!(runs_of(0, &order), 1, "{order:?}");
        let (results, order, _) = measured(2, |index, _| Ok(ms([100, 10][index])));
        assert_eq!(results, [Ok(ms(100)), Ok(ms(10))]);
        assert_eq!(runs_of(0, &order), 2, "{order:?}");
    }

    #[test]
    fn slow_ones_run_twice_whatever_it_takes() {
        let (results, order, _) = measured(2, |index, _| Ok(ms([900, 1200][index])));
        assert_eq!(
            (results, order),
            (vec![Ok(ms(900)), Ok(ms(1200))], vec![0, 1, 0, 1])
        );
    }

    #[test]
    fn a_slow_first_run_does_not_put_one_out_of_sight() {
        let cold = |index: usize, so_far: &[usize]| {
            Ok(ms(match so_far.contains(&index) {
                false => [200, 20][index],
                true => [10, 20][index],
            }))
        };
        assert_eq!(measured(2, cold).0, [Ok(ms(10)), Ok(ms(20))]);
    }

    #[test]
    fn one_that_fails_is_out() {
        let (results, order, _) = measured(3, |index, so_far| match index {
            0 => Err("at once"),
            1 if so_far.len() > 4 => Err("later"),
            _ => Ok(ms(20)),
        });
        assert_eq!(results, [Err("at once"), Err("later"), Ok(ms(20))]);
        assert_eq!(order.iter().filter(|i| **i == 0).count(), 1);
    }

    #[test]
    fn quick_ones_end_before_the_time_is_over() {
        let (_, order, took) = measured(2, |_, _| Ok(ms(1)));
        assert_eq!(order.len(), 2 * (MAX_ROUNDS + 1));
        assert!(took < ms(200));
    }
}
