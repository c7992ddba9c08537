//! [`Recognised`]: how a model is read and fed, and the rewrites of its graph that follow.

use super::described::Described;
use super::error::ModelError;
use super::outputs::Read;
use super::suppression::{self, How, Proved};
use super::{ModelOptions, input};
use crate::base::geometry::Size;
use crate::base::tensor::InputSpec;
use crate::families::Family;
use crate::families::card::Card;
use crate::families::yolov8::Yolov8;
use crate::onnx::error::OnnxError;
use crate::onnx::facts::Facts;
use crate::onnx::infer;
use crate::onnx::proto::ModelProto;
use crate::onnx::rewrite::{self, Ending, Normalised, Prepared};

/// How a model is read and fed.
pub struct Recognised {
    /// Input, labels and thresholds.
    pub described: Described,
    /// How the outputs are decoded.
    pub family: Box<dyn Family>,
    /// Step of the sides of an input whose size follows the picture.
    pub follows_picture: Option<u32>,
    /// Names of the outputs that are read.
    pub outputs: Vec<String>,
    /// How detect chooses among candidates, as the suppression in the graph had it.
    pub how: How,
    /// The size that the export fixes.
    exported: Size,
    /// The suppression in the graph that detect does in its place.
    proved: Option<Proved>,
}

impl Recognised {
    /// Reads a model. With `may_cut` a suppression in the graph that is like that of detect is left to detect.
    ///
    /// # Errors
    /// [`ModelError`] with what was found and what was expected.
    pub fn new(
        proto: &ModelProto,
        card: &Card,
        options: &ModelOptions,
        warnings: Vec<String>,
        may_cut: bool,
    ) -> Result<Self, ModelError> {
        let graph = proto.graph.as_ref().ok_or_else(|| OnnxError::NotOnnx {
            why: "it has no graph".into(),
        })?;
        let whole = Facts::new(proto, graph)?;
        let opset = infer::opset(proto);
        let Read {
            mut reading,
            facts,
            decision,
        } = Read::new(&whole, card)?;
        let mut described = Described::new(&facts, &reading, card, options, warnings.clone())?;
        let exported = InputSpec {
            size: input::exported(&facts, &described.input),
            ..described.input.clone()
        };
        let family = reading.family.as_ref();
        let outputs: Vec<String> = facts.outputs.iter().map(|port| port.name.clone()).collect();
        let prove = || suppression::prove(graph, &outputs, opset, family, &exported);
        let proved = may_cut.then(prove).flatten();
        if let Some(Proved { suppression, .. }) = &proved {
            // A card that says that nothing is to be suppressed speaks of the outputs of the file.
            let mut card = card.clone();
            card.iou_threshold = card.iou_threshold.filter(|iou| *iou < 1.0);
            reading.iou_threshold = card.iou_threshold.or(Some(suppression.iou));
            reading.classes = suppression.classes;
            described = Described::new(&facts, &reading, &card, options, warnings)?;
        }
        described.decisions.extend(decision);
        Ok(Self {
            follows_picture: input::follows_picture(&facts, &reading, card, options.input_size),
            how: How::default(),
            exported: exported.size,
            outputs,
            family: reading.family,
            described,
            proved,
        })
    }

    /// Rewrites the graph of the model, which is `original` in the file; family and outputs are then those of the new
    /// graph.
    ///
    /// # Errors
    /// [`ModelError`] if the graph cannot be had as it is needed.
    pub fn rewrite(
        &mut self,
        original: &[u8],
        mut proto: ModelProto,
        mut normalised: Normalised,
        cut_head: bool,
    ) -> Result<Prepared, ModelError> {
        rewrite::keep_outputs(&mut proto, &mut normalised, &self.outputs);
        let table = self.cut_suppression(&mut proto, &mut normalised)?;
        // A table that was suppressed has corners.
        let whole: Box<dyn Family> = match table {
            Some(_) => Box::new(Yolov8),
            None => self.family.clone(),
        };
        let ending = whole.ending().filter(|_| cut_head);
        let in_corners = ending.map(suppression::InCorners);
        let plan = rewrite::Plan {
            input: &self.described.input,
            exported: self.exported,
            ending: match &table {
                Some(_) => in_corners.as_ref().map(|ending| ending as &dyn Ending),
                None => ending,
            },
            table: table.as_deref(),
            raw_heads: self.family.has_raw_heads(),
        };
        let mut prepared = rewrite::prepare(original, proto, &plan, normalised)?;
        if let Some(heads) = prepared.heads.take() {
            if let Some(family) = whole.ended_at(&heads) {
                self.family = family;
            }
            self.outputs = heads.outputs;
        }
        Ok(prepared)
    }

    /// Ends the graph before a suppression that was proved to be like ours. Returns the table that boxes and scores are
    /// parts of, if there is one.
    fn cut_suppression(
        &mut self,
        proto: &mut ModelProto,
        normalised: &mut Normalised,
    ) -> Result<Option<String>, ModelError> {
        let Some(proved) = self.proved.take() else {
            return Ok(None);
        };
        rewrite::cut_before(proto, normalised, &proved.suppression)?;
        self.outputs = proved.suppression.names().to_vec();
        self.family = proved.family;
        self.how = proved.how;
        Ok(proved.table)
    }
}
