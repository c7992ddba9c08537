//! Our library as a plugin, for processes that a test starts.

use super::Folder;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The plugin that `DETECT_PLUGIN` names, or else the one that cargo has built with this test.
pub fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("DETECT_PLUGIN") {
        let path = std::fs::canonicalize(&path);
        return path.unwrap_or_else(|err| panic!("DETECT_PLUGIN: {err}"));
    }
    let test = std::env::current_exe().expect("the path of this test");
    let path = test.with_file_name("libgstdetect.so");
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

/// A folder with the library alone, as GStreamer shall find it.
pub fn plugin_folder() -> Folder {
    let folder = Folder::new();
    let link = folder.path().join("libgstdetect.so");
    std::os::unix::fs::symlink(library(), link).expect("the folder takes a link");
    folder
}

/// `command`, to find the plugins of `plugins` alone and to keep what it finds in a new registry.
pub fn scanning<'a>(
    command: &'a mut Command,
    plugins: &Path,
    registry: &Folder,
) -> &'a mut Command {
    for (name, value) in [
        ("GST_PLUGIN_PATH", plugins.as_os_str()),
        ("GST_PLUGIN_PATH_1_0", plugins.as_os_str()),
        ("GST_PLUGIN_SYSTEM_PATH", "".as_ref()),
        ("GST_PLUGIN_SYSTEM_PATH_1_0", "".as_ref()),
        ("GST_REGISTRY", registry.path().join("registry").as_os_str()),
        (
            "GST_REGISTRY_1_0",
            registry.path().join("registry").as_os_str(),
        ),
        ("GST_REGISTRY_FORK", "no".as_ref()),
    ] {
        command.env(name, value);
    }
    command
}

pub fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

pub fn output(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|err| panic!("{command:?}: {err}"))
}
