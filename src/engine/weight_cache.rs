//! [`open`]: shares one copy of the weights among all engines of the process that run the same model in the same way,
//! for tract and OpenVINO.
//!
//! The cache keeps no engine alive. It knows the engines in use; a model that nobody uses is freed.

use super::{Engine, EngineError, EngineKind, EngineOptions, Precision, WithLibrary};
use crate::base::tensor::{InputSpec, Tensor, TensorSpec};
use parking_lot::Mutex;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

/// Properties that two engines must have in common to share weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    kind: EngineKind,
    precision: Precision,
    /// Name, dims and type of the input.
    input: TensorSpec,
    length: usize,
    /// Two hashes of the prepared ONNX, 128 bits in all.
    hashes: [u64; 2],
    /// Threads, concurrent inferences and processors, where threads are shared with the weights.
    threads: Option<(usize, usize, String)>,
}

impl Key {
    /// Creates the key of `bytes`, one form of a model with this input.
    pub fn new(kind: EngineKind, bytes: &[u8], input: &InputSpec, options: &EngineOptions) -> Self {
        let hash = |beginning: u8| {
            let mut hasher = DefaultHasher::new();
            beginning.hash(&mut hasher);
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        Self {
            kind,
            precision: options.precision,
            input: super::input_spec(input),
            length: bytes.len(),
            hashes: [hash(0), hash(1)],
            threads: match kind {
                EngineKind::Tract => None,
                _ => Some((options.good_threads(), options.at_once.max(1), processors())),
            },
        }
    }
}

/// Returns the processors that the calling thread, and so every thread an engine starts, may use; empty if unknown.
fn processors() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.unwrap_or_default().trim().to_owned()
}

/// The engine from which the others of its model are made; it never runs.
struct Original {
    engine: Mutex<Box<dyn Engine>>,
    library: Option<String>,
}

/// Slot of one model. It is locked while the model loads, so that concurrent requests load it only once.
type Place = Arc<Mutex<Weak<Original>>>;

static CACHE: Mutex<Vec<(Key, Place)>> = Mutex::new(Vec::new());

/// Returns the slot of the model of `key`, and drops slots of models that nobody uses or loads.
fn place(key: Key) -> Place {
    let mut cache = CACHE.lock();
    // Whoever loads also holds the slot, so this lock is free.
    cache.retain(|(_, place)| Arc::strong_count(place) > 1 || place.lock().strong_count() > 0);
    if let Some((_, place)) = cache.iter().find(|(k, _)| *k == key) {
        return place.clone();
    }
    let place = Place::default();
    cache.push((key, place.clone()));
    place
}

/// Creates an engine for the model of `key` with so many `threads`, from one in use or else loaded from `bytes`.
///
/// # Errors
/// The errors of `load`.
pub(super) fn open(
    key: Key,
    threads: usize,
    bytes: &[u8],
    load: impl FnOnce() -> Result<WithLibrary, EngineError>,
) -> Result<WithLibrary, EngineError> {
    let place = place(key);
    let mut kept = place.lock();
    let original = match kept.upgrade() {
        Some(original) => original,
        None => {
            let (engine, library) = load()?;
            let engine = Mutex::new(engine);
            let original = Arc::new(Original { engine, library });
            *kept = Arc::downgrade(&original);
            original
        }
    };
    drop(kept);
    let engine = original.engine.lock().another(threads, bytes)?;
    let library = original.library.clone();
    Ok((Box::new(Shared { engine, original }), library))
}

/// An engine that keeps its model in the cache.
struct Shared {
    engine: Box<dyn Engine>,
    original: Arc<Original>,
}

impl Engine for Shared {
    fn outputs(&self) -> &[TensorSpec] {
        self.engine.outputs()
    }

    fn run_into(&mut self, input: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        self.engine.run_into(input, outputs)
    }

    fn release_thread(&mut self) {
        self.engine.release_thread();
    }

    fn another(&self, threads: usize, bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Self {
            engine: self.engine.another(threads, bytes)?,
            original: self.original.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, ModelOptions};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    fn model() -> Model {
        Model::open(&ModelOptions::default()).expect("the built-in model")
    }

    /// Opens the built-in model with a precision that keeps concurrent tests apart.
    fn engine_of(
        model: &Model,
        precision: Precision,
        threads: usize,
        loads: &AtomicUsize,
    ) -> Box<dyn Engine> {
        let options = EngineOptions {
            threads,
            precision,
            ..EngineOptions::default()
        };
        let key = Key::new(EngineKind::Tract, &model.bytes, &model.input, &options);
        let load = || {
            loads.fetch_add(1, Relaxed);
            let options = EngineOptions::default();
            let tract = super::super::tract::Tract::open(&model.bytes, &model.input, &options)?;
            Ok((Box::new(tract) as Box<dyn Engine>, None))
        };
        open(key, threads, &model.bytes, load)
            .expect("the built-in model")
            .0
    }

    #[test]
    fn a_model_in_use_is_not_loaded_again_and_one_that_is_not_is_gone() {
        let (model, loads) = (model(), AtomicUsize::new(0));
        let engine = |threads| engine_of(&model, Precision::F32, threads, &loads);
        let mut first = engine(1);
        let mut second = engine(2);
        assert_eq!(
            loads.load(Relaxed),
            1,
            "threads are no matter of the weights"
        );
        let dims = model.input.dims();
        let picture = Tensor::f32(&model.input.name, dims, vec![0.5; dims.iter().product()]);
        let answers = [first.run(&picture).unwrap(), second.run(&picture).unwrap()];
        assert_eq!(answers[0], answers[1]);
        drop((first, second));
        engine(1);
        assert_eq!(loads.load(Relaxed), 2, "nobody used it any more");
    }

    #[test]
    fn of_many_that_ask_for_a_model_at_the_same_time_one_loads_it() {
        const MANY: usize = 4;
        let (model, loads, begin) = (model(), AtomicUsize::new(0), Barrier::new(MANY));
        std::thread::scope(|scope| {
            let ask = || {
                begin.wait();
                let engine = engine_of(&model, Precision::F16, 1, &loads);
                begin.wait(); // nobody lets go before all have theirs
                drop(engine);
            };
            (0..MANY).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(loads.load(Relaxed), 1);
    }

    #[test]
    fn a_model_that_could_not_be_loaded_is_tried_again() {
        let model = model();
        let options = EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        };
        let key = || Key {
            length: 0,
            ..Key::new(EngineKind::Tract, &model.bytes, &model.input, &options)
        };
        let loads = AtomicUsize::new(0);
        for _ in 0..2 {
            let failed = open(key(), 1, &model.bytes, || {
                loads.fetch_add(1, Relaxed);
                Err(EngineError::Panic {
                    engine: EngineKind::Tract,
                    text: "not today".into(),
                })
            });
            assert!(failed.is_err());
        }
        assert_eq!(loads.load(Relaxed), 2);
    }

    #[test]
    fn threads_that_come_with_the_weights_keep_models_apart() {
        let model = model();
        let key = |kind, threads| {
            Key::new(
                kind,
                &model.bytes,
                &model.input,
                &EngineOptions {
                    threads,
                    ..EngineOptions::default()
                },
            )
        };
        let chosen = EngineOptions::default().good_threads();
        assert_eq!(key(EngineKind::Tract, 1), key(EngineKind::Tract, 7));
        assert_eq!(
            key(EngineKind::OpenVino, 0),
            key(EngineKind::OpenVino, chosen)
        );
        assert_ne!(key(EngineKind::OpenVino, 1), key(EngineKind::OpenVino, 7));
        let elsewhere = Key {
            threads: Some((1, 1, "7".into())),
            ..key(EngineKind::OpenVino, 1)
        };
        assert_ne!(key(EngineKind::OpenVino, 1), elsewhere, "other processors");
    }
}
