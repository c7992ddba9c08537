//! The element and GObject side of `detect`: class, pads, properties, state changes.

use super::failure::Trouble;
use super::inputs::Inputs;
use super::loader::First;
use super::loading::{Fresh, Loaded, Swaps, no_thread};
use super::lock::Lock;
use super::settings::properties;
use super::settings::{PROP_CLASSES, PROP_MODEL, PROP_MODEL_INFO, PROP_STATS, Settings};
use super::sizes::Detectors;
use super::state::State;
use super::worker::WORKER;
use crate::base::classes::ClassesError;
use crate::bridge::message::{MODEL_PROPERTY, STATS_PROPERTY};
use crate::host::machine::Machine;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::Condvar;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        super::FACTORY,
        gst::DebugColorFlags::empty(),
        Some("Object detection"),
    )
});

// Lock order: settings, loaded, state; each is released before the next is taken wherever that serves. None is held
// while pushing, querying, posting, notifying, pausing or stopping the task, loading a model or inferring.
pub struct Detect {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    /// Replaced as a whole when a property is set, so that a frame can take them along without copying.
    pub(super) settings: Lock<Arc<Settings>>,
    pub(super) loaded: Lock<Option<Loaded>>,
    pub(super) state: Lock<State>,
    /// With `state`: signalled on every change a thread may wait for.
    pub(super) wake: Condvar,
    /// No other lock is taken while it is held.
    pub(super) inputs: Lock<Inputs>,
    pub(super) workers: Lock<Vec<JoinHandle<()>>>,
    /// For each worker a detector of the model that was swapped in last.
    pub(super) fresh: Lock<Fresh>,
    pub(super) swaps: Lock<Swaps>,
    /// From READY to PAUSED on; no other lock is taken while it is held.
    pub(super) machine: Lock<Option<Machine>>,
    /// Where this element's times are counted from.
    origin: Instant,
}

#[glib::object_subclass]
impl ObjectSubclass for Detect {
    const NAME: &'static str = "GstDetect";
    type Type = super::Detect;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| {
            class
                .pad_template(name)
                .expect("the class has just been given its templates")
        };
        Self {
            sinkpad: Self::build_sinkpad(&template("sink")),
            srcpad: Self::build_srcpad(&template("src")),
            settings: Lock::default(),
            loaded: Lock::default(),
            state: Lock::default(),
            wake: Condvar::new(),
            inputs: Lock::default(),
            workers: Lock::default(),
            fresh: Lock::default(),
            swaps: Lock::default(),
            machine: Lock::default(),
            origin: Instant::now(),
        }
    }
}

impl ObjectImpl for Detect {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties::properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if let Err(err) = self.set(pspec.name(), value) {
            let sentence = format!("The property classes stays as it was: it cannot be {err}");
            self.post_warning(&Trouble::setting(&sentence, &err));
        }
        let latency = self.settings.lock().latency();
        {
            let mut state = self.state.lock();
            state.settings_changed += 1;
            state.delay.fix(latency);
        }
        self.wake.notify_all(); // the interval of statistics may be another, or a LATENCY message due
        if pspec.name() == PROP_MODEL {
            self.request_swap();
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            PROP_STATS => self.stats().to_structure(STATS_PROPERTY).to_value(),
            PROP_MODEL_INFO => {
                let info = self.model_info();
                info.map(|report| report.to_structure(MODEL_PROPERTY))
                    .to_value()
            }
            name => {
                let value = self.settings.lock().get(name);
                value.unwrap_or_else(|| pspec.default_value().clone())
            }
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            obj.add_pad(pad)
                .expect("a new element has no pad of this name");
        }
    }
}

impl GstObjectImpl for Detect {}

impl ElementImpl for Detect {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Object detector",
                "Filter/Analyzer/Video",
                "Finds objects in video with an ONNX model and attaches their boxes to the frames",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction| {
                let caps = crate::bridge::video_frame::caps();
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                    .expect("a name and caps make a template")
            };
            vec![
                template("sink", gst::PadDirection::Sink),
                template("src", gst::PadDirection::Src),
            ]
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start()?,
            gst::StateChange::PausedToPlaying => self.set_playing(true),
            gst::StateChange::PlayingToPaused => self.set_playing(false),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        let going_up = transition == gst::StateChange::ReadyToPaused;
        if transition == gst::StateChange::PausedToReady || (going_up && result.is_err()) {
            self.stop();
        }
        result
    }
}

impl Detect {
    /// Time since this element was made: what every `now` is counted in.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    #[cfg(feature = "stub-engine")]
    pub(super) fn locks_taken(&self) -> super::LocksTaken {
        let others = [
            self.settings.taken(),
            self.loaded.taken(),
            self.inputs.taken(),
            self.workers.taken(),
            self.fresh.taken(),
            self.swaps.taken(),
            self.machine.taken(),
        ];
        super::LocksTaken {
            state: self.state.taken(),
            others: others.iter().sum(),
        }
    }

    /// Takes a new value of a property. Classes that the model in use has not are refused, and the old ones stay, unless
    /// another model is on its way: they may be for that one.
    fn set(&self, name: &str, value: &glib::Value) -> Result<(), ClassesError> {
        let mut settings = self.settings.lock();
        let mut changed = Settings::clone(&settings);
        changed.set(name, value);
        if name == PROP_CLASSES
            && let Some(loaded) = self.loaded.lock().as_mut()
            && loaded.in_use
        {
            match changed.selection(&loaded.report.labels) {
                Ok(_) => loaded.classes = changed.wanted_classes().cloned(),
                Err(_) if self.is_swapping() => {}
                Err(err) => return Err(err),
            }
        }
        *settings = Arc::new(changed);
        Ok(())
    }

    /// Loads the model and starts the workers.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        *self.machine.lock() = Some(Machine::new(Path::new("/"), self.now()));
        let settings = self.settings.lock().clone();
        let started = self.load_and_work(&settings);
        if started.is_ok() && self.settings.lock().model != settings.model {
            self.request_swap(); // it was set while the other one was loaded
        }
        started.map_err(|trouble| {
            self.stop();
            self.loaded.lock().take();
            self.post_error(&trouble);
            gst::StateChangeError
        })
    }

    fn load_and_work(&self, settings: &Settings) -> Result<(), Trouble> {
        let thread = First::start(WORKER).map_err(|err| no_thread(&err))?;
        let detectors = self.load(settings, None, |open| thread.run(open))?;
        if let Some(first) = detectors.first().map(Detectors::current) {
            self.announce(self.describe(settings, first), |_| true)?;
            let (estimate, workers) = (first.warm_up_time(), detectors.len());
            self.state.lock().start(settings, estimate, workers);
        }
        self.start_workers(detectors, settings, thread)
    }

    /// Ends the workers; waits for at most the one inference that each may be in. The pads are inactive already.
    fn stop(&self) {
        let remains = {
            let mut state = self.state.lock();
            state.epoch += 1;
            state.running = false;
            state.begin_flush()
        };
        self.wake.notify_all();
        drop(remains);
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in workers {
            self.join(worker);
        }
        self.fresh.lock().detectors.clear();
        *self.inputs.lock() = Inputs::default();
        if let Some(loaded) = self.loaded.lock().as_mut() {
            loaded.in_use = false;
        }
    }

    fn set_playing(&self, playing: bool) {
        self.state.lock().set_playing(playing, self.now());
        self.wake.notify_all();
    }
}
