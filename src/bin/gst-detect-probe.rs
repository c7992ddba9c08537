//! Opens a model in place of the plugin, which lives on if the engine does not.
//!
//! The plugin starts this program; see `gstdetect::engine::probe`.

fn main() -> std::process::ExitCode {
    gstdetect::engine::probe::run_as_child()
}
