//! `auto`: chooses the fastest engine that can run a model on this machine.
//!
//! Every installed engine loads the model. Those that can are timed in turns on an empty picture, for at most a second
//! ([`measure`]), and the fastest stays. The result is remembered ([`memory`]), so that the next load opens one engine
//! only.

mod measure;
mod memory;

use super::quantised_form::Chosen;
use super::{EngineError, EngineKind, EngineOptions, Opened, onnxruntime, openvino};
use crate::model::Model;
use memory::{Memory, Remembered};
use std::time::{Duration, Instant};

/// Engines to choose from.
const CANDIDATES: [EngineKind; 3] = [
    EngineKind::OnnxRuntime,
    EngineKind::OpenVino,
    EngineKind::Tract,
];

/// Longest time for measuring.
const BUDGET: Duration = Duration::from_secs(1);

/// An engine that has loaded the model.
struct Candidate {
    kind: EngineKind,
    chosen: Chosen,
}

/// Opens the fastest engine.
///
/// # Errors
/// The error of the engine that came nearest, if none can run the model.
pub(super) fn open(model: &Model, options: &EngineOptions) -> Result<Opened, EngineError> {
    let memory = Memory::for_user();
    let libraries = [&onnxruntime::LIBRARY, &openvino::LIBRARY];
    let key = memory::key(model, options, &libraries);
    if let Some(remembered) = memory.read(&key)
        && let Ok(candidate) = load(remembered.engine, model, options)
    {
        let reason = format!(
            "{} (measured before){}",
            in_words(&remembered.times),
            left_out(&remembered.times)
        );
        return Ok(candidate.chosen(reason));
    }
    let (candidates, failures) = load_all(model, options);
    if candidates.is_empty() {
        return Err(nearest(failures));
    }
    let begin = Instant::now();
    let mut now = || begin.elapsed();
    choose(candidates, failures, model, &mut now, |remembered| {
        memory.write(&key, remembered);
    })
}

/// Keeps the candidate that is fastest by the clock `now`, which begins at zero, and drops the others.
fn choose(
    mut candidates: Vec<Candidate>,
    failures: Vec<(EngineKind, EngineError)>,
    model: &Model,
    now: &mut dyn FnMut() -> Duration,
    remember: impl FnOnce(&Remembered),
) -> Result<Opened, EngineError> {
    let others = others_in_words(&failures);
    if candidates.len() == 1
        && let Some(only) = candidates.pop()
    {
        return Ok(only.chosen(format!("the only one that can run it{others}")));
    }
    let input = model.input.blank();
    let results = measure::measure(candidates.len(), BUDGET, now, &mut |index| {
        candidates[index].chosen.engine.run(&input).map(drop)
    });
    let (mut ranked, mut failed) = (Vec::new(), failures);
    for (candidate, result) in candidates.into_iter().zip(results) {
        match result {
            Ok(time) => ranked.push((time, candidate)),
            Err(error) => failed.push((candidate.kind, error)),
        }
    }
    ranked.sort_by_key(|(time, _)| *time);
    let times: Vec<_> = ranked.iter().map(|(time, c)| (c.kind, *time)).collect();
    let Some((_, fastest)) = ranked.into_iter().next() else {
        return Err(nearest(failed));
    };
    let reason = format!("{}{}", in_words(&times), others_in_words(&failed));
    remember(&Remembered {
        engine: fastest.kind,
        times,
    });
    Ok(fastest.chosen(reason))
}

impl Candidate {
    fn chosen(self, reason: String) -> Opened {
        self.chosen.opened(self.kind, reason)
    }
}

fn load(
    kind: EngineKind,
    model: &Model,
    options: &EngineOptions,
) -> Result<Candidate, EngineError> {
    let chosen = super::open_one(kind, model, options, false)?;
    Ok(Candidate { kind, chosen })
}

/// Returns the engines that can load the model, and the errors of the others.
fn load_all(
    model: &Model,
    options: &EngineOptions,
) -> (Vec<Candidate>, Vec<(EngineKind, EngineError)>) {
    let (mut candidates, mut failures) = (Vec::new(), Vec::new());
    let mut slow = false;
    for kind in CANDIDATES {
        // A model without end for one library is so for the other, and time is short.
        if slow && kind != EngineKind::Tract {
            continue;
        }
        match load(kind, model, options) {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => {
                slow |= matches!(error, EngineError::Slow { .. });
                failures.push((kind, error));
            }
        }
    }
    (candidates, failures)
}

/// Selects the error to report if every engine failed: one of an installed engine, or what all say if all are installed.
fn nearest(failures: Vec<(EngineKind, EngineError)>) -> EngineError {
    let (absent, mut here): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .map(|(_, error)| error)
        .partition(|error| matches!(error, EngineError::NotInstalled { .. }));
    let other = |error: &EngineError| !matches!(error, EngineError::Operator { .. });
    if absent.is_empty() && here.len() > 1 && here.iter().any(other) {
        let reasons: Vec<String> = here.iter().map(|e| e.summary().to_string()).collect();
        return EngineError::Load {
            engine: EngineKind::Auto,
            reason: reasons.join("; "),
            source: None,
        };
    }
    if let Some(index) = here.iter().position(other) {
        return here.swap_remove(index);
    }
    match here.pop() {
        Some(EngineError::Operator { names, .. }) if absent.is_empty() => EngineError::Operator {
            engine: EngineKind::Auto,
            names,
        },
        Some(error) => error,
        None => EngineError::Panic {
            engine: EngineKind::Auto,
            text: "no engine was tried".into(),
        },
    }
}

/// Writes `fastest here: openvino 15.0 ms, tract 61.0 ms`.
fn in_words(times: &[(EngineKind, Duration)]) -> String {
    let in_ms = |(kind, time): &(EngineKind, Duration)| {
        format!("{kind} {:.1} ms", time.as_secs_f64() * 1e3)
    };
    let times: Vec<_> = times.iter().map(in_ms).collect();
    format!("fastest here: {}", times.join(", "))
}

/// Names the engines that a remembered measurement is without.
fn left_out(times: &[(EngineKind, Duration)]) -> String {
    let measured = |kind: &EngineKind| times.iter().any(|(other, _)| other == kind);
    CANDIDATES
        .iter()
        .filter(|kind| !measured(kind))
        .map(|kind| format!("; {kind} is not installed or could not run the model then"))
        .collect()
}

fn others_in_words(failures: &[(EngineKind, EngineError)]) -> String {
    let why = |(kind, error): &(EngineKind, EngineError)| match error {
        EngineError::NotInstalled { .. } => format!("; {kind} is not installed"),
        error => format!("; {}", error.summary()),
    };
    failures.iter().map(why).collect()
}

#[cfg(test)]
mod tests;
