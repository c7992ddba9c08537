//! The element and GObject side of `detect`: class, pads, properties, state changes.

use super::CAT;
use super::failure::Failure;
use super::inputs::Inputs;
use super::lock::{Lock, Place, Wake};
use super::model_slot::ModelSlot;
use super::settings::{
    PROP_CLASSES, PROP_MODEL, PROP_MODEL_INFO, PROP_STATS, Settings, properties,
};
use super::state::State;
use crate::base::classes::ClassesError;
use crate::bridge::message::{MODEL_PROPERTY, STATS_PROPERTY};
use crate::bridge::meta;
use crate::host::machine::Machine;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

// Lock order: settings, slot, state. Usually one is cloned or released before the next is taken. `inputs`, `threads` and
// `machine` are leaves: no other lock is taken while one of them is held. The idle thread of `loader.rs` and the loads of
// `watch.rs` are leaves too. None is held while pushing, querying, posting, notifying, pausing or stopping the task, loading
// a model or inferring, nor while a buffer or a detector is dropped. `lock.rs` checks this in builds for tests.
pub struct Detect {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    /// Replaced as a whole when a property is set. The state has the same, see [`State::change_settings`].
    pub(super) settings: Lock<Arc<Settings>>,
    pub(super) slot: Lock<ModelSlot>,
    pub(super) state: Lock<State>,
    /// With `state`: signalled on every change that a thread may wait for.
    pub(super) wake: Wake,
    pub(super) inputs: Lock<Inputs>,
    pub(super) threads: Lock<Vec<JoinHandle<()>>>,
    /// From READY to PAUSED on.
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
            settings: Lock::new(Place::Settings, Arc::default()),
            slot: Lock::new(Place::Slot, ModelSlot::default()),
            state: Lock::new(Place::State, State::default()),
            wake: Wake::default(),
            inputs: Lock::new(Place::Leaf, Inputs::default()),
            threads: Lock::new(Place::Leaf, Vec::new()),
            machine: Lock::new(Place::Leaf, None),
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
            let sentence =
                format!("Keeping the old value of the property classes: it cannot be {err}");
            self.post_warning(&Failure::setting(&sentence, &err));
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
    /// Time since this element was made; every `now` is counted from there.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    #[cfg(feature = "stub-engine")]
    pub(super) fn locks_taken(&self) -> super::LocksTaken {
        let others = [
            self.settings.taken(),
            self.slot.taken(),
            self.inputs.taken(),
            self.threads.taken(),
            self.machine.taken(),
        ];
        super::LocksTaken {
            state: self.state.taken(),
            others: others.iter().sum(),
        }
    }

    /// Sets a property. Classes that the model in use does not have are refused, unless another model is on its way, because
    /// they may be for that one.
    fn set(&self, name: &str, value: &glib::Value) -> Result<(), ClassesError> {
        let mut settings = self.settings.lock();
        let mut changed = Settings::clone(&settings);
        changed.set(name, value);
        if name == PROP_CLASSES {
            let mut slot = self.slot.lock();
            let is_loading = slot.is_loading();
            if let Some(loaded) = slot.in_use() {
                match changed.selection(&loaded.report.labels) {
                    Ok(_) => loaded.classes = changed.wanted_classes().cloned(),
                    Err(_) if is_loading => {}
                    Err(err) => return Err(err),
                }
            }
        }
        self.change_settings(&mut settings, changed);
        Ok(())
    }

    /// Replaces the settings, whose lock the caller holds, so that the state follows them in the same order.
    pub(super) fn change_settings(&self, settings: &mut Arc<Settings>, changed: Settings) {
        *settings = Arc::new(changed);
        self.state.lock().change_settings(settings.clone());
    }

    /// Loads the model and starts the workers.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        if let Some(why) = meta::analytics_absence() {
            gst::debug!(CAT, imp = self, "No analytics metadata: {why}");
        }
        *self.machine.lock() = Some(Machine::new(Path::new("/"), self.now()));
        let settings = self.settings.lock().clone();
        let started = self.load_and_work(&settings);
        if started.is_ok() && self.settings.lock().model != settings.model {
            self.request_swap(); // it was set while the other one was loaded
        }
        started.map_err(|failure| {
            self.stop();
            self.slot.lock().forget_model();
            self.post_error(&failure);
            gst::StateChangeError
        })
    }

    /// Ends the workers, and waits for the one inference that each may be in. The pads are inactive already.
    fn stop(&self) {
        let remains = self.state.lock().stop();
        self.wake.notify_all();
        drop(remains);
        let workers = std::mem::take(&mut *self.threads.lock());
        for worker in workers {
            self.join(worker);
        }
        let unused = {
            let mut slot = self.slot.lock();
            slot.end_use();
            slot.take_unused()
        };
        drop(unused);
        *self.inputs.lock() = Inputs::default();
    }

    fn set_playing(&self, playing: bool) {
        self.state.lock().set_playing(playing, self.now());
        self.wake.notify_all();
    }
}
