//! [`Decoder`]: output tensors of one family to candidates above the threshold.
//!
//! A further family is a file here, its tests at the bottom, and one line in [`decoder_for`].

pub use crate::families::decoding::candidates::Labelling;

use super::family::Family;
use super::{
    blazeface, boxes_scores, counted, detr, detr_rows, dets, e2e6, fastestdet, gfl, nms3, rows,
    scrfd, ssd, tfssd, ultraface, yolov5, yolov5_raw, yolov8, yolox, yunet, yunet_2022,
};
use crate::base::detection::Detection;
use crate::base::geometry::Size;
use crate::base::tensor::{Element, Tensor, TensorSpec};
use std::fmt;

/// Turns the outputs of one inference into detections in input pixels, before suppression.
pub trait Decoder: Send + Sync {
    /// Appends every candidate whose score is at least `score_threshold` to `found`, in the order of the head.
    ///
    /// `outputs` come in the order that the decoder was made with. Boxes are in corner form, in input pixels, and
    /// may reach over the input's border. A score or box that is not a finite number is never a detection.
    ///
    /// Scores are looked at before boxes: the cost is that of reading the scores.
    ///
    /// # Errors
    /// [`DecodeError`] if an output has not the shape or type that the decoder was made for; `found` is then as it was.
    fn decode(
        &self,
        outputs: &[Tensor],
        score_threshold: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError>;
}

/// The decoder of `family` for a model with an input of `input` pixels and these outputs.
///
/// `classes` is the number of the model's classes, 0 where it is not known before. A dim of 0 in `outputs` is one that
/// is not known before the run: what can be checked is checked here, the rest at every run. Making one is cheap.
///
/// # Errors
/// [`DecodeError`] if the outputs are not those of the family.
pub fn decoder_for(
    family: &Family,
    input: Size,
    classes: usize,
    outputs: &[TensorSpec],
    labelling: Labelling,
) -> Result<Box<dyn Decoder>, DecodeError> {
    Ok(match family {
        Family::BlazeFace { anchor_layers } => Box::new(blazeface::decode::BlazeFace::new(
            anchor_layers,
            input,
            outputs,
        )?),
        Family::YoloxRaw { strides } => Box::new(yolox::decode::Yolox::new(
            strides, input, classes, outputs, labelling,
        )?),
        Family::YoloxHeads { strides } => Box::new(yolox::decode_heads::YoloxHeads::new(
            strides, input, classes, outputs, labelling,
        )?),
        Family::Yolov5 => Box::new(yolov5::decode::Yolov5::new(classes, outputs, labelling)?),
        Family::Yolov8 => Box::new(yolov8::decode::Yolov8::new(classes, outputs, labelling)?),
        Family::Yolov8Heads { strides, bins } => Box::new(yolov8::decode_heads::Yolov8Heads::new(
            strides, *bins, input, classes, outputs, labelling,
        )?),
        Family::YuNet { strides } => Box::new(yunet::decode::YuNet::new(strides, input, outputs)?),
        Family::UltraFace => Box::new(ultraface::decode::UltraFace::new(input, outputs)?),
        Family::UltraFaceRaw => Box::new(ultraface::decode::UltraFace::raw(input, outputs)?),
        Family::Gfl {
            strides,
            bins,
            anchor_point,
        } => {
            let grid = gfl::decode::Layout {
                strides,
                bins: *bins,
                anchor_point: *anchor_point,
            };
            Box::new(gfl::decode::Gfl::new(
                grid, input, classes, outputs, labelling,
            )?)
        }
        Family::FastestDet => Box::new(fastestdet::decode::FastestDet::new(
            input, classes, outputs, labelling,
        )?),
        Family::E2e6 => Box::new(e2e6::decode::E2e6::new(outputs)?),
        Family::Nms3(places) => Box::new(nms3::decode::Nms3::new(*places, outputs)?),
        Family::Detr { places, activation } => Box::new(detr::decode::Detr::new(
            *places,
            *activation,
            input,
            classes,
            outputs,
            labelling,
        )?),
        Family::DetrRows => Box::new(detr_rows::decode::DetrRows::new(
            input, classes, outputs, labelling,
        )?),
        Family::Rows { place, columns } => {
            Box::new(rows::decode::Rows::new(*place, columns, outputs)?)
        }
        Family::Dets(places) => Box::new(dets::decode::Dets::new(*places, outputs)?),
        Family::Counted(places) => Box::new(counted::decode::Counted::new(*places, outputs)?),
        Family::BoxesScores { places, by_class } => {
            Box::new(boxes_scores::decode::BoxesScores::new(
                *places, *by_class, classes, outputs, labelling,
            )?)
        }
        Family::TfSsd {
            places,
            first_class,
        } => Box::new(tfssd::decode::TfSsd::new(
            *places,
            *first_class,
            input,
            outputs,
        )?),
        Family::Scrfd { strides, anchors } => Box::new(scrfd::decode::Scrfd::new(
            strides, *anchors, input, outputs,
        )?),
        Family::Ssd {
            places,
            logits,
            priors,
        } => {
            let layout = ssd::decode::Layout {
                places: *places,
                logits: *logits,
                priors: priors.as_ref(),
            };
            Box::new(ssd::decode::Ssd::new(
                layout, input, classes, outputs, labelling,
            )?)
        }
        Family::Yolov5Raw { levels, activated } => Box::new(yolov5_raw::decode::Yolov5Raw::new(
            levels, *activated, input, classes, outputs, labelling,
        )?),
        Family::YuNet2022 => Box::new(yunet_2022::decode::YuNet2022::new(input, outputs)?),
    })
}

/// Outputs that are not those of the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// `output {name} has shape {found}, expected {expected}`
    Shape {
        name: String,
        found: Vec<usize>,
        expected: String,
    },
    /// Numbers of another type than float32.
    Element { name: String, found: Element },
    /// Fewer or other outputs than the family has.
    Outputs {
        found: Vec<TensorSpec>,
        expected: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape {
                name,
                found,
                expected,
            } => {
                write!(f, "output {name} has shape {found:?}, expected {expected}")
            }
            Self::Element { name, found } => {
                write!(f, "output {name} is {found}, expected {}", Element::F32)
            }
            Self::Outputs { found, expected } => {
                let found: Vec<String> = found.iter().map(TensorSpec::to_string).collect();
                write!(f, "outputs are ({}), expected {expected}", found.join(", "))
            }
        }
    }
}

impl std::error::Error for DecodeError {}

/// What the tests of the decoders share.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::base::geometry::BBox;

    pub fn f32_spec(name: &str, dims: &[usize]) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            dims: dims.to_vec(),
            element: Element::F32,
        }
    }

    pub fn detection([x1, y1, x2, y2]: [f32; 4], class: u32, score: f32) -> Detection {
        Detection {
            bbox: BBox::new(x1, y1, x2, y2),
            class,
            score,
        }
    }

    pub fn spec(name: &str, dims: &[usize], element: Element) -> TensorSpec {
        TensorSpec {
            element,
            ..f32_spec(name, dims)
        }
    }

    pub fn decoded(decoder: &dyn Decoder, outputs: &[Tensor], threshold: f32) -> Vec<Detection> {
        let mut found = Vec::new();
        decoder
            .decode(outputs, threshold, &mut found)
            .expect("outputs of the layout");
        found
    }
}

#[cfg(test)]
mod tests {
    use super::testing::f32_spec;
    use super::*;
    use crate::families::family::*;

    #[test]
    fn errors_tell_what_was_met_and_what_was_wanted() {
        let spec = f32_spec("out", &[1, 84]);
        let error = decoder_for(
            &Family::Yolov8,
            Size::new(64, 64),
            80,
            &[spec],
            Labelling::Best,
        )
        .err()
        .expect("two dims are no head")
        .to_string();
        assert_eq!(
            error,
            "output out has shape [1, 84], expected [1, 4 + 80, candidates]"
        );
        let none = decoder_for(&Family::Yolov5, Size::new(64, 64), 80, &[], Labelling::Best);
        let error = none.err().expect("there is no output").to_string();
        assert_eq!(
            error,
            "outputs are (), expected one of [1, candidates, 5 + 80]"
        );
    }

    #[test]
    fn every_family_has_its_decoder() {
        let spec = |dims: &[usize]| f32_spec(&format!("{dims:?}"), dims);
        let faces = Family::BlazeFace {
            anchor_layers: vec![AnchorLayer {
                stride: 32,
                anchors: 2,
            }],
        };
        let yolox = Family::YoloxRaw { strides: vec![32] };
        let cases = [
            (faces, vec![spec(&[1, 8, 1]), spec(&[1, 8, 16])]),
            (yolox, vec![spec(&[1, 4, 6])]),
            (
                Family::YoloxHeads { strides: vec![32] },
                vec![
                    spec(&[1, 4, 2, 2]),
                    spec(&[1, 1, 2, 2]),
                    spec(&[1, 1, 2, 2]),
                ],
            ),
            (Family::Yolov5, vec![spec(&[1, 9, 6])]),
            (Family::Yolov8, vec![spec(&[1, 5, 9])]),
            (
                Family::Yolov8Heads {
                    strides: vec![32],
                    bins: 2,
                },
                vec![spec(&[1, 8, 2, 2]), spec(&[1, 1, 2, 2])],
            ),
            (
                Family::YuNet { strides: vec![32] },
                vec![spec(&[1, 4, 1]), spec(&[1, 4, 1]), spec(&[1, 4, 4])],
            ),
            (Family::UltraFace, vec![spec(&[1, 9, 2]), spec(&[1, 9, 4])]),
            (
                Family::UltraFaceRaw,
                vec![spec(&[1, 235, 2]), spec(&[1, 235, 4])],
            ),
            (
                Family::Gfl {
                    strides: vec![32],
                    bins: 8,
                    anchor_point: AnchorPoint::Middle,
                },
                vec![spec(&[1, 4, 33])],
            ),
            (Family::FastestDet, vec![spec(&[1, 6, 4, 4])]),
            (Family::E2e6, vec![spec(&[1, 9, 6])]),
            (
                Family::Nms3(Nms3Places {
                    boxes: 0,
                    scores: 1,
                    labels: 2,
                }),
                vec![spec(&[9, 4]), spec(&[9]), spec(&[9])],
            ),
            (
                Family::Detr {
                    places: DetrPlaces {
                        logits: 1,
                        boxes: 0,
                    },
                    activation: Activation::Sigmoid,
                },
                vec![spec(&[1, 9, 4]), spec(&[1, 9, 1])],
            ),
            (Family::DetrRows, vec![spec(&[1, 9, 5])]),
            (
                Family::Rows {
                    place: 0,
                    columns: Column::WANTED.to_vec(),
                },
                vec![spec(&[9, 6])],
            ),
            (
                Family::Dets(DetsPlaces { dets: 0, labels: 1 }),
                vec![spec(&[1, 9, 5]), spec(&[1, 9])],
            ),
            (
                Family::Counted(CountedPlaces {
                    count: 0,
                    boxes: 1,
                    scores: 2,
                    classes: 3,
                }),
                vec![
                    spec(&[1, 1]),
                    spec(&[1, 9, 4]),
                    spec(&[1, 9]),
                    spec(&[1, 9]),
                ],
            ),
            (
                Family::BoxesScores {
                    places: BoxesScoresPlaces {
                        boxes: 0,
                        scores: 1,
                    },
                    by_class: true,
                },
                vec![spec(&[1, 9, 4]), spec(&[1, 1, 9])],
            ),
            (
                Family::TfSsd {
                    places: TfSsdPlaces {
                        boxes: 0,
                        classes: 1,
                        scores: 2,
                        count: 3,
                    },
                    first_class: 1,
                },
                vec![spec(&[1, 9, 4]), spec(&[1, 9]), spec(&[1, 9]), spec(&[1])],
            ),
            (
                Family::Scrfd {
                    strides: vec![32],
                    anchors: 2,
                },
                vec![spec(&[8, 1]), spec(&[8, 4])],
            ),
            (
                Family::Ssd {
                    places: BoxesScoresPlaces {
                        boxes: 1,
                        scores: 0,
                    },
                    logits: false,
                    priors: None,
                },
                vec![spec(&[1, 9, 2]), spec(&[1, 9, 4])],
            ),
            (
                Family::Yolov5Raw {
                    levels: vec![AnchorBoxes {
                        stride: 32,
                        sizes: vec![[8.0, 8.0]],
                    }],
                    activated: false,
                },
                vec![spec(&[1, 6, 2, 2])],
            ),
            (
                Family::YuNet2022,
                vec![spec(&[235, 14]), spec(&[235, 2]), spec(&[235, 1])],
            ),
        ];
        for (family, specs) in cases {
            let outputs: Vec<Tensor> = specs
                .iter()
                .map(|s| Tensor::f32(&s.name, s.dims.clone(), vec![0.0; s.dims.iter().product()]))
                .collect();
            let decoder = decoder_for(&family, Size::new(64, 64), 1, &specs, Labelling::Best)
                .unwrap_or_else(|error| panic!("{family:?}: {error}"));
            let mut found = Vec::new();
            decoder
                .decode(&outputs, 0.9, &mut found)
                .expect("shapes as made");
            assert_eq!(found, [], "{family:?}");
        }
    }
}
