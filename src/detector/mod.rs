//! [`Detector`]: picture in, detections out. It preprocesses, infers, decodes, suppresses and maps boxes back.

mod ahead;
mod boxes;
mod error;
mod plausible;

use crate::base::classes::{ClassesError, Cutoffs, Selection};
use crate::base::detection::{Detection, Thresholds};
use crate::base::geometry::{BBox, Size};
use crate::base::image::ImageView;
use crate::base::tensor::{InputSpec, Tensor};
use crate::engine::{self, Engine, EngineKind, EngineOptions, Opened};
use crate::families::{DecodeError, Decoder, Labelling, decoder_for};
use crate::model::{Model, ModelOptions};
use crate::vision::letterbox::Letterbox;
use crate::vision::preprocess::{PreprocessError, Preprocessor};
pub use ahead::Ahead;
use boxes::{is_of_size, suppress, suppress_low, visible};
pub use error::{DetectError, OpenError};
pub use plausible::OutputCheck;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The model to load, and how to run it.
#[derive(Debug, Clone, Default)]
pub struct DetectorOptions {
    /// File, labels, card and input size.
    pub model: ModelOptions,
    /// Which engine runs the model.
    pub engine: EngineKind,
    /// Threads and precision.
    pub engine_options: EngineOptions,
}

/// The detections of one picture, and the time of each stage.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// Detections in pixels of the picture, clipped to it, best first.
    pub detections: Vec<Detection>,
    /// Detections with scores too low to be reported, if [`Detector::infer`] was asked for them.
    pub low: Vec<Detection>,
    /// A sentence about outputs that no detector gives, said once in the first analyses.
    pub warning: Option<String>,
    /// Time from pixels to tensor.
    pub preprocess: Duration,
    /// The input was ready before the analysis began, see [`Ahead`].
    pub made_ahead: bool,
    /// Time of the engine alone.
    pub model: Duration,
    /// Time to decode, suppress and map back.
    pub postprocess: Duration,
}

/// The scale and size of a picture, kept to map boxes back once the model's input is made.
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    letterbox: Letterbox,
    size: Size,
    took: Duration,
    ahead: bool,
}

impl Prepared {
    /// Maps a box from the input to pixels of the picture, and clips it.
    fn in_picture(&self, bbox: &BBox) -> BBox {
        self.letterbox.box_to_source(bbox).clip(self.size)
    }
}

/// Classes as requested, and the thresholds that follow.
struct Wanted {
    classes: Arc<str>,
    /// Threshold of classes without their own.
    score: f32,
    cutoffs: Arc<Cutoffs>,
}

/// A loaded model that analyses one picture at a time.
pub struct Detector {
    model: Arc<Model>,
    /// Outputs of the last run, whose memory the next run reuses. Some belong to the engine, so they are dropped first.
    outputs: Vec<Tensor>,
    engine: Box<dyn Engine>,
    engine_kind: EngineKind,
    engine_options: EngineOptions,
    engine_reason: String,
    decoder: Box<dyn Decoder>,
    /// Classes that the decoder was made for; `None` = all.
    wanted: Option<Wanted>,
    check: OutputCheck,
    /// Made for the format of the last picture; holds the model's input.
    preprocessor: Option<Box<Preprocessor>>,
    load_time: Duration,
    warm_up_time: Duration,
}

impl Detector {
    /// Reads, recognises and loads a model, and runs it once on an empty picture.
    ///
    /// Blocks for all of it: a second for a small model, longer on a slow machine.
    ///
    /// # Errors
    /// [`OpenError`] if the file, the engine, or the outputs of the model cannot be used.
    pub fn open(options: &DetectorOptions) -> Result<Self, OpenError> {
        let begin = Instant::now();
        Self::open_model(Model::open(&options.model)?, options, begin)
    }

    /// Opens [`EngineOptions::at_once`] detectors that work at the same time. They share the weights where the engine
    /// can.
    ///
    /// # Errors
    /// [`OpenError`], as for [`Detector::open`].
    pub fn open_all(options: &DetectorOptions) -> Result<Vec<Self>, OpenError> {
        let begin = Instant::now();
        let model = Model::open(&options.model)?;
        let opened = engine::open(options.engine, &model, &options.engine_options)?;
        let threads = options.engine_options.good_threads();
        let bytes = model.bytes_of_form(opened.quantised);
        let others = (1..options.engine_options.at_once)
            .map(|_| opened.engine.another(threads, bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let mut all = vec![Self::with(model, opened, options, begin)?];
        for engine in others {
            all.push(all[0].beside(engine)?);
        }
        Ok(all)
    }

    /// Opens a model that has already been read, at the input size that suits pictures of the size `picture`.
    ///
    /// # Errors
    /// [`OpenError`], as for [`Detector::open`].
    pub fn open_for(
        model: &Model,
        picture: Size,
        options: &DetectorOptions,
    ) -> Result<Self, OpenError> {
        let begin = Instant::now();
        Self::open_model(model.for_picture(picture)?, options, begin)
    }

    fn open_model(
        model: Model,
        options: &DetectorOptions,
        begin: Instant,
    ) -> Result<Self, OpenError> {
        let opened = engine::open(options.engine, &model, &options.engine_options)?;
        Self::with(model, opened, options, begin)
    }

    fn with(
        model: Model,
        opened: Opened,
        options: &DetectorOptions,
        begin: Instant,
    ) -> Result<Self, OpenError> {
        let Opened {
            engine,
            kind,
            quantised,
            reason,
        } = opened;
        let model = model.loaded(quantised);
        let decoder = decoder(&model, engine.as_ref(), None)?;
        let mut detector = Self {
            model: Arc::new(model),
            engine,
            engine_kind: kind,
            engine_options: options.engine_options,
            engine_reason: reason,
            decoder,
            wanted: None,
            check: OutputCheck::default(),
            preprocessor: None,
            outputs: Vec::new(),
            load_time: begin.elapsed(),
            warm_up_time: Duration::ZERO,
        };
        detector.warm_up()?;
        Ok(detector)
    }

    /// Infers once from an empty picture, takes what the outputs tell of their form, and checks that they fit the family.
    fn warm_up(&mut self) -> Result<(), OpenError> {
        let begin = Instant::now();
        let picture = self.model.input.blank();
        self.engine.run_into(&picture, &mut self.outputs)?;
        self.warm_up_time = begin.elapsed();
        self.engine.release_thread();
        // Nobody else has the model yet.
        if let Some(model) = Arc::get_mut(&mut self.model)
            && self
                .check
                .settle(model, self.engine.outputs(), &self.outputs)?
        {
            self.decoder = decoder(model, self.engine.as_ref(), None)?;
        }
        self.decoder.decode(&self.outputs, 1.0, &mut Vec::new())?;
        Ok(())
    }

    /// Creates a detector that works at the same time as this one, with another engine for the same model.
    fn beside(&self, engine: Box<dyn Engine>) -> Result<Self, OpenError> {
        Ok(Self {
            model: self.model.clone(),
            decoder: decoder(&self.model, engine.as_ref(), None)?,
            engine,
            engine_kind: self.engine_kind,
            engine_options: self.engine_options,
            engine_reason: self.engine_reason.clone(),
            wanted: None,
            check: OutputCheck::silent(),
            preprocessor: None,
            outputs: Vec::new(),
            load_time: self.load_time,
            warm_up_time: self.warm_up_time,
        })
    }

    /// Returns the model, without its bytes, which the engine holds.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Returns which engine runs the model.
    pub fn engine_kind(&self) -> EngineKind {
        self.engine_kind
    }

    /// Returns why this engine runs it, with its library if it has one.
    pub fn engine_reason(&self) -> &str {
        &self.engine_reason
    }

    /// Returns the time to read, recognise and load the model, without the warm-up.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// Returns the time of the first inference.
    pub fn warm_up_time(&self) -> Duration {
        self.warm_up_time
    }

    fn selection(&self, classes: &str) -> Result<Selection, ClassesError> {
        let labels: Vec<String> = self.model.labels.iter().map(|l| l.into_owned()).collect();
        Selection::new(classes, &labels)
    }

    /// Finds objects in one picture. Blocks for the whole analysis.
    /// # Errors
    /// [`DetectError`]. The detector can be used for the next picture, except after a panic of the engine
    /// ([`EngineError::Panic`](engine::EngineError::Panic)).
    pub fn detect(
        &mut self,
        image: &ImageView,
        thresholds: &Thresholds,
    ) -> Result<Analysis, DetectError> {
        let prepared = self.prepare(image)?;
        self.infer(&prepared, thresholds, None)
    }

    /// Makes the model's input: the first half of [`Self::detect`]. The picture is not needed afterwards.
    ///
    /// # Errors
    /// [`DetectError::Preprocess`]
    pub fn prepare(&mut self, image: &ImageView) -> Result<Prepared, DetectError> {
        Ok(prepare(&mut self.preprocessor, image, &self.model.input)?)
    }

    /// Analyses the picture that was prepared last: the second half of [`Self::detect`].
    ///
    /// A `low_score` below the score threshold also asks for [`Analysis::low`], which does not change what is reported.
    /// With [`Thresholds::classes`] there are no low detections.
    ///
    /// # Errors
    /// The same as for [`Self::detect`].
    pub fn infer(
        &mut self,
        prepared: &Prepared,
        thresholds: &Thresholds,
        low_score: Option<f32>,
    ) -> Result<Analysis, DetectError> {
        self.want(thresholds)?;
        let preprocessor = self.preprocessor.as_ref();
        let preprocessor = preprocessor.ok_or(DetectError::Unprepared)?;
        let begin = Instant::now();
        self.engine
            .run_into(preprocessor.tensor(), &mut self.outputs)?;
        let inferred = Instant::now();
        let mut detections = Vec::new();
        let cutoffs = self.wanted.as_ref().map(|wanted| &wanted.cutoffs);
        let lowest = cutoffs.map_or(thresholds.score, |cutoffs| cutoffs.lowest());
        // With a lower general threshold, a class below its own threshold could hide another class.
        let low_score = low_score.filter(|low| *low < lowest && cutoffs.is_none());
        self.decoder
            .decode(&self.outputs, low_score.unwrap_or(lowest), &mut detections)?;
        let model = &self.model;
        let warning = self
            .check
            .look(&self.outputs, &detections, model.input.size, model.classes);
        if let Some(cutoffs) = cutoffs {
            // Heads that select classes in the graph do not know which ones are wanted.
            detections.retain(|d| cutoffs.admits(d.class, d.score));
        }
        if thresholds.min_size > 0 {
            detections.retain(|d| is_of_size(&prepared.in_picture(&d.bbox), thresholds.min_size));
        }
        let mut low = match low_score {
            Some(_) => detections.extract_if(.., |d| d.score < lowest).collect(),
            None => Vec::new(),
        };
        let across = thresholds.class_agnostic || model.class_agnostic;
        suppress(&mut detections, thresholds, across);
        suppress_low(&mut low, &detections, thresholds, across);
        for found in [&mut detections, &mut low] {
            for detection in &mut *found {
                detection.bbox = prepared.in_picture(&detection.bbox);
                detection.score = detection.score.clamp(0.0, 1.0);
            }
            found.retain(|d| visible(&d.bbox));
        }
        Ok(Analysis {
            detections,
            low,
            warning,
            preprocess: prepared.took,
            made_ahead: prepared.ahead,
            model: inferred - begin,
            postprocess: inferred.elapsed(),
        })
    }

    /// Makes a new decoder when the wanted classes or the general threshold change.
    fn want(&mut self, thresholds: &Thresholds) -> Result<(), DetectError> {
        let as_it_is = match (&self.wanted, &thresholds.classes) {
            (None, None) => true,
            (Some(w), Some(classes)) => w.classes == *classes && w.score == thresholds.score,
            _ => false,
        };
        if as_it_is {
            return Ok(());
        }
        let wanted = match &thresholds.classes {
            Some(classes) => Some(Wanted {
                classes: classes.clone(),
                score: thresholds.score,
                cutoffs: Arc::new(self.selection(classes)?.cutoffs(thresholds.score)),
            }),
            None => None,
        };
        let cutoffs = wanted.as_ref().map(|wanted| wanted.cutoffs.clone());
        self.decoder = decoder(&self.model, self.engine.as_ref(), cutoffs)?;
        self.wanted = wanted;
        Ok(())
    }
}

/// Makes the model's input of a picture. A new picture format needs a new preprocessor.
fn prepare(
    current: &mut Option<Box<Preprocessor>>,
    image: &ImageView,
    input: &InputSpec,
) -> Result<Prepared, PreprocessError> {
    let begin = Instant::now();
    let fits = |p: &Preprocessor| p.picture() == image.info();
    if !current.as_deref().is_some_and(fits) {
        let preprocessor = Preprocessor::new(*image.info(), input)?;
        *current = Some(Box::new(preprocessor));
    }
    let preprocessor = current.as_mut();
    let preprocessor = preprocessor.expect("made just above if there was none");
    preprocessor.run(image)?;
    Ok(Prepared {
        letterbox: *preprocessor.letterbox(),
        size: image.info().size,
        took: begin.elapsed(),
        ahead: false,
    })
}

/// Makes the decoder for the classes that `cutoffs` admits, `None` = all. This is cheap.
fn decoder(
    model: &Model,
    engine: &dyn Engine,
    cutoffs: Option<Arc<Cutoffs>>,
) -> Result<Box<dyn Decoder>, DecodeError> {
    let (size, labelling) = (model.input.size, Labelling::new(model.multi_label, cutoffs));
    decoder_for(
        model.family.as_ref(),
        size,
        model.classes,
        engine.outputs(),
        labelling,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::image::{PictureInfo, PixelFormat, Plane};
    use crate::base::tensor::TensorSpec;
    use crate::engine::EngineError;
    use crate::families::e2e6::E2e6;
    use crate::model::Labels;

    /// An engine that always finds the same rows of corners, score and class.
    struct Canned {
        rows: Vec<[f32; 6]>,
        outputs: [TensorSpec; 1],
    }

    impl Engine for Canned {
        fn outputs(&self) -> &[TensorSpec] {
            &self.outputs
        }

        fn run_into(&mut self, _: &Tensor, outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
            let dims = [1, self.rows.len(), 6];
            *outputs = vec![Tensor::f32("rows", dims, self.rows.concat())];
            Ok(())
        }

        fn another(&self, _threads: usize, _bytes: &[u8]) -> Result<Box<dyn Engine>, EngineError> {
            Ok(Box::new(Self {
                rows: self.rows.clone(),
                outputs: self.outputs.clone(),
            }))
        }
    }

    /// Creates a detector with the input of the built-in model and a head that selects the classes itself.
    fn detector(rows: &[[f32; 6]]) -> Detector {
        let mut model = Model::open(&ModelOptions::default()).expect("it is built in");
        let names = ["cat", "dog"].map(str::to_owned).to_vec();
        (model.family, model.classes) = (Box::new(E2e6::default()), names.len());
        (model.labels, _) = Labels::fit(names, 2, "");
        let spec = Tensor::f32("rows", [1, rows.len(), 6], rows.concat()).spec();
        let engine: Box<dyn Engine> = Box::new(Canned {
            rows: rows.to_vec(),
            outputs: [spec],
        });
        Detector {
            decoder: decoder(&model, engine.as_ref(), None).expect("these are its outputs"),
            model: Arc::new(model),
            engine,
            engine_kind: EngineKind::default(),
            engine_options: EngineOptions::default(),
            engine_reason: String::new(),
            wanted: None,
            check: OutputCheck::default(),
            preprocessor: None,
            outputs: Vec::new(),
            load_time: Duration::ZERO,
            warm_up_time: Duration::ZERO,
        }
    }

    fn thresholds(score: f32, classes: Option<&str>) -> Thresholds {
        Thresholds {
            score,
            iou: 1.0,
            class_agnostic: false,
            max_detections: 100,
            min_size: 0,
            classes: classes.map(Arc::from),
        }
    }

    /// Returns the classes found on a picture of the model's input size.
    fn classes(detector: &mut Detector, thresholds: &Thresholds) -> Result<Vec<u32>, DetectError> {
        let (width, height) = (256, 256);
        let data = vec![128; 3 * width * height];
        let info = PictureInfo::new(PixelFormat::Rgb, Size::new(width as u32, height as u32));
        let plane = Plane {
            data: &data,
            stride: 3 * width,
        };
        let image = ImageView::new(info, &[plane]).expect("a picture");
        let found = detector.detect(&image, thresholds)?.detections;
        Ok(found.iter().map(|d| d.class).collect())
    }

    #[test]
    fn classes_are_chosen_too_where_the_head_has_chosen_before() {
        let mut detector = detector(&[
            [10.0, 10.0, 50.0, 50.0, 0.9, 0.0],
            [90.0, 90.0, 150.0, 150.0, 0.6, 1.0],
        ]);
        let mut found =
            |score, list| classes(&mut detector, &thresholds(score, list)).expect("found");
        assert_eq!(found(0.5, None), [0, 1]);
        assert_eq!(found(0.5, Some("dog")), [1]);
        assert!(
            found(0.8, Some("dog")).is_empty(),
            "the threshold of all has changed"
        );
        assert_eq!(found(0.8, Some("dog=0.6,cat")), [0, 1]);
        assert_eq!(found(0.8, Some("dog=0.6,cat=0.95")), [1]);
        assert_eq!(found(0.8, None), [0]);
    }

    /// Returns the scores reported and those below, on a picture of the model's input size.
    fn scores(
        detector: &mut Detector,
        thresholds: &Thresholds,
        low_score: Option<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        let data = vec![128; 3 * 256 * 256];
        let plane = Plane {
            data: &data,
            stride: 3 * 256,
        };
        let info = PictureInfo::new(PixelFormat::Rgb, Size::new(256, 256));
        let image = ImageView::new(info, &[plane]).expect("a picture");
        let prepared = detector.prepare(&image).expect("a tensor");
        let found = detector.infer(&prepared, thresholds, low_score);
        let Analysis {
            detections, low, ..
        } = found.expect("found");
        let scores = |all: Vec<Detection>| all.iter().map(|d| d.score).collect();
        (scores(detections), scores(low))
    }

    #[test]
    fn low_candidates_are_told_apart_and_change_nothing() {
        let mut detector = detector(&[
            [10.0, 10.0, 50.0, 50.0, 0.9, 0.0],
            [11.0, 10.0, 51.0, 50.0, 0.3, 0.0], // the same object
            [12.0, 10.0, 52.0, 50.0, 0.2, 1.0], // of another class
            [90.0, 90.0, 99.0, 99.0, 0.35, 1.0],
            [90.0, 90.0, 99.0, 99.0, 0.05, 1.0],
        ]);
        let mut told = |iou, low, classes| {
            let thresholds = Thresholds {
                iou,
                ..thresholds(0.5, classes)
            };
            scores(&mut detector, &thresholds, low)
        };
        assert_eq!(told(0.5, None, None), (vec![0.9], vec![]));
        assert_eq!(told(0.5, Some(0.1), None), (vec![0.9], vec![0.35, 0.2]));
        assert_eq!(told(0.5, Some(0.6), None), (vec![0.9], vec![]));
        assert_eq!(told(0.5, Some(0.1), Some("cat")), (vec![0.9], vec![]));
    }

    #[test]
    fn classes_that_the_model_has_not_are_an_error_and_the_next_picture_is_none() {
        let mut detector = detector(&[[10.0, 10.0, 50.0, 50.0, 0.9, 0.0]]);
        let error = classes(&mut detector, &thresholds(0.5, Some("mouse")));
        let error = error.expect_err("there is no mouse").to_string();
        assert!(
            error.contains("mouse") && error.contains("cat, dog"),
            "{error}"
        );
        let found = classes(&mut detector, &thresholds(0.5, Some("cat")));
        assert_eq!(found.expect("a cat"), [0]);
    }
}
