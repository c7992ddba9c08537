//! Shared by the tests: registration of the elements, folders and models of a test, and the modules beside.

#![allow(dead_code, unused_imports)] // each test file uses its part

pub mod ages;
pub mod camera;
pub mod copies;
pub mod delays;
pub mod engines;
pub mod families;
pub mod metas;
pub mod onnx;
pub mod pictures;
pub mod plugin;
pub mod portrait;
#[cfg(feature = "stub-engine")]
pub mod rig;
#[cfg(feature = "bench")]
pub mod traced;

pub use ages::*;
pub use pictures::*;
pub use portrait::*;
#[cfg(feature = "stub-engine")]
pub use rig::*;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longest time for which a test waits for something before it fails: it hangs then, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Starts GStreamer and makes the elements known to it.
pub fn init() {
    gst::init().expect("GStreamer starts");
    gstdetect::register_static().expect("the elements are registered");
}

/// Says that a test has been left out. Standard error itself: what `println!` writes is shown of failed tests only.
pub fn skipped(why: &str) {
    use std::io::Write;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// One of the micro models beside the tests.
pub fn micro_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/models")
        .join(name)
}

/// A folder of this test alone, empty, gone with its value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("gstdetect-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it, with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("the folder for temporary files is writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
