//! [`open`]: one copy of the weights for all engines of the process that run the same model in the same way.
//!
//! The shelf holds no engine alive: it knows those that are in use, and a model that nobody uses any more is gone.

use super::{Engine, EngineError, EngineKind, EngineOptions, WithLibrary};
use crate::model::Model;
use crate::tensor::{Tensor, TensorSpec};
use parking_lot::Mutex;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

/// What two engines must have in common to share their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    kind: EngineKind,
    options: EngineOptions,
    dims: [usize; 4],
    length: usize,
    /// Of the prepared ONNX, from two beginnings: 128 bits.
    hashes: [u64; 2],
}

impl Key {
    pub fn new(kind: EngineKind, model: &Model, options: &EngineOptions) -> Self {
        let hash = |beginning: u8| {
            let mut hasher = DefaultHasher::new();
            beginning.hash(&mut hasher);
            model.bytes.hash(&mut hasher);
            hasher.finish()
        };
        Self {
            kind,
            options: *options,
            dims: model.input.dims(),
            length: model.bytes.len(),
            hashes: [hash(0), hash(1)],
        }
    }
}

/// The engine that the others of its model are made from; it never runs.
struct Original {
    engine: Mutex<Box<dyn Engine>>,
    library: Option<String>,
}

static SHELF: Mutex<Vec<(Key, Weak<Original>)>> = Mutex::new(Vec::new());

/// An engine of the model of `key`: made from one in use, or else loaded.
///
/// Two threads that ask for a model at the same time may both load it; the second stays on the shelf.
///
/// # Errors
/// Those of `load`.
pub(super) fn open(
    key: Key,
    load: impl FnOnce() -> Result<WithLibrary, EngineError>,
) -> Result<WithLibrary, EngineError> {
    let found = SHELF
        .lock()
        .iter()
        .find(|(k, _)| *k == key)
        .and_then(|(_, original)| original.upgrade());
    let original = match found {
        Some(original) => original,
        None => {
            let (engine, library) = load()?;
            let engine = Mutex::new(engine);
            let original = Arc::new(Original { engine, library });
            let mut shelf = SHELF.lock();
            shelf.retain(|(k, weak)| *k != key && weak.strong_count() > 0);
            shelf.push((key, Arc::downgrade(&original)));
            original
        }
    };
    let engine = original.engine.lock().another()?;
    let library = original.library.clone();
    Ok((Box::new(Shared { engine, original }), library))
}

/// An engine that keeps the original of its model on the shelf.
struct Shared {
    engine: Box<dyn Engine>,
    original: Arc<Original>,
}

impl Engine for Shared {
    fn outputs(&self) -> &[TensorSpec] {
        self.engine.outputs()
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        self.engine.run(input)
    }

    fn another(&self) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Self {
            engine: self.engine.another()?,
            original: self.original.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelOptions;
    use std::cell::Cell;

    fn engine_of(model: &Model, threads: usize, loads: &Cell<u32>) -> Box<dyn Engine> {
        let options = EngineOptions {
            threads,
            ..EngineOptions::default()
        };
        let key = Key::new(EngineKind::Tract, model, &options);
        let load = || {
            loads.set(loads.get() + 1);
            let tract = super::super::tract::Tract::open(&model.bytes, &model.input, &options)?;
            Ok((Box::new(tract) as Box<dyn Engine>, None))
        };
        open(key, load).expect("the built-in model").0
    }

    #[test]
    fn a_model_in_use_is_not_loaded_again_and_one_that_is_not_is_gone() {
        let model = Model::open(&ModelOptions::default()).expect("the built-in model");
        let loads = Cell::new(0);
        // A number of threads that no other test asks for.
        let mut first = engine_of(&model, 3, &loads);
        let mut second = engine_of(&model, 3, &loads);
        assert_eq!(loads.get(), 1);
        let other = engine_of(&model, 5, &loads);
        assert_eq!(loads.get(), 2, "other options, another engine");
        let dims = model.input.dims();
        let picture = Tensor::f32(&model.input.name, dims, vec![0.5; dims.iter().product()]);
        let answers = [first.run(&picture).unwrap(), second.run(&picture).unwrap()];
        assert_eq!(answers[0], answers[1]);
        drop((first, second, other));
        engine_of(&model, 3, &loads);
        assert_eq!(loads.get(), 3, "nobody used it any more");
    }
}
