//! [`CacheFolder`]: what was measured on this machine, as small JSON files in the user's cache folder.
//!
//! Each key has one file, which repeats the key. A file with another key or without sense is as good as none, and a
//! folder that cannot be written is not an error: the next load measures again.

use crate::host::side_file;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Longest file that is read. Those written here have a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// A folder of files, or none.
#[derive(Debug, Clone)]
pub(super) struct CacheFolder(Option<PathBuf>);

impl CacheFolder {
    /// Uses the folder `name` below `$XDG_CACHE_HOME`, or else below `~/.cache`.
    pub fn for_user(name: &str) -> Self {
        let folder = |name| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Self(cache.map(|cache| cache.join(env!("CARGO_PKG_NAME")).join(name)))
    }

    /// Uses this folder, which need not exist.
    #[cfg(test)]
    pub fn at(path: PathBuf) -> Self {
        Self(Some(path))
    }

    /// Uses no folder: nothing is read or written.
    #[cfg(test)]
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns the file of a key, if there is a folder.
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        let mut hash = DefaultHasher::new();
        key.hash(&mut hash);
        let name = format!("{:016x}.json", hash.finish());
        Some(self.0.as_ref()?.join(name))
    }

    /// Creates the folder if it is missing. Returns whether files can be written into it.
    pub fn can_be_written(&self) -> bool {
        let Some(folder) = &self.0 else { return false };
        let probe = folder.join(part("probe"));
        let written = std::fs::create_dir_all(folder).and_then(|()| write_new(&probe, ""));
        written.and_then(|()| std::fs::remove_file(&probe)).is_ok()
    }

    /// Returns the object that was written under `key`.
    pub fn read(&self, key: &str) -> Option<Value> {
        let text = side_file::read(&self.file(key)?, MAX_BYTES).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        (value.get("key")?.as_str()? == key).then_some(value)
    }

    /// Writes the object `value` under `key`. A reader sees the whole file or none.
    pub fn write(&self, key: &str, mut value: Value) {
        let Some(file) = self.file(key) else { return };
        value["key"] = json!(key);
        let part = file.with_file_name(part("write"));
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| write_new(&part, &value.to_string()))
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

/// Returns a name that no other thread or process uses.
fn part(purpose: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{purpose}-{}-{count}.part", std::process::id())
}

/// Returns architecture and name of the processor.
pub(super) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().trim();
        ["model name", "Model", "CPU part"].contains(&name)
    };
    let names: BTreeSet<_> = text.lines().filter(named).collect();
    let names: Vec<_> = names
        .iter()
        .filter_map(|l| l.split_once(':'))
        .map(|(_, n)| n.trim())
        .collect();
    format!("{} {}", std::env::consts::ARCH, names.join(", "))
}

/// Returns version and commit of this build.
pub(super) fn build() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), env!("COMMIT_ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> CacheFolder {
        let name = format!("gstdetect-cache-{}-{name}", std::process::id());
        CacheFolder::at(std::env::temp_dir().join(name).join("files"))
    }

    fn remove(folder: &CacheFolder) {
        let folder = folder.0.as_deref().and_then(Path::parent);
        std::fs::remove_dir_all(folder.expect("given one")).expect("it has been made");
    }

    #[test]
    fn an_object_is_read_under_its_key() {
        let folder = folder("key");
        assert_eq!(folder.read("this"), None);
        folder.write("this", json!({"a": 1}));
        assert_eq!(folder.read("this"), Some(json!({"key": "this", "a": 1})));
        assert_eq!(folder.read("that"), None);
        let file = folder.file("this").expect("there is a folder");
        std::fs::copy(&file, folder.file("that").expect("there is a folder")).expect("a copy");
        assert_eq!(folder.read("that"), None, "the file is another key's");
        remove(&folder);
    }

    #[test]
    fn a_file_of_no_sense_is_as_good_as_none() {
        let folder = folder("corrupt");
        folder.write("key", json!({}));
        let file = folder.file("key").expect("there is a folder");
        let long = format!("{{\"key\":\"key\",\"a\":\"{}\"}}", "a".repeat(1 << 20));
        for text in ["", "{", "[]", "{\"key\":", "{\"key\":7}", &long] {
            std::fs::write(&file, text).expect("writable");
            assert_eq!(folder.read("key"), None);
        }
        folder.write("key", json!({"a": 1}));
        assert!(folder.read("key").is_some(), "it was replaced");
        std::fs::remove_file(&file).expect("it is there");
        std::fs::create_dir(&file).expect("the place is free");
        assert_eq!(folder.read("key"), None);
        folder.write("key", json!({}));
        remove(&folder);
    }

    #[test]
    fn a_pipe_a_device_and_a_huge_file_are_as_good_as_none() {
        let folder = folder("kinds");
        let file = folder.file("key").expect("there is a folder");
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
            assert_eq!(folder.read("key"), None, "{index}");
            folder.write("key", json!({}));
            assert_eq!(folder.read("key").is_some(), !file.is_dir(), "{index}");
            let _ = std::fs::remove_file(&file);
        }
        let _ = std::fs::remove_dir(&file);
        // A pipe where a new file is to be written does not keep the writer waiting.
        pipe(&file);
        assert!(write_new(&file, "").is_err());
        remove(&folder);
    }

    #[test]
    fn writers_leave_nothing_but_the_file() {
        let folder = folder("writers");
        assert!(folder.can_be_written());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let folder = &folder;
                scope.spawn(move || {
                    for _ in 0..50 {
                        folder.write("key", json!({"a": "x".repeat(10_000 + thread)}));
                        assert!(folder.read("key").is_some(), "whole at any time");
                    }
                });
            }
        });
        let path = folder.0.as_deref().expect("given one");
        let files = std::fs::read_dir(path).expect("a folder");
        assert_eq!(files.count(), 1);
        remove(&folder);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        for folder in [CacheFolder::at("/proc/nowhere".into()), CacheFolder::none()] {
            assert!(!folder.can_be_written());
            folder.write("key", json!({}));
            assert_eq!(folder.read("key"), None);
        }
    }

    #[test]
    fn a_processor_has_a_name() {
        let name = processor();
        assert!(name.contains(std::env::consts::ARCH), "{name}");
    }
}
