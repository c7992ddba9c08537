//! [`Recognised`]: how a model is read and fed, and the rewrites of its graph that follow.

use super::described::Described;
use super::error::ModelError;
use super::outputs::Read;
use super::{ModelOptions, input};
use crate::base::geometry::Size;
use crate::families::Family;
use crate::families::card::Card;
use crate::onnx::error::OnnxError;
use crate::onnx::facts::Facts;
use crate::onnx::infer;
use crate::onnx::proto::ModelProto;
use crate::onnx::rewrite::{self, Normalised, Prepared};

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
    /// The size that the export fixes.
    exported: Size,
}

impl Recognised {
    /// Reads a model.
    ///
    /// # Errors
    /// [`ModelError`] with what was found and what was expected.
    pub fn new(
        proto: &ModelProto,
        card: &Card,
        options: &ModelOptions,
        warnings: Vec<String>,
    ) -> Result<Self, ModelError> {
        let graph = proto.graph.as_ref().ok_or_else(|| OnnxError::NotOnnx {
            why: "it has no graph".into(),
        })?;
        let whole = Facts::new(proto, graph)?;
        let Read {
            reading,
            facts,
            decision,
        } = Read::new(&whole, card, infer::opset(proto))?;
        let mut described = Described::new(&facts, &reading, card, options, warnings)?;
        described.decisions.extend(decision);
        Ok(Self {
            follows_picture: input::follows_picture(&facts, &reading, card, options.input_size),
            exported: input::exported(&facts, &described.input),
            outputs: facts.outputs.iter().map(|port| port.name.clone()).collect(),
            family: reading.family,
            described,
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
        let plan = rewrite::Plan {
            input: &self.described.input,
            exported: self.exported,
            ending: self.family.ending().filter(|_| cut_head),
            raw_heads: self.family.has_raw_heads(),
        };
        let mut prepared = rewrite::prepare(original, proto, &plan, normalised)?;
        if let Some(heads) = prepared.heads.take() {
            if let Some(family) = self.family.ended_at(&heads) {
                self.family = family;
            }
            self.outputs = heads.outputs;
        }
        Ok(prepared)
    }
}
