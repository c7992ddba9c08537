//! [`Shown`]: the boxes of a frame that has not been analysed itself.
//!
//! The analysis of a frame is there only when later frames are shown, and there are fewer analyses than frames. Two
//! things make up for that, each with its switch:
//!
//! - *prediction*: a box is moved on, at the speed its object has, from the frame analysed to the frame shown, at
//!   most by [`HORIZON`](super::HORIZON). Without it the boxes stay where they were found.
//! - *smoothing*: an object is shown once it was seen twice, and stays for [`LOST_ANALYSES`] analyses that do not see
//!   it; position and size are those of the filter, not of one measurement; and where an analysis corrects what was
//!   foreseen, the box glides to its new place within a few frames. What is smoothed is the correction alone, so that
//!   steady motion is followed without a lag. Without it the boxes are those of the newest analysis, as found.

use super::tracker::{Track, Tracker, TrackerOptions};
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use std::collections::VecDeque;
use std::time::Duration;

/// Analyses not seeing an object after which its box is still shown.
pub const LOST_ANALYSES: u32 = 2;
/// Seconds after which 37 % of a correction are still to be made: it takes a handful of frames.
const GLIDE: f64 = 0.08;
/// A correction larger than this share of the box is made at once.
const JUMP: f32 = 0.5;
/// A lost box that overlaps one that was seen by more than this is the same object under another class.
const SAME_PLACE: f32 = 0.6;
/// Analyses from which the length of a cycle is taken.
const CYCLES: usize = 5;
/// Boxes may be older than this only where analyses are slow.
const LEAST_MAX_AGE: Duration = Duration::from_secs(1);
/// So many cycles, where that is longer.
const MAX_AGE_CYCLES: f64 = 2.5;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShownOptions {
    pub smoothing: bool,
    pub prediction: bool,
    /// Older boxes are not shown; zero = the larger of 1 s and 2.5 analysis cycles.
    pub max_age: Duration,
}

impl Default for ShownOptions {
    fn default() -> Self {
        Self {
            smoothing: true,
            prediction: true,
            max_age: Duration::ZERO,
        }
    }
}

/// A box of a frame shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShownBox {
    /// Not clipped: a box that is moved on may leave the picture, in part or wholly.
    pub detection: Detection,
    /// Since the frame in which the object was last seen.
    pub age: Duration,
    /// The number of the object, once it has one; with smoothing always.
    pub track: Option<u64>,
    /// The detection in which it was last reported, counted from 1 through all analyses.
    pub number: u64,
}

/// What is left of a correction: left, top, right, bottom edge.
#[derive(Debug, Clone, Copy)]
struct Correction {
    id: u64,
    edges: [f32; 4],
    since: Duration,
}

/// Follows the objects of the analyses, and tells their boxes at the times between.
#[derive(Debug)]
pub struct Shown {
    options: ShownOptions,
    tracker: Tracker,
    /// The newest analysis as found, with the place of the track.
    newest: Vec<(Detection, Option<usize>)>,
    /// Number of the first of them.
    first: u64,
    analysed: Option<Duration>,
    cycles: VecDeque<Duration>,
    corrections: Vec<Correction>,
    /// The newest frame shown.
    now: Duration,
}

impl Shown {
    pub fn new(options: ShownOptions, tracker: TrackerOptions) -> Self {
        Self {
            options,
            tracker: Tracker::new(tracker),
            newest: Vec::new(),
            first: 1,
            analysed: None,
            cycles: VecDeque::new(),
            corrections: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// To be changed at any time; the next frame is shown so.
    pub fn set_options(&mut self, options: ShownOptions) {
        self.options = options;
    }

    /// Takes in the analysis of the frame with the running time `now`, as [`Tracker::update`].
    pub fn update(
        &mut self,
        now: Duration,
        detections: &[Detection],
        low: &[Detection],
    ) -> Vec<Option<u64>> {
        if self.analysed.is_some_and(|before| now < before) {
            self.reset();
        }
        if let Some(before) = self.analysed {
            self.cycles.push_back(now - before);
            self.cycles
                .drain(..self.cycles.len().saturating_sub(CYCLES));
        }
        self.analysed = Some(now);
        let meeting = self.now.max(now);
        let before = self.steady(meeting);
        self.first = self.tracker.counted() + 1;
        let places = self.tracker.follow(now, detections, low);
        let tracks = self.tracker.tracks();
        let ids = places.iter().map(|place| tracks[(*place)?].id).collect();
        self.newest = detections.iter().copied().zip(places).collect();
        self.corrections = tracks
            .iter()
            .filter_map(|track| correction(track, &before, meeting))
            .collect();
        ids
    }

    /// [`ShownBox::number`] of the first detection of the newest analysis; those of the others follow.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// The boxes of the frame with the running time `at`, best score first.
    ///
    /// Times may go on in any steps; a frame from before the newest analysis gets the boxes of that.
    pub fn at(&mut self, at: Duration) -> Vec<ShownBox> {
        self.now = at;
        let mut boxes = match self.options.smoothing {
            true => self.steady(at),
            false => self.raw(at),
        };
        let max_age = self.max_age();
        boxes.retain(|b| b.age <= max_age && b.detection.bbox.is_finite());
        boxes.sort_by(|a, b| b.detection.score.total_cmp(&a.detection.score));
        boxes
    }

    /// Forgets all boxes, as after a flush or when the picture has changed its size; numbers go on.
    pub fn reset(&mut self) {
        self.tracker.reset();
        self.newest.clear();
        self.analysed = None;
        self.cycles.clear();
        self.corrections.clear();
        self.now = Duration::ZERO;
    }

    /// The limit in force.
    pub fn max_age(&self) -> Duration {
        if !self.options.max_age.is_zero() {
            return self.options.max_age;
        }
        let mut cycles: Vec<_> = self.cycles.iter().copied().collect();
        cycles.sort_unstable();
        let cycle = cycles.get(cycles.len() / 2).copied().unwrap_or_default();
        LEAST_MAX_AGE.max(cycle.mul_f64(MAX_AGE_CYCLES))
    }

    /// The newest analysis as found, moved on or not.
    fn raw(&self, at: Duration) -> Vec<ShownBox> {
        let analysed = self.analysed.unwrap_or_default();
        let shown = |((detection, place), number): (&(Detection, Option<usize>), u64)| {
            let track = place.map(|place| &self.tracker.tracks()[place]);
            let mut detection = *detection;
            if let Some(track) = track.filter(|_| self.options.prediction) {
                detection.bbox = track.motion.carry(&detection.bbox, at);
            }
            ShownBox {
                detection,
                age: at.saturating_sub(analysed),
                track: track.and_then(|track| track.id),
                number,
            }
        };
        self.newest.iter().zip(self.first..).map(shown).collect()
    }

    /// The objects seen twice, moved on or not, corrections spread over time.
    fn steady(&self, at: Duration) -> Vec<ShownBox> {
        let steady = |track: &&Track| track.id.is_some() && track.missed <= LOST_ANALYSES;
        let tracks = self.tracker.tracks().iter().filter(steady);
        let (lost, seen): (Vec<_>, Vec<_>) = tracks.partition(|track| track.missed > 0);
        let shown = |track: &Track| ShownBox {
            detection: track.detection(self.place(track, at)),
            age: at.saturating_sub(track.seen),
            track: track.id,
            number: track.number,
        };
        let mut boxes: Vec<_> = seen.into_iter().map(shown).collect();
        let count = boxes.len();
        for lost in lost.into_iter().map(shown) {
            let covers = |b: &ShownBox| b.detection.bbox.iou(&lost.detection.bbox) > SAME_PLACE;
            if !boxes[..count].iter().any(covers) {
                boxes.push(lost);
            }
        }
        boxes
    }

    fn place(&self, track: &Track, at: Duration) -> BBox {
        if !self.options.prediction {
            return track.last;
        }
        let bbox = track.motion.at(at);
        let correction = self.corrections.iter().find(|c| Some(c.id) == track.id);
        correction.map_or(bbox, |correction| correction.apply(&bbox, at))
    }
}

/// What moves the box of the track as it is now to where it was shown, unless it was not or that is too far off.
fn correction(track: &Track, before: &[ShownBox], meeting: Duration) -> Option<Correction> {
    let id = track.id?;
    let old = before.iter().find(|b| b.track == Some(id))?.detection.bbox;
    let new = track.motion.at(meeting);
    let edges = [
        old.x1 - new.x1,
        old.y1 - new.y1,
        old.x2 - new.x2,
        old.y2 - new.y2,
    ];
    let limit = JUMP * new.width().min(new.height());
    let near = edges.iter().all(|edge| edge.abs() <= limit);
    near.then_some(Correction {
        id,
        edges,
        since: meeting,
    })
}

impl Correction {
    fn apply(&self, bbox: &BBox, at: Duration) -> BBox {
        let passed = at.saturating_sub(self.since).as_secs_f64();
        let left = (-passed / GLIDE).exp() as f32;
        let [x1, y1, x2, y2] = self.edges.map(|edge| edge * left);
        BBox::new(bbox.x1 + x1, bbox.y1 + y1, bbox.x2 + x2, bbox.y2 + y2)
    }
}
