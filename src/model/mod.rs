//! [`Model`]: the prepared ONNX and all that is known of it.
//!
//! [`crate::onnx`] reads and checks the file and brings its graph to one form. [`crate::families`] recognises the family,
//! unless a card names it. [`labels`] are found, and the graph is rewritten where that helps every engine.
//! [`Model::decisions`] lists what was assumed on the way, and why.

pub mod builtin;
mod described;
mod error;
mod input;
pub mod input_size;
pub mod labels;
mod outputs;
mod recognised;
mod settle;
mod suppression;

pub use crate::families::{Decision, Family, topic};
pub use crate::onnx::error::OnnxError;
pub use crate::onnx::rewrite::Quantisation;
pub use error::ModelError;
pub use input_size::InputSize;
pub use labels::Labels;

use crate::base::geometry::Size;
use crate::base::tensor::InputSpec;
use crate::families::Certain;
use crate::families::card::Card;
use crate::host::side_file;
use crate::onnx::budget::Weighed;
use crate::onnx::proto::ModelProto;
use crate::onnx::{file, parse, rewrite};
use recognised::Recognised;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The model to open, and the user's statements about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelOptions {
    /// Path of the ONNX file; `None` is the built-in face detector.
    pub path: Option<PathBuf>,
    /// File of labels; `None` looks for them as [`labels`] says.
    pub labels: Option<PathBuf>,
    /// Card; `None` takes `x.detect.json` beside `x.onnx` if it is there.
    pub card: Option<PathBuf>,
    /// Input size that the user asks for.
    pub input_size: InputSize,
    /// Size of the pictures to come, if it is known; see [`Model::follows_picture`].
    pub picture: Option<Size>,
}

/// A detector ready for an engine, and everything known about it.
#[derive(Clone)]
pub struct Model {
    /// Path of the file; `None` is the built-in model.
    pub path: Option<PathBuf>,
    /// ONNX bytes; the file's own if no rewrite changed anything. A quantised graph is folded to float.
    pub bytes: Arc<[u8]>,
    /// The model for engines that compute with integers; `None` unless the graph in `bytes` was folded.
    pub quantised: Option<Quantised>,
    /// How the outputs are decoded.
    pub family: Box<dyn Family>,
    /// The tensor that the model takes, and how a picture becomes one.
    pub input: InputSpec,
    /// Step of the sides if the input size is free and nobody chose one; the size is then [`input_size::usual`].
    pub follows_picture: Option<u32>,
    /// Names of the outputs of `bytes`, in the order that the decoder takes them.
    pub outputs: Vec<String>,
    /// Number of classes; 0 if nothing states it, and class numbers are then reported unchecked.
    pub classes: usize,
    /// A label for each class.
    pub labels: Labels,
    /// Where the labels came from, for people.
    pub labels_source: String,
    /// The model's own score threshold, 0 to 1.
    pub score_threshold: f32,
    /// The model's own IoU threshold, 0 to 1; 1 suppresses nothing.
    pub iou_threshold: f32,
    /// Whether a candidate is reported as every class above the threshold rather than as its best class.
    pub multi_label: bool,
    /// Whether boxes of different classes suppress each other, as the graph of the file had it.
    pub class_agnostic: bool,
    /// The assumptions about the model, each with its reason.
    pub decisions: Vec<Decision>,
    /// One sentence for each rewrite of the graph.
    pub rewrites: Vec<String>,
    /// Oddities that do no harm.
    pub warnings: Vec<String>,
    /// The points that the first inference need not tell.
    certain: Certain,
    /// The demand of an inference, or the reason why no engine may have the graph in `bytes`.
    weighed: Weighed,
    /// Source of the model for other pictures; `None` if all pictures have the same.
    source: Option<Source>,
}

/// The quantised graph of the file. It is changed only so far that an engine can feed it with the same input, and gets
/// the same outputs, as with [`Model::bytes`].
#[derive(Clone)]
pub struct Quantised {
    /// ONNX bytes; the file's own if no rewrite changed anything.
    pub bytes: Arc<[u8]>,
    /// How the graph is quantised.
    pub quantisation: Quantisation,
    /// One sentence for each rewrite of this graph.
    pub rewrites: Vec<String>,
    pub(crate) weighed: Weighed,
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
    /// [`ModelError`] with what was found and what was expected.
    pub fn open(options: &ModelOptions) -> Result<Self, ModelError> {
        Self::read(options, true)
    }

    /// Opens a model like [`Model::open`], but keeps the whole graph, so that its outputs are those of the file and can be
    /// compared with results of others.
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

    /// Opens a file and a card that have been read already. `options.path` tells only where weights and labels beside the
    /// file are looked for.
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
        let (proto, mut normalised) = normalised(&bytes, options)?;
        let warnings = std::mem::take(&mut normalised.warnings);
        let may_cut = cut_head && rewrite::is_lossless(&bytes);
        let mut seen = Recognised::new(&proto, &card, options, warnings, may_cut)?;
        let prepared = seen.rewrite(&bytes, proto, normalised, cut_head)?;
        let Recognised {
            described,
            family,
            follows_picture,
            outputs,
            how,
            ..
        } = seen;
        let written = |new: Option<Vec<u8>>| new.map_or_else(|| bytes.clone(), Arc::from);
        Ok(Self {
            path: options.path.clone(),
            quantised: prepared.quantised.map(|form| Quantised {
                bytes: written(form.bytes),
                quantisation: form.quantisation,
                rewrites: form.rewrites,
                weighed: form.weighed,
            }),
            bytes: written(prepared.bytes),
            family,
            input: described.input,
            follows_picture,
            outputs,
            classes: described.labels.len(),
            labels: described.labels,
            labels_source: described.labels_source,
            score_threshold: described.score_threshold,
            iou_threshold: described.iou_threshold,
            multi_label: card.multi_label.unwrap_or(how.every_class),
            class_agnostic: how.across,
            decisions: described.decisions,
            rewrites: prepared.rewrites,
            weighed: prepared.weighed,
            warnings: described.warnings,
            certain: described.certain,
            source: follows_picture.map(|_| Source {
                bytes: file::shared(bytes.clone()),
                options: options.clone(),
                card,
            }),
        })
    }

    /// Returns the bytes of the form that an engine runs.
    pub fn bytes_of_form(&self, quantised: bool) -> &Arc<[u8]> {
        match &self.quantised {
            Some(form) if quantised => &form.bytes,
            _ => &self.bytes,
        }
    }

    /// Returns what an inference of a form takes, or why no engine may have it. It was found when the file was read, so no
    /// engine decodes the bytes again for it.
    pub(crate) fn weighed(&self, quantised: bool) -> &Weighed {
        match &self.quantised {
            Some(form) if quantised => &form.weighed,
            _ => &self.weighed,
        }
    }

    /// Drops the bytes once an engine has them, and keeps the rewrites of the form that runs.
    pub fn loaded(mut self, quantised: bool) -> Self {
        self.bytes = Arc::default();
        if let Some(form) = self.quantised.take().filter(|_| quantised) {
            self.rewrites = form.rewrites;
        }
        self
    }

    /// Returns this model at the input size for `picture`, with the same labels. Only a file of weights beside the model
    /// is read again. If the input size does not follow the picture, the result is a copy.
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

/// Decodes a file, takes in the weights beside it, and brings its graph to the one form that recognition knows.
fn normalised(
    bytes: &[u8],
    options: &ModelOptions,
) -> Result<(ModelProto, rewrite::Normalised), ModelError> {
    let mut proto = parse::decode(bytes)?;
    let folder = options.path.as_deref().and_then(Path::parent);
    let embedded = rewrite::embed_data::run(&mut proto, folder)?;
    parse::check_embedded(&proto)?;
    let embedded = embedded.into_iter().collect();
    let normalised = rewrite::normalise(bytes, &mut proto, embedded);
    Ok((proto, normalised))
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

/// Most bytes of a card.
const MAX_CARD_BYTES: u64 = 1 << 20;

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
            let path = Path::new("of the built-in model");
            return Ok(Card::parse(path, builtin::CARD.as_bytes())?);
        }
    };
    let text = side_file::read(&path, MAX_CARD_BYTES).map_err(|error| ModelError::Card {
        path: path.clone(),
        what: format!("{error}; expected a card in JSON"),
    })?;
    Ok(Card::parse(&path, &text)?)
}
