//! [`Model`]: the prepared ONNX and all that is known of it.
//!
//! A file is read and checked (`file`, `onnx`), brought to the one form that recognition knows (`rewrite::normalise`),
//! its family recognised from what it says of itself (`facts`, `recognise`) under the overrides of a card (`card`), its
//! labels found (`labels`), and its graph rewritten where that helps every engine (`graph`). What was guessed on the
//! way is told in [`Model::decisions`].

pub mod builtin;
mod input;
pub mod input_size;
pub mod labels;

pub use crate::families::family::Family;
pub use crate::onnx::error::ModelError;
pub use crate::onnx::rewrite::Quantisation;
pub use input_size::InputSize;
pub use labels::Labels;

use crate::base::geometry::Size;
use crate::base::tensor::{ColourOrder, Element, InputSpec, Interpolation, ResizeMode};
use crate::families::card::Card;
use crate::families::recognise::{self, Reading};
use crate::families::thresholds::OwnThresholds;
use crate::onnx::facts::Facts;
use crate::onnx::{file, parse, python_literal, rewrite};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to open, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelOptions {
    /// `None` is the built-in face detector.
    pub path: Option<PathBuf>,
    /// `None`: see [`labels`].
    pub labels: Option<PathBuf>,
    /// `None` is `x.detect.json` beside `x.onnx`, if it is there.
    pub card: Option<PathBuf>,
    pub input_size: InputSize,
    /// The pictures that are to come, where that is known: see [`Model::follows_picture`].
    pub picture: Option<Size>,
}

/// Something that the file left open, or that a user may want to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// One of [`topic`].
    pub topic: &'static str,
    pub value: String,
    pub reason: String,
    /// Nothing said so; it is only what is usual.
    pub guessed: bool,
}

/// The topics of decisions.
pub mod topic {
    pub const FAMILY: &str = "family";
    pub const LAYOUT: &str = "layout";
    pub const INPUT_SIZE: &str = "input size";
    pub const COLOUR: &str = "colour";
    pub const NORMALISATION: &str = "normalisation";
    pub const RESIZE: &str = "resize";
    pub const LABELS: &str = "labels";
    pub const THRESHOLDS: &str = "thresholds";
}

impl Decision {
    pub(crate) fn new(
        topic: &'static str,
        value: impl fmt::Display,
        reason: impl Into<String>,
        guessed: bool,
    ) -> Self {
        Self {
            topic,
            value: value.to_string(),
            reason: reason.into(),
            guessed,
        }
    }
}

/// A detector ready for an engine, and all that is known of it.
#[derive(Clone)]
pub struct Model {
    /// `None` is the built-in model.
    pub path: Option<PathBuf>,
    /// ONNX; the file's own bytes if no rewrite changed anything. A quantised graph is folded to float in it.
    pub bytes: Arc<[u8]>,
    /// The same model for engines that compute with integers, where `bytes` have been folded.
    pub quantised: Option<Quantised>,
    pub family: Family,
    pub input: InputSpec,
    /// The input has any size whose sides are multiples of this, and nobody says which: it is [`input_size::usual`].
    pub follows_picture: Option<u32>,
    /// Names of the outputs of `bytes`, in their order, which is the order of the decoder.
    pub outputs: Vec<String>,
    /// 0 where nothing tells it; class numbers are then reported as they come.
    pub classes: usize,
    pub labels: Labels,
    pub labels_source: String,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    /// A candidate is reported as every class above the threshold, not as its best one.
    pub multi_label: bool,
    pub decisions: Vec<Decision>,
    /// One sentence for each rewrite of the graph.
    pub rewrites: Vec<String>,
    /// What is odd and does no harm.
    pub warnings: Vec<String>,
    /// What the model for other pictures is made from; `None` if all pictures have the same.
    source: Option<Source>,
}

/// A quantised model as the file has it, but for what an engine needs to be fed with the same input, and to give the
/// same outputs, as with [`Model::bytes`].
#[derive(Clone)]
pub struct Quantised {
    /// ONNX; the file's own bytes if no rewrite changed anything.
    pub bytes: Arc<[u8]>,
    pub quantisation: Quantisation,
    /// One sentence for each rewrite of this graph.
    pub rewrites: Vec<String>,
}

/// The file as it was read.
#[derive(Clone)]
struct Source {
    bytes: Arc<[u8]>,
    card: Card,
    options: ModelOptions,
}

impl Model {
    /// Reads, recognises and prepares a model.
    ///
    /// # Errors
    /// [`ModelError`], which tells what was met and what was wanted.
    pub fn open(options: &ModelOptions) -> Result<Self, ModelError> {
        Self::read(options, true)
    }

    /// As [`Model::open`], but the graph keeps its head, and so gives the outputs of the file: to compare them with what
    /// others get.
    ///
    /// # Errors
    /// [`ModelError`], as [`Model::open`].
    pub fn open_uncut(options: &ModelOptions) -> Result<Self, ModelError> {
        Self::read(options, false)
    }

    fn read(options: &ModelOptions, cut_head: bool) -> Result<Self, ModelError> {
        let bytes: Arc<[u8]> = match &options.path {
            Some(path) => file::read(path)?.into(),
            None => builtin::ONNX.into(),
        };
        let card = open_card(options)?;
        Self::prepare(bytes, card, options, cut_head)
    }

    /// As [`Model::open`], of a file and a card that have been read already; `options.path` tells only where weights
    /// and labels beside the file are looked for.
    ///
    /// # Errors
    /// [`ModelError`], as [`Model::open`].
    pub fn from_bytes(
        bytes: Arc<[u8]>,
        card: Card,
        options: &ModelOptions,
    ) -> Result<Self, ModelError> {
        Self::prepare(bytes, card, options, true)
    }

    fn prepare(
        bytes: Arc<[u8]>,
        card: Card,
        options: &ModelOptions,
        cut_head: bool,
    ) -> Result<Self, ModelError> {
        let mut proto = parse::decode(&bytes)?;
        let folder = options.path.as_deref().and_then(Path::parent);
        let embedded = rewrite::embed_data::run(&mut proto, folder)?;
        parse::check_embedded(&proto)?;
        let embedded = embedded.into_iter().collect();
        let mut normalised = rewrite::normalise(&bytes, &mut proto, embedded);

        let graph = proto.graph.as_ref().ok_or_else(|| ModelError::NotOnnx {
            why: "it has no graph".into(),
        })?;
        let facts = Facts::of(&proto, graph)?;
        let reading = recognise::recognise(&facts, &card)?;
        let mut decisions = vec![Decision::new(
            topic::FAMILY,
            format!("{} ({})", reading.name, reading.family),
            reading.because.clone(),
            false,
        )];
        let asked = input::Asked {
            size: options.input_size,
            picture: options.picture,
        };
        let input = input::spec(&facts, &reading, &card, asked, &mut decisions)?;
        let follows_picture = input::follows_picture(&facts, &reading, &card, options.input_size);
        decisions.extend(convention_decisions(&input, &card, &reading));
        let mut warnings = std::mem::take(&mut normalised.warnings);
        let (labels, labels_source) = find_labels(options, &card, &facts, &reading, &mut warnings)?;
        decisions.push(Decision::new(
            topic::LABELS,
            labels.len(),
            labels_source.clone(),
            false,
        ));
        let own = OwnThresholds::find(&card, &facts, &reading, &mut warnings);
        decisions.push(own.decision);
        let mut outputs = facts
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect();

        let source = follows_picture.map(|_| Source {
            bytes: file::shared(bytes.clone()),
            card: card.clone(),
            options: options.clone(),
        });
        let plan = rewrite::Plan {
            input: &input,
            exported: input::exported(&facts, &input),
            family: &reading.family,
            cut_head,
        };
        let prepared = rewrite::prepare(&bytes, proto, &plan, normalised)?;
        let mut family = reading.family;
        if let Some(heads) = prepared.heads {
            outputs = heads.outputs;
            family = heads.family;
        }
        let written = |new: Option<Vec<u8>>| new.map_or_else(|| bytes.clone(), Arc::from);
        Ok(Self {
            path: options.path.clone(),
            quantised: prepared.quantised.map(|form| Quantised {
                bytes: written(form.bytes),
                quantisation: form.quantisation,
                rewrites: form.rewrites,
            }),
            bytes: written(prepared.bytes),
            family,
            input,
            follows_picture,
            outputs,
            classes: labels.len(),
            labels,
            labels_source,
            score_threshold: own.score,
            iou_threshold: own.iou,
            multi_label: card.multi_label.unwrap_or_default(),
            decisions,
            rewrites: prepared.rewrites,
            warnings,
            source,
        })
    }

    /// Of the form that an engine runs.
    pub fn bytes_of_form(&self, quantised: bool) -> &Arc<[u8]> {
        match &self.quantised {
            Some(form) if quantised => &form.bytes,
            _ => &self.bytes,
        }
    }

    /// Without its bytes, once an engine has them; what was rewritten is then that of the form that runs.
    pub fn loaded(mut self, quantised: bool) -> Self {
        self.bytes = Arc::default();
        if let Some(form) = self.quantised.take().filter(|_| quantised) {
            self.rewrites = form.rewrites;
        }
        self
    }

    /// The same model at the input size that `picture` asks for, with the same labels: no file is read again, but one
    /// of weights beside the model. Where all pictures have the same size it is this one.
    ///
    /// # Errors
    /// [`ModelError`], as [`Model::open`].
    pub fn for_picture(&self, picture: Size) -> Result<Self, ModelError> {
        let Some(source) = &self.source else {
            return Ok(self.clone());
        };
        let mut card = source.card.clone();
        card.labels = Some(self.labels.iter().map(|l| l.into_owned()).collect());
        let options = ModelOptions {
            labels: None,
            picture: Some(picture),
            ..source.options.clone()
        };
        let mut model = Self::from_bytes(source.bytes.clone(), card, &options)?;
        model.labels = self.labels.clone();
        model.labels_source.clone_from(&self.labels_source);
        Ok(model)
    }
}

impl fmt::Debug for Model {
    /// Without the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .field("quantised", &self.quantised.as_ref().map(|q| q.bytes.len()))
            .field("family", &self.family)
            .field("input", &self.input)
            .field("outputs", &self.outputs)
            .field("classes", &self.classes)
            .field("decisions", &self.decisions)
            .field("rewrites", &self.rewrites)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// The card the user names must be there; the one beside the model may be.
fn open_card(options: &ModelOptions) -> Result<Card, ModelError> {
    let beside = options
        .path
        .as_deref()
        .map(|path| path.with_extension("detect.json"));
    let path = match (&options.card, beside) {
        (Some(path), _) => path.clone(),
        (None, Some(beside)) if beside.exists() => beside,
        (None, Some(_)) => return Ok(Card::default()),
        (None, None) => {
            return Card::parse(Path::new("of the built-in model"), builtin::CARD.as_bytes());
        }
    };
    let text = file::read(&path).map_err(|error| ModelError::Card {
        path: path.clone(),
        what: error.to_string(),
    })?;
    Card::parse(&path, &text)
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
