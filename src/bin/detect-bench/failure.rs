//! [`Failure`]: why a command failed, and the exit code for scripts.

use gst::glib;
use gst::prelude::*;
use gstdetect::base::text::shortened;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// Most letters of an error about a model, in whose file names may have any length.
const MOST_LETTERS: usize = 4000;

/// Reason why a command failed. `--help` lists the exit codes; clap also ends with 2 on wrong arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Verified outputs differ from the known ones.
    Differs(String),
    /// The arguments are wrong.
    Usage(String),
    /// The model, its engine or its settings cannot be used.
    Model(String),
    /// The source, a picture or the pipeline failed.
    Pipeline(String),
    /// A result could not be written.
    Output(String),
    /// Ctrl-C was pressed before anything was measured.
    Interrupted,
}

impl Failure {
    pub fn code(&self) -> u8 {
        match self {
            Self::Differs(_) => 1,
            Self::Usage(_) => 2,
            Self::Model(_) => 3,
            Self::Pipeline(_) => 4,
            Self::Output(_) => 5,
            Self::Interrupted => 130,
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    pub fn pipeline(what: impl fmt::Display) -> Self {
        Self::Pipeline(what.to_string())
    }

    pub fn model(what: impl fmt::Display) -> Self {
        Self::Model(shortened(&what.to_string(), MOST_LETTERS).into_owned())
    }

    pub fn output(path: &Path, err: &std::io::Error) -> Self {
        Self::Output(format!("cannot write {}: {err}", path.display()))
    }

    /// Makes a failure of an error message. Errors that `detect` posts while it loads are about the model, all others
    /// about the pipeline.
    pub fn from_message(error: &gst::message::Error, loading: bool) -> Self {
        let from_detect = (error.src())
            .and_then(|src| src.downcast_ref::<gst::Element>())
            .and_then(gst::Element::factory)
            .is_some_and(|factory| factory.name() == gstdetect::elements::detect::FACTORY);
        let err: glib::Error = error.error();
        // The error of `detect` is a sentence for people; other elements say what is wrong in the detail.
        let text = match error.debug().filter(|_| !from_detect) {
            Some(debug) => format!("{err}\n  {}", last_part(&debug)),
            None => err.to_string(),
        };
        if from_detect && (loading || err.is::<gst::LibraryError>()) {
            Self::Model(text)
        } else {
            Self::Pipeline(text)
        }
    }
}

/// Returns the detail without the file, function and object that GStreamer puts before it.
fn last_part(debug: &str) -> &str {
    debug.split_once("\n").map_or(debug, |(_, detail)| detail)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(what)
            | Self::Usage(what)
            | Self::Model(what)
            | Self::Pipeline(what)
            | Self::Output(what) => f.write_str(what),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let text = String::new;
        let all = [
            Failure::Differs(text()),
            Failure::Usage(text()),
            Failure::Model(text()),
            Failure::Pipeline(text()),
            Failure::Output(text()),
            Failure::Interrupted,
        ];
        let codes: std::collections::BTreeSet<_> = all.iter().map(Failure::code).collect();
        assert_eq!(codes.len(), all.len());
        assert!(!codes.contains(&0));
    }
}
