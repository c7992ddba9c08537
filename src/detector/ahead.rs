//! [`Ahead`]: the model's input of a picture, made where no detector is needed: while one infers from another picture.

use super::{Detector, Prepared, prepare};
use crate::base::image::ImageView;
use crate::base::tensor::InputSpec;
use crate::vision::preprocess::{PreprocessError, Preprocessor};

/// An input, or the memory for one.
#[derive(Debug)]
pub struct Ahead {
    input: InputSpec,
    preprocessor: Option<Box<Preprocessor>>,
    /// Of the picture whose input this is.
    prepared: Option<Prepared>,
}

impl Ahead {
    /// For detectors of models with this input.
    pub fn new(input: InputSpec) -> Self {
        Self {
            input,
            preprocessor: None,
            prepared: None,
        }
    }

    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// Makes the input of a picture, in the memory of one that was taken.
    ///
    /// # Errors
    /// [`PreprocessError`]; there is no input then.
    pub fn prepare(&mut self, image: &ImageView) -> Result<(), PreprocessError> {
        self.prepared = None;
        let prepared = prepare(&mut self.preprocessor, image, &self.input)?;
        self.prepared = Some(Prepared {
            ahead: true,
            ..prepared
        });
        Ok(())
    }
}

impl Detector {
    /// Takes over the input of `ahead`, as if [`Self::prepare`] had made it, and leaves memory for another. `None`, and
    /// nothing happens, if there is none, or it is not what the model wants.
    pub fn take(&mut self, ahead: &mut Ahead) -> Option<Prepared> {
        if self.model.input != ahead.input {
            return None;
        }
        let prepared = ahead.prepared.take()?;
        std::mem::swap(&mut self.preprocessor, &mut ahead.preprocessor);
        Some(prepared)
    }
}
