//! [`Described`]: how a model is fed and what it finds, out of its file, reading and card and what the user asked for.

use super::{Decision, Labels, ModelError, ModelOptions, input, labels, topic};
use crate::base::tensor::{ColourOrder, Element, InputSpec, Interpolation, ResizeMode};
use crate::base::text::shortened;
use crate::families::card::Card;
use crate::families::{Certain, OwnThresholds, Reading, certain};
use crate::onnx::facts::Facts;
use crate::onnx::python_literal;

/// Most letters of a label, as of a line in a file of labels. Each box carries its label, and GStreamer keeps every label.
const MOST_LETTERS: usize = 1024;

/// The statements of file, reading, card and options taken together, and the reasons.
pub struct Described {
    /// The tensor that the model takes.
    pub input: InputSpec,
    /// A label for each class.
    pub labels: Labels,
    /// Where the labels came from.
    pub labels_source: String,
    /// The model's own score threshold.
    pub score_threshold: f32,
    /// The model's own IoU threshold.
    pub iou_threshold: f32,
    /// Each assumption with its reason.
    pub decisions: Vec<Decision>,
    /// The points that the first inference need not tell.
    pub certain: Certain,
    /// Oddities that do no harm.
    pub warnings: Vec<String>,
}

impl Described {
    /// # Errors
    /// [`ModelError`] if the card does not fit, a file of labels cannot be read, or the input size is not taken.
    pub fn new(
        facts: &Facts,
        reading: &Reading,
        card: &Card,
        options: &ModelOptions,
        mut warnings: Vec<String>,
    ) -> Result<Self, ModelError> {
        let family = format!("{} ({})", reading.name, reading.family);
        let because = reading.because.clone();
        let mut decisions = vec![Decision::new(topic::FAMILY, family, because, false)];
        decisions.extend(reading.family.notes());
        let asked = input::Asked {
            size: options.input_size,
            picture: options.picture,
        };
        let input = input::spec(facts, reading, card, asked, &mut decisions)?;
        decisions.extend(convention_decisions(&input, card, reading));
        let (labels, source) = find_labels(options, card, facts, reading, &mut warnings)?;
        let from = source.clone();
        decisions.push(Decision::new(topic::LABELS, labels.len(), from, false));
        let own = OwnThresholds::find(card, facts, reading, &mut warnings);
        decisions.push(own.decision);
        Ok(Self {
            input,
            labels,
            labels_source: source,
            score_threshold: own.score,
            iou_threshold: own.iou,
            certain: certain(facts, card, reading.classes),
            decisions,
            warnings,
        })
    }
}

/// The first source of labels that there is, and its name.
fn find_labels(
    options: &ModelOptions,
    card: &Card,
    facts: &Facts,
    reading: &Reading,
    warnings: &mut Vec<String>,
) -> Result<(Labels, String), ModelError> {
    let beside = || {
        let path = options.path.as_deref()?;
        ["labels.txt", "names"]
            .map(|e| path.with_extension(e))
            .into_iter()
            .find(|path| path.is_file())
    };
    let (names, from) = if let Some(path) = &options.labels {
        (labels::read(path)?, format!("file {}", path.display()))
    } else if let Some(names) = &card.labels {
        (names.clone(), "the card".into())
    } else if let Some(names) = facts.metadata("names").and_then(python_literal::names) {
        (names, "the model's metadata".into())
    } else if let Some(path) = beside() {
        (labels::read(&path)?, format!("file {}", path.display()))
    } else if !reading.labels.is_empty() {
        (
            reading.labels.iter().map(ToString::to_string).collect(),
            format!("what {} finds", reading.name),
        )
    } else {
        let (labels, from) = Labels::by_count(reading.classes);
        return Ok((labels, from.into()));
    };
    let classes = match reading.classes {
        0 => names.len(),
        classes => classes,
    };
    let short = |name: String| match name.len() <= MOST_LETTERS {
        true => name,
        false => shortened(&name, MOST_LETTERS).into_owned(),
    };
    let names = names.into_iter().map(short).collect();
    let (labels, warning) = Labels::fit(names, classes, &from);
    warnings.extend(warning);
    Ok((labels, from))
}

/// How pictures are prepared: a matter of the family, which no file tells.
fn convention_decisions(input: &InputSpec, card: &Card, reading: &Reading) -> [Decision; 3] {
    let decision = |topic, value: String, by_card: bool| {
        let reason = if by_card {
            "the card says so".into()
        } else {
            format!("as {} does", reading.name)
        };
        Decision::new(topic, value, reason, !by_card && !reading.sure)
    };
    let colour = match input.colour {
        ColourOrder::Rgb => "RGB",
        ColourOrder::Bgr => "BGR",
    };
    let normalisation = match input.element {
        Element::F32 => format!("(pixel - {:?}) / {:?}", input.mean, input.std),
        _ => "none".into(),
    };
    let interpolation = match input.interpolation {
        Interpolation::Linear => "linear",
        Interpolation::Cubic => "cubic",
        Interpolation::Area => "area",
    };
    let resize = match input.resize {
        ResizeMode::Stretch => format!("stretch, {interpolation}"),
        ResizeMode::LetterboxCentre => format!(
            "letterbox, centred, padded with {}, {interpolation}",
            input.pad_value
        ),
        ResizeMode::LetterboxTopLeft => format!(
            "letterbox, top left, padded with {}, {interpolation}",
            input.pad_value
        ),
    };
    [
        decision(topic::COLOUR, colour.into(), card.colour.is_some()),
        decision(
            topic::NORMALISATION,
            normalisation,
            card.mean.is_some() && card.std.is_some(),
        ),
        decision(topic::RESIZE, resize, card.resize.is_some()),
    ]
}
