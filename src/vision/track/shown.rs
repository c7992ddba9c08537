//! [`Shown`]: the boxes of a frame that was not analysed itself.
//!
//! The analysis of a frame is ready only when later frames are shown, and there are fewer analyses than frames. Two
//! features make up for that, each with its switch:
//!
//! - *prediction* moves a box at the speed of its object from the analysed frame to the shown frame, by at most
//!   [`HORIZON`](super::HORIZON). Without it boxes stay where they were found.
//! - *smoothing* shows an object once it was seen twice, and keeps it for [`LOST_ANALYSES`] analyses that do not see
//!   it. Position and size are those of the filter, not of one measurement. When an analysis corrects a prediction, the
//!   box glides to its new place within a few frames. Only the correction is smoothed, so steady motion is followed
//!   without lag. Without it boxes are those of the newest analysis, as found.

use super::numbers::Numbers;
use super::tracker::{Track, Tracker, TrackerOptions};
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Analyses that may miss an object while its box is still shown.
pub const LOST_ANALYSES: u32 = 2;
/// Seconds after which 37 % of a correction remain: it takes a handful of frames.
const GLIDE: f64 = 0.08;
/// A correction larger than this share of the box is made at once.
const JUMP: f32 = 0.5;
/// Overlap above which a lost box is the same object as a box just seen, under another class.
const SAME_PLACE: f32 = 0.6;
/// Analyses that determine the length of a cycle.
const CYCLES: usize = 5;
/// Smallest limit of the age of boxes; slow analyses raise it.
const LEAST_MAX_AGE: Duration = Duration::from_secs(1);
/// Age limit in cycles, if that is longer.
const MAX_AGE_CYCLES: f64 = 2.5;

/// Settings for the shown boxes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShownOptions {
    /// Whether boxes are steadied, see the module.
    pub smoothing: bool,
    /// Whether boxes are moved on, see the module.
    pub prediction: bool,
    /// Age above which boxes are not shown; zero = the larger of 1 s and 2.5 analysis cycles.
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

/// A box of a shown frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShownBox {
    /// Detection; not clipped, because a box that is moved on may leave the picture.
    pub detection: Detection,
    /// Time since the frame in which the object was last seen.
    pub age: Duration,
    /// Number of the object once it has one.
    pub track: Option<u64>,
    /// Number of the detection that last reported it.
    pub number: u64,
}

/// The rest of a correction: left, top, right, bottom edge.
#[derive(Debug, Clone, Copy)]
struct Correction {
    id: u64,
    edges: [f32; 4],
    since: Duration,
}

/// Follows the objects of analyses, and returns their boxes at times between.
#[derive(Debug)]
pub struct Shown {
    options: ShownOptions,
    tracker: Tracker,
    /// The newest analysis as found, with the index of each track.
    newest: Vec<(Detection, Option<usize>)>,
    /// Number of its first detection.
    first: u64,
    numbers: Arc<Numbers>,
    analysed: Option<Duration>,
    /// The newest analysis is the first, and its own frame has shown its boxes.
    begun: bool,
    cycles: VecDeque<Duration>,
    corrections: Vec<Correction>,
    /// Time of the newest frame shown.
    now: Duration,
}

impl Shown {
    /// Creates a state without boxes, which numbers detections and objects from 1.
    pub fn new(options: ShownOptions, tracker: TrackerOptions) -> Self {
        Self::with_numbers(options, tracker, Arc::default())
    }

    /// Creates a state without boxes, which takes all numbers from `numbers`.
    pub fn with_numbers(
        options: ShownOptions,
        tracker: TrackerOptions,
        numbers: Arc<Numbers>,
    ) -> Self {
        Self {
            options,
            tracker: Tracker::with_numbers(tracker, numbers.clone()),
            newest: Vec::new(),
            first: 1,
            numbers,
            analysed: None,
            begun: false,
            cycles: VecDeque::new(),
            corrections: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// Changes the settings, from the next frame on.
    pub fn set_options(&mut self, options: ShownOptions) {
        self.options = options;
    }

    /// Adds the analysis of the frame with the running time `now`, like [`Tracker::update`].
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
        self.begun = false;
        let meeting = self.now.max(now);
        let before = self.steady(meeting);
        self.first = self.numbers.take_detections(detections.len());
        let places = self.tracker.follow(now, self.first, detections, low);
        let tracks = self.tracker.tracks();
        let ids = places.iter().map(|place| tracks[(*place)?].id).collect();
        self.newest = detections.iter().copied().zip(places).collect();
        self.corrections = tracks
            .iter()
            .filter_map(|track| correction(track, &before, meeting))
            .collect();
        ids
    }

    /// Notes that the frame of the newest analysis has waited for its boxes and shows all of them. If that analysis is the
    /// first, the frames up to the second one show them too: they would vanish and come back otherwise.
    pub fn begin(&mut self) {
        self.begun = self.cycles.is_empty();
    }

    /// Returns [`ShownBox::number`] of the first detection of the newest analysis; the others follow.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// Returns when an object was first seen, like [`Tracker::since`].
    pub fn since(&self, id: u64) -> Option<Duration> {
        self.tracker.since(id)
    }

    /// Returns the boxes of the frame with the running time `at`, best score first.
    ///
    /// Times may advance in any steps. A frame from before the newest analysis gets the boxes of that analysis.
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

    /// Forgets all boxes, after a flush or a new picture size. Numbers count on.
    pub fn reset(&mut self) {
        self.tracker.reset();
        self.newest.clear();
        self.analysed = None;
        self.begun = false;
        self.cycles.clear();
        self.corrections.clear();
        self.now = Duration::ZERO;
    }

    /// Returns the age limit in force.
    pub fn max_age(&self) -> Duration {
        if !self.options.max_age.is_zero() {
            return self.options.max_age;
        }
        let mut cycles: Vec<_> = self.cycles.iter().copied().collect();
        cycles.sort_unstable();
        let cycle = cycles.get(cycles.len() / 2).copied().unwrap_or_default();
        LEAST_MAX_AGE.max(cycle.mul_f64(MAX_AGE_CYCLES))
    }

    /// Returns the newest analysis as found, moved on if prediction is on.
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

    /// Returns the objects seen twice, moved on if prediction is on, with corrections spread over time.
    fn steady(&self, at: Duration) -> Vec<ShownBox> {
        let steady =
            |track: &&Track| (track.id.is_some() || self.begun) && track.missed <= LOST_ANALYSES;
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

/// Returns the correction that moves the box of the track to where it was shown; `None` if it was not shown or is too
/// far off.
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
