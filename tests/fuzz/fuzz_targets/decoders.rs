//! Every decoder, on outputs that are nearly, and not at all, those of its family; and suppression of what it finds.
//!
//! The first byte chooses the family; the bytes after it the input, what is wrong with the outputs, and the thresholds;
//! what is left is the pattern of numbers that all tensors are filled with.

#![no_main]

mod guard;

use arbitrary::{Result, Unstructured};
use gstdetect::decode::{Labelling, decoder_for};
use gstdetect::detection::Detection;
use gstdetect::geometry::{BBox, Size};
use gstdetect::model::Family;
use gstdetect::model::family::{AnchorLayer, AnchorPoint, DetrPlaces, Nms3Places, TfSsdPlaces};
use gstdetect::nms;
use gstdetect::tensor::{Element, Tensor, TensorData, TensorSpec};
use libfuzzer_sys::fuzz_target;

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
    let Ok(decoder) = decoder_for(
        &case.family,
        case.input,
        case.classes,
        &case.specs,
        case.labelling,
    )
    .map_err(|error| error.to_string()) else {
        return Ok(());
    };
    let (threshold, iou, max) = (float(&mut u)?, float(&mut u)?, u.int_in_range(0..=300)?);
    let outputs = outputs(&case, &mut u)?;
    let before = Detection {
        bbox: BBox::new(0.0, 0.0, 1.0, 1.0),
        class: 7,
        score: 0.5,
    };
    let mut found = vec![before];
    let result = decoder.decode(&outputs, threshold, &mut found);
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
    suppress(found, iou, max);
    Ok(())
}

fn suppress(mut found: Vec<Detection>, iou: f32, max: usize) {
    let compared = (0.0..=1.0).contains(&iou) && found.len() <= MAX_COMPARED;
    let expected = compared.then(|| naive(&found, iou, max));
    nms::suppress(&mut found, iou, max);
    assert!(found.len() <= max);
    assert!(found.is_sorted_by(|a, b| a.score.total_cmp(&b.score).is_ge()));
    if let Some(expected) = expected {
        assert_eq!(found, expected, "IoU threshold {iou}");
    }
}

/// The definition of suppression, word by word.
fn naive(found: &[Detection], iou: f32, max: usize) -> Vec<Detection> {
    let mut order = found.to_vec();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for one in order {
        let removes = |k: &Detection| k.class == one.class && k.bbox.iou(&one.bbox) > iou;
        if iou >= 1.0 || !kept.iter().any(removes) {
            kept.push(one);
        }
    }
    kept.truncate(max);
    kept
}

/// A family, and outputs as they might be.
struct Case {
    family: Family,
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
        let family = family(number, u)?;
        let sides: [u8; 2] = u.arbitrary()?;
        let side = |n: u8| match n {
            // The largest that a model may have beside a small one.
            255 => 8192,
            n => u32::from(n % 20) * 8,
        };
        let input = Size::new(side(sides[0]), side(sides[1]).min(512));
        let classes = u.int_in_range(0..=4)?;
        let labelling = match u.arbitrary()? {
            true => Labelling::Best,
            false => Labelling::Every,
        };
        let count = u.int_in_range(0..=9)?;
        let mut run: Vec<TensorSpec> = shapes(&family, input, classes, count)
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
}

/// Numbers as cards and readers give them.
fn family(number: u8, u: &mut Unstructured) -> Result<Family> {
    let strides = |u: &mut Unstructured| -> Result<Vec<u32>> {
        let levels = u.int_in_range(1..=4)?;
        (0..levels)
            .map(|_| u.choose(&[8, 16, 32, 64, 4, 7, 1024]).copied())
            .collect()
    };
    let place = |u: &mut Unstructured| u.int_in_range(0..=4_usize);
    Ok(match number % 13 {
        0 => Family::BlazeFace {
            anchor_layers: strides(u)?
                .into_iter()
                .map(|stride| {
                    let anchors = u.int_in_range(1..=6)?;
                    Ok(AnchorLayer { stride, anchors })
                })
                .collect::<Result<_>>()?,
        },
        1 => Family::YoloxRaw {
            strides: strides(u)?,
        },
        2 => Family::Yolov5,
        3 => Family::Yolov8,
        4 => Family::YuNet {
            strides: strides(u)?,
        },
        5 => Family::UltraFace,
        6 => Family::UltraFaceRaw,
        7 => Family::Gfl {
            strides: strides(u)?,
            bins: *u.choose(&[2, 8, 17, 256])?,
            anchor_point: *u.choose(&[
                AnchorPoint::Corner,
                AnchorPoint::Middle,
                AnchorPoint::MiddlePixel,
            ])?,
        },
        8 => Family::FastestDet,
        9 => Family::E2e6,
        10 => Family::Nms3(Nms3Places {
            boxes: place(u)?,
            scores: place(u)?,
            labels: place(u)?,
        }),
        11 => Family::Detr(DetrPlaces {
            logits: place(u)?,
            boxes: place(u)?,
        }),
        _ => Family::TfSsd {
            places: TfSsdPlaces {
                boxes: place(u)?,
                classes: place(u)?,
                scores: place(u)?,
                count: place(u)?,
            },
            first_class: u.int_in_range(0..=1)?,
        },
    })
}

/// Dims that are right, as far as the family alone tells; `n` candidates where it leaves their number open.
fn shapes(family: &Family, input: Size, classes: usize, n: usize) -> Vec<Vec<usize>> {
    let cells = |stride: u32| {
        input.width.div_ceil(stride) as usize * input.height.div_ceil(stride) as usize
    };
    let all = |strides: &[u32]| strides.iter().map(|&stride| cells(stride)).sum();
    let classes = classes.max(1);
    match family {
        Family::BlazeFace { anchor_layers } => {
            let dims = |last: usize| {
                let of = move |l: &AnchorLayer| vec![1, cells(l.stride) * l.anchors, last];
                anchor_layers.iter().map(of)
            };
            dims(1).chain(dims(16)).collect()
        }
        Family::YoloxRaw { strides } => vec![vec![1, all(strides), 5 + classes]],
        Family::Yolov5 => vec![vec![1, n, 5 + classes]],
        Family::Yolov8 => vec![vec![1, 4 + classes, n]],
        Family::YuNet { strides } => {
            let dims = |last: usize| strides.iter().map(move |&s| vec![1, cells(s), last]);
            dims(1).chain(dims(1)).chain(dims(4)).collect()
        }
        Family::UltraFace => vec![vec![1, n, 2], vec![1, n, 4]],
        Family::UltraFaceRaw => {
            let priors = [(8, 3), (16, 2), (32, 2), (64, 3)];
            let priors = priors
                .iter()
                .map(|&(stride, sides)| cells(stride) * sides)
                .sum();
            vec![vec![1, priors, 2], vec![1, priors, 4]]
        }
        Family::Gfl { strides, bins, .. } if n % 2 == 0 => {
            vec![vec![1, all(strides), classes + 4 * bins]]
        }
        Family::Gfl { strides, bins, .. } => {
            let dims = |last: usize| strides.iter().map(move |&s| vec![1, cells(s), last]);
            dims(classes).chain(dims(4 * bins)).collect()
        }
        Family::FastestDet => vec![vec![1, 5 + classes, cells(16).min(n), n]],
        Family::E2e6 => vec![vec![1, n, 6]],
        Family::Nms3(places) => {
            let places = [places.boxes, places.scores, places.labels];
            at_places(places, [vec![n, 4], vec![n], vec![n]])
        }
        Family::Detr(places) => at_places(
            [places.logits, places.boxes],
            [vec![1, n, classes], vec![1, n, 4]],
        ),
        Family::TfSsd { places, .. } => at_places(
            [places.boxes, places.classes, places.scores, places.count],
            [vec![1, n, 4], vec![1, n], vec![1, n], vec![1]],
        ),
    }
}

/// The outputs at the places that the family says; empty ones between.
fn at_places<const N: usize>(places: [usize; N], dims: [Vec<usize>; N]) -> Vec<Vec<usize>> {
    let mut outputs = vec![vec![0]; places.iter().max().map_or(0, |last| last + 1)];
    for (place, dims) in places.into_iter().zip(dims) {
        outputs[place] = dims;
    }
    outputs
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
