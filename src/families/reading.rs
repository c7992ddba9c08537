//! [`Reading`]: one way to read a model, and how its pictures are prepared.

use super::card::Card;
use super::family::Family;
use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::error::FamilyError;

/// How the authors of a family prepare pictures; see [`crate::base::tensor::InputSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Convention {
    pub colour: ColourOrder,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub resize: ResizeMode,
    pub pad_value: f32,
    pub interpolation: Interpolation,
}

/// One way to read a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// For people: "YOLOX, decoded in the graph".
    pub name: &'static str,
    pub family: Box<dyn Family>,
    pub because: String,
    /// 0 where the file does not tell.
    pub classes: usize,
    pub convention: Convention,
    /// The convention follows from the file, not from habit alone.
    pub sure: bool,
    /// A free input size must be a multiple of this.
    pub stride: u32,
    /// Labels of a family that finds one thing only.
    pub labels: &'static [&'static str],
    pub score_threshold: Option<f32>,
    pub iou_threshold: Option<f32>,
}

impl Reading {
    /// Puts the card's values over this reading's.
    ///
    /// # Errors
    /// [`FamilyError::Card`] if the model has another number of classes, of bins or of columns.
    pub fn apply_card(&mut self, card: &Card) -> Result<(), FamilyError> {
        if self.classes == 0 {
            self.classes = card.classes.unwrap_or(0);
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
