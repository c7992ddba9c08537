//! [`Memory`]: earlier measurements, in the user's cache folder.
//!
//! Each [`key`] has one small JSON file, which repeats the key; a file with another key or without sense is ignored. A
//! folder that cannot be written is not an error: the next load measures again.

use super::{CANDIDATES, EngineKind, EngineOptions, Model};
use crate::engine::library::{Library, Machine};
use crate::host::side_file;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Most bytes of a file that is read.
const MAX_BYTES: u64 = 64 << 10;

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
    let libraries: Vec<_> = libraries.iter().map(|l| library(l, &machine)).collect();
    format!(
        "model {:016x} of {} bytes; input {}; {} threads, precision {}; {}; {}; plugin {} {}",
        hash.finish(),
        model.bytes.len(),
        model.input.size,
        options.good_threads(),
        options.precision,
        processor(),
        libraries.join("; "),
        env!("CARGO_PKG_VERSION"),
        env!("COMMIT_ID"),
    )
}

/// Describes a library by path, length and date, which an update changes. Its version is known only once it is loaded.
fn library(library: &Library, machine: &Machine) -> String {
    let engine = library.engine;
    let Ok(found) = library.find(machine) else {
        return format!("no {engine}");
    };
    let Ok(data) = std::fs::metadata(&found.path) else {
        return format!("{engine} {}", found.path.display());
    };
    let changed = data
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let (path, length) = (found.path.display(), data.len());
    let seconds = changed.unwrap_or_default().as_secs();
    format!("{engine} {path} of {length} bytes, {seconds}")
}

/// Returns the processor's name, and how many processors inference may use.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let told = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().trim();
        ["model name", "Model", "CPU part"].contains(&name)
    };
    let names: BTreeSet<_> = text.lines().filter(told).collect();
    let names: Vec<_> = names
        .iter()
        .filter_map(|l| l.split_once(':'))
        .map(|(_, n)| n.trim())
        .collect();
    let count = std::thread::available_parallelism().map_or(1, |n| n.get());
    format!("{count} x {} {}", std::env::consts::ARCH, names.join(", "))
}

/// A folder of files, or none.
pub(super) struct Memory(Option<PathBuf>);

impl Memory {
    /// Uses `$XDG_CACHE_HOME`, or else `~/.cache`.
    pub fn of_user() -> Self {
        let folder = |name| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Self(cache.map(|cache| cache.join(env!("CARGO_PKG_NAME")).join("engines")))
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        let mut hash = DefaultHasher::new();
        key.hash(&mut hash);
        Some(
            self.0
                .as_ref()?
                .join(format!("{:016x}.json", hash.finish())),
        )
    }

    pub fn read(&self, key: &str) -> Option<Remembered> {
        let text = side_file::read(&self.file(key)?, MAX_BYTES).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        let kind = |value: &Value| {
            let name = value.as_str()?;
            CANDIDATES.into_iter().find(|kind| kind.to_string() == name)
        };
        let time = |entry: &Value| {
            let nanoseconds = entry.get(1)?.as_u64()?;
            Some((kind(entry.get(0)?)?, Duration::from_nanos(nanoseconds)))
        };
        if value.get("key")?.as_str()? != key {
            return None;
        }
        let times = value.get("times")?.as_array()?;
        Some(Remembered {
            engine: kind(value.get("engine")?)?,
            times: times.iter().map(time).collect::<Option<_>>()?,
        })
    }

    pub fn write(&self, key: &str, remembered: &Remembered) {
        let Some(file) = self.file(key) else { return };
        let time = |(kind, time): &(EngineKind, Duration)| {
            json!([kind.to_string(), time.as_nanos() as u64])
        };
        let times: Vec<_> = remembered.times.iter().map(time).collect();
        let engine = remembered.engine.to_string();
        let text = json!({ "key": key, "engine": engine, "times": times }).to_string();
        // A reader sees the whole file or none.
        let part = file.with_extension(format!("{}.part", std::process::id()));
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| write_new(&part, &text))
            .and_then(|()| std::fs::rename(&part, &file));
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
    }
}

/// Writes a new file. Whatever lies there already, which may be a pipe without a reader, is an error.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
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

    /// Creates a memory in a folder for one test that does not exist yet.
    fn memory(name: &str) -> Memory {
        let name = format!("gstdetect-memory-{}-{name}", std::process::id());
        Memory(Some(std::env::temp_dir().join(name).join("engines")))
    }

    fn remove(memory: &Memory) {
        let folder = memory.0.as_deref().and_then(Path::parent);
        std::fs::remove_dir_all(folder.expect("given one")).expect("it has been made");
    }

    #[test]
    fn what_was_written_is_read_under_its_key() {
        let memory = memory("read");
        assert_eq!(memory.read("this model"), None);
        memory.write("this model", &remembered());
        assert_eq!(memory.read("this model"), Some(remembered()));
        assert_eq!(memory.read("another model"), None);
        remove(&memory);
    }

    #[test]
    fn a_file_of_no_sense_is_as_good_as_none() {
        let memory = memory("corrupt");
        memory.write("key", &remembered());
        let file = memory.file("key").expect("there is a folder");
        let whole = std::fs::read_to_string(&file).expect("written");
        for text in [
            "",
            "{",
            "[]",
            &whole[..whole.len() / 2],
            &whole.replace("openvino", "abacus"),
            &whole.replace("61000000", "-1"),
            &whole.replace("\"key\":\"key\"", "\"key\":\"other\""),
        ] {
            assert_ne!(text, whole);
            std::fs::write(&file, text).expect("writable");
            assert_eq!(memory.read("key"), None, "{text}");
        }
        memory.write("key", &remembered());
        assert_eq!(memory.read("key"), Some(remembered()));
        remove(&memory);
    }

    #[test]
    fn a_pipe_a_device_and_a_huge_file_are_as_good_as_none() {
        let memory = memory("kinds");
        let file = memory.file("key").expect("there is a folder");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
        let pipe = |at: &Path| {
            let made = std::process::Command::new("mkfifo").arg(at).status();
            assert!(made.expect("mkfifo is installed").success());
        };
        type Make<'a> = &'a dyn Fn(&Path);
        let kinds: [Make; 4] = [
            &pipe,
            &|at| std::os::unix::fs::symlink("/dev/zero", at).expect("a link"),
            &|at| {
                let huge = std::fs::File::create(at).expect("writable");
                huge.set_len(1 << 30).expect("a hole takes no place");
            },
            &|at| std::fs::create_dir(at).expect("writable"),
        ];
        for (index, make) in kinds.into_iter().enumerate() {
            make(&file);
            assert_eq!(memory.read("key"), None, "{index}");
            memory.write("key", &remembered());
            let replaced = memory.read("key");
            match file.is_dir() {
                true => assert_eq!(replaced, None),
                false => assert_eq!(replaced, Some(remembered()), "{index}"),
            }
            let _ = std::fs::remove_file(&file);
        }
        let _ = std::fs::remove_dir(&file);
        // A pipe where the new file is to be written neither keeps the writer waiting nor stays.
        let part = file.with_extension(format!("{}.part", std::process::id()));
        pipe(&part);
        memory.write("key", &remembered());
        assert_eq!(memory.read("key"), None);
        memory.write("key", &remembered());
        assert_eq!(memory.read("key"), Some(remembered()));
        remove(&memory);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let nowhere = Memory(Some(PathBuf::from("/proc/nowhere")));
        nowhere.write("key", &remembered());
        assert_eq!(nowhere.read("key"), None);
        let none = Memory(None);
        none.write("key", &remembered());
        assert_eq!(none.read("key"), None);
    }

    #[test]
    fn a_processor_has_a_name() {
        let name = processor();
        assert!(name.contains(std::env::consts::ARCH), "{name}");
    }
}
