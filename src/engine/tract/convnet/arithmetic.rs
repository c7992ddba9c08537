//! [`Arithmetic`]: the numbers that the networks of a model compute with.

use crate::convnet::Options;
use crate::engine::{EngineError, EngineKind, EngineOptions, Precision};

/// Numbers that the networks of a model compute with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine::tract) enum Arithmetic {
    #[default]
    F32,
    /// f16 where the first inference, on a picture, shows that it keeps the outputs.
    CheckedF16,
    /// f16 wherever there are kernels that are fine enough.
    F16,
}

/// Whether `auto` takes checked f16 where the processor computes with it. Not yet: no real model has run in f16.
const AUTO_TAKES_F16: bool = false;

impl Arithmetic {
    /// Follows the user's precision. `auto` means f32 on every processor, see [`AUTO_TAKES_F16`].
    ///
    /// # Errors
    /// [`EngineError::Precision`] if f16 is asked for and the processor lacks it.
    pub fn for_user(options: &EngineOptions) -> Result<Self, EngineError> {
        let has_executor = super::least_work().is_some();
        let kernels = Options::default();
        let computes = has_executor && kernels.computes_with_f16().unwrap_or(false);
        let emulates = has_executor && kernels.emulates_f16().unwrap_or(false);
        match options.precision {
            Precision::F32 => Ok(Self::F32),
            Precision::Auto if AUTO_TAKES_F16 && computes => Ok(Self::CheckedF16),
            Precision::Auto => Ok(Self::F32),
            Precision::F16 if computes || emulates => Ok(Self::F16),
            Precision::F16 => Err(EngineError::Precision {
                engine: EngineKind::Tract,
                asked: options.precision,
                takes:
                    "auto and f32 on this processor, which lacks the instructions of Arm's asimdhp"
                        .into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_is_refused_by_name_where_the_processor_lacks_it() {
        let asked = |precision| {
            Arithmetic::for_user(&EngineOptions {
                precision,
                ..EngineOptions::default()
            })
        };
        assert_eq!(asked(Precision::F32).ok(), Some(Arithmetic::F32));
        let kernels = Options::default();
        let computes = kernels.computes_with_f16().expect("kernels");
        assert_eq!(asked(Precision::Auto).ok(), Some(Arithmetic::F32));
        if computes || kernels.emulates_f16().expect("kernels") {
            assert_eq!(asked(Precision::F16).ok(), Some(Arithmetic::F16));
        } else {
            let error = asked(Precision::F16).expect_err("no kernels").to_string();
            assert!(error.contains("asimdhp"), "{error}");
        }
    }
}
