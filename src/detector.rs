//! [`Detector`]: picture in, detections out: preprocess, engine, decode, suppress, map back.

use crate::decode::{DecodeError, Decoder, Labelling, decoder_for};
use crate::detection::{Detection, Thresholds};
use crate::engine::{self, Engine, EngineError, EngineKind, EngineOptions, Opened};
use crate::geometry::BBox;
use crate::image::ImageView;
use crate::model::{Model, ModelError, ModelOptions};
use crate::nms;
use crate::preprocess::{PreprocessError, Preprocessor};
use crate::tensor::Tensor;
use std::fmt;
use std::time::{Duration, Instant};

/// What to load, and how to run it.
#[derive(Debug, Clone, Default)]
pub struct DetectorOptions {
    pub model: ModelOptions,
    pub engine: EngineKind,
    pub engine_options: EngineOptions,
}

/// The detections of one picture, and where the time went.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// In pixels of the picture, clipped to it, best first.
    pub detections: Vec<Detection>,
    pub preprocess: Duration,
    pub model: Duration,
    pub postprocess: Duration,
}

/// A model that is ready to look at pictures, one at a time.
pub struct Detector {
    model: Model,
    engine: Box<dyn Engine>,
    engine_kind: EngineKind,
    engine_reason: String,
    decoder: Box<dyn Decoder>,
    preprocessor: Option<Preprocessor>,
    input: Tensor,
    load_time: Duration,
    warm_up_time: Duration,
}

impl Detector {
    /// Reads, recognises and loads a model, and runs it once on an empty picture.
    ///
    /// Blocks for all of it: a second for a small model, more on a slow machine.
    ///
    /// # Errors
    /// [`OpenError`], of the model file, the engine, or outputs that are not those of the model's family.
    pub fn open(options: &DetectorOptions) -> Result<Self, OpenError> {
        let begin = Instant::now();
        let model = Model::open(&options.model)?;
        let Opened {
            engine,
            kind,
            reason,
        } = engine::open(options.engine, &model, &options.engine_options)?;
        let labelling = match model.multi_label {
            true => Labelling::Every,
            false => Labelling::Best,
        };
        let decoder = decoder_for(
            &model.family,
            model.input.size,
            model.classes,
            engine.outputs(),
            labelling,
        )?;
        let mut detector = Self {
            input: model.input.blank(),
            model,
            engine,
            engine_kind: kind,
            engine_reason: reason,
            decoder,
            preprocessor: None,
            load_time: begin.elapsed(),
            warm_up_time: Duration::ZERO,
        };
        detector.warm_up()?;
        Ok(detector)
    }

    /// One inference on an empty picture; its outputs must be those of the family.
    fn warm_up(&mut self) -> Result<(), OpenError> {
        let begin = Instant::now();
        let outputs = self.engine.run(&self.input)?;
        self.warm_up_time = begin.elapsed();
        self.decoder.decode(&outputs, 1.0, &mut Vec::new())?;
        Ok(())
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What runs the model.
    pub fn engine_kind(&self) -> EngineKind {
        self.engine_kind
    }

    /// Why this engine does, in words, with its library where it has one.
    pub fn engine_reason(&self) -> &str {
        &self.engine_reason
    }

    /// Reading, recognising and loading, without the warm-up.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// Of the first inference.
    pub fn warm_up_time(&self) -> Duration {
        self.warm_up_time
    }

    /// Finds objects in one picture. Blocks for the whole analysis.
    ///
    /// # Errors
    /// [`DetectError`]; the detector can be used for the next picture all the same, except after a panic of the
    /// engine ([`EngineError::Panic`]).
    pub fn detect(
        &mut self,
        image: &ImageView,
        thresholds: &Thresholds,
    ) -> Result<Analysis, DetectError> {
        let begin = Instant::now();
        let preprocessor = Self::preprocessor_for(&mut self.preprocessor, image, &self.model)?;
        preprocessor.run(image, &mut self.input)?;
        let prepared = Instant::now();
        let outputs = self.engine.run(&self.input)?;
        let inferred = Instant::now();
        let mut detections = Vec::new();
        self.decoder
            .decode(&outputs, thresholds.score, &mut detections)?;
        nms::suppress(&mut detections, thresholds.iou, thresholds.max_detections);
        let letterbox = preprocessor.letterbox();
        let size = image.info().size;
        for detection in &mut detections {
            detection.bbox = letterbox.box_to_source(&detection.bbox).clip(size);
        }
        detections.retain(|d| visible(&d.bbox));
        Ok(Analysis {
            detections,
            preprocess: prepared - begin,
            model: inferred - prepared,
            postprocess: inferred.elapsed(),
        })
    }

    /// The preprocessor of the picture's format, made anew when the format changes.
    fn preprocessor_for<'a>(
        current: &'a mut Option<Preprocessor>,
        image: &ImageView,
        model: &Model,
    ) -> Result<&'a mut Preprocessor, PreprocessError> {
        match current {
            Some(p) if p.picture() == image.info() => {}
            _ => *current = Some(Preprocessor::new(*image.info(), &model.input)?),
        }
        Ok(current.as_mut().expect("made just above if there was none"))
    }
}

/// A box wholly in the padding, or of no area, shows nothing.
fn visible(bbox: &BBox) -> bool {
    bbox.area() > 0.0
}

/// Why a model cannot be used.
#[derive(Debug)]
pub enum OpenError {
    Model(ModelError),
    Engine(EngineError),
    /// The engine's outputs are not those of the family.
    Decode(DecodeError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(err) => err.fmt(f),
            Self::Engine(err) => err.fmt(f),
            Self::Decode(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(err) => Some(err),
            Self::Engine(err) => Some(err),
            Self::Decode(err) => Some(err),
        }
    }
}

/// Why one picture could not be analysed.
#[derive(Debug)]
pub enum DetectError {
    Preprocess(PreprocessError),
    Engine(EngineError),
    Decode(DecodeError),
}

impl fmt::Display for DetectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preprocess(err) => err.fmt(f),
            Self::Engine(err) => err.fmt(f),
            Self::Decode(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for DetectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Preprocess(err) => Some(err),
            Self::Engine(err) => Some(err),
            Self::Decode(err) => Some(err),
        }
    }
}

macro_rules! from {
    ($($outer:ident :: $variant:ident ( $inner:ty )),* $(,)?) => {
        $(impl From<$inner> for $outer {
            fn from(err: $inner) -> Self {
                Self::$variant(err)
            }
        })*
    };
}

from! {
    OpenError::Model(ModelError),
    OpenError::Engine(EngineError),
    OpenError::Decode(DecodeError),
    DetectError::Preprocess(PreprocessError),
    DetectError::Engine(EngineError),
    DetectError::Decode(DecodeError),
}
