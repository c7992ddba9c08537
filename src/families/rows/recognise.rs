//! Detectors whose graph has chosen rows, one a detection, of a number that is not told before; or one a candidate.
//!
//! | reading | row | told by |
//! |---|---|---|
//! | YOLOv7, YOLOv6, with NMS | picture, corners, class, score | output named `output` or `outputs`, class before score |
//! | YOLO-NAS, flat | picture, corners, score, class | `flat_predictions`, an input of uint8, score before class |
//! | PaddleDetection | class, score, corners | inputs `im_shape` and `scale_factor`, a second output that counts, class first |
//! | YOLO, end-to-end, without batch | corners, score, class | class last |
//! | DeepStream-Yolo | corners, score, class, of every candidate | class last, nothing chosen |
//!
//! In the graph, class numbers were whole numbers and scores were not: where the pieces of a row are seen to be put
//! together, that decides.

use super::{COLUMNS, Column, Rows};
use crate::base::tensor::Element;
use crate::families::card::Card;
use crate::families::evidence::conventions;
use crate::families::evidence::grid_cells::{misfit, told_by_card};
use crate::families::evidence::head::Head;
use crate::families::evidence::named_outputs::{self, is_integer, plain};
use crate::families::evidence::objectness;
use crate::families::evidence::paddle::of_paddle;
use crate::families::evidence::pieces::whole_pieces;
use crate::families::evidence::table::{any_strides, rows};
use crate::families::reading::{Convention, Reading};
use crate::onnx::facts::{Facts, Port};

use Column::{Bottom, Class, Left, Other, Right, Score, Top};

const YOLOV7: [Column; 7] = [Other, Left, Top, Right, Bottom, Class, Score];
const YOLO_NAS: [Column; 7] = [Other, Left, Top, Right, Bottom, Score, Class];
const PADDLE: [Column; 6] = [Class, Score, Left, Top, Right, Bottom];
const CORNERS: [Column; 6] = [Left, Top, Right, Bottom, Score, Class];

pub fn read_yolov7(facts: &Facts) -> Option<Reading> {
    let table = Table::find(facts, YOLOV7.len())?;
    let name = plain(&table.output.name);
    let because = match table.class_in(facts, [2, 3]) {
        Some(2) => "the graph puts the class before the score in rows of 7 numbers".into(),
        Some(_) => return None,
        None if name == "output" || name == "outputs" => {
            format!("its output is named \"{name}\" and has rows of 7 numbers")
        }
        None if table.of_yolo_nas(facts) => return None,
        None => "its output has rows of 7 numbers, the last of which may be the score".into(),
    };
    Some(table.reading(
        "YOLOv7 or YOLOv6 with NMS",
        &YOLOV7,
        conventions::ultralytics(),
        because,
    ))
}

pub fn read_yolo_nas(facts: &Facts) -> Option<Reading> {
    let table = Table::find(facts, YOLO_NAS.len())?;
    let name = plain(&table.output.name);
    let because = match table.class_in(facts, [2, 3]) {
        Some(3) => "the graph puts the score before the class in rows of 7 numbers",
        Some(_) => return None,
        None if table.of_yolo_nas(facts) => {
            "rows of 7 numbers are named flat, or the input takes pixels as they are"
        }
        None if name == "output" || name == "outputs" => return None,
        None => "its output has rows of 7 numbers, the last of which may be the class",
    };
    Some(table.reading(
        "YOLO-NAS, flat",
        &YOLO_NAS,
        conventions::ultralytics(),
        because.into(),
    ))
}

pub fn read_paddle(facts: &Facts) -> Option<Reading> {
    let table = Table::find(facts, PADDLE.len())?;
    let because = match table.class_in(facts, [0, 2]) {
        Some(0) => "the graph puts the class first in rows of 6 numbers",
        Some(_) => return None,
        None if of_paddle(facts) => "its further inputs are PaddleDetection's",
        None if table.counted => "a second output counts its rows of 6 numbers",
        None => "its output has rows of 6 numbers, the first of which may be the class",
    };
    Some(table.reading(
        "PaddleDetection",
        &PADDLE,
        conventions::paddle(facts),
        because.into(),
    ))
}

pub fn read_corners(facts: &Facts) -> Option<Reading> {
    let table = Table::find(facts, CORNERS.len())?;
    let because = match table.class_in(facts, [0, 2]) {
        Some(2) => "the graph puts the class last in rows of 6 numbers",
        Some(_) => return None,
        None if of_paddle(facts) || table.counted => return None,
        None => "its output has rows of 6 numbers, the last of which may be the class",
    };
    let name = "YOLO, end-to-end, without batch";
    Some(table.reading(name, &CORNERS, conventions::ultralytics(), because.into()))
}

/// Every candidate with its best class, as DeepStream takes them: nothing is suppressed yet.
pub fn read_deepstream(facts: &Facts) -> Option<Reading> {
    let row = CORNERS.len();
    let (output, dims) = facts.only_output()?;
    if !matches!(dims, [_, _, Some(6)]) {
        return None;
    }
    let head = Head::trace(facts.graph, &output.name, row);
    if head.selects || is_integer(output) || facts.metadata("task").is_some() {
        return None;
    }
    let table = rows(facts)?;
    let of_cells = [1, 3].map(|per_cell| any_strides(facts, &table, per_cell).is_some());
    let pieces = whole_pieces(facts.graph, &output.name);
    let because = match pieces.as_deref() {
        Some([.., false, true]) => "the graph puts the class behind the score in rows of 6 numbers",
        None if of_cells[0]
            && objectness::find(facts, &table, &head).is_err()
            && head.is_decoded() =>
        {
            "the last of the 6 numbers of its candidates may be the class"
        }
        _ => return None,
    };
    let family = Rows::deepstream();
    let convention = conventions::ultralytics();
    let reading = named_outputs::reading("DeepStream-Yolo", family, convention, because.into());
    let queries = !of_cells.contains(&true);
    Some(Reading {
        stride: 32,
        iou_threshold: queries.then_some(1.0),
        ..reading
    })
}

pub fn read_as(facts: &Facts, card: &Card) -> Result<Reading, String> {
    let columns = card
        .get(&COLUMNS)
        .ok_or("decode is \"rows\", expected columns beside it: what the numbers of a row are")?;
    let rows = format!("an output [n, {0}] or [1, n, {0}]", columns.len());
    let place = named_outputs::place(
        facts,
        |output| matches!(output.dims(), [.., _, Some(row)] if *row == columns.len()),
    );
    let place = place.ok_or_else(|| misfit(facts, "rows", &rows))?;
    let family = Rows { place, columns };
    let convention = conventions::ultralytics();
    Ok(named_outputs::reading(
        "rows",
        family,
        convention,
        told_by_card(),
    ))
}

/// The one output `[n, row]`, perhaps beside a number of rows.
struct Table<'a> {
    place: usize,
    output: &'a Port,
    counted: bool,
}

impl<'a> Table<'a> {
    fn find(facts: &'a Facts, row: usize) -> Option<Self> {
        let place = named_outputs::place(facts, |output| {
            matches!(output.dims(), [_, Some(n)] if *n == row) && !is_integer(output)
        })?;
        let output = &facts.outputs[place];
        let others = facts.outputs.iter().filter(|port| port.name != output.name);
        let counts = |port: &Port| is_integer(port) && port.dims().len() <= 1;
        let counted = facts.outputs.len() > 1;
        if !others.clone().all(counts) {
            return None;
        }
        // A list of numbers that nothing chooses is no list of detections.
        let free = matches!(output.dims(), [None, _]);
        let chosen = free || counted || Head::trace(facts.graph, &output.name, row).selects;
        chosen.then_some(Self {
            place,
            output,
            counted,
        })
    }

    /// Which of these two pieces of a row is the class, if the graph shows it.
    fn class_in(&self, facts: &Facts, [a, b]: [usize; 2]) -> Option<usize> {
        let pieces = whole_pieces(facts.graph, &self.output.name)?;
        match (pieces.get(a)?, pieces.get(b)?) {
            (true, false) => Some(a),
            (false, true) => Some(b),
            _ => None,
        }
    }

    fn of_yolo_nas(&self, facts: &Facts) -> bool {
        self.output.name.contains("flat_predictions") || facts.picture.element == Element::U8
    }

    fn reading(
        &self,
        name: &'static str,
        columns: &[Column],
        convention: Convention,
        because: String,
    ) -> Reading {
        let family = Rows {
            place: self.place,
            columns: columns.to_vec(),
        };
        Reading {
            stride: 32,
            ..named_outputs::reading(name, family, convention, because)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::FamilyError;
    use crate::families::evidence::named_outputs::testing::{of_facts, with_outputs};
    use crate::families::evidence::testing::card;
    use crate::families::recognise::recognise;
    use crate::onnx::proto::{ModelProto, NodeProto};
    use crate::onnx::testing::{model, node};

    type Read = fn(&Facts) -> Option<Reading>;

    const NAMES: [(Read, &str); 4] = [
        (read_yolov7, "v7"),
        (read_yolo_nas, "nas"),
        (read_paddle, "paddle"),
        (read_corners, "corners"),
    ];

    fn readings(model: &ModelProto) -> Vec<&'static str> {
        of_facts(model, |facts| {
            let read = NAMES.iter().filter(|(read, _)| read(facts).is_some());
            read.map(|(_, name)| *name).collect()
        })
    }

    /// A `Concat` of pieces, of which those named "int..." were cast.
    fn joined(pieces: &[&str]) -> Vec<NodeProto> {
        let mut nodes = vec![node("NonMaxSuppression", &["images"], &["i"])];
        for piece in pieces {
            let op = if piece.starts_with("int") {
                "Cast"
            } else {
                "Gather"
            };
            nodes.push(node(op, &["i"], &[piece]));
        }
        nodes.push(node("Concat", pieces, &["rows"]));
        nodes
    }

    #[test]
    fn the_piece_that_was_cast_is_the_class() {
        for (pieces, row, wanted) in [
            (&["int_batch", "boxes", "int_class", "score"][..], 7, "v7"),
            (&["int_batch", "boxes", "score", "int_class"], 7, "nas"),
            (&["int_class", "score", "boxes"], 6, "paddle"),
            (&["boxes", "score", "int_class"], 6, "corners"),
        ] {
            let model = with_outputs(joined(pieces), &[("rows", &[-1, row])]);
            assert_eq!(readings(&model), [wanted], "{pieces:?}");
        }
    }

    #[test]
    fn names_tell_where_the_graph_does_not() {
        let named = |name: &str| readings(&with_outputs(vec![], &[(name, &[-1, 7])]));
        assert_eq!(named("output"), ["v7"]);
        assert_eq!(named("outputs"), ["v7"]);
        assert_eq!(named("graph2_flat_predictions"), ["nas"]);
        assert_eq!(named("rows"), ["v7", "nas"]);
    }

    #[test]
    fn a_count_or_further_inputs_are_paddles() {
        let counted = [("rows", &[-1, 6][..]), ("int_count", &[1])];
        assert_eq!(readings(&with_outputs(vec![], &counted)), ["paddle"]);
        let inputs: [(&str, &[i64]); 2] = [("image", &[1, 3, 64, 64]), ("scale_factor", &[1, 2])];
        let model = model(vec![], &inputs, &[("rows", &[-1, 6])]);
        assert_eq!(readings(&model), ["paddle"]);
    }

    #[test]
    fn two_readings_are_refused_with_both_named_until_the_card_tells_the_columns() {
        let model = with_outputs(vec![], &[("rows", &[-1, 6])]);
        let error = of_facts(&model, |facts| {
            recognise(facts, &Card::default()).unwrap_err()
        });
        let FamilyError::Ambiguous { readings } = error else {
            panic!("{error}")
        };
        assert!(
            readings[0].contains("Paddle") && readings[1].contains("end-to-end"),
            "{readings:?}"
        );

        let columns = r#""columns": ["y1", "x1", "y2", "x2", "class", "score"]"#;
        for text in [
            format!("{{{columns}}}"),
            format!(r#"{{"decode": "rows", {columns}}}"#),
        ] {
            // Without "decode" the conventions of the two are still two.
            let resize = r#""input": {"resize_mode": "stretch", "mean": [0, 0, 0], "std": [1, 1, 1], "pad_value": 0, "interpolation": "linear"}"#;
            let text = text.replacen('{', &format!("{{{resize}, "), 1);
            let family = of_facts(&model, |facts| {
                recognise(facts, &card(&text)).map(|r| r.family)
            });
            let columns = vec![Top, Left, Bottom, Right, Class, Score];
            assert_eq!(family.unwrap(), Rows { place: 0, columns });
        }
    }

    #[test]
    fn a_card_must_fit_the_rows() {
        let model = with_outputs(vec![], &[("rows", &[-1, 7])]);
        let error = |text: &str| {
            of_facts(&model, |facts| {
                recognise(facts, &card(text)).unwrap_err().to_string()
            })
        };
        assert!(error(r#"{"decode": "rows"}"#).contains("columns"));
        let six = r#"{"decode": "rows", "columns": ["x1", "y1", "x2", "y2", "class", "score"]}"#;
        assert!(error(six).contains("[n, 6]"), "{}", error(six));
    }

    #[test]
    fn other_outputs_are_not_these() {
        for outputs in [
            &[("rows", &[64, 6][..])][..], // nothing chooses
            &[("rows", &[-1, 8])],
            &[("rows", &[1, -1, 6])],
            &[("int_rows", &[-1, 7])],
            &[("rows", &[-1, 7]), ("masks", &[-1, 32])],
        ] {
            assert!(
                readings(&with_outputs(vec![], outputs)).is_empty(),
                "{outputs:?}"
            );
        }
    }
}
