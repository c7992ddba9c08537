//! [`Reading`]: one way to read a model, and how its pictures are prepared.

use super::card::Card;
use super::family::Family;
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::error::FamilyError;

/// How the authors of a family prepare pictures. The fields are those of [`crate::base::tensor::InputSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Convention {
    /// Order of the channels.
    pub colour: ColourOrder,
    /// Subtracted from each channel, in levels 0 to 255.
    pub mean: [f32; 3],
    /// Divides each channel after that.
    pub std: [f32; 3],
    /// How the picture fills the input.
    pub resize: ResizeMode,
    /// Level of the padding, 0 to 255.
    pub pad_value: f32,
    /// How pixels are interpolated.
    pub interpolation: Interpolation,
}

/// One way to read a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Name for people, such as "YOLOX, decoded in the graph".
    pub name: &'static str,
    /// How the outputs are decoded.
    pub family: Box<dyn Family>,
    /// The evidence, as a clause after "because".
    pub because: String,
    /// Number of classes; 0 if the file does not state it.
    pub classes: usize,
    /// How pictures are prepared.
    pub convention: Convention,
    /// Whether the convention follows from the file rather than from habit.
    pub sure: bool,
    /// A free input size must be a multiple of this.
    pub stride: u32,
    /// Labels of a family that finds only one kind of object; else empty.
    pub labels: &'static [&'static str],
    /// Score threshold of the authors, 0 to 1.
    pub score_threshold: Option<f32>,
    /// IoU threshold of the authors; 1 if the graph has suppressed already.
    pub iou_threshold: Option<f32>,
}

impl Reading {
    /// Returns the name and the evidence, for a message that lists several readings.
    pub fn with_evidence(&self) -> String {
        format!("{}, because {}", self.name, self.because)
    }

    /// Puts the card's values over this reading's. `named` is how many classes have a name in the metadata.
    ///
    /// # Errors
    /// [`FamilyError::Card`] if the model has another number of classes, of bins or of columns.
    pub fn apply_card(&mut self, card: &Card, named: Option<usize>) -> Result<(), FamilyError> {
        if self.classes == 0 {
            self.classes = card.classes.unwrap_or(0);
        }
        let fewer_than_named =
            named == Some(self.classes) && card.classes != named && card.classes.is_some();
        if !fewer_than_named
            && let Some((family, classes)) = self.family.described_by(card, self.classes)
        {
            (self.family, self.classes) = (family, classes);
        }
        if let Some(classes) = card.classes.filter(|classes| *classes != self.classes) {
            return Err(card.error(format!(
                "num_classes is {classes}, but read as {} the model has {}",
                self.name, self.classes
            )));
        }
        if self.family.contradicts(card) {
            return Err(card.error(format!(
                "reg_max or columns are not those of the model read as {}, expected \"decode\" beside them",
                self.name
            )));
        }
        self.convention.apply_card(card);
        self.score_threshold = card.score_threshold.or(self.score_threshold);
        self.iou_threshold = card.iou_threshold.or(self.iou_threshold);
        self.family.apply_card(card);
        if let Some(stride) = self.family.largest_stride() {
            self.stride = stride;
        }
        Ok(())
    }
}

impl Convention {
    fn apply_card(&mut self, card: &Card) {
        self.colour = card.colour.unwrap_or(self.colour);
        self.mean = card.mean.unwrap_or(self.mean);
        self.std = card.std.unwrap_or(self.std);
        self.resize = card.resize.unwrap_or(self.resize);
        self.pad_value = card.pad_value.unwrap_or(self.pad_value);
        self.interpolation = card.interpolation.unwrap_or(self.interpolation);
    }
}
