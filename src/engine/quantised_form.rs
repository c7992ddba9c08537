//! Chooses the form of a quantised model that an engine runs: quantised, or folded to float.
//!
//! An engine with integer kernels gives the boxes that the quantised model was judged by, and may be faster. But not
//! every engine gains from every kind of quantisation. ONNX Runtime always gets the quantised form, for the sake of the
//! boxes. It is slower only with models that are quantised in part, or so small that rounding dominates. OpenVINO gets
//! what makes it faster: QDQ. Figures: `tests/benches/figures/2026-11-23-epyc-2/README.md`.

use super::{Engine, EngineError, EngineKind, Opened, Precision, WithLibrary};
use crate::model::{Model, Quantisation};

/// An opened engine, and the form of the model that it runs.
pub(super) struct Chosen {
    pub engine: Box<dyn Engine>,
    /// The engine runs [`Model::quantised`].
    pub quantised: bool,
    /// Library and form in words, if there is anything to report.
    pub told: Option<String>,
}

impl Chosen {
    /// Adds which engine it is and why it was chosen.
    pub fn opened(self, kind: EngineKind, reason: String) -> Opened {
        Opened {
            engine: self.engine,
            kind,
            quantised: self.quantised,
            reason: match self.told {
                Some(told) => format!("{reason}; {told}"),
                None => reason,
            },
        }
    }
}

/// Opens the form that suits the engine. `open` is told whether it is the quantised form, and the precision for it. If the engine cannot
/// run the quantised form, the folded one is opened.
///
/// # Errors
/// The errors of `open`.
pub(super) fn open(
    kind: EngineKind,
    model: &Model,
    precision: Precision,
    open: impl Fn(bool, Precision) -> Result<WithLibrary, EngineError>,
) -> Result<Chosen, EngineError> {
    let folded = |why: Option<String>| {
        // A model that was quantised has lost enough: it keeps f32 unless f16 is asked for.
        let precision = match (kind, precision, &model.quantised) {
            (EngineKind::Tract, Precision::Auto, Some(_)) => Precision::F32,
            _ => precision,
        };
        let (engine, library) = open(false, precision)?;
        let form = why.map(|why| format!("runs the model folded to float: {why}"));
        Ok(Chosen {
            engine,
            quantised: false,
            told: describe(library, form),
        })
    };
    let Some(form) = &model.quantised else {
        return folded(None);
    };
    if let Err(why) = suits(kind, form.quantisation, precision) {
        return folded(why.map(Into::into));
    }
    // With `auto` the engine might use f16 for the parts that are not integers, see `suits`.
    let kept = match precision {
        Precision::Auto => Precision::F32,
        asked => asked,
    };
    let tried = open(true, kept).and_then(|(mut engine, library)| {
        // Some faults of integer operators appear only when they run.
        engine.run(&model.input.blank())?;
        Ok((engine, library))
    });
    match tried {
        Ok((engine, library)) => {
            let form = format!("runs the quantised model ({})", form.quantisation);
            Ok(Chosen {
                engine,
                quantised: true,
                told: describe(library, Some(form)),
            })
        }
        Err(error) if is_of_the_model(&error) => folded(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Joins what is known of library and form into one text.
fn describe(library: Option<String>, form: Option<String>) -> Option<String> {
    let parts: Vec<_> = library.into_iter().chain(form).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Checks whether an engine gains from running this kind of quantisation. The error is the reason, if the user may
/// wonder.
///
/// OpenVINO 2026.4.1 finds nothing with a QDQ model in f16: on a processor with AVX512-FP16 the best score of
/// fastestdet_352.qdq_pc on one picture was 0.14 instead of 0.93, also through its own Python bindings.
fn suits(
    kind: EngineKind,
    quantisation: Quantisation,
    precision: Precision,
) -> Result<(), Option<&'static str>> {
    match (kind, quantisation) {
        (EngineKind::OpenVino, Quantisation::Qdq) if precision == Precision::F16 => {
            Err(Some("openvino computes it wrongly in f16"))
        }
        (EngineKind::OnnxRuntime, _) | (EngineKind::OpenVino, Quantisation::Qdq) => Ok(()),
        (EngineKind::OpenVino, Quantisation::QOperator) => {
            Err(Some("openvino has no integer operators"))
        }
        (EngineKind::OpenVino, Quantisation::Dynamic) => {
            Err(Some("openvino is slower with dynamic quantisation"))
        }
        (EngineKind::Tract | EngineKind::Auto, _) => Err(None),
        #[cfg(feature = "stub-engine")]
        (EngineKind::Stub, _) => Err(None),
    }
}

/// Returns whether another form of the model may work where this one fails.
fn is_of_the_model(error: &EngineError) -> bool {
    match error {
        EngineError::Load { .. }
        | EngineError::TooLarge { .. }
        | EngineError::Operator { .. }
        | EngineError::Shape { .. }
        | EngineError::Run { .. }
        | EngineError::Panic { .. } => true,
        EngineError::NotInstalled { .. }
        | EngineError::Library { .. }
        | EngineError::OtherLibrary { .. }
        | EngineError::Precision { .. }
        // Another form would take as long once more.
        | EngineError::Slow { .. }
        | EngineError::Untried { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::{Tensor, TensorSpec};
    use crate::model::{ModelOptions, Quantised};
    use crate::onnx::budget::Demand;
    use std::cell::RefCell;

    const FOLDED: &[u8] = b"folded";
    const QUANTISED: &[u8] = b"quantised";
    const AUTO: Precision = Precision::Auto;

    /// An engine that runs, or fails.
    struct Fake(bool);

    impl Engine for Fake {
        fn outputs(&self) -> &[TensorSpec] {
            &[]
        }

        fn another(&self, _threads: usize, _bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
            Ok(Box::new(Self(self.0)))
        }

        fn run_into(&mut self, _: &Tensor, _: &mut Vec<Tensor>) -> Result<(), EngineError> {
            match self.0 {
                true => Ok(()),
                false => Err(EngineError::Run {
                    engine: EngineKind::OnnxRuntime,
                    reason: "no such scale".into(),
                    source: None,
                }),
            }
        }
    }

    fn model(quantisation: Quantisation) -> Model {
        let mut model = Model::open(&ModelOptions::default()).expect("it is built in");
        model.bytes = FOLDED.into();
        model.quantised = Some(Quantised {
            bytes: QUANTISED.into(),
            quantisation,
            rewrites: Vec::new(),
            weighed: Ok(Demand::default()),
        });
        model
    }

    /// Opens a model whose quantised form gives this answer. Returns the result and the forms that were tried.
    fn tried(
        kind: EngineKind,
        quantisation: Quantisation,
        precision: Precision,
        quantised: impl Fn() -> Result<bool, EngineError>,
    ) -> (Result<Chosen, EngineError>, Vec<Vec<u8>>) {
        let tried = RefCell::new(Vec::new());
        let model = model(quantisation);
        let chosen = open(kind, &model, precision, |of_quantised, precision| {
            assert!(!of_quantised || precision != Precision::Auto);
            let bytes = model.bytes_of_form(of_quantised).to_vec();
            tried.borrow_mut().push(bytes);
            let runs = if of_quantised { quantised()? } else { true };
            Ok((Box::new(Fake(runs)), Some("/lib".into())))
        });
        (chosen, tried.into_inner())
    }

    #[test]
    fn the_form_follows_from_engine_and_quantisation() {
        for (kind, quantisation, precision, form, told) in [
            (
                EngineKind::OnnxRuntime,
                Quantisation::Qdq,
                AUTO,
                QUANTISED,
                "QDQ",
            ),
            (
                EngineKind::OpenVino,
                Quantisation::Qdq,
                Precision::F16,
                FOLDED,
                "wrongly in f16",
            ),
            (
                EngineKind::OnnxRuntime,
                Quantisation::Dynamic,
                AUTO,
                QUANTISED,
                "dynamic",
            ),
            (
                EngineKind::OpenVino,
                Quantisation::Qdq,
                AUTO,
                QUANTISED,
                "QDQ",
            ),
            (
                EngineKind::OpenVino,
                Quantisation::QOperator,
                AUTO,
                FOLDED,
                "no integer operators",
            ),
            (
                EngineKind::OpenVino,
                Quantisation::Dynamic,
                AUTO,
                FOLDED,
                "slower",
            ),
            (EngineKind::Tract, Quantisation::Qdq, AUTO, FOLDED, "/lib"),
        ] {
            let (chosen, tried) = tried(kind, quantisation, precision, || Ok(true));
            let chosen = chosen.expect("all load");
            assert_eq!(tried, [form], "{kind}, {quantisation}");
            assert_eq!(chosen.quantised, form == QUANTISED);
            let reason = chosen.opened(kind, "asked for".into()).reason;
            assert!(reason.starts_with("asked for; /lib") && reason.contains(told));
        }
    }

    #[test]
    fn the_folded_form_serves_where_the_quantised_one_is_refused_or_fails() {
        let refused = || EngineError::Load {
            engine: EngineKind::OnnxRuntime,
            reason: "odd".into(),
            source: None,
        };
        let kind = EngineKind::OnnxRuntime;
        for (runs, why) in [(None, "odd"), (Some(false), "no such scale")] {
            let (chosen, tried) = tried(kind, Quantisation::Qdq, AUTO, || runs.ok_or_else(refused));
            let chosen = chosen.expect("the folded one loads");
            assert_eq!(tried, [QUANTISED, FOLDED]);
            let told = chosen.told.expect("why");
            assert!(!chosen.quantised && told.contains("folded to float") && told.contains(why));
        }
    }

    #[test]
    fn what_is_not_of_the_model_is_an_error() {
        let absent = || EngineError::NotInstalled {
            engine: EngineKind::OpenVino,
            pointed_at: None,
            remedy: "install it",
        };
        let (chosen, tried) = tried(EngineKind::OpenVino, Quantisation::Qdq, AUTO, || {
            Err(absent())
        });
        assert!(matches!(chosen, Err(EngineError::NotInstalled { .. })));
        assert_eq!(tried, [QUANTISED], "the folded form would not help");
    }
}
