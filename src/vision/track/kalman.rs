//! [`Motion`]: position and speed of one object, from a Kalman filter over centre and size of its box.
//!
//! Centre x, centre y, width and height each have their own filter with the state (value, speed). The usual filter of
//! eight states splits into these four, because nothing couples them. Between two analyses `dt` seconds apart the value
//! moves at its speed, and the speed fades with the time constant `fade`:
//!
//! ```text
//!   value += speed · fade · (1 - exp(-dt / fade))        speed *= exp(-dt / fade)
//! ```
//!
//! Acceleration is white noise. All deviations are shares of the object's size, the square root of its area: a large
//! box is measured less exactly in pixels, and a near object moves faster.
//!
//! A measurement that is off by more than [`SURPRISE`] deviations means that the object has turned or stopped. For this
//! step its speed is then taken to be so uncertain that the measurement becomes ordinary. So the filter is quiet on
//! steady motion and still follows within an analysis or two.
//!
//! Between two measurements only a share of the predicted way is shown, for the centre and for the size, as much as
//! earlier predictions were worth. With `f` the predicted way from one measurement to the next, and `h` the real one,
//! in sizes of the object:
//!
//! ```text
//!   share = 1.5 · (p + sum f · h) / (p + sum f · f), within 0..=1; the sums forget a fifth with each measurement
//! ```
//!
//! The share starts at 1 and stays there for steady motion; it falls for an object that trembles in place.

use crate::base::geometry::BBox;
use std::time::Duration;

/// Longest time for which a box is moved on after the newest analysis; then it stays where it is.
pub const HORIZON: Duration = Duration::from_secs(1);
/// Smallest share of its width and height that a shrinking box keeps until it is measured again.
const LEAST: f64 = 0.5;
/// Deviations from the prediction above which an object is taken to have changed its speed.
const SURPRISE: f64 = 3.0;

/// Share of its variance that the square of a speed must exceed to be believed at all; at twice that it is fully
/// believed.
const DOUBT: f64 = 0.1;

/// Share of the sums of an [`Evidence`] that remains after a new measurement.
const EVIDENCE_KEPT: f64 = 0.8;
/// Factor by which predictions are fully believed once two thirds of them came true.
const EVIDENCE_ENOUGH: f64 = 1.5;
/// The prior `p` for the centre and for the size, in squares of the object's size.
const BELIEF: [f64; 2] = [3e-4, 1e-2];

/// Prior knowledge of a value and its measurement. Deviations are in sizes of the object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Deviation of a measured value.
    pub measurement: f64,
    /// Deviation of the change of speed within a second, per second.
    pub acceleration: f64,
    /// Deviation of the speed of an object seen for the first time, per second.
    pub speed: f64,
    /// Seconds after which a speed has fallen to 37 %.
    pub fade: f64,
}

/// Noise of centre and size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionModel {
    /// Noise of the centre.
    pub centre: Noise,
    /// Noise of width and height.
    pub size: Noise,
}

impl Default for MotionModel {
    /// Returns the values with which predicted boxes fit best on two clips of streets, found by searching value by
    /// value. The clips are in `tests/reference/track_clips.rs`.
    fn default() -> Self {
        Self {
            centre: Noise {
                measurement: 0.03,
                acceleration: 0.5,
                speed: 2.0,
                fade: 30.0,
            },
            size: Noise {
                measurement: 0.02,
                acceleration: 0.1,
                speed: 0.3,
                fade: 0.5,
            },
        }
    }
}

/// A value, its speed, and the uncertainty of both.
#[derive(Debug, Clone, Copy)]
struct Axis {
    value: f64,
    speed: f64,
    /// Variance of the value; `vs` and `ss` are the covariance with the speed and the variance of the speed.
    vv: f64,
    vs: f64,
    ss: f64,
}

impl Axis {
    fn new(value: f64, scale: f64, noise: &Noise) -> Self {
        Self {
            value,
            speed: 0.0,
            vv: (noise.measurement * scale).powi(2),
            vs: 0.0,
            ss: (noise.speed * scale).powi(2),
        }
    }

    fn advance(&mut self, dt: f64, scale: f64, noise: &Noise) {
        let (reach, kept) = fading(dt, noise.fade);
        self.value += self.speed * reach;
        self.speed *= kept;
        self.vv += 2.0 * self.vs * reach + self.ss * reach * reach;
        self.vs = kept * (self.vs + self.ss * reach);
        self.ss *= kept * kept;
        self.agitate((noise.acceleration * scale).powi(2), dt);
    }

    /// Adds the effect of an acceleration of this density during `dt`.
    fn agitate(&mut self, density: f64, dt: f64) {
        self.vv += density * dt.powi(3) / 3.0;
        self.vs += density * dt.powi(2) / 2.0;
        self.ss += density * dt;
    }

    fn correct(&mut self, measured: f64, dt: f64, scale: f64, noise: &Noise) {
        let variance = (noise.measurement * scale).powi(2);
        let difference = measured - self.value;
        let lacking = (difference / SURPRISE).powi(2) - self.vv - variance;
        if lacking > 0.0 && dt > 0.0 {
            // The speed has changed since the last measurement.
            self.vv += lacking;
            self.vs += lacking / dt;
            self.ss += lacking / dt.powi(2);
        }
        let sum = self.vv + variance;
        let (value_gain, speed_gain) = (self.vv / sum, self.vs / sum);
        self.value += value_gain * difference;
        self.speed += speed_gain * difference;
        self.ss -= speed_gain * self.vs;
        self.vs *= 1.0 - value_gain;
        self.vv *= 1.0 - value_gain;
    }

    fn after(&self, dt: f64, noise: &Noise) -> f64 {
        self.value + self.believed_speed() * fading(dt, noise.fade).0
    }

    /// Returns the speed, or 0 if it is so small beside its own uncertainty that the object may be parked.
    fn believed_speed(&self) -> f64 {
        let clear = self.speed * self.speed / self.ss.max(f64::MIN_POSITIVE);
        self.speed * (clear / DOUBT - 1.0).clamp(0.0, 1.0)
    }
}

/// Returns the way covered at a speed of 1 in `dt`, and the speed that is left.
fn fading(dt: f64, fade: f64) -> (f64, f64) {
    let share = dt / fade;
    (-fade * (-share).exp_m1(), (-share).exp())
}

/// Records how much predictions were worth.
#[derive(Debug, Clone, Copy, Default)]
struct Evidence {
    /// Sum of predicted times real ways.
    happened: f64,
    /// Sum of squared predicted ways.
    foreseen: f64,
}

impl Evidence {
    fn forget(&mut self) {
        self.happened *= EVIDENCE_KEPT;
        self.foreseen *= EVIDENCE_KEPT;
    }

    fn add(&mut self, foreseen: f64, happened: f64) {
        self.happened += foreseen * happened;
        self.foreseen += foreseen * foreseen;
    }

    fn share(&self, belief: f64) -> f64 {
        let worth = (belief + self.happened) / (belief + self.foreseen);
        (EVIDENCE_ENOUGH * worth).clamp(0.0, 1.0)
    }
}

/// Position, size and speed of one object.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    model: MotionModel,
    /// Centre x, centre y, width, height.
    axes: [Axis; 4],
    /// Values after the last measurement.
    measured: [f64; 4],
    /// Evidence for the centre and for the size.
    evidence: [Evidence; 2],
    at: Duration,
}

impl Motion {
    /// Starts with an object first seen now; `measured` is finite and not empty.
    pub fn new(measured: &BBox, now: Duration, model: MotionModel) -> Self {
        let values = centre_form(measured);
        let scale = scale(values);
        let noises = noises(&model);
        Self {
            model,
            axes: std::array::from_fn(|i| Axis::new(values[i], scale, noises[i])),
            measured: values,
            evidence: Default::default(),
            at: now,
        }
    }

    /// Advances to `now` without a measurement.
    pub fn advance(&mut self, now: Duration) {
        let dt = now.saturating_sub(self.at).as_secs_f64();
        let values = self.axes.map(|axis| axis.value);
        for (axis, noise) in self.axes.iter_mut().zip(noises(&self.model)) {
            axis.advance(dt, scale(values), noise);
        }
        self.at = self.at.max(now);
        self.keep_size(values);
    }

    /// Adds a measurement at the time of the last [`Motion::advance`], `since` after the previous one.
    pub fn correct(&mut self, measured: &BBox, since: Duration) {
        let values = centre_form(measured);
        let scale = scale(values);
        let dt = since.as_secs_f64();
        self.evidence.iter_mut().for_each(Evidence::forget);
        for (i, axis) in self.axes.iter().enumerate() {
            let way = |value: f64| (value - self.measured[i]) / scale;
            self.evidence[i / 2].add(way(axis.value), way(values[i]));
        }
        let measured = values.into_iter().zip(noises(&self.model));
        for (axis, (value, noise)) in self.axes.iter_mut().zip(measured) {
            axis.correct(value, dt, scale, noise);
        }
        self.keep_size(values);
        self.measured = self.axes.map(|axis| axis.value);
    }

    /// Returns the box at a time not before the last step.
    pub fn at(&self, time: Duration) -> BBox {
        self.moved(self.measured, self.axes.map(|axis| axis.value), time)
    }

    /// Moves a box of this object from the time of the last step to `time`.
    pub fn carry(&self, bbox: &BBox, time: Duration) -> BBox {
        let values = centre_form(bbox);
        self.moved(values, values, time)
    }

    /// Predicts the box at `time`, from values measured at `from` that would be `values` by now.
    fn moved(&self, from: [f64; 4], values: [f64; 4], time: Duration) -> BBox {
        let dt = time.saturating_sub(self.at).min(HORIZON).as_secs_f64();
        let noises = noises(&self.model);
        let [cx, cy, width, height] = std::array::from_fn(|i| {
            let axis = Axis {
                value: values[i],
                ..self.axes[i]
            };
            let share = self.evidence[i / 2].share(BELIEF[i / 2]);
            (from[i] + share * (axis.after(dt, noises[i]) - from[i])) as f32
        });
        let least = |i: usize| (values[i] * LEAST) as f32;
        BBox::from_centre(cx, cy, width.max(least(2)), height.max(least(3)))
    }

    /// Keeps width and height above a share of those in `values`, so that they stay above 0.
    fn keep_size(&mut self, values: [f64; 4]) {
        for (axis, value) in self.axes.iter_mut().zip(values).skip(2) {
            if axis.value < value * LEAST {
                (axis.value, axis.speed) = (value * LEAST, 0.0);
            }
        }
    }
}

fn noises(model: &MotionModel) -> [&Noise; 4] {
    [&model.centre, &model.centre, &model.size, &model.size]
}

fn centre_form(bbox: &BBox) -> [f64; 4] {
    let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
    [(x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1]
}

fn scale(values: [f64; 4]) -> f64 {
    (values[2] * values[3]).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn follow(steps: u64, interval: u64, place: impl Fn(f32) -> BBox) -> Motion {
        let mut motion = Motion::new(&place(0.0), Duration::ZERO, MotionModel::default());
        for step in 1..steps {
            motion.advance(ms(step * interval));
            motion.correct(&place((step * interval) as f32 / 1000.0), ms(interval));
        }
        motion
    }

    fn close(found: &BBox, wanted: &BBox, tolerance: f32) -> bool {
        let pairs = [
            (found.x1, wanted.x1),
            (found.y1, wanted.y1),
            (found.x2, wanted.x2),
            (found.y2, wanted.y2),
        ];
        pairs.iter().all(|(a, b)| (a - b).abs() <= tolerance)
    }

    #[test]
    fn a_speed_is_learnt_from_the_second_measurement_on() {
        let place = |t: f32| BBox::from_centre(100.0 * t, -50.0 * t, 40.0, 60.0);
        for interval in [33, 200, 1000] {
            for steps in [if interval < 100 { 6 } else { 2 }, 10] {
                let motion = follow(steps, interval, place);
                let last = (steps - 1) * interval;
                let (found, wanted) = (
                    motion.at(ms(last + 300)),
                    place((last + 300) as f32 / 1000.0),
                );
                assert!(
                    close(&found, &wanted, 4.0),
                    "{interval}, {steps}: {found:?} {wanted:?}"
                );
            }
        }
    }

    #[test]
    fn the_foresight_has_an_end() {
        let motion = follow(10, 100, |t| BBox::from_centre(100.0 * t, 0.0, 40.0, 60.0));
        let (end, later) = (ms(900) + HORIZON, ms(900) + HORIZON * 5);
        assert_eq!(motion.at(end), motion.at(later));
        assert!(motion.at(end).x1 > motion.at(ms(1500)).x1);
    }

    #[test]
    fn an_object_that_shrinks_keeps_a_size() {
        let mut motion = follow(10, 100, |t| {
            BBox::from_centre(0.0, 0.0, 101.0 - 110.0 * t, 50.0)
        });
        assert!(motion.at(ms(3000)).width() > 0.0);
        for step in 10..40 {
            motion.advance(ms(step * 100));
            assert!(motion.at(ms(step * 100)).area() > 0.0);
        }
    }

    #[test]
    fn a_time_that_has_passed_moves_nothing() {
        let mut motion = follow(10, 100, |t| BBox::from_centre(100.0 * t, 0.0, 40.0, 60.0));
        let before = motion.at(ms(900));
        assert_eq!(motion.at(ms(100)), before);
        motion.advance(ms(100));
        assert_eq!(motion.at(ms(900)), before);
    }

    #[test]
    fn what_trembles_is_shown_on_its_place() {
        let place = |step: u64| {
            let off = [0.0, 1.0, -0.5, -1.0, 0.5, 1.0, 0.0, -1.0][step as usize % 8];
            BBox::from_centre(100.0 + off, 100.0, 40.0 + off, 60.0)
        };
        let mut motion = Motion::new(&place(0), Duration::ZERO, MotionModel::default());
        for step in 1..40 {
            motion.advance(ms(step * 200));
            motion.correct(&place(step), ms(200));
            let (now, later) = (motion.at(ms(step * 200)), motion.at(ms(step * 200 + 400)));
            assert!(
                step < 8 || close(&now, &later, 0.4),
                "step {step}: {now:?} {later:?}"
            );
        }
        let shares = motion.evidence.iter().zip(BELIEF);
        assert!(shares.into_iter().any(|(e, belief)| e.share(belief) < 1.0));
    }

    #[test]
    fn what_moves_steadily_is_believed_wholly() {
        let motion = follow(10, 200, |t| {
            BBox::from_centre(100.0 * t, 0.0, 40.0 + 5.0 * t, 60.0)
        });
        let shares = motion.evidence.iter().zip(BELIEF);
        assert!(shares.into_iter().all(|(e, belief)| e.share(belief) == 1.0));
    }

    #[test]
    fn a_box_is_carried_like_its_object() {
        let motion = follow(10, 100, |t| BBox::from_centre(100.0 * t, 0.0, 40.0, 60.0));
        let other = BBox::from_centre(500.0, 70.0, 20.0, 20.0);
        let carried = motion.carry(&other, ms(1100));
        assert!(
            close(&carried, &BBox::from_centre(520.0, 70.0, 20.0, 20.0), 1.0),
            "{carried:?}"
        );
    }

    #[test]
    fn one_step_is_as_good_as_many() {
        let start = follow(3, 200, |t| {
            BBox::from_centre(100.0 * t, 5.0 * t, 40.0, 60.0)
        });
        let (mut once, mut often) = (start.clone(), start);
        once.advance(ms(1000));
        (5..=10).for_each(|step| often.advance(ms(step * 100)));
        assert!(close(&once.at(ms(1000)), &often.at(ms(1000)), 0.01));
        let (a, b) = (once.axes[0], often.axes[0]);
        assert!((a.vv / b.vv - 1.0).abs() < 0.05 && (a.ss / b.ss - 1.0).abs() < 0.05);
    }
}
