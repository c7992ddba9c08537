//! [`StubEngine`]: canned outputs and gates, so that tests decide when an inference begins and ends.
//!
//! A test takes the [`Control`] of a model file *before* the file is opened; its engine then obeys that control. The
//! file itself is read and recognised as usual: only the inference is canned.

use super::{Engine, EngineError, EngineKind, arrange, caught};
use crate::base::tensor::{Element, InputSpec, Tensor, TensorSpec};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::iter::repeat_n;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Longest time that a test waits for an inference; after that it hangs, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

type Script = Box<dyn FnMut(&Tensor) -> Result<Vec<Tensor>, EngineError> + Send>;

static CONTROLS: LazyLock<Mutex<HashMap<String, Arc<Control>>>> = LazyLock::new(Mutex::default);

/// A test's control over the engine of one model.
pub struct Control {
    gate: Mutex<Gate>,
    changed: Condvar,
    script: Mutex<Option<Script>>,
}

struct Gate {
    open: bool,
    /// Inferences that may pass a closed gate.
    permits: usize,
    /// Time that every inference takes.
    duration: Duration,
    started: usize,
    finished: usize,
}

impl Control {
    /// Returns the control of the model at `path` (`None`: the built-in one), and creates it at the first call.
    pub fn for_model(path: Option<&std::path::Path>) -> Arc<Self> {
        let key = path.map_or_else(String::new, |p| p.display().to_string());
        let mut controls = CONTROLS.lock();
        controls
            .entry(key)
            .or_insert_with(|| Arc::new(Self::new()))
            .clone()
    }

    fn new() -> Self {
        Self {
            gate: Mutex::new(Gate {
                open: true,
                permits: 0,
                duration: Duration::ZERO,
                started: 0,
                finished: 0,
            }),
            changed: Condvar::new(),
            script: Mutex::new(None),
        }
    }

    /// Makes inferences wait until [`Self::open`] or [`Self::pass`].
    pub fn close(&self) {
        self.gate.lock().open = false;
    }

    /// Lets all inferences pass.
    pub fn open(&self) {
        self.gate.lock().open = true;
        self.changed.notify_all();
    }

    /// Lets `count` inferences pass a closed gate.
    pub fn pass(&self, count: usize) {
        self.gate.lock().permits += count;
        self.changed.notify_all();
    }

    /// Sets the time that every inference takes from now on.
    pub fn set_duration(&self, duration: Duration) {
        self.gate.lock().duration = duration;
    }

    /// Sets the outputs of every inference from now on.
    pub fn set_script(
        &self,
        script: impl FnMut(&Tensor) -> Result<Vec<Tensor>, EngineError> + Send + 'static,
    ) {
        *self.script.lock() = Some(Box::new(script));
    }

    /// Returns how many inferences have begun, the warm-up included.
    pub fn started(&self) -> usize {
        self.gate.lock().started
    }

    /// Waits until an inference is inside the engine. Returns false if none came within [`PATIENCE`].
    #[must_use]
    pub fn wait_until_running(&self) -> bool {
        self.wait(|gate| gate.started > gate.finished)
    }

    /// Waits until `count` inferences have begun. Returns false if they did not within [`PATIENCE`].
    #[must_use]
    pub fn wait_until_started(&self, count: usize) -> bool {
        self.wait(|gate| gate.started >= count)
    }

    /// Waits until no inference is inside the engine. Returns false if one stayed for [`PATIENCE`].
    #[must_use]
    pub fn wait_until_idle(&self) -> bool {
        self.wait(|gate| gate.started == gate.finished)
    }

    fn wait(&self, done: impl Fn(&Gate) -> bool) -> bool {
        let mut gate = self.gate.lock();
        let result = self
            .changed
            .wait_while_for(&mut gate, |gate| !done(gate), PATIENCE);
        !result.timed_out()
    }

    fn enter(&self) -> Duration {
        let mut gate = self.gate.lock();
        gate.started += 1;
        self.changed.notify_all();
        self.changed
            .wait_while(&mut gate, |gate| !gate.open && gate.permits == 0);
        if !gate.open {
            gate.permits -= 1;
        }
        gate.duration
    }

    fn leave(&self) {
        self.gate.lock().finished += 1;
        self.changed.notify_all();
    }
}

/// Marks an inference as inside, and as outside again even if the script panics.
struct Inside<'a>(&'a Control);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The engine that its [`Control`] drives. Without a script it returns zeros.
pub struct StubEngine {
    control: Arc<Control>,
    outputs: Vec<TensorSpec>,
    input: TensorSpec,
}

impl StubEngine {
    /// Creates the engine; `outputs` are those the model declares, with every dim fixed.
    pub fn new(control: Arc<Control>, input: &InputSpec, outputs: Vec<TensorSpec>) -> Self {
        let input = TensorSpec {
            name: input.name.clone(),
            dims: input.dims().to_vec(),
            element: input.element,
        };
        Self {
            control,
            outputs,
            input,
        }
    }

    fn zeros(&self, outputs: &mut Vec<Tensor>) {
        for (output, spec) in arrange(outputs, &self.outputs) {
            let (count, dims) = (spec.dims.iter().product(), spec.dims.iter().copied());
            match spec.element {
                Element::F32 => output.refill(dims, repeat_n(0.0_f32, count)),
                Element::U8 => output.refill(dims, repeat_n(0_u8, count)),
                Element::I32 => output.refill(dims, repeat_n(0_i32, count)),
                Element::I64 => output.refill(dims, repeat_n(0_i64, count)),
            }
        }
    }
}

impl Engine for StubEngine {
    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn another(&self, _threads: usize, _bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Self {
            control: self.control.clone(),
            outputs: self.outputs.clone(),
            input: self.input.clone(),
        }))
    }

    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        if (&input.dims, input.data.element()) != (&self.input.dims, self.input.element) {
            return Err(EngineError::Shape {
                found: input.spec(),
                expected: self.input.clone(),
            });
        }
        let duration = self.control.enter();
        let _inside = Inside(&self.control);
        if !duration.is_zero() {
            std::thread::sleep(duration);
        }
        caught(EngineKind::Stub, || {
            match self.control.script.lock().as_mut() {
                Some(script) => *outputs = script(input)?,
                None => self.zeros(outputs),
            }
            Ok(())
        })
    }
}
