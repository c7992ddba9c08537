//! [`Memory`]: earlier measurements, in the user's cache folder.

use super::{CANDIDATES, EngineKind, EngineOptions, Model};
use crate::engine::cache_folder::{CacheFolder, build, processor};
use crate::engine::library::{Library, Machine};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    pub engine: EngineKind,
    /// Times of the engines, fastest first.
    pub times: Vec<(EngineKind, Duration)>,
}

/// Returns everything that the result depends on, as text: model, input size, options, processor, libraries, this
/// build.
pub(super) fn key(model: &Model, options: &EngineOptions, libraries: &[&Library]) -> String {
    let mut hash = DefaultHasher::new();
    model.bytes.hash(&mut hash);
    let quantised = model.quantised.as_ref().map(|form| &form.bytes);
    quantised.hash(&mut hash);
    let machine = Machine::this();
    let libraries: Vec<_> = libraries.iter().map(|l| l.in_words(&machine)).collect();
    format!(
        "model {:016x} of {} bytes; input {}; {} threads, precision {}; {} x {}; {}; plugin {}",
        hash.finish(),
        model.bytes.len(),
        model.input.size,
        options.good_threads(),
        options.precision,
        std::thread::available_parallelism().map_or(1, |n| n.get()),
        processor(),
        libraries.join("; "),
        build(),
    )
}

/// Results of earlier measurements by [`key`].
pub(super) struct Memory(CacheFolder);

impl Memory {
    /// Uses the user's cache folder.
    pub fn for_user() -> Self {
        Self(CacheFolder::for_user("engines"))
    }

    pub fn read(&self, key: &str) -> Option<Remembered> {
        let value = self.0.read(key)?;
        let kind = |value: &Value| {
            let name = value.as_str()?;
            CANDIDATES.into_iter().find(|kind| kind.to_string() == name)
        };
        let time = |entry: &Value| {
            let nanoseconds = entry.get(1)?.as_u64()?;
            Some((kind(entry.get(0)?)?, Duration::from_nanos(nanoseconds)))
        };
        let times = value.get("times")?.as_array()?;
        Some(Remembered {
            engine: kind(value.get("engine")?)?,
            times: times.iter().map(time).collect::<Option<_>>()?,
        })
    }

    pub fn write(&self, key: &str, remembered: &Remembered) {
        let time = |(kind, time): &(EngineKind, Duration)| {
            json!([kind.to_string(), time.as_nanos() as u64])
        };
        let times: Vec<_> = remembered.times.iter().map(time).collect();
        let engine = remembered.engine.to_string();
        self.0
            .write(key, json!({ "engine": engine, "times": times }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered() -> Remembered {
        Remembered {
            engine: EngineKind::OpenVino,
            times: vec![
                (EngineKind::OpenVino, Duration::from_micros(15_200)),
                (EngineKind::Tract, Duration::from_millis(61)),
            ],
        }
    }

    #[test]
    fn what_was_written_is_read_unless_it_lost_its_sense() {
        let name = format!("gstdetect-memory-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let memory = Memory(CacheFolder::at(folder.clone()));
        assert_eq!(memory.read("this model"), None);
        memory.write("this model", &remembered());
        assert_eq!(memory.read("this model"), Some(remembered()));
        assert_eq!(memory.read("another model"), None);
        let file = memory.0.file("this model").expect("there is a folder");
        let whole = std::fs::read_to_string(&file).expect("written");
        for text in [
            &whole[..whole.len() / 2],
            &whole.replace("openvino", "abacus"),
            &whole.replace("61000000", "-1"),
            &whole.replace("\"key\":\"this", "\"key\":\"other"),
        ] {
            assert_ne!(text, whole);
            std::fs::write(&file, text).expect("writable");
            assert_eq!(memory.read("this model"), None, "{text}");
        }
        memory.write("this model", &remembered());
        assert_eq!(memory.read("this model"), Some(remembered()));
        std::fs::remove_dir_all(folder).expect("it has been made");
    }
}
