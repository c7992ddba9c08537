//! YOLOv5 and v7 without their decoding.

mod decode;
mod recognise;

use super::card::Card;
use super::card::{Key, sizes};
use super::decoding::{DecodeError, Decoder};
use super::family::{DecoderInput, Family};
use super::registration::Registration;
#[cfg(any(test, feature = "stub-engine"))]
use super::sample::Given;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
/// An output for every stride, levels in the order of the outputs.
pub struct Yolov5Raw {
    /// The anchors of each output.
    pub levels: Vec<AnchorBoxes>,
    /// Whether the graph has a sigmoid.
    pub activated: bool,
}

/// The anchors of one stride: `sizes` are width and height in input pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct AnchorBoxes {
    /// Input pixels per cell.
    pub stride: u32,
    /// Width and height of each anchor in input pixels.
    pub sizes: Vec<[f32; 2]>,
}

/// Widths and heights of the anchors for every output.
pub static ANCHORS: Key<Vec<Vec<[f32; 2]>>> = Key {
    name: "anchors",
    expected: "for every output a list of width and height of its anchors, like \
        [[[10, 13], [16, 30], [33, 23]], ...]",
    read: anchors,
};

/// More than any detector has; a bound for what we allocate.
const MAX_LEVELS: usize = 16;

fn anchors(value: &Value) -> Option<Vec<Vec<[f32; 2]>>> {
    let list = value.as_array()?;
    let levels: Option<Vec<_>> = list.iter().map(sizes).collect();
    levels.filter(|levels| (1..=MAX_LEVELS).contains(&levels.len()))
}

impl Family for Yolov5Raw {
    fn name(&self) -> &'static str {
        "yolov5_raw"
    }

    fn decoder(&self, model: DecoderInput) -> Result<Box<dyn Decoder>, DecodeError> {
        Ok(Box::new(decode::Yolov5Raw::new(
            &self.levels,
            self.activated,
            model.input,
            model.classes,
            model.outputs,
            model.labelling,
        )?))
    }

    fn has_raw_heads(&self) -> bool {
        true
    }

    fn apply_card(&mut self, card: &Card) {
        if let Some(own) = card.get(&ANCHORS) {
            let levels = self.levels.iter_mut().zip(own);
            levels.for_each(|(level, own)| level.sizes = own);
        }
    }

    #[cfg(any(test, feature = "stub-engine"))]
    fn output_dims(&self, given: &Given) -> Vec<Vec<usize>> {
        let (n, fields) = (given.candidates, 5 + given.classes);
        let of = |level: &AnchorBoxes| {
            let ([rows, columns], anchors) = (given.map(level.stride), level.sizes.len());
            match n % 2 {
                0 => vec![1, anchors, rows, columns, fields],
                _ => vec![1, anchors * fields, rows, columns],
            }
        };
        self.levels.iter().map(of).collect()
    }
}

/// Registers the family.
pub static FAMILY: Registration = Registration {
    name: "yolov5_raw",
    readers: &[recognise::read_yolov5, recognise::read_yolov7],
    read_as: recognise::read_as,
    why_not: None,
    keys: &[&ANCHORS],
    micro_models: &["yolov5_raw_micro", "yolov7_raw_micro"],
    #[cfg(any(test, feature = "stub-engine"))]
    samplers: &[|choices| {
        let strides = choices.strides().into_iter();
        let level = |stride| AnchorBoxes {
            stride,
            sizes: choices.sizes(),
        };
        let levels = strides.map(level).collect();
        let activated = choices.flag();
        Box::new(Yolov5Raw { levels, activated })
    }],
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn anchors_are_pairs_for_every_output() {
        let value = json!([[[10, 13], [16, 30.5]], [[1, 2]]]);
        let wanted = vec![vec![[10.0, 13.0], [16.0, 30.5]], vec![[1.0, 2.0]]];
        assert_eq!(anchors(&value), Some(wanted));
        for wrong in [
            json!([]),
            json!([[]]),
            json!([[10, 13]]),
            json!([[[10, 13, 2]]]),
            json!([[[10, 0]]]),
            json!([[[10, -1]]]),
            json!([[["10", 1]]]),
            json!(vec![vec![[1, 1]]; MAX_LEVELS + 1]),
        ] {
            assert_eq!(anchors(&wrong), None, "{wrong}");
        }
    }
}
