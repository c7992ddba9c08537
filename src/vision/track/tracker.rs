//! [`Tracker`]: finds which detections of consecutive analyses are the same object.
//!
//! The association is that of ByteTrack, with real times in place of frame counts. An object is *tentative* when it was
//! seen once, gets a number once it was seen often enough, is *lost* while it is not seen, and is then forgotten. Every
//! update advances all objects to the frame's time and matches them with the boxes found, separately for each class.
//! There are four steps, each for what the earlier steps left over:
//!
//! 1. objects with a number, also lost ones, with detections whose IoU is at least 0.2;
//! 2. those seen by the previous analysis, with low candidates, at least 0.5;
//! 3. tentative objects with detections, at least 0.3;
//! 4. all objects with detections, at least 0.3, with both boxes grown to two and a half times their width and height:
//!    for an object that moves by more than its own size between two analyses.
//!
//! A step takes the pairs with the largest sum of IoU above the limit ([`assign`]). A detection left over becomes a new
//! tentative object; a low candidate does not.

use super::assignment::{Pair, assign};
use super::kalman::{Motion, MotionModel};
use super::numbers::Numbers;
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use std::sync::Arc;
use std::time::Duration;

/// Recommended lowest score of low candidates for [`Tracker::update`].
pub const LOW_SCORE: f32 = 0.1;

/// Factor by which width and height grow in the last step.
const GROWN: f32 = 2.5;

/// Settings of a tracker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackerOptions {
    /// Consecutive analyses that must see an object before it gets its number; at least 1.
    pub confirm_after: u32,
    /// A lost object is forgotten after more missed analyses than this ...
    pub lost_analyses: u32,
    /// ... and once this time has passed too.
    pub lost_time: Duration,
    /// Low candidates below this score are ignored.
    pub low_score: f32,
    /// Noise of the motion.
    pub motion: MotionModel,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            confirm_after: 2,
            lost_analyses: 3,
            lost_time: Duration::from_secs(1),
            low_score: LOW_SCORE,
            motion: MotionModel::default(),
        }
    }
}

/// Position of an object with a number at some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tracked {
    /// Number of the object.
    pub id: u64,
    /// Predicted box, not clipped, with class and score of the last detection.
    pub detection: Detection,
    /// Time since the frame in which it was last seen.
    pub age: Duration,
    /// Analyses since then that missed it.
    pub missed: u32,
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Track {
    /// Number; `None` while it is tentative.
    pub id: Option<u64>,
    pub class: u32,
    /// Score of the last detection that was not a low candidate.
    pub score: f32,
    /// Number of that detection.
    pub number: u64,
    pub motion: Motion,
    /// Filtered box in the frame in which it was last seen.
    pub last: BBox,
    pub seen: Duration,
    /// Time of the frame in which it was first seen.
    since: Duration,
    pub missed: u32,
    hits: u32,
    /// Box advanced to the frame of this update.
    foreseen: BBox,
}

/// Gives the detections of one object the same number.
#[derive(Debug)]
pub struct Tracker {
    options: TrackerOptions,
    tracks: Vec<Track>,
    numbers: Arc<Numbers>,
    now: Duration,
}

impl Tracker {
    /// Creates a tracker without objects, which numbers them from 1.
    pub fn new(options: TrackerOptions) -> Self {
        Self::with_numbers(options, Arc::default())
    }

    /// Creates a tracker without objects, which takes their numbers from `numbers`.
    pub fn with_numbers(options: TrackerOptions, numbers: Arc<Numbers>) -> Self {
        Self {
            options,
            tracks: Vec::new(),
            numbers,
            now: Duration::ZERO,
        }
    }

    /// Adds the analysis of the frame with the running time `now`. Returns the object number of each of `detections`;
    /// `None` for an object that was seen too seldom so far.
    ///
    /// `detections` are those reported. `low` are those with scores too low to be reported. They never begin a track,
    /// but keep the number of an object whose score falls for a while. To get them, decode and suppress from a score of
    /// [`LOW_SCORE`] and split the result. Without them (`&[]`) only step 2 is skipped.
    ///
    /// Numbers begin at 1 and are never reused. A time before the last one is a seek: all objects are forgotten. A box
    /// that is empty or not finite is no object.
    ///
    /// Cost: every object with every box of its class four times, and the assignment of those that overlap.
    pub fn update(
        &mut self,
        now: Duration,
        detections: &[Detection],
        low: &[Detection],
    ) -> Vec<Option<u64>> {
        // Nobody asks a tracker for the numbers of detections.
        let tracks = self.follow(now, 0, detections, low);
        let id = |track: Option<usize>| self.tracks[track?].id;
        tracks.into_iter().map(id).collect()
    }

    /// Returns the objects with a number, also lost ones, at a time not before the last analysis.
    pub fn predicted(&self, at: Duration) -> Vec<Tracked> {
        let tracked = |track: &Track| {
            Some(Tracked {
                id: track.id?,
                detection: track.detection(track.motion.at(at)),
                age: at.saturating_sub(track.seen),
                missed: track.missed,
            })
        };
        self.tracks.iter().filter_map(tracked).collect()
    }

    /// Returns the running time of the frame in which the object `id` was first seen, before it had that number. `None` for
    /// an object that is forgotten.
    pub fn since(&self, id: u64) -> Option<Duration> {
        let mut tracks = self.tracks.iter();
        tracks
            .find(|track| track.id == Some(id))
            .map(|track| track.since)
    }

    /// Forgets all objects. Numbers count on.
    pub fn reset(&mut self) {
        self.tracks.clear();
        self.now = Duration::ZERO;
    }

    /// Returns the index in [`Tracker::tracks`] of each detection, valid until the next update. Detections are numbered from
    /// `first` on.
    pub(super) fn follow(
        &mut self,
        now: Duration,
        first: u64,
        detections: &[Detection],
        low: &[Detection],
    ) -> Vec<Option<usize>> {
        if now < self.now {
            self.reset();
        }
        self.now = now;
        for track in &mut self.tracks {
            track.motion.advance(now);
            track.foreseen = track.motion.at(now);
        }
        let low: Vec<_> = low
            .iter()
            .filter(|d| d.score >= self.options.low_score)
            .copied()
            .collect();
        let mut matching = Matching::new(&self.tracks, detections, &low);
        matching.run();
        let Matching {
            found, found_low, ..
        } = matching;
        let numbers = first..;
        let mut seen = vec![false; self.tracks.len()];
        for ((detection, track), number) in detections.iter().zip(&found).zip(numbers.clone()) {
            if let Some(track) = *track {
                seen[track] = true;
                self.tracks[track].score = detection.score;
                self.tracks[track].number = number;
                self.see(track, &detection.bbox);
            }
        }
        for (detection, track) in low.iter().zip(&found_low) {
            if let Some(track) = *track {
                seen[track] = true;
                self.see(track, &detection.bbox);
            }
        }
        let kept = self.forget(&seen);
        let old = |track: Option<usize>| track.and_then(|track| kept[track]);
        let mut found: Vec<_> = found.into_iter().map(old).collect();
        for ((detection, track), number) in detections.iter().zip(&mut found).zip(numbers) {
            if track.is_none() && is_object(detection) {
                *track = Some(self.tracks.len());
                self.begin(detection, number);
            }
        }
        found
    }

    pub(super) fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn see(&mut self, track: usize, bbox: &BBox) {
        let track = &mut self.tracks[track];
        track
            .motion
            .correct(bbox, self.now.saturating_sub(track.seen));
        track.last = track.motion.at(self.now);
        track.seen = self.now;
        track.missed = 0;
        track.hits = track.hits.saturating_add(1);
        if track.id.is_none() && track.hits >= self.options.confirm_after {
            track.id = Some(self.numbers.take_object());
        }
    }

    /// Removes objects that were not seen for too long. Returns the new index of each track.
    fn forget(&mut self, seen: &[bool]) -> Vec<Option<usize>> {
        let (options, now) = (self.options, self.now);
        let mut place = 0;
        let mut places = Vec::with_capacity(seen.len());
        let mut seen = seen.iter();
        self.tracks.retain_mut(|track| {
            let seen = *seen.next().expect("one for each track");
            if !seen {
                track.missed += 1;
            }
            let gone = track.missed > options.lost_analyses
                && now.saturating_sub(track.seen) > options.lost_time;
            let kept = seen || (track.id.is_some() && !gone);
            places.push(kept.then_some(place));
            place += usize::from(kept);
            kept
        });
        places
    }

    fn begin(&mut self, detection: &Detection, number: u64) {
        let id = (self.options.confirm_after <= 1).then(|| self.numbers.take_object());
        self.tracks.push(Track {
            id,
            class: detection.class,
            score: detection.score,
            number,
            motion: Motion::new(&detection.bbox, self.now, self.options.motion),
            last: detection.bbox,
            seen: self.now,
            since: self.now,
            missed: 0,
            hits: 1,
            foreseen: detection.bbox,
        });
    }
}

impl Track {
    pub fn detection(&self, bbox: BBox) -> Detection {
        Detection {
            bbox,
            class: self.class,
            score: self.score,
        }
    }
}

/// Returns whether the box has an area that is a number. Scores were checked by whoever reported them.
fn is_object(detection: &Detection) -> bool {
    let area = detection.bbox.area();
    detection.bbox.is_finite() && area > 0.0 && area.is_finite()
}

/// Matches of one update so far.
struct Matching<'a> {
    tracks: &'a [Track],
    detections: &'a [Detection],
    low: &'a [Detection],
    free: Vec<bool>,
    found: Vec<Option<usize>>,
    found_low: Vec<Option<usize>>,
}

impl<'a> Matching<'a> {
    fn new(tracks: &'a [Track], detections: &'a [Detection], low: &'a [Detection]) -> Self {
        Self {
            tracks,
            detections,
            low,
            free: vec![true; tracks.len()],
            found: vec![None; detections.len()],
            found_low: vec![None; low.len()],
        }
    }

    fn run(&mut self) {
        self.step(0.2, 1.0, false, |t| t.id.is_some());
        self.step(0.5, 1.0, true, |t| t.id.is_some() && t.missed == 0);
        self.step(0.3, 1.0, false, |t| t.id.is_none());
        self.step(0.3, GROWN, false, |_| true);
    }

    /// Matches the free ones of some tracks with the free detections, or low candidates, of their class.
    fn step(&mut self, least_iou: f32, grown: f32, low: bool, wanted: impl Fn(&Track) -> bool) {
        let (boxes, found) = match low {
            false => (self.detections, &mut self.found),
            true => (self.low, &mut self.found_low),
        };
        let free: Vec<_> = (0..boxes.len())
            .filter(|&i| found[i].is_none() && is_object(&boxes[i]))
            .map(|i| (i, boxes[i].class, grow(&boxes[i].bbox, grown)))
            .collect();
        let mut pairs = Vec::new();
        for (row, track) in self.tracks.iter().enumerate() {
            if !self.free[row] || !wanted(track) {
                continue;
            }
            let foreseen = grow(&track.foreseen, grown);
            let same = free.iter().filter(|(_, class, _)| *class == track.class);
            pairs.extend(same.filter_map(|(column, _, bbox)| {
                let gain = foreseen.iou(bbox) - least_iou;
                (gain > 0.0).then_some(Pair {
                    row,
                    column: *column,
                    gain,
                })
            }));
        }
        for (track, detection) in assign(&pairs) {
            self.free[track] = false;
            found[detection] = Some(track);
        }
    }
}

fn grow(bbox: &BBox, factor: f32) -> BBox {
    let (cx, cy) = ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0);
    BBox::from_centre(cx, cy, bbox.width() * factor, bbox.height() * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32, class: u32) -> Detection {
        Detection {
            bbox: BBox::new(x, 0.0, x + 10.0, 10.0),
            class,
            score: 0.8,
        }
    }

    fn low(x: f32) -> Detection {
        Detection {
            score: 0.2,
            ..square(x, 0)
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(TrackerOptions::default())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_number_comes_with_the_second_sight_and_stays() {
        let mut tracker = tracker();
        assert_eq!(tracker.update(ms(0), &[square(0.0, 0)], &[]), [None]);
        for step in 1..9 {
            let found = [square(50.0, 0), square(step as f32, 0)];
            let ids = tracker.update(ms(step * 100), &found[2 - (step.min(2) as usize)..], &[]);
            assert_eq!(ids.last(), Some(&Some(1)), "step {step}");
        }
    }

    #[test]
    fn numbers_go_on_after_a_reset_and_after_a_seek() {
        let mut tracker = tracker();
        let found = [square(0.0, 0)];
        let twice = |tracker: &mut Tracker, at| {
            assert_eq!(tracker.update(ms(at), &found, &[]), [None]);
            tracker.update(ms(at + 100), &found, &[])
        };
        assert_eq!(twice(&mut tracker, 5000), [Some(1)]);
        assert_eq!(twice(&mut tracker, 1000), [Some(2)], "back");
        tracker.reset();
        assert_eq!(tracker.predicted(ms(1200)), []);
        assert_eq!(twice(&mut tracker, 1200), [Some(3)], "after a reset");
    }

    #[test]
    fn two_analyses_of_one_time_are_taken() {
        let mut tracker = tracker();
        for expected in [None, Some(1), Some(1)] {
            assert_eq!(tracker.update(ms(700), &[square(0.0, 0)], &[]), [expected]);
        }
        assert_eq!(
            tracker.predicted(ms(700))[0].detection.bbox,
            square(0.0, 0).bbox
        );
    }

    #[test]
    fn classes_do_not_mix() {
        let mut tracker = tracker();
        tracker.update(ms(0), &[square(0.0, 0), square(0.0, 1)], &[]);
        let ids = tracker.update(ms(100), &[square(0.0, 1), square(0.0, 0)], &[]);
        assert_eq!(ids, [Some(1), Some(2)]);
        assert_eq!(tracker.update(ms(200), &[square(0.0, 2)], &[]), [None]);
        let ids = tracker.update(ms(300), &[square(0.0, 0), square(0.0, 1)], &[]);
        assert_eq!(ids, [Some(2), Some(1)]);
    }

    #[test]
    fn a_low_candidate_keeps_an_object_and_begins_none() {
        let mut tracker = tracker();
        for step in 0..4 {
            tracker.update(ms(step * 100), &[square(0.0, 0)], &[low(50.0)]);
        }
        for step in 4..30 {
            assert_eq!(
                tracker.update(ms(step * 100), &[], &[low(0.5), low(50.0)]),
                []
            );
        }
        let kept = tracker.predicted(ms(3000));
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].id, kept[0].missed, kept[0].age), (1, 0, ms(100)));
        assert_eq!(kept[0].detection.score, 0.8, "of what was reported");
        assert_eq!(tracker.update(ms(3000), &[square(0.5, 0)], &[]), [Some(1)]);
    }

    #[test]
    fn a_candidate_below_the_lowest_score_is_none() {
        let mut tracker = tracker();
        tracker.update(ms(0), &[square(0.0, 0)], &[]);
        tracker.update(ms(100), &[square(0.0, 0)], &[]);
        let found = Detection {
            score: 0.05,
            ..square(0.0, 0)
        };
        tracker.update(ms(200), &[], &[found]);
        assert_eq!(tracker.predicted(ms(200))[0].missed, 1);
    }

    #[test]
    fn a_lost_object_is_known_again_for_a_while() {
        let back_after = |interval: u64, missed: u64| {
            let mut tracker = tracker();
            tracker.update(ms(0), &[square(0.0, 0)], &[]);
            tracker.update(ms(interval), &[square(0.0, 0)], &[]);
            for step in 0..missed {
                tracker.update(ms(interval * (2 + step)), &[], &[]);
            }
            tracker.update(ms(interval * (2 + missed)), &[square(0.0, 0)], &[])[0]
        };
        assert_eq!(back_after(100, 10), Some(1));
        assert_eq!(back_after(100, 11), None, "longer than a second");
        assert_eq!(back_after(2000, 3), Some(1));
        assert_eq!(back_after(2000, 4), None, "more than three analyses");
    }

    #[test]
    fn an_object_faster_than_its_own_width_is_followed() {
        let mut tracker = tracker();
        tracker.update(ms(0), &[square(0.0, 0)], &[]);
        for step in 1..6 {
            let x = step as f32 * 12.0;
            let ids = tracker.update(ms(step * 200), &[square(x, 0)], &[]);
            assert_eq!(ids, [Some(1)], "step {step}");
        }
        let ahead = tracker.predicted(ms(1200))[0].detection.bbox.x1;
        assert!((ahead - 72.0).abs() < 2.0, "{ahead}");
    }

    #[test]
    fn what_is_no_box_has_no_number() {
        let mut tracker = tracker();
        let mut found = [square(f32::NAN, 0), square(0.0, 0), square(0.0, 0)];
        found[1].bbox.x2 = 0.0;
        found[2].bbox.y2 = f32::INFINITY;
        for step in 0..3 {
            assert_eq!(tracker.update(ms(step * 100), &found, &[]), [None; 3]);
        }
        assert_eq!(tracker.predicted(ms(300)), []);
    }

    #[test]
    fn numbers_may_come_at_first_sight() {
        let mut tracker = Tracker::new(TrackerOptions {
            confirm_after: 1,
            ..TrackerOptions::default()
        });
        let found = [square(0.0, 0), square(30.0, 0)];
        assert_eq!(tracker.update(ms(0), &found, &[]), [Some(1), Some(2)]);
        assert_eq!(tracker.update(ms(100), &found[1..], &[]), [Some(2)]);
    }
}
