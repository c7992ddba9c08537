//! [`Failure`]: why a command did not do what was asked, and the exit code that tells scripts.

use gst::glib;
use gst::prelude::*;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// What of the command went wrong. The exit codes are those in `--help`; 2 is also what wrong arguments give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What was verified is not so.
    Differs(String),
    /// The arguments do not make sense.
    Usage(String),
    /// The model, its engine or its settings cannot be used.
    Model(String),
    /// The source, a picture or the pipeline failed.
    Pipeline(String),
    /// A result could not be written.
    Output(String),
    /// Ctrl-C, before there was anything to tell.
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
        Self::Model(what.to_string())
    }

    pub fn output(path: &Path, err: &std::io::Error) -> Self {
        Self::Output(format!("{} cannot be written: {err}", path.display()))
    }

    /// From an error message; what `detect` posts while it loads is about the model, everything else about the
    /// pipeline.
    pub fn of_message(error: &gst::message::Error, loading: bool) -> Self {
        let of_detect = (error.src())
            .and_then(|src| src.downcast_ref::<gst::Element>())
            .and_then(gst::Element::factory)
            .is_some_and(|factory| factory.name() == gstdetect::elements::detect::FACTORY);
        let err: glib::Error = error.error();
        // What `detect` says is a sentence for people; others say what is wrong in the detail.
        let text = match error.debug().filter(|_| !of_detect) {
            Some(debug) => format!("{err}\n  {}", last_part(&debug)),
            None => err.to_string(),
        };
        if of_detect && (loading || err.is::<gst::LibraryError>()) {
            Self::Model(text)
        } else {
            Self::Pipeline(text)
        }
    }
}

/// GStreamer puts file, function and object in front of the detail.
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
