//! Families with fields as cards and readers give them, and the outputs that are theirs.

use arbitrary::{Result, Unstructured};
use gstdetect::base::geometry::Size;
use gstdetect::model::Family;
use gstdetect::families::family::*;

/// Of [`family`].
const FAMILIES: u8 = 23;

/// Sides of anchors and priors in input pixels, the largest that a card may say among them.
const SIDES: [f32; 6] = [8.0, 16.0, 33.5, 1e-3, 8192.0, 64.0];

const COLUMNS: [Column; 7] = [
    Column::Left,
    Column::Top,
    Column::Right,
    Column::Bottom,
    Column::Score,
    Column::Class,
    Column::Other,
];

pub fn family(number: u8, u: &mut Unstructured) -> Result<Family> {
    Ok(match number % FAMILIES {
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
        13 => Family::Yolov8Heads {
            strides: strides(u)?,
            bins: *u.choose(&[1, 2, 16])?,
        },
        14 => Family::DetrRows,
        19 => Family::Scrfd {
            strides: strides(u)?,
            anchors: u.int_in_range(1..=4)?,
        },
        20 => Family::Ssd {
            places: BoxesScoresPlaces {
                boxes: place(u)?,
                scores: place(u)?,
            },
            logits: u.arbitrary()?,
            priors: if u.arbitrary()? {
                Some(priors(u)?)
            } else {
                None
            },
        },
        21 => Family::Yolov5Raw {
            levels: strides(u)?
                .into_iter()
                .map(|stride| {
                    let sizes = sizes(u)?;
                    Ok(AnchorBoxes { stride, sizes })
                })
                .collect::<Result<_>>()?,
            activated: u.arbitrary()?,
        },
        22 => Family::YuNet2022,
        23 => Family::YoloxHeads {
            strides: strides(u)?,
        },
        number => with_places(number, u)?,
    })
}

/// Families of outputs that are told apart before.
fn with_places(number: u8, u: &mut Unstructured) -> Result<Family> {
    Ok(match number {
        10 => Family::Nms3(Nms3Places {
            boxes: place(u)?,
            scores: place(u)?,
            labels: place(u)?,
        }),
        11 => Family::Detr {
            places: DetrPlaces {
                logits: place(u)?,
                boxes: place(u)?,
            },
            activation: *u.choose(&[Activation::Sigmoid, Activation::Softmax])?,
        },
        15 => Family::Rows {
            place: place(u)?,
            columns: columns(u)?,
        },
        16 => Family::Dets(DetsPlaces {
            dets: place(u)?,
            labels: place(u)?,
        }),
        17 => Family::Counted(CountedPlaces {
            count: place(u)?,
            boxes: place(u)?,
            scores: place(u)?,
            classes: place(u)?,
        }),
        18 => Family::BoxesScores {
            places: BoxesScoresPlaces {
                boxes: place(u)?,
                scores: place(u)?,
            },
            by_class: u.arbitrary()?,
        },
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

fn place(u: &mut Unstructured) -> Result<usize> {
    u.int_in_range(0..=4)
}

fn strides(u: &mut Unstructured) -> Result<Vec<u32>> {
    let levels = u.int_in_range(1..=4)?;
    (0..levels)
        .map(|_| u.choose(&[8, 16, 32, 64, 4, 7, 1024]).copied())
        .collect()
}

/// Up to nine; most often what a row must have is among them.
fn columns(u: &mut Unstructured) -> Result<Vec<Column>> {
    let mut columns = Column::WANTED.to_vec();
    let others = u.int_in_range(0..=3)?;
    for _ in 0..others {
        let at = u.choose_index(columns.len())?;
        columns.insert(at, *u.choose(&COLUMNS)?);
    }
    let swapped = u.choose_index(columns.len())?;
    columns.swap(0, swapped);
    if u.ratio(1, 16)? {
        columns.pop();
    }
    Ok(columns)
}

fn sizes(u: &mut Unstructured) -> Result<Vec<[f32; 2]>> {
    let count = u.int_in_range(1..=4)?;
    (0..count)
        .map(|_| Ok([*u.choose(&SIDES)?, *u.choose(&SIDES)?]))
        .collect()
}

fn priors(u: &mut Unstructured) -> Result<Priors> {
    let layers = u.int_in_range(1..=3)?;
    let layer = |u: &mut Unstructured| {
        Ok(PriorLayer {
            columns: u.int_in_range(1..=5)?,
            rows: u.int_in_range(1..=5)?,
            step: *u.choose(&[None, Some(16.0), Some(1e-3), Some(8192.0)])?,
            sizes: sizes(u)?,
        })
    };
    let variance = |u: &mut Unstructured| u.choose(&[0.1, 0.2, 0.0, -1.0, 1e38]).copied();
    Ok(Priors {
        layers: (0..layers).map(|_| layer(u)).collect::<Result<_>>()?,
        variances: [variance(u)?, variance(u)?],
    })
}

/// Dims that are right, as far as the family alone tells; `n` candidates where it leaves their number open.
pub fn shapes(family: &Family, input: Size, classes: usize, n: usize) -> Vec<Vec<usize>> {
    let map = |stride: u32| [input.height, input.width].map(|side| side.div_ceil(stride) as usize);
    let cells = |stride: u32| map(stride).iter().product::<usize>();
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
        Family::YoloxHeads { strides } => {
            let of = |&stride: &u32| {
                let [rows, columns] = map(stride);
                [4, 1, classes].map(|channels| vec![1, channels, rows, columns])
            };
            strides.iter().flat_map(of).collect()
        }
        Family::Yolov8Heads { strides, bins } => {
            let of = |&stride: &u32| {
                let [rows, columns] = map(stride);
                [4 * bins, classes].map(|channels| vec![1, channels, rows, columns])
            };
            strides.iter().flat_map(of).collect()
        }
        Family::YuNet { strides } => {
            let dims = |last: usize| strides.iter().map(move |&s| vec![1, cells(s), last]);
            dims(1).chain(dims(1)).chain(dims(4)).collect()
        }
        Family::UltraFace => vec![vec![1, n, 2], vec![1, n, 4]],
        Family::UltraFaceRaw => {
            let count = face_priors(cells);
            vec![vec![1, count, 2], vec![1, count, 4]]
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
        Family::DetrRows => vec![vec![1, n, 4 + classes]],
        Family::Scrfd { strides, anchors } => {
            let dims = |last: usize| strides.iter().map(move |&s| vec![cells(s) * anchors, last]);
            dims(1).chain(dims(4)).collect()
        }
        Family::Yolov5Raw { levels, .. } => {
            let of = |level: &AnchorBoxes| {
                let ([rows, columns], anchors) = (map(level.stride), level.sizes.len());
                match n % 2 {
                    0 => vec![1, anchors, rows, columns, 5 + classes],
                    _ => vec![1, anchors * (5 + classes), rows, columns],
                }
            };
            levels.iter().map(of).collect()
        }
        Family::YuNet2022 => {
            let whole = |stride: u32| (input.width / stride * (input.height / stride)) as usize;
            let count = face_priors(whole);
            [14, 2, 1].map(|last| vec![count, last]).into()
        }
        Family::Nms3(_)
        | Family::Detr { .. }
        | Family::Rows { .. }
        | Family::Dets(_)
        | Family::Counted(_)
        | Family::BoxesScores { .. }
        | Family::TfSsd { .. }
        | Family::Ssd { .. } => shapes_at_places(family, classes, n),
    }
}

/// [`shapes`] of families whose outputs are told apart before.
fn shapes_at_places(family: &Family, classes: usize, n: usize) -> Vec<Vec<usize>> {
    match family {
        Family::Nms3(places) => {
            let places = [places.boxes, places.scores, places.labels];
            at_places(places, [vec![n, 4], vec![n], vec![n]])
        }
        Family::Detr { places, activation } => {
            let background = usize::from(*activation == Activation::Softmax);
            at_places(
                [places.logits, places.boxes],
                [vec![1, n, classes + background], vec![1, n, 4]],
            )
        }
        Family::Rows { place, columns } => {
            let batch = (n % 2 == 1).then_some(1);
            let dims = batch.into_iter().chain([n, columns.len()]).collect();
            at_places([*place], [dims])
        }
        Family::Dets(places) => {
            at_places([places.dets, places.labels], [vec![1, n, 5], vec![1, n]])
        }
        Family::Counted(places) => at_places(
            [places.count, places.boxes, places.scores, places.classes],
            [vec![1, 1], vec![1, n, 4], vec![1, n], vec![1, n]],
        ),
        Family::BoxesScores { places, by_class } => {
            let scores = if *by_class {
                [1, classes, n]
            } else {
                [1, n, classes]
            };
            at_places(
                [places.boxes, places.scores],
                [vec![1, n, 4], scores.into()],
            )
        }
        Family::Ssd { places, priors, .. } => {
            let count = |priors: &Priors| {
                let of = |l: &PriorLayer| (l.columns * l.rows) as usize * l.sizes.len();
                priors.layers.iter().map(of).sum()
            };
            let n = priors.as_ref().map_or(n, count);
            at_places(
                [places.boxes, places.scores],
                [vec![1, n, 4], vec![1, n, 1 + classes]],
            )
        }
        Family::TfSsd { places, .. } => at_places(
            [places.boxes, places.classes, places.scores, places.count],
            [vec![1, n, 4], vec![1, n], vec![1, n], vec![1]],
        ),
        _ => Vec::new(),
    }
}

/// Of the priors that two families of face detectors share, over so many cells of each stride.
fn face_priors(cells: impl Fn(u32) -> usize) -> usize {
    let sides = [(8, 3), (16, 2), (32, 2), (64, 3)];
    sides
        .iter()
        .map(|&(stride, sides)| cells(stride) * sides)
        .sum()
}

/// The outputs at the places that the family says; empty ones between.
fn at_places<const N: usize>(places: [usize; N], dims: [Vec<usize>; N]) -> Vec<Vec<usize>> {
    let mut outputs = vec![vec![0]; places.iter().max().map_or(0, |last| last + 1)];
    for (place, dims) in places.into_iter().zip(dims) {
        outputs[place] = dims;
    }
    outputs
}
