//! The form of a table by the numbers of an inference: which of them are scores, and in which form boxes and scores are.
//!
//! On an empty picture a table has a candidate for every cell, so boxes in pixels reach far beyond 2, the probability
//! of each class is small, and its logit is below 0.

use super::decode::{Numbers, Table};
use super::{BOX, Lone, TableForm, lone};
use crate::base::geometry::Size;
use crate::base::tensor::{Tensor, TensorSpec};
use crate::families::decoding::output::{Dim, Output};
use crate::families::decoding::{BoxForm, BoxFormat, BoxScale, Extras, ScoreActivation};
use crate::families::family::{DecoderInput, Family, Settled};

/// The parts of a form that file or card state, so that numbers change nothing about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Certain {
    /// The number of classes.
    pub classes: bool,
    /// The four numbers of a box.
    pub format: bool,
    /// The unit of a box.
    pub scale: bool,
    /// The activation of scores.
    pub activation: bool,
    /// How a picture fills the input.
    pub resize: bool,
}

/// No box in pixels is so small everywhere, no share so large.
const MOST_OF_SHARES: f32 = 2.0;
/// Rounding of quantised scores.
const SLACK: f32 = 0.05;
/// A sigmoid of more is 1 in f32.
const MOST_OF_LOGITS: f32 = 30.0;
/// So many boxes whose corners are in order are no accident.
pub const MANY: usize = 16;
/// Landmarks of YOLOv5's face detectors, between objectness and class.
pub const FACE_POINTS: usize = 10;

/// The form that a first inference showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The form.
    pub form: TableForm,
    classes: usize,
    warnings: Vec<String>,
    undecided: Vec<String>,
}

impl Found {
    /// Makes it a reading of `family`, which is that of the form.
    pub fn with_family(self, family: Box<dyn Family>) -> Settled {
        Settled {
            family,
            classes: self.classes,
            resize: None,
            warnings: self.warnings,
            undecided: self.undecided,
        }
    }
}

/// Finds the form that `outputs` of the first inference have; `None` if it is `form`, of so many classes.
pub fn settle(
    form: &TableForm,
    outputs: &[Tensor],
    model: &DecoderInput,
    certain: &Certain,
) -> Option<Found> {
    let numbers = table(form.rows, outputs, model.outputs)?;
    let ranges: Vec<Range> = (0..numbers.width)
        .map(|field| Range::over(numbers.field(field)))
        .collect();
    let mut new = form.clone();
    new.boxes = box_form(&numbers, form.boxes, model.input, certain);
    let mut classes = model.classes;
    let (mut warnings, mut undecided) = (Vec::new(), Vec::new());
    match scores(&ranges, form, certain) {
        Ok(read) => {
            (new.skipped, new.extras) = (read.skipped, read.extras);
            new.activation = read.activation;
            if (new.skipped, new.extras) != (form.skipped, form.extras) {
                classes = read.classes;
                new.meaning = meaning(&ranges, &new);
            }
            if !certain.classes && classes == model.classes {
                undecided = lone::readings(&new, classes);
                new = lone::settled(new, &mut classes);
                warnings.extend(lone::warning(&numbers, &new, classes));
            }
        }
        Err(what) => warnings.push(what),
    }
    // What the graph shows has been used.
    new.lone = Lone::Nowhere;
    if new == *form && warnings.is_empty() {
        return None;
    }
    new.seen = new != *form;
    Some(Found {
        form: new,
        classes,
        warnings,
        undecided,
    })
}

/// The numbers of the output that is a table.
pub(crate) fn table<'a>(
    rows: bool,
    outputs: &'a [Tensor],
    specs: &[TensorSpec],
) -> Option<Numbers<'a>> {
    let width = Dim::AtLeast(BOX + 1);
    let wanted = if rows {
        [Dim::Is(1), Dim::ANY, width]
    } else {
        [Dim::Is(1), width, Dim::ANY]
    };
    let output = Output::find(specs, &wanted, "a table").ok()?;
    Table::numbers(&output, rows, outputs).ok()
}

/// Least and greatest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub least: f32,
    pub most: f32,
}

impl Range {
    /// Numbers that are not finite do not count.
    pub fn over(numbers: impl Iterator<Item = f32>) -> Self {
        let none = Self {
            least: f32::INFINITY,
            most: f32::NEG_INFINITY,
        };
        numbers.filter(|n| n.is_finite()).fold(none, Self::with)
    }

    fn with(self, number: f32) -> Self {
        Self {
            least: self.least.min(number),
            most: self.most.max(number),
        }
    }

    /// Also true of no numbers at all.
    pub fn is_probability(&self) -> bool {
        self.least >= -SLACK && self.most <= 1.0 + SLACK
    }

    fn is_logit(&self) -> bool {
        self.least < -SLACK && self.most <= MOST_OF_LOGITS
    }
}

/// `None` if all boxes are nothing.
fn scale(boxes: &[Range]) -> Option<BoxScale> {
    let most = boxes
        .iter()
        .map(|range| range.most.max(-range.least))
        .fold(0.0, f32::max);
    match most {
        most if most <= 0.0 => None,
        most if most <= MOST_OF_SHARES => Some(BoxScale::Shares),
        _ => Some(BoxScale::Pixels),
    }
}

/// Finds the form of the boxes of all candidates; what file or card state stays.
fn box_form(numbers: &Numbers, form: BoxForm, input: Size, certain: &Certain) -> BoxForm {
    let mut new = form;
    if !certain.scale {
        let ranges = [0, 1, 2, 3].map(|field| Range::over(numbers.field(field)));
        new.scale = scale(&ranges).unwrap_or(form.scale);
    }
    if !certain.format {
        new.format = format(numbers, new, input);
    }
    new
}

/// Finds the form of the boxes of all candidates, where they are an output `[1, n, 4]` of their own.
pub(crate) fn form_of_boxes(
    boxes: &Output,
    outputs: &[Tensor],
    form: BoxForm,
    input: Size,
    certain: &Certain,
) -> Option<BoxForm> {
    let numbers = Table::numbers(boxes, true, outputs).ok()?;
    Some(box_form(&numbers, form, input, certain))
}

/// Corners are in order in every box. Centre and size are as well only in boxes at the left and at the top.
fn format(numbers: &Numbers, form: BoxForm, input: Size) -> BoxFormat {
    let (mut boxes, mut turned, mut outside) = (0, 0, 0);
    for candidate in 0..numbers.candidates {
        let four = [0, 1, 2, 3].map(|field| numbers.at(candidate, field));
        let [a, b, c, d] = four;
        if four.iter().any(|n| !n.is_finite()) || four == [0.0; BOX] {
            continue;
        }
        let centre = BoxForm {
            format: BoxFormat::Centre,
            ..form
        };
        let bbox = centre.bbox(four, input);
        let (width, height) = (input.width as f32, input.height as f32);
        let inside =
            bbox.x1 >= -1.0 && bbox.y1 >= -1.0 && bbox.x2 <= width + 1.0 && bbox.y2 <= height + 1.0;
        boxes += 1;
        turned += usize::from(c < a || d < b);
        outside += usize::from(!inside);
    }
    match turned {
        0 if boxes >= MANY || (boxes > 0 && outside == boxes) => BoxFormat::Corners,
        // A few corners may be swapped in boxes of nothing.
        _ if 4 * turned > boxes => BoxFormat::Centre,
        _ => form.format,
    }
}

/// Logits before numbers that are none.
fn leading_logits(ranges: &[Range], form: &TableForm) -> Option<Scores> {
    let first = BOX + usize::from(form.objectness);
    let objectness = !form.objectness || ranges[BOX].is_logit();
    let rest = &ranges[first..];
    let classes = rest.iter().take_while(|range| range.is_logit()).count();
    (objectness && classes > 0).then(|| Scores {
        skipped: 0,
        classes,
        extras: rest.len() - classes,
        activation: ScoreActivation::Sigmoid,
    })
}

/// Finds the form of boxes in rows that the graph has chosen; `None` if there is no box. Corners are usual: sides of a box
/// that is none may be swapped. So only shares are read otherwise.
pub(crate) fn form_of_rows(values: &[f32], width: usize, form: BoxForm) -> Option<BoxForm> {
    let rows = || values.chunks_exact(width).map(|row| &row[..BOX]);
    let boxes = || {
        rows().filter(|four| four.iter().any(|n| *n != 0.0) && four.iter().all(|n| n.is_finite()))
    };
    let all = [Range::over(boxes().flatten().copied())];
    if scale(&all)? == BoxScale::Pixels {
        return Some(BoxForm {
            scale: BoxScale::Pixels,
            ..form
        });
    }
    let in_order = boxes().all(|four| four[2] >= four[0] && four[3] >= four[1]);
    let format = match (in_order, boxes().count()) {
        (false, _) => BoxFormat::Centre,
        (true, MANY..) => BoxFormat::Corners,
        (true, _) => form.format,
    };
    Some(BoxForm {
        format,
        scale: BoxScale::Shares,
    })
}

/// Where the scores of a candidate are, and what they are.
struct Scores {
    skipped: usize,
    classes: usize,
    extras: usize,
    activation: ScoreActivation,
}

fn scores(ranges: &[Range], form: &TableForm, certain: &Certain) -> Result<Scores, String> {
    let first = form.first_score();
    let last = ranges.len() - form.extras.min(ranges.len());
    let used = |range: &dyn Fn(&Range) -> bool| {
        let objectness = !form.objectness || range(&ranges[BOX]);
        objectness && ranges[first.min(last)..last].iter().all(range)
    };
    let as_read = |activation| Scores {
        skipped: form.skipped,
        classes: last - first.min(last),
        extras: form.extras,
        activation,
    };
    if certain.activation {
        return Ok(as_read(form.activation));
    }
    if used(&Range::is_probability) {
        return Ok(as_read(ScoreActivation::None));
    }
    if !certain.classes
        && let Some(scores) = some_of_them(ranges, form)
    {
        return Ok(scores);
    }
    if used(&Range::is_logit) {
        return Ok(as_read(ScoreActivation::Sigmoid));
    }
    if let Some(scores) = leading_logits(ranges, form).filter(|_| !certain.classes) {
        return Ok(scores);
    }
    let all = ranges[first.min(last)..last].iter();
    let all = all.fold(Range::over(std::iter::empty()), |all, range| {
        all.with(range.least).with(range.most)
    });
    Err(format!(
        "the scores of the first inference are {} to {}, expected probabilities from 0 to 1 or logits: \
         perhaps not all {} numbers are scores, and num_classes in a card says how many are",
        all.least,
        all.most,
        last - first.min(last)
    ))
}

/// The scores among numbers of which some are no probabilities: those before them, or those behind the ten landmarks of
/// a face.
fn some_of_them(ranges: &[Range], form: &TableForm) -> Option<Scores> {
    let first = BOX + usize::from(form.objectness);
    if form.objectness && !ranges[BOX].is_probability() {
        return None;
    }
    let rest = &ranges[first..];
    let scores = |skipped: usize, classes: usize| Scores {
        skipped,
        classes,
        extras: rest.len() - skipped - classes,
        activation: ScoreActivation::None,
    };
    let leading = rest.iter().take_while(|range| range.is_probability());
    match (leading.count(), rest.get(FACE_POINTS..)) {
        (0, Some(behind)) if form.objectness && !behind.is_empty() => behind
            .iter()
            .all(Range::is_probability)
            .then(|| scores(FACE_POINTS, behind.len())),
        (0, _) => None,
        (leading, _) => Some(scores(0, leading)),
    }
}

/// Rows of corners, score and class number, as DeepStream takes them: no last score is whole everywhere.
pub(crate) fn has_class_numbers(numbers: &Numbers, input: Size) -> bool {
    const CLASS: usize = 5;
    if numbers.width != CLASS + 1 {
        return false;
    }
    let corners = format(numbers, BoxForm::default(), input) == BoxFormat::Corners;
    let whole = |class: f32| class >= 0.0 && class.fract() == 0.0;
    let score = Range::over(numbers.field(BOX)).is_probability();
    corners && score && numbers.field(CLASS).all(whole)
}

/// The meaning of numbers that are no scores.
fn meaning(ranges: &[Range], form: &TableForm) -> Extras {
    const TURN: f32 = 3.2;
    const MASKS: usize = 32;
    let unused = form.skipped + form.extras;
    let last = ranges[ranges.len() - 1];
    match unused {
        1 if last.least >= -TURN && last.most <= TURN => Extras::Angle,
        MASKS => Extras::Masks,
        _ if unused > 3 && (unused.is_multiple_of(3) || unused.is_multiple_of(2)) => Extras::Points,
        _ => Extras::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::decoding::Labelling;
    use crate::families::decoding::testing::f32_spec;

    const INPUT: Size = Size::new(64, 64);

    /// Rows of candidates as a table of this form, and what they settle.
    fn settled(form: &TableForm, rows: &[Vec<f32>], certain: Certain) -> Option<Found> {
        let width = rows[0].len();
        let (dims, values) = if form.rows {
            ([1, rows.len(), width], rows.concat())
        } else {
            let column = |field: usize| rows.iter().map(move |row| row[field]);
            (
                [1, width, rows.len()],
                (0..width).flat_map(column).collect(),
            )
        };
        let outputs = [Tensor::f32("out", dims, values)];
        let model = DecoderInput {
            input: INPUT,
            classes: width - form.fields(),
            outputs: &[f32_spec("out", &dims)],
            labelling: Labelling::Best,
        };
        settle(form, &outputs, &model, &certain)
    }

    /// A candidate for every cell of 8 pixels, of boxes of 10 x 6 times `scale`, with `more` behind it.
    fn cells(scale: f32, corners: bool, more: impl Fn(usize) -> Vec<f32>) -> Vec<Vec<f32>> {
        let cell = |place: usize| {
            let (x, y) = ((place % 8 * 8 + 4) as f32, (place / 8 * 8 + 4) as f32);
            let numbers = if corners {
                [x - 5.0, y - 3.0, x + 5.0, y + 3.0]
            } else {
                [x, y, 10.0, 6.0]
            };
            let numbers = numbers.map(|n| n * scale);
            numbers.into_iter().chain(more(place)).collect()
        };
        (0..64).map(cell).collect()
    }

    /// The form as which the table is read now.
    fn form_of(settled: Option<Found>) -> Option<TableForm> {
        let settled = settled?;
        assert_eq!(settled.warnings, [""; 0]);
        Some(settled.form)
    }

    fn probabilities(place: usize) -> Vec<f32> {
        vec![place as f32 / 100.0, 0.01]
    }

    #[test]
    fn the_usual_form_stays() {
        let rows = cells(1.0, false, probabilities);
        for form in [TableForm::yolov8(), TableForm::yolov5()] {
            assert_eq!(settled(&form, &rows, Certain::default()), None, "{form:?}");
        }
    }

    #[test]
    fn shares_are_told_from_pixels_and_corners_from_centres() {
        for (scale, corners) in [(1.0, true), (1.0 / 64.0, false), (1.0 / 64.0, true)] {
            let rows = cells(scale, corners, probabilities);
            for form in [TableForm::yolov8(), TableForm::yolov5()] {
                let found = form_of(settled(&form, &rows, Certain::default())).expect("another");
                let shares = found.boxes.scale == BoxScale::Shares;
                assert_eq!(shares, scale < 1.0, "{found:?}");
                assert_eq!(found.boxes.format == BoxFormat::Corners, corners);
                assert!(found.seen);
                let certain = Certain {
                    format: true,
                    scale: true,
                    ..Certain::default()
                };
                assert_eq!(settled(&form, &rows, certain), None, "the card has said it");
            }
        }
    }

    #[test]
    fn one_box_that_fits_either_way_stays_a_centre() {
        let mut rows = vec![vec![0.0; 6]; 84];
        rows[3][..4].copy_from_slice(&[20.0, 24.0, 30.0, 40.0]);
        assert_eq!(
            settled(&TableForm::yolov8(), &rows, Certain::default()),
            None
        );
        rows[3][..4].copy_from_slice(&[16.0, 16.0, 60.0, 62.0]);
        let found = form_of(settled(&TableForm::yolov8(), &rows, Certain::default()));
        assert_eq!(found.expect("corners").boxes.format, BoxFormat::Corners);
    }

    #[test]
    fn scores_below_0_are_logits() {
        let rows = cells(1.0, false, |place| vec![-9.0, place as f32 / 10.0 - 5.0]);
        for form in [TableForm::yolov8(), TableForm::yolov5()] {
            let found = form_of(settled(&form, &rows, Certain::default())).expect("another");
            assert_eq!(found.activation, ScoreActivation::Sigmoid);
            assert_eq!((found.skipped, found.extras), (0, 0));
        }
    }

    #[test]
    fn numbers_that_are_no_probabilities_are_no_scores() {
        let points = |place: usize| (0..15).map(move |n| (place + n) as f32 * 4.0 - 8.0);
        // One class, then five points with their visibility.
        let rows = cells(1.0, false, |place| {
            std::iter::once(0.02).chain(points(place)).collect()
        });
        let face = settled(&TableForm::yolov8(), &rows, Certain::default()).expect("a face");
        assert_eq!(face.classes, 1);
        let form = form_of(Some(face)).expect("a table");
        assert_eq!((form.extras, form.meaning), (15, Extras::Points));
        let rows = cells(1.0, false, |place| {
            [0.02, 0.9].into_iter().chain(points(place)).collect()
        });
        let found = settled(&TableForm::yolov5(), &rows, Certain::default()).expect("a face");
        assert_eq!(found.classes, 1, "behind an objectness");
        // Ten numbers of landmarks before the class.
        let rows = cells(1.0, false, |place| {
            let landmarks = points(place).take(10);
            std::iter::once(0.02)
                .chain(landmarks)
                .chain([0.9])
                .collect()
        });
        let found = settled(&TableForm::yolov5(), &rows, Certain::default()).expect("a face");
        assert_eq!(found.classes, 1);
        let form = form_of(Some(found)).expect("a table");
        assert_eq!((form.skipped, form.extras), (10, 0));
    }

    #[test]
    fn logits_before_points_are_scores() {
        let rows = cells(1.0, false, |place| {
            let points = (0..10).map(|n| (place + n) as f32);
            std::iter::once(-9.0).chain(points).collect()
        });
        let found = settled(&TableForm::yolov8(), &rows, Certain::default()).expect("a face");
        assert_eq!(found.classes, 1);
        let form = form_of(Some(found)).expect("a table");
        assert_eq!(form.activation, ScoreActivation::Sigmoid);
        assert_eq!((form.extras, form.meaning), (10, Extras::Points));
    }

    #[test]
    fn scores_that_are_neither_are_warned_of() {
        let rows = cells(1.0, false, |place| vec![place as f32, 50.0]);
        let found = settled(&TableForm::yolov8(), &rows, Certain::default()).expect("a warning");
        assert!(
            found.warnings[0].contains("0 to 63"),
            "{:?}",
            found.warnings
        );
        let certain = Certain {
            activation: true,
            ..Certain::default()
        };
        assert_eq!(settled(&TableForm::yolov8(), &rows, certain), None);
    }
}
