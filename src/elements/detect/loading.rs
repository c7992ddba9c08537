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
use crate::host::memory;
use crate::model::{InputSize, ModelOptions};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::io;
use std::sync::mpsc::channel;
use std::thread;

/// Opens a detector for each worker, in whatever thread it is called.
pub(super) type Open = Box<dyn FnOnce() -> Result<Vec<Detectors>, Failure> + Send>;

impl Detect {
    /// Loads the first model, and starts the workers for it.
    pub(super) fn load_and_work(&self, settings: &Settings) -> Result<(), Failure> {
        let thread = FirstWorker::start().map_err(|err| Failure::no_thread(&err))?;
        let limit = settings.load_timeout();
        let detectors = self.load(settings, None, |open| thread.run(limit, open))?;
        check_threads().map_err(|err| Failure::no_further_thread(&err))?;
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
        check_memory(&path, LEAST_TO_LOAD)?;
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
        let detectors = loaded??;
        check_memory(&path, LEAST_TO_GO_ON)?;
        Ok(detectors)
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

/// Threads of a source, of the source pad, and one more.
const THREADS_OF_A_PIPELINE: usize = 3;
/// Address space below which nothing is loaded.
const LEAST_TO_LOAD: u64 = 48 << 20;
/// Address space that must be left behind a load: the stacks of the threads that the pipeline starts next.
const LEAST_TO_GO_ON: u64 = 32 << 20;

/// Refuses to go on where little address space is left. GLib and the standard library end the process where a small
/// allocation fails, and GStreamer waits for ever for a thread that it could not start.
fn check_memory(path: &str, least: u64) -> Result<(), Failure> {
    match memory::address_space_left() {
        Some(left) if left < least => {
            let sentence = format!(
                "Cannot load the model {path}: the limit of address space (ulimit -v) leaves {left} bytes, expected {least} or more"
            );
            Err(Failure::new(
                gst::ResourceError::NoSpaceLeft,
                &sentence,
                path.to_owned(),
            ))
        }
        _ => Ok(()),
    }
}

/// Starts as many threads at a time as a small pipeline does next, and ends them: where there is no room for them, GStreamer
/// would wait for ever. A limit of address space is checked by [`check_memory`]; there each thread would take a heap.
fn check_threads() -> io::Result<()> {
    if memory::address_space_left().is_some() {
        return Ok(());
    }
    let start = || {
        let (end, wait) = channel::<()>();
        let thread = thread::Builder::new().name("detect-try".into());
        let thread = thread.spawn(move || wait.recv().unwrap_or_default())?;
        Ok((end, thread))
    };
    let started: Vec<io::Result<_>> = (0..THREADS_OF_A_PIPELINE).map(|_| start()).collect();
    for result in started {
        let (end, thread) = result?;
        drop(end);
        let _ = thread.join();
    }
    Ok(())
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
