//! [`Boxes`]: which boxes a frame carries when it leaves, its own or the last ones known; and [`Marks`], the boxes of one
//! frame as they are attached and posted.

use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::bridge::meta::{self, Labelled};
use crate::detector::Analysis;
use crate::flow::stats::StageTimes;
use crate::model::Model;
use crate::vision::track::{Numbers, Tracker, TrackerOptions};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Boxes of an earlier frame are shown at least this long.
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(1);

/// Result of an analysis, in pixels of the frame, best first.
#[derive(Debug, Clone)]
pub struct Found {
    pub detections: Vec<Detection>,
    /// Detections too weak to be reported, for the tracker.
    pub low: Vec<Detection>,
    /// The model that has found them: a later frame may meet another.
    pub model: Arc<Model>,
    /// Where the time of the analysis went.
    pub times: StageTimes,
}

impl Found {
    /// Keeps what `model` has found on a frame that had waited for `wait`.
    pub fn new(analysis: Analysis, wait: Duration, model: &Arc<Model>) -> Self {
        Self {
            detections: analysis.detections,
            low: analysis.low,
            model: model.clone(),
            times: StageTimes {
                wait,
                preprocess: analysis.preprocess,
                model: analysis.model,
                postprocess: analysis.postprocess,
            },
        }
    }
}

/// One box of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    pub detection: Detection,
    pub number: u64,
    pub track: Option<u64>,
    /// Running time of the frame in which the object of that number was seen first.
    pub since: Option<Duration>,
    /// How much older than the frame the box is; `None` for the frame's own.
    pub age: Option<gst::ClockTime>,
}

/// The boxes of one frame.
#[derive(Debug, Clone)]
pub struct Marks {
    pub model: Arc<Model>,
    pub marks: Vec<Mark>,
}

impl Marks {
    /// Numbers the detections of an analysis from `first` on; `tracks` is empty or has one for each. `since` says when an
    /// object was seen first.
    pub fn new(
        found: &Found,
        first: u64,
        tracks: &[Option<u64>],
        since: impl Fn(u64) -> Option<Duration>,
    ) -> Self {
        let tracks = tracks.iter().copied().chain(std::iter::repeat(None));
        let marks = found.detections.iter().zip(first..).zip(tracks);
        Self {
            model: found.model.clone(),
            marks: marks
                .map(|((detection, number), track)| Mark {
                    detection: *detection,
                    number,
                    track,
                    since: track.and_then(&since),
                    age: None,
                })
                .collect(),
        }
    }

    /// Removes the numbers of objects unless they are wanted.
    pub fn tracked(mut self, wanted: bool) -> Self {
        if !wanted {
            self.marks.iter_mut().for_each(|mark| mark.track = None);
        }
        self
    }

    /// Attaches the boxes to a frame of the running time `time`, with a picture of this size.
    pub fn attach(&self, buffer: &mut gst::Buffer, size: Size, time: Duration) {
        if self.marks.is_empty() {
            return;
        }
        let labels = self.labels();
        let labelled: Vec<_> = self.labelled(&labels, time).collect();
        meta::attach(buffer.make_mut(), size, &labelled);
    }

    /// Converts the boxes for a message.
    pub fn to_structures(&self, size: Size) -> Vec<gst::Structure> {
        let labels = self.labels();
        let labelled = self.labelled(&labels, Duration::ZERO);
        labelled
            .map(|l| meta::roi::to_structure(&l, size))
            .collect()
    }

    fn labels(&self) -> Vec<Cow<'_, str>> {
        let labels = &self.model.labels;
        let marks = self.marks.iter();
        marks.map(|m| labels.get(m.detection.class)).collect()
    }

    fn labelled<'a>(
        &'a self,
        labels: &'a [Cow<'_, str>],
        time: Duration,
    ) -> impl Iterator<Item = Labelled<'a>> {
        self.marks
            .iter()
            .zip(labels)
            .map(move |(mark, label)| Labelled {
                detection: mark.detection,
                label,
                number: mark.number,
                track: mark.track,
                seen: mark.seen(time),
                age: mark.age,
            })
    }
}

impl Mark {
    /// Returns when the object was seen first and last, on a frame of the running time `time`.
    fn seen(&self, time: Duration) -> Option<(gst::ClockTime, gst::ClockTime)> {
        let first = gst::ClockTime::try_from(self.since?).ok()?;
        let last = gst::ClockTime::try_from(time).ok()?;
        let last = last.saturating_sub(self.age.unwrap_or_default());
        Some((first, last))
    }
}

/// The last boxes known, in the order in which frames leave.
#[derive(Debug)]
pub struct Boxes {
    latest: Option<(Marks, Duration)>,
    /// Time between the last two analysed frames.
    cycle: Duration,
    numbers: Arc<Numbers>,
    tracker: Tracker,
    /// The model whose classes the tracker knows.
    followed: Option<Arc<Model>>,
}

impl Default for Boxes {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Boxes {
    /// Creates a state without boxes, which takes all numbers from `numbers`.
    pub fn new(numbers: Arc<Numbers>) -> Self {
        Self {
            latest: None,
            cycle: Duration::ZERO,
            tracker: Tracker::with_numbers(TrackerOptions::default(), numbers.clone()),
            numbers,
            followed: None,
        }
    }

    /// Forgets the boxes: another picture follows.
    pub fn forget(&mut self) {
        self.latest = None;
        self.cycle = Duration::ZERO;
        self.tracker.reset();
    }

    /// Returns the boxes of an analysed frame of this time, with `tracking` also the numbers of their objects. Later frames
    /// may carry them too.
    pub fn own(&mut self, found: &Found, time: Duration, tracking: bool) -> Marks {
        let first = self.numbers.take_detections(found.detections.len());
        let tracks = match tracking {
            true => self.follow(found, time),
            false => {
                self.tracker.reset();
                Vec::new()
            }
        };
        let marks = Marks::new(found, first, &tracks, |id| self.tracker.since(id));
        if let Some((_, before)) = &self.latest {
            self.cycle = time.saturating_sub(*before);
        }
        self.latest = Some((marks.clone(), time));
        marks
    }

    fn follow(&mut self, found: &Found, time: Duration) -> Vec<Option<u64>> {
        if follows_another(&mut self.followed, &found.model) {
            self.tracker.reset();
        }
        self.tracker.update(time, &found.detections, &found.low)
    }

    /// Returns the boxes of a frame that was not analysed: the last ones, unless they are older than `max_age` (`None`: the
    /// larger of a second and two and a half cycles).
    pub fn latest(&self, time: Duration, max_age: Option<gst::ClockTime>) -> Option<Marks> {
        let (marks, analysed) = self.latest.as_ref()?;
        let age = time.checked_sub(*analysed)?;
        let usual = SHORTEST_MAX_AGE.max(self.cycle * 2 + self.cycle / 2);
        if age > max_age.map_or(usual, Duration::from) {
            return None;
        }
        let age = gst::ClockTime::try_from(age).ok()?;
        let mut marks = marks.clone();
        marks.marks.iter_mut().for_each(|m| m.age = Some(age));
        Some(marks)
    }
}

/// Has `followed` follow `model`. Returns whether its classes mean something else than those before.
pub fn follows_another(followed: &mut Option<Arc<Model>>, model: &Arc<Model>) -> bool {
    let same = |old: &Arc<Model>| Arc::ptr_eq(old, model) || old.labels == model.labels;
    let another = followed.as_ref().is_some_and(|old| !same(old));
    if followed.as_ref().is_none_or(|old| !Arc::ptr_eq(old, model)) {
        *followed = Some(model.clone());
    }
    another
}
