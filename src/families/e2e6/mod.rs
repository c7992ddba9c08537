//! YOLOv10, YOLO26, and others with NMS in the graph; RT-DETR of Ultralytics' current exporter.

mod decode;
mod recognise;

use super::card::{BOX_FORMAT, BOX_SCALE, Card};
use super::decision::{Decision, topic};
use super::decoding::{BoxForm, BoxFormat, BoxScale, DecodeError, Decoder, Extras};
use super::detr_rows::DetrRows;
use super::family::{DecoderInput, Family, Settled};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use super::table_form::seen::Certain;
use crate::base::tensor::{ResizeMode, Tensor};

/// `[1, n, 6]`, a box, score and class, already suppressed; perhaps further numbers behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct E2e6 {
    /// Meaning of the numbers of a box.
    pub boxes: BoxForm,
    /// Numbers behind the class.
    pub extras: usize,
    /// The meaning of those numbers.
    pub meaning: Extras,
    /// The numbers of the first inference told some of this, not the file.
    pub seen: bool,
}

impl Default for E2e6 {
    /// Corners in input pixels, score and class alone.
    fn default() -> Self {
        Self {
            boxes: BoxForm {
                format: BoxFormat::Corners,
                scale: BoxScale::Pixels,
            },
            extras: 0,
            meaning: Extras::Unknown,
            seen: false,
        }
    }
}

impl E2e6 {
    /// Queries of DETR: centre and size as shares.
    pub fn of_queries() -> Self {
        Self {
            boxes: BoxForm {
                format: BoxFormat::Centre,
                scale: BoxScale::Shares,
            },
            ..Self::default()
        }
    }

    fn decision(&self, topic: &'static str, value: String) -> Decision {
        let reason = if self.seen {
            "the numbers of the first inference are like that"
        } else {
            "metadata or card say so"
        };
        Decision::new(topic, value, reason, self.seen)
    }
}

impl Family for E2e6 {
    fn name(&self) -> &'static str {
        "e2e6"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Rows::new(
            self,
            model.input,
            model.outputs,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        false
    }

    fn apply_card(&mut self, card: &Card) {
        self.boxes.format = card.get(&BOX_FORMAT).unwrap_or(self.boxes.format);
        self.boxes.scale = card.get(&BOX_SCALE).unwrap_or(self.boxes.scale);
    }

    fn notes(&self) -> Vec<Decision> {
        let mut notes = Vec::new();
        if self.boxes != Self::default().boxes {
            notes.push(self.decision(topic::BOXES, self.boxes.to_string()));
        }
        if self.extras > 0 {
            let unused = self.meaning.unused(self.extras, "behind the class");
            notes.push(self.decision(topic::EXTRAS, unused));
        }
        notes
    }

    fn settle(
        &self,
        outputs: &[Tensor],
        model: &DecoderInput,
        certain: &Certain,
    ) -> Option<Settled> {
        if certain.format || certain.scale {
            return None;
        }
        if decode::are_scores(self, model, outputs) {
            // An older exporter's rows of two classes.
            return Some(Settled::in_form(DetrRows, 2));
        }
        let boxes = decode::boxes(self, model, outputs)?;
        let family = Self {
            boxes,
            seen: true,
            ..self.clone()
        };
        let of_queries = boxes == Self::of_queries().boxes;
        (boxes != self.boxes).then(|| Settled {
            // Queries come from stretched pictures.
            resize: (of_queries && !certain.resize).then_some(ResizeMode::Stretch),
            ..Settled::in_form(family, model.classes)
        })
    }

    fn writes_class_numbers(&self) -> bool {
        true
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        vec![vec![1, given.candidates, decode::ROW + self.extras]]
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "e2e6",
    readers: &[recognise::read],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&BOX_FORMAT, &BOX_SCALE],
    micro_models: &["yolov10_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[
        |_| Box::new(E2e6::default()),
        |choices| {
            let extras = choices.one_of(&[0, 1, 32]);
            Box::new(E2e6 {
                boxes: choices.one_of(&[E2e6::default().boxes, E2e6::of_queries().boxes]),
                extras,
                meaning: if extras == 1 {
                    Extras::Angle
                } else {
                    Extras::Unknown
                },
                seen: false,
            })
        },
    ],
};
