//! Changes to another model while frames go on with the one in use: a *swap*.
//!
//! Setting `model` requests a swap. A thread loads the new model, with all other properties as they are then, and hands a
//! detector to each worker, which takes it between two frames. If loading fails, or takes longer than `load-timeout`, the old
//! model stays, and so does its path in the property.

use super::detectors::Detectors;
use super::failure::Failure;
use super::imp::Detect;
use super::loader;
use super::lock::assert_none_held;
use super::model_slot::Loaded;
use super::settings::Settings;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// A request for another model.
struct Request {
    number: u64,
    settings: Arc<Settings>,
    /// Names the workers that wait for the model.
    epoch: u64,
}

impl Detect {
    /// The property `model` was set: if frames are under way, another model is to take over soon.
    pub(super) fn request_swap(&self) {
        let running = self.state.lock().is_running();
        if !running || !self.slot.lock().request_model() {
            return;
        }
        let element = self.obj().downgrade();
        let thread = thread::Builder::new().name("detect-swap".into());
        if let Err(err) = thread.spawn(move || swap_until_done(&element)) {
            self.slot.lock().abort_loading();
            self.post_warning(&Failure::no_thread(&err).and("The model in use stays"));
        }
    }

    fn next_request(&self) -> Request {
        let number = self.slot.lock().requested();
        Request {
            number,
            settings: self.settings.lock().clone(),
            epoch: self.state.lock().epoch(),
        }
    }

    /// Loads the requested model. Returns whether there is no newer request, so that the thread ends.
    fn swap(&self, request: &Request) -> bool {
        let picture = self.state.lock().picture_size();
        let running = Some((self.threads.lock().len(), picture));
        let load = || {
            let limit = request.settings.load_timeout();
            let run = |open| loader::run(limit, open);
            let loaded = self.load(&request.settings, running, run);
            loaded.and_then(|detectors| self.hand_over(request, detectors))
        };
        let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
            Err(Failure::panic("changing to another model", panic.as_ref()))
        });
        if let Err(failure) = loaded
            && self.is_wanted(request)
        {
            let path = self.roll_back(request);
            self.post_warning(&failure.and(&format!("The model in use stays: {path}")));
        }
        let done = {
            let mut slot = self.slot.lock();
            let running = self.state.lock().is_running();
            slot.end_loading(request.number, running)
        };
        if done {
            self.settle_classes();
        }
        done
    }

    fn is_wanted(&self, request: &Request) -> bool {
        let newest = self.slot.lock().requested() == request.number;
        newest && self.state.lock().has_workers(request.epoch)
    }

    /// Gives each worker a detector of the new model, unless they have ended meanwhile.
    fn hand_over(&self, request: &Request, detectors: Vec<Detectors>) -> Result<(), Failure> {
        if !self.is_wanted(request) {
            return Ok(());
        }
        let Some(first) = detectors.first().map(Detectors::current) else {
            return Ok(());
        };
        let running_time = self.obj().current_running_time();
        let loaded = Loaded::new(&request.settings, first, running_time);
        let chosen = self.settings.lock().selection(&loaded.report.labels);
        chosen.map_err(|err| Failure::classes(&err))?;
        let (model, unused) = self.slot.lock().put_model(detectors);
        drop(unused);
        let used = self.announce(loaded, |state| state.change_model(request.epoch, model));
        match used {
            Ok(true) => {
                self.wake.notify_all();
            }
            Ok(false) | Err(_) => {
                let unused = self.slot.lock().take_model_detectors();
                drop(unused);
            }
        }
        used.map(drop)
    }

    /// Sets the property `model` back to the model in use, and returns its name.
    fn roll_back(&self, request: &Request) -> String {
        let in_use = {
            let slot = self.slot.lock();
            slot.loaded().and_then(|loaded| loaded.path.clone())
        };
        let (name, changed) = {
            let mut settings = self.settings.lock();
            let changed = settings.model == request.settings.model && settings.model != in_use;
            if changed {
                let mut old = Settings::clone(&settings);
                old.model = in_use;
                self.change_settings(&mut settings, old);
            }
            (settings.model_name(), changed)
        };
        if changed {
            assert_none_held();
            self.obj().notify("model");
        }
        name
    }

    /// No model is on its way any more: classes that the one in use does not have were for a model that did not come, and are
    /// set back.
    fn settle_classes(&self) {
        let failure = {
            let mut settings = self.settings.lock();
            let mut slot = self.slot.lock();
            let Some(loaded) = slot.in_use() else {
                return;
            };
            match settings.selection(&loaded.report.labels) {
                Ok(_) => {
                    loaded.classes = settings.wanted_classes().cloned();
                    return;
                }
                Err(err) => {
                    let mut old = Settings::clone(&settings);
                    old.classes.clone_from(&loaded.classes);
                    self.change_settings(&mut settings, old);
                    Failure::classes(&err)
                }
            }
        };
        assert_none_held();
        self.obj().notify("classes");
        self.post_warning(&failure.and("They are as before"));
    }
}

/// Runs the thread of swaps. It keeps the element from being freed only while it loads.
fn swap_until_done(element: &glib::WeakRef<super::Detect>) {
    while let Some(detect) = element.upgrade() {
        let request = detect.imp().next_request();
        let swap = || detect.imp().swap(&request);
        match catch_unwind(AssertUnwindSafe(swap)) {
            Ok(false) => {}
            Ok(true) => return,
            Err(panic) => {
                detect.imp().slot.lock().abort_loading();
                let failure = Failure::panic("changing to another model", panic.as_ref());
                detect.imp().post_warning(&failure);
                return;
            }
        }
    }
}
