//! Commit and release date for the plugin description: `COMMIT_ID` and `BUILD_REL_DATE`.
//!
//! Without a repository (a source archive) the commit is `RELEASE` and the date that of Cargo.toml.

use std::path::Path;
use std::process::Command;

fn main() {
    gst_plugin_version_helper::info();
    rerun_with_sources_and_commit();
    // 1.3 MB of addresses to adjust when the library is loaded become 11 KB. The C library of Debian 12 knows the form;
    // a linker that does not says so, and writes the old one.
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}"));
    if target("OS").as_deref() == Ok("linux") && target("ENV").as_deref() == Ok("gnu") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
    }
}

/// Lets a change of tests or of documents leave the plugin as it is. A commit changes its version.
fn rerun_with_sources_and_commit() {
    for path in ["build.rs", "Cargo.toml", "src"] {
        println!("cargo:rerun-if-changed={path}");
    }
    for name in ["HEAD", "logs/HEAD"] {
        let output = Command::new("git")
            .args(["rev-parse", "--git-path", name])
            .output();
        let path = output.ok().filter(|output| output.status.success());
        let path = path.and_then(|output| String::from_utf8(output.stdout).ok());
        if let Some(path) = path
            .as_deref()
            .map(str::trim)
            .filter(|path| Path::new(path).exists())
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}
