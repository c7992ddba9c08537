//! Which form of a quantised model an engine runs: as it is quantised, or folded to float.
//!
//! An engine with kernels for integers gives the boxes that the quantised model was judged by, and may be faster; but
//! not every engine gains by every kind of quantisation. Processor time of the quantised form as a share of that of
//! the folded one (ten int8 models, one thread, medians of 60 inferences in turns; AMD EPYC with VNNI, ONNX Runtime 1.32,
//! OpenVINO 2026.4, 2026-11-23):
//!
//! | | QDQ | QOperator | dynamic |
//! |---|---|---|---|
//! | ONNX Runtime | 0.68 to 1.28 | 0.70 to 1.29 | 1.23 to 1.26 |
//! | OpenVINO | 0.71 to 0.91 | refused | 1.92 to 2.02 |
//!
//! ONNX Runtime gets it always, for the boxes; the models with which it is slower are those that are quantised in part, or
//! so small that rounding weighs. OpenVINO gets what makes it faster.

use super::{Engine, EngineError, EngineKind, Opened, Precision, WithLibrary};
use crate::model::{Model, Quantisation};

/// The engine that was opened, of a form of the model.
pub(super) struct Chosen {
    pub engine: Box<dyn Engine>,
    /// It runs [`Model::quantised`].
    pub quantised: bool,
    /// Library and form in words, where there is something to tell.
    pub told: Option<String>,
}

impl Chosen {
    /// With the reason why this engine was taken.
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

/// Opens what suits the engine: `open` is given the bytes of one form, and the precision for it. Where the engine does
/// not run the quantised form the folded one serves.
///
/// # Errors
/// Those of `open`.
pub(super) fn open(
    kind: EngineKind,
    model: &Model,
    precision: Precision,
    open: impl Fn(&[u8], Precision) -> Result<WithLibrary, EngineError>,
) -> Result<Chosen, EngineError> {
    let folded = |why: Option<String>| {
        let (engine, library) = open(&model.bytes, precision)?;
        let form = why.map(|why| format!("runs the model folded to float: {why}"));
        Ok(Chosen {
            engine,
            quantised: false,
            told: told(library, form),
        })
    };
    let Some(form) = &model.quantised else {
        return folded(None);
    };
    if let Err(why) = suits(kind, form.quantisation, precision) {
        return folded(why.map(Into::into));
    }
    // Left to itself the engine may take f16 for what is not of integers: see `suits`.
    let kept = match precision {
        Precision::Auto => Precision::F32,
        asked => asked,
    };
    let tried = open(&form.bytes, kept).and_then(|(mut engine, library)| {
        // Some of what is wrong with an operator of integers is only found when it runs.
        engine.run(&model.input.blank())?;
        Ok((engine, library))
    });
    match tried {
        Ok((engine, library)) => {
            let form = format!("runs the model as it is quantised ({})", form.quantisation);
            Ok(Chosen {
                engine,
                quantised: true,
                told: told(library, Some(form)),
            })
        }
        Err(error) if is_of_the_model(&error) => folded(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

fn told(library: Option<String>, form: Option<String>) -> Option<String> {
    let told: Vec<_> = library.into_iter().chain(form).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Whether an engine gains by running what is quantised so; if not, why, where the user may wonder.
///
/// OpenVINO (2026.4.1) finds nothing with a QDQ model in f16: on an Intel Xeon with AVX512-FP16 the best score of
/// fastestdet_352.qdq_pc on one picture was 0.14 instead of 0.93, in its own Python too.
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
            Err(Some("openvino has no operators of integers"))
        }
        (EngineKind::OpenVino, Quantisation::Dynamic) => {
            Err(Some("openvino is slower with dynamic quantisation"))
        }
        (EngineKind::Tract | EngineKind::Auto, _) => Err(None),
        #[cfg(feature = "stub-engine")]
        (EngineKind::Stub, _) => Err(None),
    }
}

/// Another form of the model may do where this one does not.
fn is_of_the_model(error: &EngineError) -> bool {
    match error {
        EngineError::Load { .. }
        | EngineError::Operator { .. }
        | EngineError::Shape { .. }
        | EngineError::Run { .. }
        | EngineError::Panic { .. } => true,
        EngineError::NotInstalled { .. }
        | EngineError::Library { .. }
        | EngineError::OtherLibrary { .. }
        | EngineError::Precision { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::{Tensor, TensorSpec};
    use crate::model::{ModelOptions, Quantised};
    use std::cell::RefCell;

    const FOLDED: &[u8] = b"folded";
    const QUANTISED: &[u8] = b"quantised";
    const AUTO: Precision = Precision::Auto;

    /// Runs, or not.
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
        });
        model
    }

    /// What is opened where the quantised form is answered so; and the forms that were tried.
    fn tried(
        kind: EngineKind,
        quantisation: Quantisation,
        precision: Precision,
        quantised: impl Fn() -> Result<bool, EngineError>,
    ) -> (Result<Chosen, EngineError>, Vec<Vec<u8>>) {
        let tried = RefCell::new(Vec::new());
        let chosen = open(kind, &model(quantisation), precision, |bytes, precision| {
            let of_quantised = bytes == QUANTISED;
            assert!(!of_quantised || precision != Precision::Auto);
            tried.borrow_mut().push(bytes.to_vec());
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
                "no operators",
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
