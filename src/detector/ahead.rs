//! [`Ahead`]: a model input prepared without the detector, while the detector infers from another picture.

use super::{Detector, Prepared, prepare};
use crate::base::image::ImageView;
use crate::base::tensor::InputSpec;
use crate::vision::preprocess::{PreprocessError, Preprocessor};

/// A prepared input, or the memory for one.
#[derive(Debug)]
pub struct Ahead {
    input: InputSpec,
    preprocessor: Option<Box<Preprocessor>>,
    /// The picture that the input was made from.
    prepared: Option<Prepared>,
}

impl Ahead {
    /// Creates memory for inputs of this form.
    pub fn new(input: InputSpec) -> Self {
        Self {
            input,
            preprocessor: None,
            prepared: None,
        }
    }

    /// Returns the form of the input.
    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// Prepares the input of a picture, in recycled memory.
    ///
    /// # Errors
    /// [`PreprocessError`]; there is then no input.
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
    /// Takes over the input of `ahead` as if [`Self::prepare`] had made it, and leaves memory for the next one.
    ///
    /// Returns `None` and changes nothing if there is no input, or if the model takes another form.
    pub fn take(&mut self, ahead: &mut Ahead) -> Option<Prepared> {
        if self.model.input != ahead.input {
            return None;
        }
        let prepared = ahead.prepared.take()?;
        std::mem::swap(&mut self.preprocessor, &mut ahead.preprocessor);
        Some(prepared)
    }
}
