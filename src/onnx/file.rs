//! Reads files whole. Errors say what is wrong with the file, and the size is checked before memory is taken.

use super::error::OnnxError;
use crate::host::memory;
use parking_lot::Mutex;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Weak};

/// File, decoded messages, the prepared file and the engine's own copy of the weights are in memory at the same time.
const COPIES: u64 = 4;

/// Most bytes of a model with its weights: all copies of it take 2 GiB. The largest known detectors have 490 MiB.
const MAX_BYTES: u64 = (2 << 30) / COPIES;

/// Reads the whole of a regular file.
///
/// # Errors
/// [`OnnxError::NotFound`], `Read`, `NotAFile`, `Empty`, `TooLarge`.
pub fn read(path: &Path) -> Result<Vec<u8>, OnnxError> {
    let (file, length) = open(path)?;
    check_length(&format!("file {}", path.display()), length)?;
    let mut bytes = reserve(length).map_err(|error| failed(path, error))?;
    // A file that grows meanwhile is read as far as it was promised.
    let read = file.take(length).read_to_end(&mut bytes);
    read.map_err(|error| failed(path, error))?;
    Ok(bytes)
}

/// Opens a regular file that is not empty, and returns its length. Links are followed.
///
/// # Errors
/// [`OnnxError::NotFound`], `Read`, `NotAFile`, `Empty`.
pub fn open(path: &Path) -> Result<(File, u64), OnnxError> {
    // The path is asked first: to open a device may do something. The open file is asked again, in case it is another.
    let metadata = std::fs::metadata(path).map_err(|error| failed(path, error))?;
    check_kind(path, &metadata)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = file.map_err(|error| failed(path, error))?;
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    check_kind(path, &metadata)?;
    Ok((file, metadata.len()))
}

/// Refuses more bytes of a model than can be in memory.
///
/// # Errors
/// [`OnnxError::TooLarge`]; `what` names the bytes.
pub fn check_length(what: &str, length: u64) -> Result<(), OnnxError> {
    check_against(what, length, memory::available())
}

/// Returns an empty list with room for so many bytes.
pub fn reserve(length: u64) -> io::Result<Vec<u8>> {
    let none = |error| io::Error::new(io::ErrorKind::OutOfMemory, error);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(none)?;
    Ok(bytes)
}

fn failed(path: &Path, source: io::Error) -> OnnxError {
    let path = path.into();
    match source.kind() {
        io::ErrorKind::NotFound => OnnxError::NotFound { path },
        _ => OnnxError::Read { path, source },
    }
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), OnnxError> {
    if !metadata.is_file() {
        return Err(OnnxError::NotAFile { path: path.into() });
    }
    if metadata.len() == 0 {
        return Err(OnnxError::Empty { path: path.into() });
    }
    Ok(())
}

fn check_against(what: &str, length: u64, available: Option<u64>) -> Result<(), OnnxError> {
    let limit = available.map_or(MAX_BYTES, |bytes| (bytes / COPIES).min(MAX_BYTES));
    if length <= limit {
        return Ok(());
    }
    Err(OnnxError::TooLarge {
        what: what.to_owned(),
        found: format!("{length} bytes"),
        limit: format!("{limit} bytes on this machine now"),
    })
}

/// Returns one shared copy of bytes that stay in memory while a model is in use, if the process has the same ones
/// already.
pub fn shared(bytes: Arc<[u8]>) -> Arc<[u8]> {
    static KEPT: Mutex<Vec<Weak<[u8]>>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock();
    kept.retain(|weak| weak.strong_count() > 0);
    if let Some(same) = kept.iter().filter_map(Weak::upgrade).find(|k| *k == bytes) {
        return same;
    }
    kept.push(Arc::downgrade(&bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_would_fill_the_memory_is_refused() {
        let refused = |length, available| check_against("file x.onnx", length, available);
        assert!(refused(100, Some(400)).is_ok());
        let error = refused(101, Some(400)).unwrap_err().to_string();
        assert!(
            error.contains("101 bytes") && error.contains("100 bytes"),
            "{error}"
        );
        assert!(refused(MAX_BYTES + 1, None).is_err());
    }

    #[test]
    fn the_same_bytes_are_kept_once() {
        let bytes = |last| -> Arc<[u8]> { Arc::from([1, 2, last]) };
        let first = shared(bytes(3));
        assert!(Arc::ptr_eq(&first, &shared(bytes(3))));
        assert!(!Arc::ptr_eq(&first, &shared(bytes(4))));
    }

    #[test]
    fn folders_and_devices_are_not_files() {
        for path in ["/", "/dev/zero"] {
            let error = read(Path::new(path)).unwrap_err();
            assert!(matches!(error, OnnxError::NotAFile { .. }), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_told_by_its_path() {
        let error = read(Path::new("/nowhere/x.onnx")).unwrap_err();
        assert!(matches!(error, OnnxError::NotFound { .. }));
        assert!(error.to_string().contains("/nowhere/x.onnx"));
    }
}
