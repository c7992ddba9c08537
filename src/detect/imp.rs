//! The element and GObject side of `detect`: class, pads, properties, state changes.

use super::settings::{self, PROP_MODEL_INFO, PROP_STATS, Settings};
use super::state::State;
use crate::detector::{Detector, DetectorOptions};
use crate::engine::EngineOptions;
use crate::message::{DetectModel, MODEL, MODEL_PROPERTY, STATS_PROPERTY};
use crate::model::{InputSize, ModelOptions};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::{Condvar, Mutex};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        super::FACTORY,
        gst::DebugColorFlags::empty(),
        Some("Object detection"),
    )
});

/// What a loaded model told, for the messages and for the thresholds that it brings.
pub(super) struct Loaded {
    pub report: DetectModel,
    pub score_threshold: f32,
    pub iou_threshold: f32,
}

// Lock order: settings, loaded, state; each is released before the next is taken wherever that serves. None is held
// while pushing, querying, posting, notifying, pausing or stopping the task, loading a model or inferring.
pub struct Detect {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) settings: Mutex<Settings>,
    pub(super) loaded: Mutex<Option<Loaded>>,
    pub(super) state: Mutex<State>,
    /// With `state`: signalled on every change a thread may wait for.
    pub(super) wake: Condvar,
    pub(super) worker: Mutex<Option<JoinHandle<()>>>,
    /// Number of the next detection, unique in the stream.
    pub(super) next_detection: AtomicU64,
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
            settings: Mutex::default(),
            loaded: Mutex::default(),
            state: Mutex::default(),
            wake: Condvar::new(),
            worker: Mutex::default(),
            next_detection: AtomicU64::new(1),
            origin: Instant::now(),
        }
    }
}

impl ObjectImpl for Detect {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings.lock().set(pspec.name(), value);
        self.state.lock().settings_changed += 1;
        self.wake.notify_all(); // the interval of statistics may be another
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            PROP_STATS => self.stats().to_structure(STATS_PROPERTY).to_value(),
            PROP_MODEL_INFO => {
                let loaded = self.loaded.lock();
                let info = loaded.as_ref();
                info.map(|l| l.report.to_structure(MODEL_PROPERTY))
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
                let caps = crate::frame::caps();
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

    /// Loads the model and starts the worker.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        let detector = self.load().inspect_err(|_| {
            self.loaded.lock().take();
        })?;
        let mode = self.settings.lock().mode;
        self.state.lock().start(mode, detector.warm_up_time());
        self.next_detection.store(1, Ordering::Relaxed);
        self.start_worker(detector)
    }

    /// Ends the worker; waits for at most the one inference that it may be in. The pads are inactive already.
    fn stop(&self) {
        let remains = {
            let mut state = self.state.lock();
            state.epoch += 1;
            state.begin_flush()
        };
        self.wake.notify_all();
        drop(remains);
        let worker = self.worker.lock().take();
        if let Some(worker) = worker {
            self.join(worker);
        }
    }

    fn set_playing(&self, playing: bool) {
        self.state.lock().playing = playing;
        self.wake.notify_all();
    }

    fn load(&self) -> Result<Detector, gst::StateChangeError> {
        let settings = self.settings.lock().clone();
        let path = settings.model_name();
        gst::info!(CAT, imp = self, "Loading the model {path}");
        let options = self.options(&settings)?;
        let opened = std::panic::catch_unwind(|| Detector::open(&options));
        let detector = match opened {
            Ok(Ok(detector)) => detector,
            Ok(Err(err)) => {
                self.post_open_error(&path, &err);
                return Err(gst::StateChangeError);
            }
            Err(panic) => {
                self.post_panic(&format!("loading the model {path}"), panic.as_ref());
                return Err(gst::StateChangeError);
            }
        };
        self.announce(&settings, &path, &detector);
        Ok(detector)
    }

    fn options(&self, settings: &Settings) -> Result<DetectorOptions, gst::StateChangeError> {
        let input_size: InputSize = settings.input_size.parse().map_err(|err| {
            gst::element_imp_error!(
                self,
                gst::LibraryError::Settings,
                ("The property input-size cannot be used: {err}"),
                ["{err:?}"]
            );
            gst::StateChangeError
        })?;
        Ok(DetectorOptions {
            model: ModelOptions {
                path: settings.model.clone(),
                labels: settings.labels.clone(),
                card: settings.model_config.clone(),
                input_size,
            },
            engine: settings.engine.into(),
            engine_options: EngineOptions {
                threads: settings.threads as usize,
                precision: settings.precision.into(),
            },
        })
    }

    /// Tells the bus what was recognised.
    fn announce(&self, settings: &Settings, path: &str, detector: &Detector) {
        let report =
            super::report::model_report(settings, detector, self.obj().current_running_time());
        for warning in &detector.model().warnings {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{warning}"), ["{path}"]);
        }
        let message = report.to_structure(MODEL);
        gst::info!(CAT, imp = self, "Model ready: {message}");
        *self.loaded.lock() = Some(Loaded {
            report,
            score_threshold: detector.model().score_threshold,
            iou_threshold: detector.model().iou_threshold,
        });
        self.post(message);
    }
}
