//! YOLOv5 and YOLOv7 exported without their decoding: an output for each of the strides 8, 16, 32 and, in the large ones,
//! 64; `[1, 3, rows, columns, 5 + classes]`, or `[1, 3 x (5 + classes), rows, columns]` straight from a convolution.
//!
//! Both have the same dims and other anchors. The number of the last layer, by which the weights of the outputs are
//! named, tells which it is (24: YOLOv5; 77: YOLOv7-tiny, with the anchors of YOLOv5; 105, 121: YOLOv7), and so do the
//! metadata that only YOLOv5 writes. With four strides the anchors are the same. They are those that the authors begin
//! with: a model trained on other boxes may have its own, and then needs a card with `anchors`.

use super::{AnchorBoxes, Yolov5Raw};
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{largest, misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::ultralytics::is_ultralytics;
use crate::families::reading::Reading;
use crate::onnx::facts::Facts;
use crate::onnx::proto::NodeProto;

const FIELDS: usize = 5;
const ANCHORS: usize = 3;
const EXPECTED: &str =
    "[1, 3, rows, columns, 5 + classes] or [1, 3 x (5 + classes), rows, columns] for each stride";

type Anchors = [[[f32; 2]; ANCHORS]];

const YOLOV5: [[[f32; 2]; ANCHORS]; 3] = [
    [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
    [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
    [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
];
const YOLOV7: [[[f32; 2]; ANCHORS]; 3] = [
    [[12.0, 16.0], [19.0, 36.0], [40.0, 28.0]],
    [[36.0, 75.0], [76.0, 55.0], [72.0, 146.0]],
    [[142.0, 110.0], [192.0, 243.0], [459.0, 401.0]],
];
const FOUR_STRIDES: [[[f32; 2]; ANCHORS]; 4] = [
    [[19.0, 27.0], [44.0, 40.0], [38.0, 94.0]],
    [[96.0, 68.0], [86.0, 152.0], [180.0, 137.0]],
    [[140.0, 301.0], [303.0, 264.0], [238.0, 542.0]],
    [[436.0, 615.0], [739.0, 380.0], [925.0, 792.0]],
];

/// Whose anchors a graph with three strides has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    Yolov5,
    Yolov7,
}

pub fn read_yolov5(facts: &Facts) -> Option<Reading> {
    let heads = Heads::find(facts)?;
    let (author, evidence) = author(facts);
    if author == Some(Author::Yolov7) && heads.strides.len() == YOLOV7.len() {
        return None;
    }
    let anchors: &Anchors = match heads.strides.len() {
        4 => &FOUR_STRIDES,
        _ => &YOLOV5,
    };
    let because = format!("{}{evidence}", heads.because());
    Some(heads.reading("YOLOv5, raw", anchors, because))
}

pub fn read_yolov7(facts: &Facts) -> Option<Reading> {
    let heads = Heads::find(facts).filter(|heads| heads.strides.len() == YOLOV7.len())?;
    let (author, evidence) = author(facts);
    if author == Some(Author::Yolov5) {
        return None;
    }
    let because = format!("{}{evidence}", heads.because());
    Some(heads.reading("YOLOv7, raw", &YOLOV7, because))
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let heads = Heads::find(facts).ok_or_else(|| misfit(facts, "yolov5_raw", EXPECTED))?;
    let Some(own) = card.get(&super::ANCHORS) else {
        // Both are there where nothing tells whose anchors they are.
        return match (read_yolov5(facts), read_yolov7(facts)) {
            (Some(reading), None) | (None, Some(reading)) => Ok(reading),
            _ => Err(
                "decode is \"yolov5_raw\" but the anchors may be those of YOLOv5 or of YOLOv7, expected \"anchors\""
                    .into(),
            ),
        };
    };
    if own.len() != heads.strides.len() {
        return Err(format!(
            "anchors are those of {} outputs, but there are {}",
            own.len(),
            heads.strides.len()
        ));
    }
    if own.iter().any(|sizes| sizes.len() != ANCHORS) {
        return Err(format!("anchors are not {ANCHORS} for each output"));
    }
    Ok(heads.reading("YOLOv5, raw", &YOLOV5, told_by_card()))
}

/// The outputs, in the order of the file.
struct Heads {
    strides: Vec<u32>,
    classes: usize,
    activated: bool,
}

impl Heads {
    fn find(facts: &Facts) -> Option<Self> {
        let (width, height) = (facts.picture.width?, facts.picture.height?);
        let mut strides = Vec::new();
        let mut kinds = Vec::new();
        for output in &facts.outputs {
            let (rows, columns, fields) = match *output.dims() {
                [_, Some(ANCHORS), rows, columns, fields] => (rows?, columns?, fields?),
                [_, Some(together), rows, columns]
                    if together % ANCHORS == 0 && from_convolution(facts, &output.name) =>
                {
                    (rows?, columns?, together / ANCHORS)
                }
                _ => return None,
            };
            let cells = |side: u32, stride: u32| side.div_ceil(stride) as usize;
            let stride = [8, 16, 32, 64]
                .into_iter()
                .find(|&stride| (rows, columns) == (cells(height, stride), cells(width, stride)))?;
            strides.push(stride);
            let head = Head::trace(facts.graph, &output.name, fields);
            kinds.push((fields, head.sigmoids > 0));
        }
        let mut sorted = strides.clone();
        sorted.sort_unstable();
        if sorted != [8, 16, 32] && sorted != [8, 16, 32, 64] {
            return None;
        }
        let &(fields, activated) = kinds.first()?;
        let alike = kinds.iter().all(|kind| *kind == (fields, activated));
        (alike && fields > FIELDS).then(|| Self {
            strides,
            classes: fields - FIELDS,
            activated,
        })
    }

    fn because(&self) -> String {
        format!(
            "it has maps of {ANCHORS} x (5 + {}) numbers for the strides {:?}",
            self.classes, self.strides
        )
    }

    /// `anchors` in the order of rising strides.
    fn reading(&self, name: &'static str, anchors: &Anchors, because: String) -> Reading {
        let level = |&stride: &u32| {
            let smaller = self.strides.iter().filter(|other| **other < stride);
            let sizes = anchors.get(smaller.count()).or(anchors.last());
            let sizes = sizes.map(|sizes| sizes.to_vec()).unwrap_or_default();
            AnchorBoxes { stride, sizes }
        };
        Reading {
            name,
            family: Box::new(Yolov5Raw {
                levels: self.strides.iter().map(level).collect(),
                activated: self.activated,
            }),
            because,
            classes: self.classes,
            convention: conventions::ultralytics(),
            sure: false,
            stride: largest(&self.strides),
            labels: &[],
            score_threshold: None,
            iou_threshold: None,
        }
    }
}

/// Who made the graph, where it tells, and how.
fn author(facts: &Facts) -> (Option<Author>, String) {
    if let Some(layer) = last_layer(facts) {
        let evidence = format!(", from layer {layer}");
        match layer {
            24 | 77 => return (Some(Author::Yolov5), evidence),
            105 | 121 => return (Some(Author::Yolov7), evidence),
            _ => {}
        }
    }
    if is_ultralytics(facts) {
        let evidence = ", and metadata that YOLOv5 writes";
        return (Some(Author::Yolov5), evidence.into());
    }
    (None, String::new())
}

/// The layer in names of weights like `model.24.m.0.weight`.
fn last_layer(facts: &Facts) -> Option<u32> {
    let weights = facts.graph.node.iter().flat_map(|node| &node.input);
    weights
        .filter_map(|name| {
            let name = name.strip_suffix(".m.0.weight")?;
            let name = name.strip_prefix("model.").unwrap_or(name);
            name.strip_prefix("model.").unwrap_or(name).parse().ok()
        })
        .max()
}

/// The output comes from one convolution, not from several put together, as YOLOv8's heads do.
fn from_convolution(facts: &Facts, name: &str) -> bool {
    let mut name = name;
    // Bounded: a graph that is no model may run in a circle.
    for _ in 0..8 {
        let made = |node: &&NodeProto| node.output.iter().any(|output| output == name);
        let Some(node) = facts.graph.node.iter().find(made) else {
            return false;
        };
        match (node.op_type.as_str(), node.input.first()) {
            ("Conv" | "QLinearConv" | "ConvInteger" | "FusedConv", _) => return true,
            (
                "Sigmoid" | "QLinearSigmoid" | "Identity" | "Cast" | "DequantizeLinear"
                | "QuantizeLinear",
                Some(input),
            ) => {
                name = input;
            }
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::evidence::testing::{Outputs, card};
    use crate::onnx::testing::{model, node};

    const APART: Outputs = &[
        ("o8", &[1, 3, 8, 8, 7]),
        ("o16", &[1, 3, 4, 4, 7]),
        ("o32", &[1, 3, 2, 2, 7]),
    ];
    const TOGETHER: Outputs = &[
        ("o8", &[1, 21, 8, 8]),
        ("o16", &[1, 21, 4, 4]),
        ("o32", &[1, 21, 2, 2]),
    ];

    /// A graph whose outputs are made by `op` with a weight of this name.
    fn with<T>(outputs: Outputs, op: &str, weight: &str, look: impl FnOnce(&Facts) -> T) -> T {
        let nodes = outputs
            .iter()
            .map(|(name, _)| node(op, &["x", weight], &[name]))
            .collect();
        let model = model(nodes, &[("x", &[1, 3, 64, 64])], outputs);
        let graph = model.graph.as_ref().expect("just made");
        look(&Facts::new(&model, graph).expect("it takes a picture"))
    }

    fn names(outputs: Outputs, op: &str, weight: &str) -> Vec<&'static str> {
        with(outputs, op, weight, |facts| {
            let readings = [read_yolov5(facts), read_yolov7(facts)];
            readings.into_iter().flatten().map(|r| r.name).collect()
        })
    }

    #[test]
    fn the_number_of_the_last_layer_tells_whose_anchors_they_are() {
        for outputs in [APART, TOGETHER] {
            let (v5, v7) = ("YOLOv5, raw", "YOLOv7, raw");
            assert_eq!(names(outputs, "Conv", "model.24.m.0.weight"), [v5]);
            assert_eq!(names(outputs, "Conv", "model.model.77.m.0.weight"), [v5]);
            assert_eq!(names(outputs, "Conv", "model.105.m.0.weight"), [v7]);
            assert_eq!(
                names(outputs, "Conv", "onnx::Conv_9"),
                [v5, v7],
                "no evidence"
            );
        }
    }

    #[test]
    fn anchors_belong_to_their_strides_whatever_the_order() {
        let turned = [APART[2], APART[0], APART[1]];
        let reading = with(&turned, "Conv", "model.24.m.0.weight", read_yolov5);
        let reading = reading.expect("YOLOv5");
        assert_eq!((reading.classes, reading.stride), (2, 32));
        let family: &Yolov5Raw = reading.family.downcast_ref().expect("raw");
        assert!(!family.activated);
        let levels: Vec<_> = family
            .levels
            .iter()
            .map(|l| (l.stride, l.sizes[0]))
            .collect();
        assert_eq!(
            levels,
            [(32, [116.0, 90.0]), (8, [10.0, 13.0]), (16, [30.0, 61.0])]
        );
    }

    #[test]
    fn a_sigmoid_in_the_graph_is_seen() {
        let activated = with(APART, "Sigmoid", "model.24.m.0.weight", |facts| {
            Heads::find(facts).map(|heads| heads.activated)
        });
        assert_eq!(activated, Some(true));
    }

    #[test]
    fn four_strides_have_one_set_of_anchors() {
        let mut outputs = APART.to_vec();
        outputs.push(("o64", &[1, 3, 1, 1, 7]));
        assert_eq!(names(&outputs, "Conv", "w"), ["YOLOv5, raw"]);
    }

    #[test]
    fn other_maps_are_others() {
        let none: [&str; 0] = [];
        assert_eq!(names(TOGETHER, "Concat", "w"), none, "YOLOv8's heads");
        assert_eq!(names(&APART[..2], "Conv", "w"), none);
        let uneven: Outputs = &[APART[0], APART[1], ("o", &[1, 3, 2, 3, 7])];
        assert_eq!(names(uneven, "Conv", "w"), none);
        let no_class: Outputs = &[
            ("a", &[1, 15, 8, 8]),
            ("b", &[1, 15, 4, 4]),
            ("c", &[1, 15, 2, 2]),
        ];
        assert_eq!(names(no_class, "Conv", "w"), none);
    }

    #[test]
    fn a_card_tells_the_anchors() {
        let told_of = |text: &str, weight: &str| {
            let card = card(text);
            with(APART, "Conv", weight, |facts| {
                read_as(facts, &card).map(|r| r.name)
            })
        };
        let error = told_of("{}", "w").unwrap_err();
        assert!(
            error.contains("YOLOv7") && error.contains("\"anchors\""),
            "{error}"
        );
        assert_eq!(told_of("{}", "model.105.m.0.weight"), Ok("YOLOv7, raw"));
        let level = "[[1, 2], [3, 4], [5, 6]]";
        let three = format!(r#"{{"anchors": [{level}, {level}, {level}]}}"#);
        assert_eq!(told_of(&three, "w"), Ok("YOLOv5, raw"));
        let two = format!(r#"{{"anchors": [{level}, {level}]}}"#);
        assert!(told_of(&two, "w").is_err_and(|e| e.contains("2 outputs")));
        let few = r#"{"anchors": [[[1, 2]], [[1, 2]], [[1, 2]]]}"#;
        assert!(told_of(few, "w").is_err_and(|e| e.contains("3 for each")));
    }
}
