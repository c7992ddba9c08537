//! Loads a model before the first frame, and puts a loaded model into use.

use super::CAT;
use super::detectors::Detectors;
use super::failure::Failure;
use super::imp::Detect;
use super::loader::FirstWorker;
use super::lock::assert_none_held;
use super::model_slot::Loaded;
use super::numbers;
use super::settings::Settings;
use super::settings::parallelism::Parallelism;
use super::state::State;
use super::watch::NotLoaded;
use crate::base::geometry::Size;
use crate::bridge::message::MODEL;
use crate::detector::{Detector, DetectorOptions};
use crate::engine::EngineOptions;
use crate::host::affinity::Processors;
use crate::model::{InputSize, ModelOptions};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::thread;

/// Opens a detector for each worker, in whatever thread it is called.
pub(super) type Open = Box<dyn FnOnce() -> Result<Vec<Detectors>, Failure> + Send>;

impl Detect {
    /// Loads the first model, and starts the workers for it.
    pub(super) fn load_and_work(&self, settings: &Settings) -> Result<(), Failure> {
        let thread = FirstWorker::start().map_err(|err| Failure::no_thread(&err))?;
        let limit = settings.load_timeout();
        let detectors = self.load(settings, None, |open| thread.run(limit, open))?;
        if let Some(first) = detectors.first().map(Detectors::current) {
            let running_time = self.obj().current_running_time();
            self.announce(Loaded::new(settings, first, running_time), |_| true)?;
            let (estimate, workers) = (first.warm_up_time(), detectors.len());
            let numbers = numbers::of_pipeline(&self.obj());
            let mut state = self.state.lock();
            state.start(settings.mode, estimate, workers, numbers);
        }
        self.start_workers(detectors, settings, thread)
    }

    /// Opens a detector for each worker. Blocks until they are ready, for as long as the property `load-timeout` allows.
    ///
    /// `run` opens them in another thread, so that the threads of the engine keep to the processors that the user allows.
    /// `running` are the workers that there are already, whose number stays, and the size of the pictures that they see.
    pub(super) fn load(
        &self,
        settings: &Settings,
        running: Option<(usize, Option<Size>)>,
        run: impl FnOnce(Open) -> Result<thread::Result<Result<Vec<Detectors>, Failure>>, NotLoaded>,
    ) -> Result<Vec<Detectors>, Failure> {
        let path = settings.model_name();
        gst::info!(CAT, imp = self, "Loading the model {path}");
        let processors = settings.processors();
        let processors = processors.map_err(|err| Failure::affinity(&err))?;
        let mut parallelism = settings.parallelism(processors.as_ref());
        if let Some((count, _)) = running {
            parallelism.workers = count;
        }
        let mut options = options(settings, parallelism)?;
        options.model.picture = running.and_then(|(_, picture)| picture);
        // A kept thread is still on the processors of the model that it has loaded before.
        let allowed = Processors::of_this_thread().ok();
        let name = path.clone();
        let open: Open = Box::new(move || {
            if let Some(processors) = processors.as_ref().or(allowed.as_ref()) {
                let pinned = processors.pin_this_thread();
                pinned.map_err(|err| Failure::affinity(&err))?;
            }
            let all = Detector::open_all(&options).map_err(|err| Failure::open(&name, &err))?;
            let with_sizes = |detector| Detectors::new(detector, options.clone());
            Ok(all.into_iter().map(with_sizes).collect())
        });
        assert_none_held();
        let loaded = run(open)
            .map_err(|err| Failure::not_loaded(&path, &err))?
            .map_err(|panic| Failure::panic(&format!("loading the model {path}"), panic.as_ref()));
        loaded?
    }

    /// Makes `loaded` the model that properties must fit, and posts what is known of it. Does nothing and returns false if
    /// `holds` says that it is not to be used any more.
    ///
    /// # Errors
    /// If the property `classes` asks for classes that the model does not have.
    pub(super) fn announce(
        &self,
        loaded: Loaded,
        holds: impl FnOnce(&mut State) -> bool,
    ) -> Result<bool, Failure> {
        {
            // All locks at once: what is set, or swapped in, while the model was loaded counts too.
            let settings = self.settings.lock();
            let chosen = settings.selection(&loaded.report.labels);
            chosen.map_err(|err| Failure::classes(&err))?;
            let mut slot = self.slot.lock();
            if !holds(&mut self.state.lock()) {
                return Ok(false);
            }
            slot.use_model(loaded, &settings);
        }
        let Some(report) = self.model_info() else {
            return Ok(true);
        };
        for warning in &report.warnings {
            self.post_warning(&Failure::setting(warning, &report.path));
        }
        let message = report.to_structure(MODEL);
        gst::info!(CAT, imp = self, "Model ready: {message}");
        self.post(message);
        Ok(true)
    }
}

fn options(settings: &Settings, parallelism: Parallelism) -> Result<DetectorOptions, Failure> {
    let input_size: InputSize = settings.input_size.parse().map_err(|err| {
        let sentence = format!("The property input-size cannot be used: {err}");
        Failure::setting(&sentence, &err)
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
            threads: parallelism.threads,
            precision: settings.precision.into(),
            at_once: parallelism.workers,
            max_compute: Some(settings.max_compute()),
        },
    })
}
