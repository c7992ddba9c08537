//! Opens a model in a child process, before an engine of another project opens it in this one.
//!
//! ONNX Runtime and OpenVINO end the process on some models, and on a processor that lacks what their library was built
//! for. A signal cannot be caught as a panic is. So a library and a model that were not seen before are first opened in
//! `gst-detect-probe`, with limits of time and memory, and run once on an empty picture. What ends the child is refused
//! here. What the engine refuses there is not opened here either.
//!
//! The program is looked for at `GST_DETECT_PROBE`, or else beside the plugin. The result is remembered in the user's cache
//! folder by model, library and build, so that a model costs a child once. Nothing is remembered of a child that ran out of
//! time: the machine may have been busy.

mod child;

pub use child::run_as_child;

use super::cache_folder::{CacheFolder, build, processor};
use super::library::{Found, Library, Machine};
use super::{EngineError, EngineKind, EngineOptions, Form, onnxruntime, openvino};
use crate::host::child::{self as process, End, Limits};
use crate::host::slowness::slowness;
use child::{Answer, Request};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The variable that names the program.
const VARIABLE: &str = "GST_DETECT_PROBE";

/// Name of the program.
const PROGRAM: &str = "gst-detect-probe";

/// Processor time of a child on a usual machine: a fixed part, one for each MiB of the model, one for each thousand million
/// multiply-adds of an inference, and the most of all. Slower machines have more ([`slowness`]).
///
/// ONNX Runtime takes half a second for a detector of 12 MB, OpenVINO two, and both compute ten to fifty thousand million
/// multiply-adds a second. A small model that never ends is thus refused after [`SHORTEST`].
const SHORTEST: Duration = Duration::from_secs(4);
const PER_MIB: Duration = Duration::from_millis(50);
const PER_GIGA: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Time by the clock in which a child that waits, and does not compute, is given up, on a usual machine.
const LONGEST_IDLE: Duration = Duration::from_secs(4);

/// Most results that a process keeps. Those of more models are read from the folder again.
const MOST_KEPT: usize = 256;

/// Results of this process, by key.
static KEPT: Mutex<BTreeMap<String, Verdict>> = Mutex::new(BTreeMap::new());

/// The result for a model, or for a library alone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Survived,
    /// How the child ended.
    Died(String),
}

/// Refuses a model, or a library, that a child process did not survive. Returns what to add to the words about the library:
/// nothing, or that the engine was asked for by name and could not be tried.
///
/// A library that is not found, or is known not to run on this processor, is left to the engine, which says so.
///
/// # Errors
/// [`EngineError::Library`] if the library ended the child; [`EngineError::Load`] if the model did, or if the engine refused
/// it there; [`EngineError::Slow`] if the child ran out of time; [`EngineError::Operator`] if the engine lacks operators; [`EngineError::Untried`] if there can be no child and
/// the engine was not asked for by name.
pub(super) fn check(
    kind: EngineKind,
    form: &Form,
    options: &EngineOptions,
    by_name: bool,
) -> Result<String, EngineError> {
    let library = match kind {
        EngineKind::OnnxRuntime => &onnxruntime::LIBRARY,
        EngineKind::OpenVino => &openvino::LIBRARY,
        _ => return Ok(String::new()),
    };
    let machine = Machine::this();
    let Ok(found) = library.find(&machine) else {
        return Ok(String::new());
    };
    let probe = Probe {
        kind,
        library,
        found,
        folder: CacheFolder::for_user("probes"),
        program: program(&machine),
    };
    match probe.check(form, options) {
        Err(EngineError::Untried { reason, .. }) if by_name => Ok(format!(
            "; used without a trial in a child process: {reason}"
        )),
        Err(error) => Err(error),
        Ok(()) => Ok(String::new()),
    }
}

/// Finds the program. The error says where it was looked for.
fn program(machine: &Machine) -> Result<PathBuf, String> {
    if let Some(named) = (machine.variable)(VARIABLE) {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!(
                "{VARIABLE} names {}, which is no file",
                path.display()
            ))
        };
    }
    let own = process::own_file().ok_or("the plugin does not know where it lies")?;
    let places = places(&own);
    places
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .ok_or_else(|| {
            let beside = places[0].display();
            format!("there is no {beside}; install it there, or name its place in {VARIABLE}")
        })
}

/// Returns where the program may lie, for code that was loaded from the file `own`. The first place is beside `own`.
fn places(own: &Path) -> Vec<PathBuf> {
    let folder = own.parent().unwrap_or(Path::new("/"));
    let mut places = vec![folder.join(PROGRAM)];
    let above = folder.parent().unwrap_or(Path::new("/"));
    // Cargo's tests lie one folder below its programs.
    if folder.ends_with("deps") {
        places.push(above.join(PROGRAM));
    }
    // An installed detect-bench: the program lies beside the installed plugin.
    if folder.ends_with("bin") {
        let multiarch = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
        let libraries = [&multiarch, "lib"].map(|name| above.join(name));
        places.extend(libraries.map(|path| path.join("gstreamer-1.0").join(PROGRAM)));
    }
    places
}

/// One engine's library, and what is needed to try it.
struct Probe<'a> {
    kind: EngineKind,
    library: &'a Library,
    found: Found,
    folder: CacheFolder,
    program: Result<PathBuf, String>,
}

impl Probe<'_> {
    fn check(&self, form: &Form, options: &EngineOptions) -> Result<(), EngineError> {
        let library = format!(
            "{} {}; {}; plugin {}",
            self.kind,
            self.found.in_words(),
            processor(),
            build()
        );
        let key = format!("{}; {library}", model_in_words(form, options));
        if let Some(Verdict::Died(how)) = self.known(&library) {
            return Err(self.library_died(&how));
        }
        match self.known(&key) {
            Some(Verdict::Survived) => return Ok(()),
            Some(Verdict::Died(how)) => return Err(self.model_died(&how)),
            None => {}
        }
        let limits = limits(form, slowness());
        let (end, answer) = self.run(form, options, &limits)?;
        match (answer, in_words(end, &limits)) {
            (Answer::Survived, _) => {
                self.remember(&key, &Verdict::Survived);
                Ok(())
            }
            (Answer::Refused(error), _) => Err(error.in_name_of(self.kind)),
            (answer, how) => {
                if end == End::TimeUp {
                    return Err(EngineError::Slow {
                        engine: self.kind,
                        reason: format!("a child process that opened it {how}"),
                    });
                }
                let verdict = Verdict::Died(how.clone());
                let of_model = answer == Answer::Loaded;
                self.remember(if of_model { &key } else { &library }, &verdict);
                Err(if of_model {
                    self.model_died(&how)
                } else {
                    self.library_died(&how)
                })
            }
        }
    }

    /// Opens the model in a child.
    fn run(
        &self,
        form: &Form,
        options: &EngineOptions,
        limits: &Limits,
    ) -> Result<(End, Answer), EngineError> {
        let untried = |reason: String| EngineError::Untried {
            engine: self.kind,
            reason,
        };
        let program = self.program.as_ref().map_err(|why| untried(why.clone()))?;
        let head = Request::new(self.kind, form, options, limits.work).head();
        let mut command = Command::new(program);
        // The same library here and there, wherever it was found.
        command.env(self.library.variables[0], &self.found.path);
        let (end, said) = process::run(&mut command, &[&head, form.bytes], limits)
            .map_err(|error| untried(format!("{} does not start: {error}", program.display())))?;
        match Answer::read(&said) {
            Answer::Nothing => Err(untried(format!(
                "{} {}, expected the program of this build",
                program.display(),
                in_words(end, limits)
            ))),
            answer => Ok((end, answer)),
        }
    }

    fn known(&self, key: &str) -> Option<Verdict> {
        if let Some(kept) = KEPT.lock().get(key) {
            return Some(kept.clone());
        }
        let value = self.folder.read(key)?;
        match (value.get("survived")?.as_bool()?, value.get("how")) {
            (true, _) => Some(Verdict::Survived),
            (false, how) => Some(Verdict::Died(how?.as_str()?.to_owned())),
        }
    }

    fn remember(&self, key: &str, verdict: &Verdict) {
        let mut kept = KEPT.lock();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(key.to_owned(), verdict.clone());
        drop(kept);
        self.folder.write(
            key,
            match verdict {
                Verdict::Survived => json!({"survived": true}),
                Verdict::Died(how) => json!({"survived": false, "how": how}),
            },
        );
    }

    fn model_died(&self, how: &str) -> EngineError {
        EngineError::Load {
            engine: self.kind,
            reason: format!("a child process that opened it {how}"),
            source: None,
        }
    }

    fn library_died(&self, how: &str) -> EngineError {
        EngineError::Library {
            engine: self.kind,
            path: self.found.path.clone(),
            reason: format!(
                "a child process that loaded it {how}; it may be broken, or built for another processor: {}",
                self.library.other_build
            ),
            source: None,
        }
    }
}

/// Writes everything about a model that the result depends on.
fn model_in_words(form: &Form, options: &EngineOptions) -> String {
    // Two hashes: a model that is to pass for another one must meet both.
    let hash = |salt: u8| {
        let mut hash = DefaultHasher::new();
        (salt, form.bytes).hash(&mut hash);
        hash.finish()
    };
    format!(
        "model {:016x}{:016x} of {} bytes; input {}; precision {}",
        hash(0),
        hash(1),
        form.bytes.len(),
        form.input.size,
        options.precision,
    )
}

/// Returns how long a child may take for a model on a machine of this slowness.
fn limits(form: &Form, slowness: f64) -> Limits {
    let for_bytes = PER_MIB.saturating_mul((form.bytes.len() >> 20) as u32);
    let giga = u32::try_from(form.multiply_adds / 1_000_000_000).unwrap_or(u32::MAX);
    let for_work = PER_GIGA.saturating_mul(giga);
    let usual = SHORTEST.saturating_add(for_bytes).saturating_add(for_work);
    // The most of all comes first, for no more can be multiplied by a factor.
    let work = usual.min(LONGEST).mul_f64(slowness).min(LONGEST);
    Limits {
        work,
        idle: LONGEST_IDLE.mul_f64(slowness),
        whole: LONGEST * 2,
    }
}

/// Writes how a child ended: "was ended by signal 8 (SIGFPE)".
fn in_words(end: End, limits: &Limits) -> String {
    match end {
        End::TimeUp => format!(
            "was not done after {:.1} s of computing, or {:.1} s of waiting",
            limits.work.as_secs_f64(),
            limits.idle.as_secs_f64()
        ),
        End::Exit(Some(code)) => format!("ended early with status {code}"),
        End::Exit(None) => "ended early".into(),
        End::Signal(number) => {
            let name = match number {
                libc::SIGILL => " (SIGILL, an instruction that this processor lacks)",
                libc::SIGABRT => " (SIGABRT)",
                libc::SIGBUS => " (SIGBUS)",
                libc::SIGFPE => " (SIGFPE)",
                libc::SIGKILL => " (SIGKILL, memory or time ran out)",
                libc::SIGSEGV => " (SIGSEGV)",
                libc::SIGXCPU => " (SIGXCPU, its time was up)",
                _ => "",
            };
            format!("was ended by signal {number}{name}")
        }
    }
}

#[cfg(test)]
mod tests;
