//! [`Passthrough`]: what `mode=passthrough` keeps between frames: the frame that a worker shall look at, and the boxes.
//!
//! It decides which frame is looked at and whose boxes count. Looks are numbered. A look brings no boxes if it began before
//! the boxes were forgotten, or before a look whose boxes are known already.

use super::boxes::{Found, Mark, Marks, follows_another};
use super::frame::Frame;
use crate::base::geometry::Size;
use crate::model::Model;
use crate::vision::track::{Numbers, Shown, ShownBox, ShownOptions, TrackerOptions};
use std::sync::Arc;
use std::time::Duration;

/// A frame for a worker to look at.
#[derive(Debug)]
pub struct Look {
    pub number: u64,
    pub frame: Frame,
    /// The frame itself waits until its boxes are known.
    pub awaited: bool,
}

/// Whether a worker looks at a frame that has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// No worker will see it.
    No,
    /// A worker will, if it is quick.
    Yes,
    /// The frame is the first of its stream, size or segment, and waits for the look of this number.
    Awaited(u64),
}

/// The boxes known, and the frame offered to the workers.
#[derive(Debug)]
pub struct Passthrough {
    offered: Option<Look>,
    /// Workers with nothing to do.
    idle: usize,
    /// The look whose frame a worker holds, until the model's input is made of it.
    held: Option<u64>,
    next: u64,
    /// Looks with lower numbers saw a picture that is gone.
    valid_from: u64,
    /// The newest look whose boxes are known.
    known: Option<u64>,
    /// A frame has come since the boxes were forgotten.
    begun: bool,
    /// The boxes of a frame that waited for them.
    answer: Option<(u64, Marks)>,
    shown: Shown,
    model: Option<Arc<Model>>,
}

impl Default for Passthrough {
    fn default() -> Self {
        Self {
            offered: None,
            idle: 0,
            held: None,
            next: 0,
            valid_from: 0,
            known: None,
            begun: false,
            answer: None,
            shown: Shown::new(ShownOptions::default(), TrackerOptions::default()),
            model: None,
        }
    }
}

impl Passthrough {
    /// Begins anew, with numbers of boxes from `numbers`. Looks are counted on, so that one from before that still runs brings
    /// nothing.
    pub fn start(&mut self, numbers: Arc<Numbers>) {
        let (options, tracker) = (ShownOptions::default(), TrackerOptions::default());
        *self = Self {
            next: self.next,
            valid_from: self.next,
            shown: Shown::with_numbers(options, tracker, numbers),
            ..Self::default()
        };
    }

    /// Forgets the boxes: another picture follows. Gives back the frame that nobody looks at any more, to be dropped
    /// without the lock.
    #[must_use]
    pub fn forget(&mut self) -> Option<Frame> {
        self.valid_from = self.next;
        self.begun = false;
        self.answer = None;
        self.shown.reset();
        self.offered.take().map(|look| look.frame)
    }

    /// Whether this frame is the first since [`Self::forget`].
    pub fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// Whether a worker would look at a frame at once. At most one frame is with the workers, so that a source with few
    /// buffers does not miss them.
    pub fn has_time(&self) -> bool {
        self.idle > 0 && self.offered.is_none() && self.held.is_none()
    }

    /// Keeps a frame for the next worker; returns the number of the look.
    pub fn offer(&mut self, frame: Frame, awaited: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.offered = Some(Look {
            number,
            frame,
            awaited,
        });
        number
    }

    /// Counts a worker that has nothing to do, until [`Self::leave_idle`].
    pub fn enter_idle(&mut self) {
        self.idle += 1;
    }

    pub fn leave_idle(&mut self) {
        self.idle = self.idle.saturating_sub(1);
    }

    /// Gives a worker the frame to look at, until [`Self::put_down`].
    pub fn take(&mut self) -> Option<Look> {
        let look = self.offered.take()?;
        self.held = Some(look.number);
        Some(look)
    }

    /// The worker has let go of the frame of this look.
    pub fn put_down(&mut self, number: u64) {
        self.held.take_if(|held| *held == number);
    }

    /// Whether what a look finds still matters.
    pub fn is_valid(&self, number: u64) -> bool {
        number >= self.valid_from
    }

    /// Takes in what a look at a frame of the time `time` has found. Returns the boxes with the numbers of their objects, or
    /// `None` if the look comes too late.
    pub fn learn(
        &mut self,
        number: u64,
        awaited: bool,
        time: Duration,
        found: &Found,
    ) -> Option<Marks> {
        if !self.is_valid(number) || self.known.is_some_and(|known| number < known) {
            return None;
        }
        self.known = Some(number);
        if follows_another(&mut self.model, &found.model) {
            self.shown.reset();
        }
        let tracks = self.shown.update(time, &found.detections, &found.low);
        let first = self.shown.first_number();
        let marks = Marks::new(found, first, &tracks, |id| self.shown.since(id));
        if awaited {
            self.shown.begin();
            self.answer = Some((number, marks.clone()));
        }
        Some(marks)
    }

    /// Whether the boxes of the frame that waits for this look are there.
    pub fn is_answered(&self, number: u64) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|(answered, _)| *answered == number)
    }

    pub fn answer(&mut self) -> Option<Marks> {
        self.answer.take().map(|(_, marks)| marks)
    }

    /// Returns the boxes that a frame of the time `at` and this size carries.
    pub fn marks_at(&mut self, at: Duration, size: Size, options: ShownOptions) -> Option<Marks> {
        self.shown.set_options(options);
        let model = self.model.clone()?;
        let shown = self.shown.at(at);
        let since = |id| self.shown.since(id);
        let marks = shown.iter().filter_map(|shown| mark(shown, size, since));
        let marks = marks.collect();
        Some(Marks { model, marks })
    }
}

/// The box as it is shown; `None` if it has left the picture.
fn mark(shown: &ShownBox, size: Size, since: impl Fn(u64) -> Option<Duration>) -> Option<Mark> {
    let mut detection = shown.detection;
    detection.bbox = detection.bbox.clip(size);
    (detection.bbox.area() > 0.0).then_some(Mark {
        detection,
        number: shown.number,
        track: shown.track,
        since: shown.track.and_then(since),
        age: gst::ClockTime::try_from(shown.age)
            .ok()
            .filter(|age| !age.is_zero()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::detection::Detection;
    use crate::base::geometry::BBox;
    use crate::flow::stats::StageTimes;
    use crate::model::{Labels, ModelOptions};

    const SIZE: Size = Size::new(640, 480);

    fn model(labels: &[&str]) -> Arc<Model> {
        let mut model = Model::open(&ModelOptions::default()).expect("it is built in");
        let labels = labels.iter().map(|l| (*l).to_owned()).collect();
        (model.labels, _) = Labels::fit(labels, 2, "");
        Arc::new(model)
    }

    fn found(model: &Arc<Model>) -> Found {
        Found {
            detections: vec![Detection {
                bbox: BBox::new(600.0, 10.0, 700.0, 90.0),
                class: 0,
                score: 0.9,
            }],
            low: Vec::new(),
            model: model.clone(),
            times: StageTimes::default(),
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The number and age of the only box of a frame.
    fn shown(passthrough: &mut Passthrough, at: u64) -> Option<(u64, u64)> {
        let marks = passthrough
            .marks_at(ms(at), SIZE, ShownOptions::default())?
            .marks;
        assert!(marks.len() <= 1);
        let mark = marks.first()?;
        assert_eq!(mark.detection.bbox.x2, 640.0, "clipped");
        Some((mark.number, mark.age?.mseconds()))
    }

    #[test]
    fn looks_of_before_and_older_ones_bring_nothing() {
        let (mut passthrough, model) = (Passthrough::default(), model(&["cat", "dog"]));
        assert_eq!(shown(&mut passthrough, 0), None);
        for number in [0, 1] {
            let marks = passthrough.learn(number, false, ms(100 * number), &found(&model));
            assert_eq!(marks.expect("it is the newest").marks[0].number, number + 1);
        }
        assert_eq!(shown(&mut passthrough, 250), Some((2, 150)));
        assert!(
            passthrough
                .learn(0, false, ms(50), &found(&model))
                .is_none()
        );
        assert_eq!(shown(&mut passthrough, 250), Some((2, 150)));
        passthrough.next = 7;
        assert!(passthrough.begins() && !passthrough.begins());
        assert!(passthrough.forget().is_none());
        assert!(passthrough.begins());
        assert_eq!(shown(&mut passthrough, 300), None);
        assert!(
            passthrough
                .learn(6, false, ms(300), &found(&model))
                .is_none()
        );
        assert!(
            passthrough
                .learn(7, false, ms(300), &found(&model))
                .is_some()
        );
    }

    #[test]
    fn another_set_of_labels_is_another_set_of_objects() {
        let mut passthrough = Passthrough::default();
        let models = [&["cat", "dog"], &["cat", "dog"], &["car", "bus"]].map(|l| model(l));
        let mut tracks = Vec::new();
        for (number, model) in (0..).zip([0, 0, 1, 2, 2].map(|index| &models[index])) {
            let marks = passthrough.learn(number, true, ms(100 * number), &found(model));
            tracks.push(marks.expect("it is the newest").marks[0].track);
            assert!(passthrough.is_answered(number) && !passthrough.is_answered(number + 1));
            assert!(passthrough.answer().is_some() && passthrough.answer().is_none());
        }
        assert_eq!(tracks, [None, Some(1), Some(1), None, Some(2)]);
    }
}
