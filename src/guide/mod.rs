//! The manual, one question per page.
//!
//! The same pages can be read in the repository as `src/guide/*.md`; `README.md` is the way in.
//!
//! For users: [`detect`], [`overlay`], [`modes`], [`models`], [`exports`], [`cards`], [`engines`], [`messages`],
//! [`bench`](mod@bench), [`pipelines`],
//! [`raspberry_pi`]. For those who change the code: [`architecture`], [`contributing`], [`changes`].

/// Shows a page of the repository as a module.
///
/// The pages link by reference. The definitions in `rustdoc_links.txt` come first and so win over those at the end of
/// each page, which lead to the other files of the repository.
macro_rules! pages {
    ($($name:ident $file:literal)*) => {
        $(
            #[doc = include_str!("rustdoc_links.txt")]
            #[doc = include_str!($file)]
            pub mod $name {}
        )*
    };
}

pages! {
    architecture "architecture.md"
    bench "bench.md"
    cards "cards.md"
    changes "changes.md"
    contributing "contributing.md"
    detect "detect.md"
    engines "engines.md"
    exports "exports.md"
    messages "messages.md"
    models "models.md"
    modes "modes.md"
    overlay "overlay.md"
    pipelines "pipelines.md"
    raspberry_pi "raspberry-pi.md"
}
