//! Rewrites of the ONNX graph, one per file, so that every engine gains.
//!
//! A rewrite keeps the boxes, or it does not run. An engine gets the original bytes of a model that no rewrite changed.
//! A changed model is written anew only if nothing in the file would be lost.

mod add_batch;
mod chain_max_pools;
mod constant_inputs;
mod constant_of_shape;
mod constants;
pub mod cut_head;
pub mod cut_suppression;
pub mod embed_data;
mod ending;
mod fix_shape;
mod fold_quantised;
mod follow_size;
mod inline_if;
mod keep_outputs;
mod lossless;
mod merge_focus;
mod name_nodes;
pub(super) mod names;
pub(super) mod prune;
mod quantised;
mod raise_opset;
mod side_inputs;
mod split_concat;
mod widen_f16;

use crate::base::geometry::Size;
use crate::base::tensor::InputSpec;
use crate::onnx::budget::{self, Weighed};
use crate::onnx::error::OnnxError;
use crate::onnx::infer;
pub use cut_head::Heads;
pub use cut_head::level::{Cell, sigmoid};
pub use ending::Ending;
use prost::Message;
pub use quantised::{Quantisation, Unfolded};
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// Most bytes of a name that replaces another. It is written wherever its value is used, so a name of a megabyte in a
/// short file could be written a thousand times.
const LONGEST_NAME: usize = 4096;

/// A graph ready for the engines.
pub struct Prepared {
    /// `None` if nothing was changed.
    pub bytes: Option<Vec<u8>>,
    /// One sentence for each rewrite that changed something.
    pub rewrites: Vec<String>,
    /// The new outputs, if the graph now ends earlier.
    pub heads: Option<Heads>,
    /// The same model as the file has it, where that was folded and engines of integers can run it.
    pub quantised: Option<quantised::Prepared>,
    /// The demand of an inference, or the reason why no engine may have the graph.
    pub(crate) weighed: Weighed,
}

/// The facts of a model that rewrites need.
pub struct Plan<'a> {
    /// The input that the graph shall be run with.
    pub input: &'a InputSpec,
    /// The size that the export fixes; where it leaves a side free, the one that the input shall have.
    pub exported: Size,
    /// The end of the graph that the decoder can do in its place; `None` keeps the outputs of the file.
    pub ending: Option<&'a dyn Ending>,
    /// The value that has the end; `None` is the only output.
    pub table: Option<&'a str>,
    /// The decoder makes the boxes, for whatever input size.
    pub raw_heads: bool,
}

impl Plan<'_> {
    /// The input, of the size that the export fixes.
    fn exported_input(&self) -> InputSpec {
        InputSpec {
            size: self.exported,
            ..self.input.clone()
        }
    }
}

/// The result of [`normalise`].
#[derive(Debug, Default, PartialEq)]
pub struct Normalised {
    /// One sentence for each rewrite that changed something.
    pub rewrites: Vec<String>,
    /// Rewrites that were possible and not made, with the reasons.
    pub warnings: Vec<String>,
    /// The graph before it was folded, if it was and some engine may gain by it.
    pub unfolded: Option<Unfolded>,
}

/// Brings the forms in which a detector is exported (16-bit numbers, quantised) to one float graph. This runs before
/// recognition, which then knows only one form. `done` names the rewrites that ran before on the same messages.
pub fn normalise(original: &[u8], model: &mut ModelProto, done: Vec<String>) -> Normalised {
    let mut done = Normalised {
        rewrites: done,
        ..Normalised::default()
    };
    let opset = infer::opset(model);
    let Some(graph) = model.graph.as_mut() else {
        return done;
    };
    let (half, quantised) = (widen_f16::applies(graph), fold_quantised::applies(graph));
    if !half && !quantised {
        return done;
    }
    let fields = lossless::unknown_fields(original);
    if !fields.is_empty() {
        done.warnings.push(format!(
            "the graph stays in its f16 or quantised form: written anew it would lose {}",
            fields.join(", ")
        ));
        return done;
    }
    done.rewrites.extend(widen_f16::run(graph));
    let unfolded = Quantisation::find(graph).map(|quantisation| Unfolded {
        model: model.clone(),
        quantisation,
        rewrites: done.rewrites.clone(),
        renamed: HashMap::new(),
        integers: HashMap::new(),
    });
    let folded = model.graph.as_mut().map(|g| fold_quantised::run(g, opset));
    match folded {
        Some(Ok(Some(folded))) => {
            done.rewrites.push(folded.said);
            done.unfolded = unfolded.map(|unfolded| Unfolded {
                renamed: folded.renamed,
                integers: folded.integers,
                ..unfolded
            });
        }
        Some(Ok(None)) | None => {}
        Some(Err(reason)) => done
            .warnings
            .push(format!("the graph stays quantised, and slow: {reason}")),
    }
    done
}

/// Leaves out the outputs that are not in `names`, in both forms of a model.
pub fn keep_outputs(model: &mut ModelProto, normalised: &mut Normalised, names: &[String]) {
    let run = |model: &mut ModelProto| keep_outputs::run(model.graph.as_mut()?, names);
    normalised.rewrites.extend(run(model));
    if let Some(unfolded) = &mut normalised.unfolded {
        unfolded.rewrites.extend(run(&mut unfolded.model));
    }
}

/// Returns whether a file can be written anew without losing anything.
pub fn is_lossless(original: &[u8]) -> bool {
    lossless::unknown_fields(original).is_empty()
}

/// Ends both forms of a model before its suppression; a form that cannot be ended there is dropped.
///
/// # Errors
/// [`OnnxError::NotOnnx`] if the suppression is not of this model.
pub fn cut_before(
    model: &mut ModelProto,
    normalised: &mut Normalised,
    suppression: &cut_suppression::Suppression,
) -> Result<(), OnnxError> {
    let run = |model: &mut ModelProto| match &mut model.graph {
        Some(graph) => suppression.cut(graph),
        None => Err("it has no graph".into()),
    };
    let said = run(model).map_err(|why| OnnxError::NotOnnx { why })?;
    normalised.rewrites.push(said);
    if let Some(mut unfolded) = normalised.unfolded.take() {
        match run(&mut unfolded.model) {
            Ok(said) => {
                unfolded.rewrites.push(said);
                normalised.unfolded = Some(unfolded);
            }
            Err(why) => {
                (normalised.rewrites).push(format!("every engine gets the folded graph: {why}"))
            }
        }
    }
    Ok(())
}

/// Runs the rewrites that depend on the kind of model, on the result of [`normalise`].
///
/// # Errors
/// [`OnnxError::Lossy`] if a rewrite is needed that the file does not allow.
pub fn prepare(
    original: &[u8],
    mut model: ModelProto,
    plan: &Plan,
    normalised: Normalised,
) -> Result<Prepared, OnnxError> {
    let fields = lossless::unknown_fields(original);
    let mut rewrites = normalised.rewrites;
    let heads = rewrite(&mut model, plan, fields.is_empty(), &mut rewrites)?;
    let quantised = match (normalised.unfolded, &model.graph) {
        (Some(unfolded), Some(folded)) => {
            quantised::prepare(unfolded, folded, plan, heads.as_ref())
                .map_err(|why| rewrites.push(format!("every engine gets the folded graph: {why}")))
                .ok()
        }
        _ => None,
    };
    if !rewrites.is_empty() && !fields.is_empty() {
        return Err(OnnxError::Lossy {
            needed: rewrites.join("; "),
            fields,
        });
    }
    Ok(Prepared {
        weighed: budget::weigh(&model, plan.input),
        bytes: (!rewrites.is_empty()).then(|| model.encode_to_vec()),
        rewrites,
        heads,
        quantised,
    })
}

/// Makes a graph of either form take the one input of the size that the export fixes; one sentence for each rewrite.
fn feed(graph: &mut GraphProto, plan: &Plan, exported: &InputSpec) -> impl Iterator<Item = String> {
    let side = side_inputs::run(graph, plan.input);
    let batch = add_batch::run(graph, exported);
    let shape = fix_shape::run(graph, exported);
    side.into_iter().chain(batch).chain(shape)
}

/// Runs the rewrites that help every engine; `lossless` says that the file may be written anew.
fn rewrite(
    model: &mut ModelProto,
    plan: &Plan,
    lossless: bool,
    rewrites: &mut Vec<String>,
) -> Result<Option<Heads>, OnnxError> {
    rewrites.extend(raise_opset::run(model));
    let opset = infer::opset(model);
    let Some(graph) = model.graph.as_mut() else {
        return Ok(None);
    };
    let exported = plan.exported_input();
    rewrites.extend(feed(graph, plan, &exported));
    rewrites.extend(constant_of_shape::run(graph));
    if lossless {
        rewrites.extend(inline_if::run(graph, opset, &exported));
    }
    let mut heads = None;
    if let Some(ending) = plan.ending.filter(|_| lossless) {
        heads = match plan.table {
            Some(table) => cut_head::run_at(graph, table, opset, &exported, ending),
            None => cut_head::run(graph, opset, &exported, ending),
        };
        rewrites.extend(heads.iter().map(|heads| heads.said.clone()));
    }
    if plan.exported != plan.input.size {
        let said = match heads.is_some() || plan.raw_heads {
            true => follow_size::run(graph, opset, &exported, plan.input),
            false => Err("its boxes are made in the graph, for pictures of that size".into()),
        };
        rewrites.push(said.map_err(|why| OnnxError::InputSize {
            asked: plan.input.size,
            takes: format!("{} only: {why}", plan.exported),
        })?);
    }
    // A model may do without.
    if lossless {
        rewrites.extend(merge_focus::run(graph, opset, plan.input));
        rewrites.extend(chain_max_pools::run(graph));
        rewrites.extend(split_concat::run(graph, opset, plan.input));
        rewrites.extend(name_nodes::run(graph));
        rewrites.extend(constant_inputs::run(model, !rewrites.is_empty()));
    }
    Ok(heads)
}

/// An operator of ONNX's own.
fn is(node: &NodeProto, op: &str) -> bool {
    node.op_type == op && matches!(node.domain.as_str(), "" | "ai.onnx")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{input_spec, model, node};
    use tract_onnx::pb::AttributeProto;
    use tract_onnx::pb::tensor_proto::DataType;

    /// A model with a field that prost does not know, and its bytes.
    fn with_unknown_field(side: i64) -> (ModelProto, Vec<u8>) {
        let nodes = vec![node("Relu", &["x"], &["y"])];
        let model = model(nodes, &[("x", &[1, 3, 32, side])], &[("y", &[])]);
        let mut bytes = model.encode_to_vec();
        bytes.extend([0xd2, 0x01, 0]);
        (model, bytes)
    }

    fn plan(input: &InputSpec) -> Plan<'_> {
        Plan {
            input,
            exported: input.size,
            ending: None,
            table: None,
            raw_heads: false,
        }
    }

    #[test]
    fn a_file_that_would_lose_something_is_not_written_anew() {
        let (model, bytes) = with_unknown_field(-1);
        let error = prepare(&bytes, model, &plan(&input_spec()), Normalised::default())
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(
            text.contains("[1, 3, 32, 64]") && text.contains("Model.26"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_needs_no_rewrite_may_hold_anything() {
        let (model, bytes) = with_unknown_field(64);
        let prepared = prepare(&bytes, model, &plan(&input_spec()), Normalised::default()).unwrap();
        assert!(prepared.bytes.is_none() && prepared.rewrites.is_empty());
    }

    #[test]
    fn a_file_that_would_lose_something_stays_quantised() {
        let mut cast = node("Cast", &["x"], &["y"]);
        cast.attribute.push(AttributeProto {
            name: "to".into(),
            i: DataType::Float16 as i64,
            ..Default::default()
        });
        let mut half = model(vec![cast], &[("x", &[1])], &[("y", &[1])]);
        let mut bytes = half.encode_to_vec();
        let before = half.clone();
        bytes.extend([0xd2, 0x01, 0]);
        let done = normalise(&bytes, &mut half, Vec::new());
        assert!(done.rewrites.is_empty() && done.unfolded.is_none() && half == before);
        assert!(done.warnings[0].contains("Model.26"), "{:?}", done.warnings);
        let done = normalise(&before.encode_to_vec(), &mut half, Vec::new());
        assert!(done.rewrites[0].contains("f16"), "{:?}", done.rewrites);
    }

    #[test]
    fn what_cannot_be_folded_is_told() {
        let nodes = vec![
            node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"]),
            node("Neg", &["q"], &["y"]),
        ];
        let mut odd = model(nodes, &[("x", &[1])], &[("y", &[1])]);
        let before = odd.clone();
        let done = normalise(&before.encode_to_vec(), &mut odd, Vec::new());
        assert!(done.rewrites.is_empty() && odd == before);
        assert!(
            done.warnings[0].contains("stays quantised"),
            "{:?}",
            done.warnings
        );
    }

    #[test]
    fn weights_of_a_second_file_are_written_into_the_model() {
        let (model, _) = with_unknown_field(64);
        let done = Normalised {
            rewrites: vec!["took in the weights".to_owned()],
            ..Normalised::default()
        };
        let prepared = prepare(
            &model.encode_to_vec(),
            model.clone(),
            &plan(&input_spec()),
            done,
        )
        .unwrap();
        assert_eq!(prepared.bytes, Some(model.encode_to_vec()));
    }
}
