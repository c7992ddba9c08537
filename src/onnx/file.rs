//! Reads files whole. Errors say what is wrong with the file, and the size is checked before memory is taken.

use super::error::OnnxError;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Weak};

/// No protobuf message may be larger.
const MAX_BYTES: u64 = 1 << 31;

/// File, decoded messages and the engine's own copy of the weights are in memory at the same time.
const COPIES: u64 = 3;

/// Reads the whole of a regular file.
///
/// # Errors
/// [`OnnxError::NotFound`], `Read`, `NotAFile`, `Empty`, `TooLarge`.
pub fn read(path: &Path) -> Result<Vec<u8>, OnnxError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => OnnxError::NotFound { path: path.into() },
        _ => OnnxError::Read {
            path: path.into(),
            source,
        },
    };
    // The path is asked, not the open file: opening a pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(OnnxError::NotAFile { path: path.into() });
    }
    if metadata.len() == 0 {
        return Err(OnnxError::Empty { path: path.into() });
    }
    check_length(path, metadata.len(), available_memory())?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(metadata.len() as usize)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::OutOfMemory, error)))?;
    // A file that grows meanwhile is read as far as it was promised.
    File::open(path)
        .and_then(|file| file.take(metadata.len()).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
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

fn check_length(path: &Path, length: u64, available: Option<u64>) -> Result<(), OnnxError> {
    let limit = available.map_or(MAX_BYTES, |bytes| (bytes / COPIES).min(MAX_BYTES));
    if length <= limit {
        return Ok(());
    }
    Err(OnnxError::TooLarge {
        what: format!("file {}", path.display()),
        found: format!("{length} bytes"),
        limit: format!("{limit} bytes on this machine now"),
    })
}

/// Returns the memory that could be had without swapping; `None` where the kernel does not tell.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_would_fill_the_memory_is_refused() {
        let path = Path::new("x.onnx");
        assert!(check_length(path, 100, Some(300)).is_ok());
        let error = check_length(path, 101, Some(300)).unwrap_err().to_string();
        assert!(
            error.contains("101 bytes") && error.contains("100 bytes"),
            "{error}"
        );
        assert!(check_length(path, MAX_BYTES + 1, None).is_err());
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
