//! Loading a model: before the first frame, and, as a *swap*, while frames go on with the one before.
//!
//! A swap is requested by setting `model`; a thread of its own loads the new model, with all the other properties as
//! they are then, and hands a detector to each worker, which takes it between two frames. If loading fails the old
//! model stays, and so does its path in the property.

use super::failure::Trouble;
use super::imp::{CAT, Detect};
use super::loader;
use super::report::model_report;
use super::settings::Settings;
use super::sizes::Detectors;
use super::state::State;
use crate::base::classes::ClassesError;
use crate::base::geometry::Size;
use crate::bridge::message::{DetectModel, MODEL};
use crate::detector::{Detector, DetectorOptions};
use crate::engine::EngineOptions;
use crate::host::affinity::Processors;
use crate::model::{InputSize, ModelOptions};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// What a loaded model told, for the messages and for the thresholds that it brings.
pub(super) struct Loaded {
    /// With the thresholds in force when it was loaded.
    pub report: DetectModel,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    /// As set when it was loaded.
    pub path: Option<PathBuf>,
    /// The last that were set and are classes of this model.
    pub classes: Option<Arc<str>>,
    /// From READY on to READY again: what is set meanwhile must fit this model.
    pub in_use: bool,
}

/// Detectors of a model that the workers have not taken yet.
#[derive(Default)]
pub(super) struct Fresh {
    /// [`State::model`](super::state::State::model) that they are of.
    pub model: u64,
    pub detectors: Vec<Detectors>,
}

/// How often a swap was asked for, and whether a thread is at it.
#[derive(Default)]
pub(super) struct Swaps {
    asked: u64,
    loading: bool,
}

/// Opens a detector for each worker, in whatever thread it is called.
pub(super) type Open = Box<dyn FnOnce() -> Result<Vec<Detectors>, Trouble> + Send>;

/// What a thread has to load.
struct Request {
    number: u64,
    settings: Arc<Settings>,
    /// [`State::epoch`](super::state::State::epoch) of the workers that wait for it.
    epoch: u64,
}

impl Detect {
    /// A detector for each worker. Blocks until they are ready.
    ///
    /// `run` does it in another thread, so that the threads of the engine keep to the processors that the user allows.
    /// `running` are the workers that there are already, whose number stays, and the picture that they look at.
    pub(super) fn load(
        &self,
        settings: &Settings,
        running: Option<(usize, Option<Size>)>,
        run: impl FnOnce(Open) -> io::Result<thread::Result<Result<Vec<Detectors>, Trouble>>>,
    ) -> Result<Vec<Detectors>, Trouble> {
        let path = settings.model_name();
        gst::info!(CAT, imp = self, "Loading the model {path}");
        let processors = settings.processors()?;
        let mut workers = settings.workers(processors.as_ref());
        if let Some((count, _)) = running {
            workers.workers = count;
        }
        let mut options = options(settings, workers)?;
        options.model.picture = running.and_then(|(_, picture)| picture);
        // A thread that is kept has the processors of what it loaded before.
        let allowed = Processors::of_this_thread().ok();
        let name = path.clone();
        let open: Open = Box::new(move || {
            match (&processors, &allowed) {
                (Some(processors), _) => pin(processors)?,
                (None, Some(all)) => pin(all)?,
                (None, None) => {}
            }
            let all = Detector::open_all(&options).map_err(|err| Trouble::open(&name, &err))?;
            let with_sizes = |detector| Detectors::new(detector, options.clone());
            Ok(all.into_iter().map(with_sizes).collect())
        });
        let loaded = run(open)
            .map_err(|err| no_thread(&err))?
            .map_err(|panic| Trouble::panic(&format!("loading the model {path}"), panic.as_ref()));
        loaded?
    }

    /// What there is to tell of a model, and its thresholds.
    pub(super) fn describe(&self, settings: &Settings, detector: &Detector) -> Loaded {
        let model = detector.model();
        Loaded {
            report: model_report(settings, detector, self.obj().current_running_time()),
            score_threshold: model.score_threshold,
            iou_threshold: model.iou_threshold,
            path: settings.model.clone(),
            classes: None,
            in_use: true,
        }
    }

    /// From now on `loaded` is the model that properties must fit; tells the bus of it. Nothing happens, and false is
    /// given back, if `holds` says that it is not to be used any more.
    ///
    /// Refused if classes are wanted that the model has not.
    pub(super) fn announce(
        &self,
        mut loaded: Loaded,
        holds: impl FnOnce(&mut State) -> bool,
    ) -> Result<bool, Trouble> {
        {
            // Under the locks: what is set, or swapped in, while the model was loaded counts too.
            let settings = self.settings.lock();
            let chosen = settings.selection(&loaded.report.labels);
            chosen.map_err(|err| classes_trouble(&err))?;
            let mut in_use = self.loaded.lock();
            if !holds(&mut self.state.lock()) {
                return Ok(false);
            }
            loaded.classes = settings.wanted_classes().cloned();
            *in_use = Some(loaded);
        }
        let Some(report) = self.model_info() else {
            return Ok(true);
        };
        for warning in &report.warnings {
            self.post_warning(&Trouble::setting(warning, &report.path));
        }
        let message = report.to_structure(MODEL);
        gst::info!(CAT, imp = self, "Model ready: {message}");
        self.post(message);
        Ok(true)
    }

    /// The property `model` was set: if frames are under way, the model in use shall be another soon.
    pub(super) fn request_swap(&self) {
        if !self.state.lock().running {
            return;
        }
        {
            let mut swaps = self.swaps.lock();
            swaps.asked += 1;
            if std::mem::replace(&mut swaps.loading, true) {
                return; // the thread will see that more was asked for
            }
        }
        let element = self.obj().downgrade();
        let thread = thread::Builder::new().name("detect-swap".into());
        if let Err(err) = thread.spawn(move || swap_until_done(&element)) {
            self.swaps.lock().loading = false;
            self.post_warning(&no_thread(&err).and("The model in use stays"));
        }
    }

    fn next_request(&self) -> Request {
        let number = self.swaps.lock().asked;
        Request {
            number,
            settings: self.settings.lock().clone(),
            epoch: self.state.lock().epoch,
        }
    }

    /// Whether what was asked for is done; the thread ends then.
    fn swap(&self, request: &Request) -> bool {
        let picture = {
            let state = self.state.lock();
            state.stream.as_ref().map(|stream| stream.picture.size)
        };
        let running = Some((self.workers.lock().len(), picture));
        let load = || {
            let loaded = self.load(&request.settings, running, loader::run);
            loaded.and_then(|detectors| self.hand_over(request, detectors))
        };
        let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
            Err(Trouble::panic("changing to another model", panic.as_ref()))
        });
        if let Err(trouble) = loaded
            && self.is_wanted(request)
        {
            let path = self.roll_back(request);
            self.post_warning(&trouble.and(&format!("The model in use stays: {path}")));
        }
        let done = {
            let mut swaps = self.swaps.lock();
            let done = swaps.asked == request.number || !self.state.lock().running;
            swaps.loading = !done;
            done
        };
        if done {
            self.settle_classes();
        }
        done
    }

    /// Whether a model is on its way, so that classes may be set which the one in use has not.
    pub(super) fn is_swapping(&self) -> bool {
        self.swaps.lock().loading
    }

    /// The last classes that were set and are those of the model in use.
    pub(super) fn classes_in_use(&self) -> Option<Arc<str>> {
        self.loaded.lock().as_ref()?.classes.clone()
    }

    /// No model is on its way any more: classes that the one in use has not were for one that did not come.
    fn settle_classes(&self) {
        let trouble = {
            let mut settings = self.settings.lock();
            let mut loaded = self.loaded.lock();
            let Some(loaded) = loaded.as_mut().filter(|loaded| loaded.in_use) else {
                return;
            };
            match settings.selection(&loaded.report.labels) {
                Ok(_) => {
                    loaded.classes = settings.wanted_classes().cloned();
                    return;
                }
                Err(err) => {
                    Arc::make_mut(&mut settings)
                        .classes
                        .clone_from(&loaded.classes);
                    classes_trouble(&err)
                }
            }
        };
        self.obj().notify("classes");
        self.post_warning(&trouble.and("They are as before"));
    }

    fn is_wanted(&self, request: &Request) -> bool {
        let newest = self.swaps.lock().asked == request.number;
        let state = self.state.lock();
        newest && state.running && state.epoch == request.epoch
    }

    /// Gives each worker a detector of the new model, unless they have ended meanwhile.
    fn hand_over(&self, request: &Request, detectors: Vec<Detectors>) -> Result<(), Trouble> {
        if !self.is_wanted(request) {
            return Ok(());
        }
        let Some(first) = detectors.first().map(Detectors::current) else {
            return Ok(());
        };
        let loaded = self.describe(&request.settings, first);
        let chosen = self.settings.lock().selection(&loaded.report.labels);
        chosen.map_err(|err| classes_trouble(&err))?;
        let model = {
            let mut fresh = self.fresh.lock();
            fresh.model += 1;
            fresh.detectors = detectors;
            fresh.model
        };
        let used = self.announce(loaded, |state| {
            let awaited = state.running && state.epoch == request.epoch;
            if awaited {
                state.model = model;
            }
            awaited
        });
        match used {
            Ok(true) => {
                self.wake.notify_all();
            }
            Ok(false) | Err(_) => self.fresh.lock().detectors.clear(),
        }
        used.map(drop)
    }

    /// The property tells the model in use again. Returns its name.
    fn roll_back(&self, request: &Request) -> String {
        let in_use = self.loaded.lock().as_ref().and_then(|l| l.path.clone());
        let (name, changed) = {
            let mut settings = self.settings.lock();
            let changed = settings.model == request.settings.model && settings.model != in_use;
            if changed {
                Arc::make_mut(&mut settings).model = in_use;
            }
            (settings.model_name(), changed)
        };
        if changed {
            self.obj().notify("model");
        }
        name
    }
}

/// The thread of swaps. It keeps the element from being freed only while it loads.
fn swap_until_done(element: &glib::WeakRef<super::Detect>) {
    while let Some(detect) = element.upgrade() {
        let request = detect.imp().next_request();
        let swap = || detect.imp().swap(&request);
        match catch_unwind(AssertUnwindSafe(swap)) {
            Ok(false) => {}
            Ok(true) => return,
            Err(panic) => {
                detect.imp().swaps.lock().loading = false;
                let trouble = Trouble::panic("changing to another model", panic.as_ref());
                detect.imp().post_warning(&trouble);
                return;
            }
        }
    }
}

fn classes_trouble(err: &ClassesError) -> Trouble {
    Trouble::setting(&format!("The property classes cannot be {err}"), err)
}

pub(super) fn no_thread(err: &io::Error) -> Trouble {
    let sentence = "Cannot start a thread to load the model";
    Trouble::new(gst::ResourceError::Failed, sentence, err.to_string())
}

pub(super) fn pin(processors: &Processors) -> Result<(), Trouble> {
    processors.pin_this_thread().map_err(|err| {
        let sentence = format!("The property cpu-affinity cannot be {err}");
        Trouble::setting(&sentence, &err)
    })
}

fn options(settings: &Settings, workers: Workers) -> Result<DetectorOptions, Trouble> {
    let input_size: InputSize = settings.input_size.parse().map_err(|err| {
        let sentence = format!("The property input-size cannot be used: {err}");
        Trouble::setting(&sentence, &err)
    })?;
    Ok(DetectorOptions {
        model: ModelOptions {
            path: settings.model.clone(),
            labels: settings.labels.clone(),
            card: settings.model_config.clone(),
            input_size,
            picture: None,
        },
        engine: settings.engine.into(),
        engine_options: EngineOptions {
            threads: workers.threads,
            precision: settings.precision.into(),
            at_once: workers.workers,
        },
    })
}

/// How the processors are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Workers {
    /// Frames analysed at the same time.
    pub workers: usize,
    /// Threads for each; 0 = a good choice of the engine's.
    pub threads: usize,
}

impl Workers {
    /// What `workers` and `threads` as set, 0 = a good choice, mean on so many processors.
    ///
    /// A single worker leaves the choice of threads to the engine. Several share the processors: a thread more for one
    /// of them would be one less for another. As many as there are processors give the most frames a second, for a
    /// second thread of one inference brings less than a second inference does.
    pub fn new(workers: u32, threads: u32, processors: usize) -> Self {
        /// All cores of a Raspberry Pi; each worker needs memory for its activations.
        const MOST_GOOD: usize = 4;
        let (workers, threads) = (workers as usize, threads as usize);
        let workers = match workers {
            0 => (processors / threads.max(1)).clamp(1, MOST_GOOD),
            n => n,
        };
        let threads = match (workers, threads) {
            (2.., 0) => (processors / workers).max(1),
            (_, n) => n,
        };
        Self { workers, threads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_processors() {
        let shared = |workers, threads, processors| {
            let shared = Workers::new(workers, threads, processors);
            (shared.workers, shared.threads)
        };
        assert_eq!(shared(1, 0, 4), (1, 0), "the engine chooses");
        assert_eq!(shared(1, 3, 4), (1, 3));
        assert_eq!(shared(2, 0, 4), (2, 2));
        assert_eq!(shared(3, 0, 4), (3, 1));
        assert_eq!(shared(0, 0, 2), (2, 1));
        assert_eq!(shared(0, 2, 4), (2, 2));
        assert_eq!(shared(0, 0, 64), (4, 16));
        assert_eq!(shared(8, 0, 2), (8, 1));
    }
}
