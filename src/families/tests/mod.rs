//! Tests that every family of the registry passes: here the contract of decoders, in `registry` what the registry is
//! for.

mod registry;

use super::decoding::testing::f32_spec;
use super::family::DecoderInput;
use super::sample::{Choices, Given};
use super::*;
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::Tensor;
use std::collections::BTreeSet;

const INPUT: Size = Size::new(64, 64);

/// Takes numbers from a generator that gives the same ones for the same seed.
struct Seeded(u64);

impl Choices for Seeded {
    fn below(&mut self, count: usize) -> usize {
        // The congruential generator of Knuth's MMIX; its upper bits.
        self.0 = (self.0)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// A family with made-up fields, and the outputs of one model of it.
struct Case {
    family: Box<dyn Family>,
    specs: Vec<TensorSpec>,
    classes: usize,
}

impl Case {
    /// `None` where the fields do not go together, as with two outputs at one place: that shows when the decoder is made,
    /// or when it meets outputs of different lengths.
    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        let input = DecoderInput {
            input: INPUT,
            classes: self.classes,
            outputs: &self.specs,
            labelling: Labelling::Best,
        };
        let decoder = self.family.decoder(input).ok()?;
        let decoded = decoder.decode(&self.filled(0.0), 0.5, &mut Vec::new());
        decoded.ok().map(|()| decoder)
    }

    /// Outputs in which every number is `fill`.
    fn filled(&self, fill: f32) -> Vec<Tensor> {
        self.with(|_| fill)
    }

    /// Outputs of numbers that depend on their place alone; a number of detections covers all rows.
    fn with(&self, number: impl Fn(usize) -> f32) -> Vec<Tensor> {
        let numbered = self.family.writes_class_numbers();
        let tensor = |spec: &TensorSpec| {
            let numbers = match spec.dims.iter().product() {
                // The number of detections, more than there are.
                1 if numbered => vec![99.0],
                length => (0..length).map(&number).collect(),
            };
            Tensor::f32(&spec.name, spec.dims.clone(), numbers)
        };
        self.specs.iter().map(tensor).collect()
    }
}

/// Cases of every sampler of the registry that has a decoder, some for each, with one class and with three.
fn cases(candidates: &[usize]) -> Vec<(Case, Box<dyn Decoder>)> {
    let mut cases = Vec::new();
    for registration in FAMILIES {
        for sampler in registration.samplers {
            let before = cases.len();
            for seed in 0..24 {
                let family = sampler(&mut Seeded(seed));
                for (classes, &candidates) in [1, 3]
                    .into_iter()
                    .flat_map(|n| candidates.iter().map(move |c| (n, c)))
                {
                    let given = Given {
                        input: INPUT,
                        classes,
                        candidates,
                    };
                    let specs = family.output_dims(&given).into_iter().enumerate();
                    let specs = specs.map(|(i, dims)| f32_spec(&format!("out{i}"), &dims));
                    let case = Case {
                        family: family.clone(),
                        specs: specs.collect(),
                        classes,
                    };
                    if let Some(decoder) = case.decoder() {
                        cases.push((case, decoder));
                    }
                }
            }
            let name = registration.name;
            assert!(cases.len() > before + 4, "too few cases of {name}");
        }
    }
    cases
}

fn decode(decoder: &dyn Decoder, outputs: &[Tensor], threshold: f32) -> Vec<Detection> {
    let mut found = Vec::new();
    decoder
        .decode(outputs, threshold, &mut found)
        .expect("outputs of the family");
    found
}

/// Numbers from -2 to 4, some of them whole, that make boxes, scores and classes of every kind.
fn mixed(place: usize) -> f32 {
    let mut lot = Seeded(place as u64);
    lot.below(1 << 10);
    match lot.below(4) {
        0 => lot.below(4) as f32,
        _ => lot.below(6000) as f32 / 1000.0 - 2.0,
    }
}

/// Numbers from 0 to 1: probabilities where the family has them, small offsets where it has not.
fn probability(place: usize) -> f32 {
    mixed(place).rem_euclid(1.0)
}

#[test]
fn numbers_that_are_not_finite_are_never_detections() {
    for (case, decoder) in cases(&[4, 5]) {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let found = decode(decoder.as_ref(), &case.filled(broken), 0.1);
            assert_eq!(found, [], "{:?} of {broken}", case.family);
            let outputs = case.with(|place| match place % 3 {
                0 => broken,
                _ => mixed(place),
            });
            for detection in decode(decoder.as_ref(), &outputs, 0.1) {
                let finite = detection.bbox.is_finite() && detection.score.is_finite();
                assert!(finite, "{detection:?} of {:?}", case.family);
            }
        }
    }
}

#[test]
fn an_empty_head_has_no_detections() {
    for (case, decoder) in cases(&[0]) {
        // Where the fields alone say how many candidates there are, zeros are the least that can be found.
        let found = decode(decoder.as_ref(), &case.filled(0.0), 0.9);
        assert_eq!(found, [], "{:?}", case.family);
    }
}

#[test]
fn thresholds_are_inclusive() {
    let mut tried = BTreeSet::new();
    for (case, decoder) in cases(&[4, 9]) {
        let outputs = case.with(probability);
        let all = decode(decoder.as_ref(), &outputs, 0.01);
        let Some(one) = all.get(all.len() / 2) else {
            continue;
        };
        tried.insert(case.family.name());
        let reaching = |threshold: f32| {
            let reaches = |d: &&Detection| d.score >= threshold;
            all.iter().filter(reaches).copied().collect::<Vec<_>>()
        };
        for threshold in [one.score, one.score.next_up()] {
            let found = decode(decoder.as_ref(), &outputs, threshold);
            assert_eq!(found, reaching(threshold), "{:?}", case.family);
        }
    }
    let all: BTreeSet<_> = decode_names().collect();
    assert_eq!(tried, all, "families in whose outputs something was found");
}

#[test]
fn a_model_of_one_class_finds_only_that() {
    for (case, decoder) in cases(&[4, 9]) {
        if case.classes > 1 || case.family.writes_class_numbers() {
            continue;
        }
        for detection in decode(decoder.as_ref(), &case.with(mixed), 0.01) {
            assert_eq!(detection.class, 0, "{:?}", case.family);
        }
    }
}

#[test]
fn ties_take_the_lower_class() {
    for (case, decoder) in cases(&[4, 9]) {
        if case.classes == 1 || case.family.writes_class_numbers() {
            continue;
        }
        // All scores of a candidate are the same.
        for fill in [0.75, 1.0, 3.0] {
            for detection in decode(decoder.as_ref(), &case.filled(fill), 0.01) {
                assert_eq!(detection.class, 0, "{:?} of {fill}", case.family);
            }
        }
    }
}

#[test]
fn what_was_found_before_stays_and_errors_add_nothing() {
    let before = Detection {
        bbox: BBox::new(0.0, 0.0, 1.0, 1.0),
        class: 7,
        score: 0.5,
    };
    for (case, decoder) in cases(&[4, 5]) {
        let mut found = vec![before];
        let outputs = case.with(mixed);
        decoder
            .decode(&outputs, 0.1, &mut found)
            .expect("its outputs");
        assert_eq!(found[0], before, "{:?}", case.family);
        found.truncate(1);
        let mut short = outputs;
        short.pop();
        let refused = decoder.decode(&short, 0.1, &mut found).is_err();
        assert!(refused && found == [before], "{:?}", case.family);
    }
}

#[test]
fn samples_are_of_the_family_that_makes_them() {
    for registration in FAMILIES {
        for sampler in registration.samplers {
            for seed in 0..8 {
                let family = sampler(&mut Seeded(seed));
                assert_eq!(family.name(), registration.name);
                assert_eq!(family.clone(), family, "a copy is equal");
            }
        }
    }
}

#[test]
fn errors_tell_what_was_met_and_what_was_wanted() {
    let spec = f32_spec("out", &[1, 84]);
    let decoder = decoder_for(&yolov8::Yolov8, INPUT, 80, &[spec], Labelling::Best);
    let error = decoder.err().expect("two dims are no head").to_string();
    assert_eq!(
        error,
        "output out has shape [1, 84], expected [1, 4 + 80, candidates]"
    );
    let none = decoder_for(&yolov5::Yolov5, INPUT, 80, &[], Labelling::Best);
    let error = none.err().expect("there is no output").to_string();
    assert_eq!(
        error,
        "outputs are (), expected one of [1, candidates, 5 + 80]"
    );
}
