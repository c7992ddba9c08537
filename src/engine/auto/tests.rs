use super::*;
use crate::base::tensor::{Element, Tensor, TensorSpec};
use crate::engine::Engine;
use crate::model::ModelOptions;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Milliseconds; only inferences let time pass.
type Clock = Arc<AtomicU64>;

/// An engine that takes its milliseconds or fails, and has no outputs.
struct Fake(Clock, Result<u64, &'static str>);

impl Engine for Fake {
    fn outputs(&self) -> &[TensorSpec] {
        &[]
    }

    fn another(&self, _threads: usize, _bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Self(self.0.clone(), self.1)))
    }

    fn run_into(&mut self, input: &Tensor, _outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        assert_eq!(input.data.element(), Element::F32);
        match self.1 {
            Ok(time) => {
                self.0.fetch_add(time, Ordering::Relaxed);
                Ok(())
            }
            Err(text) => Err(failed(EngineKind::OpenVino, text)),
        }
    }
}

fn failed(engine: EngineKind, text: &str) -> EngineError {
    EngineError::Panic {
        engine,
        text: text.into(),
    }
}

type Run = (EngineKind, Result<u64, &'static str>);

/// Chooses among engines that behave like this.
fn chosen(
    runs: &[Run],
    failures: Vec<(EngineKind, EngineError)>,
    remember: impl FnOnce(&Remembered),
) -> Result<Opened, EngineError> {
    let clock = Clock::default();
    let candidate = |(kind, run): &Run| Candidate {
        kind: *kind,
        chosen: Chosen {
            engine: Box::new(Fake(clock.clone(), *run)),
            quantised: false,
            told: Some(format!("/lib/{kind}")),
        },
    };
    let mut now = || Duration::from_millis(clock.load(Ordering::Relaxed));
    let model = Model::open(&ModelOptions::default()).expect("the built-in model");
    let candidates = runs.iter().map(candidate).collect();
    choose(candidates, failures, &model, &mut now, remember)
}

fn not_installed(engine: EngineKind) -> (EngineKind, EngineError) {
    let error = EngineError::NotInstalled {
        engine,
        pointed_at: None,
        remedy: "install it",
    };
    (engine, error)
}

fn lacks(engine: EngineKind, name: &str) -> (EngineKind, EngineError) {
    let names = vec![name.to_owned()];
    (engine, EngineError::Operator { engine, names })
}

#[test]
fn the_fastest_is_taken_and_remembered() {
    let runs = [
        (EngineKind::OnnxRuntime, Ok(9)),
        (EngineKind::OpenVino, Ok(3)),
        (EngineKind::Tract, Ok(60)),
    ];
    let remembered = RefCell::new(None);
    let opened = chosen(&runs, Vec::new(), |outcome| {
        *remembered.borrow_mut() = Some(outcome.clone());
    })
    .expect("all run");
    assert_eq!(opened.kind, EngineKind::OpenVino);
    assert_eq!(
        opened.reason,
        "fastest here: openvino 3.0 ms, onnxruntime 9.0 ms, tract 60.0 ms; /lib/openvino"
    );
    let remembered = remembered.into_inner().expect("it was measured");
    assert_eq!(remembered.engine, EngineKind::OpenVino);
    let order: Vec<_> = remembered.times.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        order,
        [
            EngineKind::OpenVino,
            EngineKind::OnnxRuntime,
            EngineKind::Tract
        ]
    );
}

#[test]
fn the_only_one_is_taken_without_measuring() {
    let runs = [(EngineKind::Tract, Err("it must not run"))];
    let failures = vec![
        not_installed(EngineKind::OnnxRuntime),
        (EngineKind::OpenVino, failed(EngineKind::OpenVino, "broken")),
    ];
    let opened = chosen(&runs, failures, |_| panic!("nothing was measured")).expect("tract can");
    assert_eq!(opened.kind, EngineKind::Tract);
    for part in ["onnxruntime is not installed", "openvino panicked: broken"] {
        assert!(opened.reason.contains(part), "{}", opened.reason);
    }
}

#[test]
fn one_that_loads_and_does_not_run_is_passed_over() {
    let runs = |tract| {
        [
            (EngineKind::OpenVino, Err("no run")),
            (EngineKind::Tract, tract),
        ]
    };
    let opened = chosen(&runs(Ok(1)), Vec::new(), |_| ()).expect("tract runs");
    assert_eq!(opened.kind, EngineKind::Tract);
    assert!(opened.reason.contains("no run"), "{}", opened.reason);
    let error = chosen(&runs(Err("neither")), Vec::new(), |_| {
        panic!("there is nothing to remember")
    });
    assert!(error.is_err());
}

#[test]
fn the_error_is_that_of_the_engines_that_are_here() {
    let absent = || not_installed(EngineKind::OnnxRuntime);
    let text = nearest(vec![absent(), lacks(EngineKind::Tract, "Foo")]).to_string();
    assert!(
        text.contains("Foo") && text.contains("may run it"),
        "{text}"
    );
    let all = vec![
        lacks(EngineKind::OpenVino, "Foo"),
        lacks(EngineKind::Tract, "Foo"),
    ];
    let text = nearest(all).to_string();
    assert!(
        text.contains("Foo") && text.ends_with("no engine on this machine can run it"),
        "{text}"
    );
    let all = vec![
        (EngineKind::OpenVino, failed(EngineKind::OpenVino, "a hole")),
        lacks(EngineKind::Tract, "Foo"),
    ];
    let text = nearest(all).to_string();
    for part in ["a hole", "Foo", "no engine on this machine can run it"] {
        assert!(text.contains(part), "{text}");
    }
    let refused = (
        EngineKind::OpenVino,
        failed(EngineKind::OpenVino, "a broken file"),
    );
    let text = nearest(vec![absent(), lacks(EngineKind::Tract, "Foo"), refused]).to_string();
    assert!(text.contains("a broken file"), "{text}");
}

#[test]
fn a_remembered_choice_names_the_engines_it_is_without() {
    let ms = Duration::from_millis;
    let times = [
        (EngineKind::OnnxRuntime, ms(9)),
        (EngineKind::Tract, ms(60)),
    ];
    let said = left_out(&times);
    assert!(
        said.contains("openvino") && !said.contains("tract"),
        "{said}"
    );
    let all = CANDIDATES.map(|kind| (kind, ms(1)));
    assert_eq!(left_out(&all), "");
}
