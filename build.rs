//! Commit and release date for the plugin description: `COMMIT_ID` and `BUILD_REL_DATE`.
//!
//! Without a repository (a source archive) the commit is `RELEASE` and the date that of Cargo.toml.

fn main() {
    gst_plugin_version_helper::info();
    // 1.3 MB of addresses to adjust when the library is loaded become 11 KB. The C library of Debian 12 knows the form;
    // a linker that does not says so, and writes the old one.
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}"));
    if target("OS").as_deref() == Ok("linux") && target("ENV").as_deref() == Ok("gnu") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
    }
}
