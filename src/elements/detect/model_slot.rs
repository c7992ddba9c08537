//! [`ModelSlot`]: the model in use, the detectors that wait for their workers, and the requests for another model.
//!
//! Every loading ends here. A swap leaves a detector for each worker ([`ModelSlot::put_model`]), an input size leaves one
//! for the worker that ordered it ([`ModelSlot::put_size`]). The state then says that they are there, and a worker takes
//! its own between two frames.

use super::detectors::Detectors;
use super::settings::Settings;
use crate::bridge::message::{DetectModel, InForce, KeptClass};
use crate::detector::{Detector, OpenError};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// A model that was loaded: what messages say about it, and the thresholds that it brings.
#[derive(Debug)]
pub struct Loaded {
    /// With the thresholds in force when it was loaded.
    pub report: DetectModel,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    /// Whether the graph suppressed boxes of different classes by each other.
    pub class_agnostic: bool,
    /// The property `model` when it was loaded.
    pub path: Option<PathBuf>,
    /// The last value of the property `classes` that this model has.
    pub classes: Option<Arc<str>>,
    /// From READY on to READY again: what is set meanwhile must fit this model.
    pub in_use: bool,
}

impl Loaded {
    /// Describes the model of `detector`.
    pub fn new(
        settings: &Settings,
        detector: &Detector,
        running_time: Option<gst::ClockTime>,
    ) -> Self {
        let model = detector.model();
        Self {
            report: model_report(settings, detector, running_time),
            score_threshold: model.score_threshold,
            iou_threshold: model.iou_threshold,
            class_agnostic: model.class_agnostic,
            path: settings.model.clone(),
            classes: None,
            in_use: true,
        }
    }

    /// Returns the content of the message `detect-model`, with the thresholds that `settings` bring into force.
    pub fn report(&self, settings: &Settings) -> DetectModel {
        DetectModel {
            in_force: self.in_force(settings),
            ..self.report.clone()
        }
    }

    fn in_force(&self, settings: &Settings) -> InForce {
        let labels = &self.report.labels;
        let thresholds = settings.thresholds(self.score_threshold, self.iou_threshold);
        // Classes that do not fit this model are for another that is on its way.
        let selection = settings.selection(labels).ok().flatten();
        let kept = |(number, score_threshold): (u32, f32)| KeptClass {
            number,
            label: labels.get(number as usize).cloned().unwrap_or_default(),
            score_threshold,
        };
        InForce {
            score_threshold: thresholds.score,
            iou_threshold: thresholds.iou,
            max_detections: settings.max_detections,
            class_agnostic_nms: thresholds.class_agnostic || self.class_agnostic,
            min_size: thresholds.min_size,
            kept_classes: selection.map(|s| s.iter(thresholds.score).map(kept).collect()),
        }
    }

    /// Whether this is the same model at the same input size.
    fn is_same_input(&self, other: &Self) -> bool {
        self.path == other.path && self.report.input == other.report.input
    }
}

fn model_report(
    settings: &Settings,
    detector: &Detector,
    running_time: Option<gst::ClockTime>,
) -> DetectModel {
    let model = detector.model();
    DetectModel {
        path: settings.model_name(),
        family: model.family.to_string(),
        engine: detector.engine_kind().to_string(),
        engine_reason: detector.engine_reason().into(),
        input: (model.input.size.width, model.input.size.height),
        classes: u32::try_from(model.classes).unwrap_or(u32::MAX),
        labels: model.labels.iter().map(|l| l.into_owned()).collect(),
        labels_source: model.labels_source.clone(),
        load_time: detector.load_time(),
        warm_up_time: detector.warm_up_time(),
        decisions: model.decisions.clone(),
        rewritten: model.rewrites.clone(),
        warnings: model.warnings.clone(),
        in_force: InForce::default(),
        running_time,
    }
}

/// Result of loading an input size; the outer error is a panic.
pub type OpenedSize = thread::Result<Result<Detector, OpenError>>;

#[derive(Default)]
pub struct ModelSlot {
    loaded: Option<Loaded>,
    /// Number of the model that was swapped in last.
    model: u64,
    /// For each worker a detector of that model.
    detectors: Vec<Detectors>,
    /// Input sizes that were loaded, each with the number of its order.
    sizes: Vec<(u64, OpenedSize)>,
    /// Number of the last order of an input size.
    ordered: u64,
    /// Number of the last request for another model.
    requested: u64,
    /// A thread is loading another model.
    loading: bool,
}

impl ModelSlot {
    /// The model that was loaded last.
    pub fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref()
    }

    /// The model that properties must fit.
    pub fn in_use(&mut self) -> Option<&mut Loaded> {
        self.loaded.as_mut().filter(|loaded| loaded.in_use)
    }

    /// Puts another model into use; `settings` have the classes that it was checked for.
    pub fn use_model(&mut self, mut loaded: Loaded, settings: &Settings) {
        loaded.classes = settings.wanted_classes().cloned();
        self.loaded = Some(loaded);
    }

    /// Forgets the model: it could not be put into use.
    pub fn forget_model(&mut self) {
        self.loaded = None;
    }

    /// Whether messages have described this model at this input size.
    pub fn has_described(&self, loaded: &Loaded) -> bool {
        let last = self.loaded.as_ref();
        last.is_some_and(|last| last.is_same_input(loaded))
    }

    /// Records a request for another model. Returns whether a thread must be started for it; one that loads already will see
    /// the request.
    pub fn request_model(&mut self) -> bool {
        self.requested += 1;
        !std::mem::replace(&mut self.loading, true)
    }

    /// Number of the last request.
    pub fn requested(&self) -> u64 {
        self.requested
    }

    /// Ends the loading of this request, unless there is a newer one and the element still runs. Returns whether it has ended.
    pub fn end_loading(&mut self, request: u64, running: bool) -> bool {
        let done = self.requested == request || !running;
        self.loading = !done;
        done
    }

    /// Notes that the thread which loads is gone.
    pub fn abort_loading(&mut self) {
        self.loading = false;
    }

    /// Whether a model is on its way, so that classes may be set which the one in use does not have.
    pub fn is_loading(&self) -> bool {
        self.loading
    }

    /// Leaves a detector of another model for each worker. Returns its number, and detectors that no worker has taken, to be
    /// dropped without the lock.
    pub fn put_model(&mut self, detectors: Vec<Detectors>) -> (u64, Vec<Detectors>) {
        self.model += 1;
        let unused = std::mem::replace(&mut self.detectors, detectors);
        (self.model, unused)
    }

    /// Gives a worker its detector of the model of this number; `None` if another swap has come between.
    pub fn take_model(&mut self, model: u64) -> Option<Detectors> {
        match self.model == model {
            true => self.detectors.pop(),
            false => None,
        }
    }

    /// Takes the detectors that no worker has taken yet, to be dropped without the lock.
    pub fn take_model_detectors(&mut self) -> Vec<Detectors> {
        std::mem::take(&mut self.detectors)
    }

    /// Returns a number for an input size that a worker orders.
    pub fn order_size(&mut self) -> u64 {
        self.ordered += 1;
        self.ordered
    }

    /// Leaves an input size for the worker that has ordered it.
    pub fn put_size(&mut self, order: u64, opened: OpenedSize) {
        self.sizes.push((order, opened));
    }

    /// Gives a worker the input size that it has ordered.
    pub fn take_size(&mut self, order: u64) -> Option<OpenedSize> {
        let index = self.sizes.iter().position(|(of, _)| *of == order)?;
        Some(self.sizes.swap_remove(index).1)
    }

    /// Takes everything that was loaded for workers which have ended, to be dropped without the lock.
    pub fn take_unused(&mut self) -> (Vec<Detectors>, Vec<(u64, OpenedSize)>) {
        let detectors = self.take_model_detectors();
        (detectors, std::mem::take(&mut self.sizes))
    }

    /// Ends the use of the model: the element goes to READY.
    pub fn end_use(&mut self) {
        if let Some(loaded) = &mut self.loaded {
            loaded.in_use = false;
        }
    }
}
