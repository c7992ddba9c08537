//! [`Workers`]: which workers are wanted, and which model they should have.

/// The workers between one start and stop of the element, with the model that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Counted up whenever the workers shall end.
    pub epoch: u64,
    /// Counted up by each swap of the model.
    pub model: u64,
}

#[derive(Debug, Default)]
pub struct Workers {
    epoch: u64,
    /// From the start of the workers to their end.
    running: bool,
    model: u64,
    /// Orders of further input sizes that have been loaded; a worker waits for each.
    loaded: Vec<u64>,
}

impl Workers {
    pub fn start(&mut self) {
        self.running = true;
        self.model = 0;
        self.loaded.clear();
    }

    /// Has all workers end.
    pub fn stop(&mut self) {
        self.dismiss();
        self.running = false;
    }

    /// Has those workers end that have been started so far.
    pub fn dismiss(&mut self) {
        self.epoch += 1;
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn model(&self) -> u64 {
        self.model
    }

    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Whether the workers of this epoch still run.
    pub fn is_current(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// Has the workers of this epoch take the model of this number; false if they have ended.
    pub fn change_model(&mut self, epoch: u64, model: u64) -> bool {
        let awaited = self.running && self.is_current(epoch);
        if awaited {
            self.model = model;
        }
        awaited
    }

    /// Notes that an order is loaded; false if the workers of this epoch have ended.
    pub fn finish_order(&mut self, epoch: u64, order: u64) -> bool {
        let awaited = self.is_current(epoch);
        if awaited {
            self.loaded.push(order);
        }
        awaited
    }

    /// Whether this order is loaded. It is forgotten then.
    pub fn take_order(&mut self, order: u64) -> bool {
        let index = self.loaded.iter().position(|loaded| *loaded == order);
        index.is_some_and(|index| {
            self.loaded.swap_remove(index);
            true
        })
    }
}
