//! Commit and release date for the plugin description: `COMMIT_ID` and `BUILD_REL_DATE`.
//!
//! Without a repository (a source archive) the commit is `RELEASE` and the date that of Cargo.toml.

fn main() {
    gst_plugin_version_helper::info();
}
