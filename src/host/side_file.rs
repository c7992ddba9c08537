//! [`read`]: reads a small file that lies beside something larger: a card, a list of labels, an entry of a cache.
//!
//! Nobody vouches for such a file. It may be a pipe without a writer, a device without an end, or far too large.

use std::fmt;
use std::fs::{FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A file that cannot be read; the caller adds its path, and what it was to be.
#[derive(Debug)]
pub enum SideFileError {
    /// There is no such file.
    NotFound,
    /// It cannot be opened or read: permission, a disk error.
    Read(io::Error),
    /// It is something else than a regular file, in words.
    NotAFile(&'static str),
    /// It is too large.
    TooLarge {
        /// Bytes that were found, or that were read when it became too many.
        found: u64,
        /// Most bytes that are read.
        limit: u64,
    },
}

impl fmt::Display for SideFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such file"),
            Self::Read(source) => write!(f, "cannot be read: {source}"),
            Self::NotAFile(found) => write!(f, "this is {found}, expected a regular file"),
            Self::TooLarge { found, limit } => {
                write!(f, "too large with {found} bytes, expected at most {limit}")
            }
        }
    }
}

impl std::error::Error for SideFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for SideFileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Read(error),
        }
    }
}

/// Reads a regular file of at most `limit` bytes, and never waits for a writer.
///
/// # Errors
/// [`SideFileError`]
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SideFileError> {
    // The path is asked first: to open a device may do something. The open file is asked again, in case it is another.
    check(&std::fs::metadata(path)?, limit)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    check(&file.metadata()?, limit)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    // A file that grows, or does not know its length.
    check_length(bytes.len() as u64, limit)?;
    Ok(bytes)
}

fn check(metadata: &Metadata, limit: u64) -> Result<(), SideFileError> {
    match metadata.is_file() {
        true => check_length(metadata.len(), limit),
        false => Err(SideFileError::NotAFile(kind(metadata.file_type()))),
    }
}

fn check_length(found: u64, limit: u64) -> Result<(), SideFileError> {
    match found <= limit {
        true => Ok(()),
        false => Err(SideFileError::TooLarge { found, limit }),
    }
}

fn kind(found: FileType) -> &'static str {
    match found {
        found if found.is_dir() => "a folder",
        found if found.is_fifo() => "a pipe",
        found if found.is_socket() => "a socket",
        found if found.is_char_device() || found.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::Command;

    fn folder(name: &str) -> std::path::PathBuf {
        let name = format!("gstdetect-side-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        folder
    }

    fn error(path: &Path) -> String {
        read(path, 100).expect_err("it is no such file").to_string()
    }

    #[test]
    fn only_a_regular_file_within_the_limit_is_read() {
        let folder = folder("kinds");
        let path = folder.join("file");
        std::fs::write(&path, [7; 100]).expect("writable");
        assert_eq!(read(&path, 100).expect("as long as allowed"), [7; 100]);
        std::fs::write(&path, [7; 101]).expect("writable");
        assert!(error(&path).contains("101 bytes, expected at most 100"));
        let sparse = folder.join("sparse");
        let file = File::create(&sparse).expect("writable");
        file.set_len(1 << 40).expect("a hole takes no place");
        assert!(error(&sparse).contains("1099511627776 bytes"));
        let pipe = folder.join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo is installed").success());
        assert!(error(&pipe).contains("a pipe, expected a regular file"));
        assert!(error(&folder).contains("a folder"));
        assert!(error(Path::new("/dev/zero")).contains("a device"));
        assert!(error(&folder.join("none")).contains("no such file"));
        let link = folder.join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("a link");
        assert!(error(&link).contains("a pipe"));
        std::fs::remove_dir_all(&folder).expect("it has been made");
    }

    #[test]
    fn a_file_that_does_not_know_its_length_is_limited_as_it_is_read() {
        let path = Path::new("/proc/self/status");
        assert_eq!(std::fs::metadata(path).expect("Linux").len(), 0);
        assert!(matches!(
            read(path, 100),
            Err(SideFileError::TooLarge { found: 101, .. })
        ));
        assert!(read(path, 1 << 20).is_ok());
    }
}
