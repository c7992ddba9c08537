//! Decoding of outputs as large as those of real models, to the candidates above the threshold.
//!
//! Each is measured with few candidates above the threshold, as for twenty objects, and with every second one above it.
//! `cargo bench --bench decode`

mod support;

use divan::Bencher;
use gstdetect::base::detection::Detection;
use gstdetect::base::geometry::Size;
use gstdetect::base::tensor::Tensor;
use gstdetect::families::Family;
use gstdetect::families::fastestdet::FastestDet;
use gstdetect::families::gfl::{AnchorPoint, Gfl};
use gstdetect::families::yolov8::Yolov8Heads;
use gstdetect::families::yolox::{YoloxHeads, YoloxRaw};
use gstdetect::families::yunet::YuNet;
use gstdetect::families::{Decoder, Labelling, decoder_for};
use std::fmt;
use support::noise;

const SCORE_THRESHOLD: f32 = 0.4;
const CLASSES: usize = 80;
const STRIDES: [u32; 3] = [8, 16, 32];

/// How many candidates are above the threshold.
#[derive(Clone, Copy)]
enum Crowd {
    Few,
    Many,
}

impl Crowd {
    fn is_object(self, candidate: usize) -> bool {
        candidate.is_multiple_of(match self {
            Self::Few => 173,
            Self::Many => 2,
        })
    }
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Few => "few objects",
            Self::Many => "every second candidate",
        })
    }
}

const CROWDS: [Crowd; 2] = [Crowd::Few, Crowd::Many];

fn main() {
    divan::main();
}

/// 3549 candidates: `[1, 3549, 85]`.
#[divan::bench(args = CROWDS)]
fn yolox_416(bencher: Bencher, crowd: Crowd) {
    let input = Size::new(416, 416);
    let family = YoloxRaw {
        strides: STRIDES.to_vec(),
    };
    let count = cells(input, &STRIDES).iter().map(|(_, n)| n).sum();
    let number = |candidate: usize, field: usize, noise: f32| match field {
        0..4 => noise - 0.5,
        4 => score(crowd, candidate, 0.01 * noise),
        _ => class_score(crowd, candidate, field - 5, 0.05 * noise),
    };
    let output = rows("output", &[1, count, 5 + CLASSES], 0, number);
    measure(bencher, &family, input, CLASSES, &[output], crowd, count);
}

/// 3549 candidates: box, objectness and classes of three strides, from a graph whose head is cut.
#[divan::bench(args = CROWDS)]
fn yolox_heads_416(bencher: Bencher, crowd: Crowd) {
    let input = Size::new(416, 416);
    let family = YoloxHeads {
        strides: STRIDES.to_vec(),
    };
    let mut outputs = Vec::new();
    let mut start = 0;
    for (stride, count) in cells(input, &STRIDES) {
        let side = (input.width / stride) as usize;
        let offset = |_: usize, _: usize, noise: f32| noise - 0.5;
        let objectness =
            |candidate: usize, _: usize, noise: f32| logit(score(crowd, candidate, 0.01 * noise));
        let class = |candidate: usize, class: usize, noise: f32| {
            logit(class_score(crowd, candidate, class, 0.05 * noise))
        };
        outputs.push(maps("box", &[1, 4, side, side], start, offset));
        outputs.push(maps("objectness", &[1, 1, side, side], start, objectness));
        outputs.push(maps("classes", &[1, CLASSES, side, side], start, class));
        start += count;
    }
    measure(bencher, &family, input, CLASSES, &outputs, crowd, start);
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln().max(-20.0)
}

/// 2100 candidates: sides and classes of three strides, from a graph whose head is cut.
#[divan::bench(args = CROWDS)]
fn yolov8_heads_320(bencher: Bencher, crowd: Crowd) {
    let input = Size::new(320, 320);
    let bins = 16;
    let family = Yolov8Heads {
        strides: STRIDES.to_vec(),
        bins,
    };
    let mut outputs = Vec::new();
    let mut start = 0;
    for (stride, count) in cells(input, &STRIDES) {
        let side = (input.width / stride) as usize;
        let sides = |_: usize, _: usize, noise: f32| 4.0 * noise;
        let logit = |candidate: usize, class: usize, noise: f32| {
            class_score(crowd, candidate, class, -10.0 + 4.0 * noise)
        };
        outputs.push(maps("sides", &[1, 4 * bins, side, side], start, sides));
        outputs.push(maps("classes", &[1, CLASSES, side, side], start, logit));
        start += count;
    }
    measure(bencher, &family, input, CLASSES, &outputs, crowd, start);
}

/// 2100 candidates: NanoDet's scores and sides of three strides.
#[divan::bench(args = CROWDS)]
fn gfl_320(bencher: Bencher, crowd: Crowd) {
    let input = Size::new(320, 320);
    let bins = 8;
    let family = Gfl {
        strides: STRIDES.to_vec(),
        bins,
        anchor_point: AnchorPoint::MiddlePixel,
    };
    let (mut scores, mut sides) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (_, count) in cells(input, &STRIDES) {
        let number = |candidate: usize, class: usize, noise: f32| {
            class_score(crowd, candidate, class, 0.04 * noise)
        };
        let side = |_: usize, _: usize, noise: f32| 4.0 * noise;
        scores.push(rows("scores", &[1, count, CLASSES], start, number));
        sides.push(rows("sides", &[1, count, 4 * bins], start, side));
        start += count;
    }
    scores.append(&mut sides);
    measure(bencher, &family, input, CLASSES, &scores, crowd, start);
}

/// 2100 candidates: class, objectness and box of three strides.
#[divan::bench(args = CROWDS)]
fn yunet_320(bencher: Bencher, crowd: Crowd) {
    let input = Size::new(320, 320);
    let family = YuNet {
        strides: STRIDES.to_vec(),
    };
    let mut kinds = [const { Vec::new() }; 3];
    let mut start = 0;
    for (_, count) in cells(input, &STRIDES) {
        let class = |candidate: usize, _: usize, noise: f32| score(crowd, candidate, 0.2 * noise);
        let object = |candidate: usize, _: usize, noise: f32| score(crowd, candidate, 0.05 * noise);
        let side = |_: usize, _: usize, noise: f32| noise - 0.5;
        kinds[0].push(rows("class", &[1, count, 1], start, class));
        kinds[1].push(rows("objectness", &[1, count, 1], start, object));
        kinds[2].push(rows("box", &[1, count, 4], start, side));
        start += count;
    }
    measure(bencher, &family, input, 1, &kinds.concat(), crowd, start);
}

/// 484 candidates: one map of 22x22 cells.
#[divan::bench(args = CROWDS)]
fn fastestdet_352(bencher: Bencher, crowd: Crowd) {
    let side = 22;
    let number = |candidate: usize, field: usize, noise: f32| match field {
        0 => score(crowd, candidate, 0.02 * noise),
        1..5 => noise - 0.5,
        _ => class_score(crowd, candidate, field - 5, 0.05 * noise),
    };
    let output = maps("output", &[1, 5 + CLASSES, side, side], 0, number);
    let (family, input) = (FastestDet, Size::new(352, 352));
    let count = side * side;
    measure(bencher, &family, input, CLASSES, &[output], crowd, count);
}

/// Returns each stride with the number of its cells.
fn cells(input: Size, strides: &[u32]) -> Vec<(u32, usize)> {
    let count = |&stride: &u32| ((input.width / stride) * (input.height / stride)) as usize;
    strides.iter().map(|s| (*s, count(s))).collect()
}

fn score(crowd: Crowd, candidate: usize, ground: f32) -> f32 {
    if crowd.is_object(candidate) {
        0.9
    } else {
        ground
    }
}

/// Returns [`score`] for the one class of the object, `ground` for the others.
fn class_score(crowd: Crowd, candidate: usize, class: usize, ground: f32) -> f32 {
    if class == candidate * 7 % CLASSES {
        score(crowd, candidate, ground)
    } else {
        ground
    }
}

/// Makes a tensor `[1, candidates, fields]`; `number` gets candidate, field, and noise from 0 to 1.
fn rows(
    name: &str,
    dims: &[usize],
    start: usize,
    number: impl Fn(usize, usize, f32) -> f32,
) -> Tensor {
    let mut noise = noise();
    let at = |i: usize| number(start + i / dims[2], i % dims[2], noise());
    Tensor::f32(name, dims, (0..dims[1] * dims[2]).map(at).collect())
}

/// Makes a tensor `[1, fields, rows, columns]`, in which each place of the map is a candidate; `number` as in [`rows`].
fn maps(
    name: &str,
    dims: &[usize],
    start: usize,
    number: impl Fn(usize, usize, f32) -> f32,
) -> Tensor {
    let mut noise = noise();
    let cells = dims[2] * dims[3];
    let at = |i: usize| number(start + i % cells, i / cells, noise());
    Tensor::f32(name, dims, (0..dims[1] * cells).map(at).collect())
}

fn measure(
    bencher: Bencher,
    family: &dyn Family,
    input: Size,
    classes: usize,
    outputs: &[Tensor],
    crowd: Crowd,
    candidates: usize,
) {
    let specs: Vec<_> = outputs.iter().map(Tensor::spec).collect();
    let decoder = decoder_for(family, input, classes, &specs, Labelling::Best)
        .expect("the outputs are those of the family");
    let mut found = Vec::new();
    decode(&*decoder, outputs, &mut found);
    let objects = (0..candidates).filter(|&candidate| crowd.is_object(candidate));
    assert_eq!(found.len(), objects.count(), "objects of {family}");
    bencher.bench_local(|| {
        found.clear();
        decode(&*decoder, outputs, &mut found);
        found.len()
    });
}

fn decode(decoder: &dyn Decoder, outputs: &[Tensor], found: &mut Vec<Detection>) {
    decoder
        .decode(outputs, SCORE_THRESHOLD, found)
        .expect("the outputs are those of the family");
}
