//! Every decoder, on outputs that are nearly, and not at all, those of its family; and suppression of what it finds.
//!
//! The first byte chooses the family; the bytes after it the input, what is wrong with the outputs, and the thresholds;
//! what is left is the pattern of numbers that all tensors are filled with.

#![no_main]

mod families;
mod guard;

use arbitrary::{Result, Unstructured};
use families::family;
use gstdetect::base::classes::{Cutoffs, Selection};
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::tensor::{Element, Tensor, TensorData, TensorSpec};
use gstdetect::families::sample::Given;
use gstdetect::families::{Decoder, Family, Labelling, decoder_for};
use gstdetect::vision::nms;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// For everything: outputs, detections and what the decoder keeps.
const MEMORY_BYTES: usize = 256 << 20;

/// Numbers of one tensor; more would only be slow.
const MAX_NUMBERS: usize = 1 << 16;

/// Detections that the naive suppression, quadratic as it is, is asked about.
const MAX_COMPARED: usize = 200;

const FLOATS: [f32; 16] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-40,
    -0.0,
    0.0,
    1.0,
    -1.0,
    65_536.0,
    1e19,
    -1e19,
    100.0,
    -100.0,
];

const INTEGERS: [i64; 8] = [
    0,
    1,
    -1,
    90,
    65_536,
    u32::MAX as i64 + 1,
    i64::MIN,
    i64::MAX,
];

/// What may be wanted: everything, or classes as a user writes them.
const SELECTIONS: [Option<&str>; 4] = [None, Some("1"), Some("0,2=0.25"), Some("0=1,65535=0.01")];

/// Of classes without a threshold of their own.
const GENERAL_THRESHOLD: f32 = 0.5;

fuzz_target!(init: guard::prepare(), |data: &[u8]| {
    // Too few bytes are no case.
    guard::within(MEMORY_BYTES, || {
        let _ = look(data);
    });
});

fn look(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let number: u8 = u.arbitrary()?;
    let case = Case::new(number, &mut u)?;
    let Some(decoder) = case.decoder(case.labelling.clone()) else {
        return Ok(());
    };
    let (threshold, iou, max) = (float(&mut u)?, float(&mut u)?, u.int_in_range(0..=300)?);
    let outputs = outputs(&case, &mut u)?;
    let found = decode(decoder.as_ref(), &outputs, threshold);
    compare_with_all(&case, &outputs, threshold, &found);
    suppress(&found, iou, max);
    Ok(())
}

/// Detections of outputs, none where they are not those of the family.
fn decode(decoder: &dyn Decoder, outputs: &[Tensor], threshold: f32) -> Vec<Detection> {
    let before = Detection {
        bbox: BBox::new(0.0, 0.0, 1.0, 1.0),
        class: 7,
        score: 0.5,
    };
    let mut found = vec![before];
    let result = decoder.decode(outputs, threshold, &mut found);
    assert_eq!(found[0], before);
    if let Err(error) = result {
        assert_eq!(found.len(), 1, "{error}");
    }
    found.remove(0);
    for detection in &found {
        let score = detection.score;
        assert!(
            score.is_finite() && score >= threshold,
            "{detection:?}, {threshold}"
        );
        assert!(detection.bbox.is_finite(), "{detection:?}");
    }
    found
}

/// Every class that is wanted, or every class and then those that are wanted: no difference.
fn compare_with_all(case: &Case, outputs: &[Tensor], threshold: f32, found: &[Detection]) {
    let Labelling::EveryOf(cutoffs) = &case.labelling else {
        return;
    };
    let decoder = case.decoder(Labelling::Every).expect("as it was made");
    let admitted = |detections: &[Detection]| -> Vec<Detection> {
        let admitted = |d: &&Detection| cutoffs.admits(d.class, d.score);
        detections.iter().filter(admitted).copied().collect()
    };
    let all = decode(decoder.as_ref(), outputs, threshold);
    assert_eq!(admitted(found), admitted(&all), "{cutoffs:?}");
}

fn suppress(found: &[Detection], iou: f32, max: usize) {
    let alike = |a: &Detection, b: &Detection| a.class == b.class;
    check_suppression(nms::suppress, alike, found, iou, max);
    check_suppression(nms::suppress_across_classes, |_, _| true, found, iou, max);
}

fn check_suppression(
    suppress: impl Fn(&mut Vec<Detection>, f32, usize),
    compared: impl Fn(&Detection, &Detection) -> bool,
    found: &[Detection],
    iou: f32,
    max: usize,
) {
    let mut kept = found.to_vec();
    suppress(&mut kept, iou, max);
    assert!(kept.len() <= max);
    assert!(kept.is_sorted_by(|a, b| a.score.total_cmp(&b.score).is_ge()));
    if (0.0..=1.0).contains(&iou) && found.len() <= MAX_COMPARED {
        let expected = naive(compared, found, iou, max);
        assert_eq!(kept, expected, "IoU threshold {iou}");
    }
}

/// The definition of suppression, word by word, among boxes that are `compared`.
fn naive(
    compared: impl Fn(&Detection, &Detection) -> bool,
    found: &[Detection],
    iou: f32,
    max: usize,
) -> Vec<Detection> {
    let mut order = found.to_vec();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for one in order {
        let removes = |k: &Detection| compared(k, &one) && k.bbox.iou(&one.bbox) > iou;
        if iou >= 1.0 || !kept.iter().any(removes) {
            kept.push(one);
        }
    }
    kept.truncate(max);
    kept
}

/// A family, and outputs as they might be.
struct Case {
    family: Box<dyn Family>,
    input: Size,
    classes: usize,
    labelling: Labelling,
    /// What is known before the run.
    specs: Vec<TensorSpec>,
    /// What the run gives.
    run: Vec<TensorSpec>,
}

impl Case {
    fn new(number: u8, u: &mut Unstructured) -> Result<Self> {
        let family = family(number, u);
        let sides: [u8; 2] = u.arbitrary()?;
        let side = |n: u8| match n {
            // The largest that a model may have beside a small one.
            255 => 8192,
            n => u32::from(n % 20) * 8,
        };
        let input = Size::new(side(sides[0]), side(sides[1]).min(512));
        let classes = u.int_in_range(0..=4)?;
        let reported: u8 = u.arbitrary()?;
        let wanted = SELECTIONS[usize::from(reported >> 1) % SELECTIONS.len()];
        let labelling = Labelling::new(reported & 1 == 0, wanted.map(cutoffs));
        let count = u.int_in_range(0..=9)?;
        let given = Given {
            input,
            classes: classes.max(1),
            candidates: count,
        };
        let mut run: Vec<TensorSpec> = (family.output_dims(&given))
            .into_iter()
            .map(|dims| TensorSpec {
                name: String::new(),
                dims,
                element: Element::F32,
            })
            .collect();
        disturb(&mut run, u)?;
        let mut specs = run.clone();
        // Before the run less may be known, or something else.
        if u.arbitrary()? {
            specs.iter_mut().for_each(|spec| spec.dims.fill(0));
        }
        disturb(&mut specs, u)?;
        Ok(Self {
            family,
            input,
            classes,
            labelling,
            specs,
            run,
        })
    }

    fn decoder(&self, labelling: Labelling) -> Option<Box<dyn Decoder>> {
        let (family, specs) = (&self.family, &self.specs);
        decoder_for(family.as_ref(), self.input, self.classes, specs, labelling)
            .map_err(|error| assert!(!error.to_string().is_empty()))
            .ok()
    }
}

/// Makes up to three things wrong, most often none.
fn disturb(specs: &mut Vec<TensorSpec>, u: &mut Unstructured) -> Result<()> {
    for _ in 0..u.arbitrary::<u8>()? / 64 {
        let index = u.choose_index(specs.len().max(1))?;
        let kind = u.int_in_range(0..=7)?;
        let Some(spec) = specs.get_mut(index) else {
            return Ok(());
        };
        match kind {
            0 => drop(specs.remove(index)),
            1 => specs.push(specs[index].clone()),
            2 => specs.swap(0, index),
            3 => {
                let elements = [Element::F32, Element::U8, Element::I32, Element::I64];
                spec.element = *u.choose(&elements)?;
            }
            4 => drop(spec.dims.pop()),
            5 => spec.dims.push(u.int_in_range(0..=2)?),
            6 => {
                let dims = &mut spec.dims;
                if let Some(dim) = dims.get_mut(u.int_in_range(0..=3)?) {
                    *dim = *u.choose(&[0, 1, 2, 4, 5, 6, 84, usize::MAX / 2, usize::MAX])?;
                }
            }
            _ => {
                let dims = &mut spec.dims;
                if let Some(dim) = dims.get_mut(u.int_in_range(0..=3)?) {
                    *dim = dim.wrapping_add(1);
                }
            }
        }
    }
    Ok(())
}

fn cutoffs(text: &str) -> Arc<Cutoffs> {
    let selection = Selection::new(text, &[]).expect("a list of numbers");
    Arc::new(selection.cutoffs(GENERAL_THRESHOLD))
}

/// A threshold: anything that a property, a card or a slip may make of it.
fn float(u: &mut Unstructured) -> Result<f32> {
    let byte: u8 = u.arbitrary()?;
    Ok(number(byte))
}

/// One in four is odd, the others lie between -2 and 4.
fn number(byte: u8) -> f32 {
    match byte {
        0..=15 => FLOATS[usize::from(byte)],
        16..=63 => f32::from(byte) * 16.0,
        _ => (f32::from(byte) - 128.0) / 32.0,
    }
}

/// Tensors of the run's dims, filled with the bytes that are left, over and over.
fn outputs(case: &Case, u: &mut Unstructured) -> Result<Vec<Tensor>> {
    let rest = u.bytes(u.len())?;
    let pattern = if rest.is_empty() { &[200][..] } else { rest };
    let mut bytes = pattern.iter().copied().cycle();
    let mut tensors = Vec::new();
    for spec in &case.run {
        // A tensor never holds another number of numbers than its dims say, unless they say too many.
        let wanted = (spec.dims.iter()).try_fold(1_usize, |n, &dim| n.checked_mul(dim));
        let length = wanted.unwrap_or(MAX_NUMBERS).min(MAX_NUMBERS);
        let mut bytes = bytes.by_ref().take(length);
        let integer = |byte: u8| match byte {
            0..=15 => INTEGERS[usize::from(byte) % INTEGERS.len()],
            byte => i64::from(byte % 8),
        };
        tensors.push(Tensor {
            name: spec.name.clone(),
            dims: spec.dims.clone(),
            data: match spec.element {
                Element::F32 => TensorData::F32(bytes.by_ref().map(number).collect()),
                Element::U8 => TensorData::U8(bytes.by_ref().collect()),
                Element::I32 => TensorData::I32(bytes.map(|b| integer(b) as i32).collect()),
                Element::I64 => TensorData::I64(bytes.map(integer).collect()),
            },
        });
    }
    Ok(tensors)
}
