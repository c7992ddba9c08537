//! [`Boxes`]: which boxes a frame carries when it leaves: its own, or the last ones known.

use crate::detection::Detection;
use crate::meta::Labelled;
use crate::model::Model;
use crate::stats::StageTimes;
use std::borrow::Cow;
use std::sync::Arc;

/// Boxes of an earlier frame are shown at least this long.
const SHORTEST_MAX_AGE: gst::ClockTime = gst::ClockTime::SECOND;

/// What an analysis found, in pixels of the frame, best first.
#[derive(Debug)]
pub(super) struct Found {
    pub detections: Vec<Detection>,
    /// The one that found it: a later frame may have met another.
    pub model: Arc<Model>,
    /// Where the time of the analysis went.
    pub times: StageTimes,
}

/// Boxes to attach to one frame.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    found: Arc<Found>,
    /// Number of the first detection; the others follow.
    first: u64,
    /// How much older than the frame; `None` for its own.
    pub age: Option<gst::ClockTime>,
}

impl Shown {
    pub fn times(&self) -> StageTimes {
        self.found.times
    }

    pub fn labels(&self) -> Vec<Cow<'_, str>> {
        let labels = &self.found.model.labels;
        let of = |d: &Detection| labels.get(d.class);
        self.found.detections.iter().map(of).collect()
    }

    /// With the `labels` of each, in order.
    pub fn labelled<'a>(&self, labels: &'a [Cow<'_, str>]) -> Vec<Labelled<'a>> {
        let numbered = (self.first..).zip(&self.found.detections).zip(labels);
        numbered
            .map(|((number, detection), label)| Labelled {
                detection: *detection,
                label,
                number,
            })
            .collect()
    }
}

/// The last boxes known, in the order in which frames leave.
#[derive(Debug)]
pub(super) struct Boxes {
    latest: Option<(Shown, gst::ClockTime)>,
    /// Running time between the last two analysed frames.
    cycle: gst::ClockTime,
    /// Number of the next detection, unique in the stream.
    next_number: u64,
}

impl Default for Boxes {
    fn default() -> Self {
        Self {
            latest: None,
            cycle: gst::ClockTime::ZERO,
            next_number: 1,
        }
    }
}

impl Boxes {
    /// What was seen so far is not what comes now.
    pub fn forget(&mut self) {
        self.latest = None;
        self.cycle = gst::ClockTime::ZERO;
    }

    /// The boxes of a frame that was analysed; the frames after it may carry them too.
    pub fn own(&mut self, found: Arc<Found>, running_time: Option<gst::ClockTime>) -> Shown {
        let first = self.next_number;
        self.next_number += found.detections.len() as u64;
        let shown = Shown {
            found,
            first,
            age: None,
        };
        if let (Some((_, before)), Some(now)) = (&self.latest, running_time) {
            self.cycle = now.saturating_sub(*before);
        }
        self.latest = running_time.map(|time| (shown.clone(), time));
        shown
    }

    /// The boxes of a frame that was not analysed: the last ones, unless they are older than `max_age` (`None`: the
    /// larger of a second and two and a half cycles).
    pub fn latest(
        &self,
        running_time: Option<gst::ClockTime>,
        max_age: Option<gst::ClockTime>,
    ) -> Option<Shown> {
        let (shown, time) = self.latest.as_ref()?;
        let age = running_time?.checked_sub(*time)?;
        let usual = (self.cycle / 2)
            .saturating_add(self.cycle)
            .saturating_add(self.cycle)
            .max(SHORTEST_MAX_AGE);
        (age <= max_age.unwrap_or(usual)).then(|| Shown {
            age: Some(age),
            ..shown.clone()
        })
    }
}
