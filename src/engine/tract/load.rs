//! [`load`]: turns the bytes of an ONNX file into tract's optimised model.

use super::budget::check_model;
use super::convert;
use super::convnet::{self, Chooser, Coverage};
use super::ops;
use crate::base::tensor::{InputSpec, TensorSpec};
use crate::engine::{EngineError, EngineKind};
use crate::onnx::budget;
use crate::onnx::tail::Tail;
use prost::Message;
use std::collections::BTreeSet;
use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

pub(super) struct Loaded {
    pub model: TypedModel,
    /// Zeros with the shape and type of the graph's input.
    pub input: Tensor,
    pub outputs: Vec<TensorSpec>,
    /// The end of the graph that tract does not run.
    pub tail: Option<Tail>,
    /// Share of the model that the executor runs; none if everything was left to tract.
    pub coverage: Option<Coverage>,
}

/// How a model is loaded.
#[derive(Debug)]
pub(super) struct Loading {
    /// Parts of the model go to our executor if they compute so many numbers for each that goes in or out; none leaves
    /// everything to tract.
    pub least_work: Option<u64>,
    pub chooser: Chooser,
    /// Measure what stays outside of the executor.
    pub is_profiled: bool,
}

impl Loading {
    /// Measures what serves the user of a model.
    pub fn for_user() -> Self {
        Self {
            least_work: convnet::least_work(),
            chooser: Chooser::for_user(),
            is_profiled: true,
        }
    }

    /// Measures nothing.
    #[cfg(any(test, feature = "stub-engine"))]
    pub fn without_measuring(least_work: Option<u64>) -> Self {
        Self {
            least_work,
            chooser: Chooser::estimates(),
            is_profiled: false,
        }
    }
}

/// Loads a file.
pub(super) fn load(
    bytes: &[u8],
    input: &InputSpec,
    loading: &mut Loading,
) -> Result<Loaded, EngineError> {
    let onnx = onnx()
        .with_ignore_output_shapes(true)
        .with_ignore_value_info(true);
    let (mut model, names, tail) = parse(&onnx, bytes, input)?;
    let datum_type = feed(&mut model, input)?;
    let typed = model.into_typed().map_err(refused)?;
    check_model(&typed)?;
    let mut decluttered = typed.into_decluttered().map_err(refused)?;
    let chooser = &mut loading.chooser;
    let coverage = (loading.least_work)
        .map(|least_work| convnet::inside(&mut decluttered, least_work, chooser));
    let coverage = coverage.transpose().map_err(refused)?;
    ops::replace(&mut decluttered).map_err(refused)?;
    let model = decluttered.into_optimized().map_err(refused)?;
    check_model(&model)?;
    let input = Tensor::zero_dt(datum_type, &input.dims()).map_err(refused)?;
    let outputs = output_specs(&model, names)?;
    Ok(Loaded {
        model,
        input,
        outputs,
        tail,
        coverage,
    })
}

/// Reads the graph without its tail, and the names of its outputs. Frees the parsed file and its copy of the weights on
/// return.
fn parse(
    onnx: &Onnx,
    bytes: &[u8],
    input: &InputSpec,
) -> Result<(InferenceModel, Vec<String>, Option<Tail>), EngineError> {
    let mut proto = ModelProto::decode(bytes).map_err(|error| {
        refusal(
            format!("it is not an ONNX file ({error})"),
            Some(error.into()),
        )
    })?;
    let tail = Tail::split(&mut proto, input);
    let graph = proto
        .graph
        .as_ref()
        .ok_or_else(|| refusal("it has no graph", None))?;
    let mut missing = BTreeSet::new();
    collect_missing(onnx, graph, &mut missing);
    if !missing.is_empty() {
        return Err(EngineError::Operator {
            engine: EngineKind::Tract,
            names: missing.into_iter().collect(),
        });
    }
    budget::check_operators(graph).map_err(|reason| refusal(reason, None))?;
    let names = graph
        .output
        .iter()
        .map(|output| output.name.clone())
        .collect();
    let parsed = onnx.parse(&proto, None).map_err(refused)?;
    match parsed.unresolved_inputs.as_slice() {
        [] => Ok((parsed.model, names, tail)),
        unresolved => {
            let unresolved = unresolved.join(", ");
            Err(refusal(
                format!("nothing in the graph produces {unresolved}"),
                None,
            ))
        }
    }
}

/// Collects operators that tract lacks, in the graph and in the graphs inside its nodes.
fn collect_missing(onnx: &Onnx, graph: &GraphProto, missing: &mut BTreeSet<String>) {
    for node in &graph.node {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            missing.insert(match node.domain.as_str() {
                "" | "ai.onnx" => node.op_type.clone(),
                domain => format!("{domain}.{}", node.op_type),
            });
        }
        for attribute in &node.attribute {
            let inner = attribute.g.iter().chain(&attribute.graphs);
            inner.for_each(|graph| collect_missing(onnx, graph, missing));
        }
    }
}

/// Sets shape and type of the model's input. The type is the graph's if it has one, otherwise ours.
fn feed(model: &mut InferenceModel, input: &InputSpec) -> Result<DatumType, EngineError> {
    let outlets = model.input_outlets().map_err(refused)?.to_vec();
    let names: Vec<String> = outlets
        .iter()
        .map(|outlet| model.node(outlet.node).name.clone())
        .collect();
    let ([outlet], [name]) = (outlets.as_slice(), names.as_slice()) else {
        let (count, names) = (names.len(), names.join(", "));
        return Err(refusal(
            format!("it has {count} inputs ({names}), expected one"),
            None,
        ));
    };
    if *name != input.name {
        return Err(refusal(
            format!("its input is {name}, expected {}", input.name),
            None,
        ));
    }
    let fact = model.outlet_fact(*outlet).map_err(refused)?;
    let datum_type = (fact.datum_type.concretize()).unwrap_or(convert::datum_type(input.element));
    if !(datum_type.is_float() || datum_type == convert::datum_type(input.element)) {
        let (name, element) = (&input.name, input.element);
        return Err(refusal(
            format!("its input {name} is {datum_type:?}, expected {element}"),
            None,
        ));
    }
    let fact = InferenceFact::dt_shape(datum_type, input.dims());
    model.set_input_fact(0, fact).map_err(refused)?;
    Ok(datum_type)
}

fn output_specs(model: &TypedModel, names: Vec<String>) -> Result<Vec<TensorSpec>, EngineError> {
    (names.into_iter().enumerate())
        .map(|(index, name)| {
            let fact = model.output_fact(index).map_err(refused)?;
            let Some(element) = convert::element(fact.datum_type) else {
                let datum_type = fact.datum_type;
                return Err(refusal(
                    format!("its output {name} is {datum_type:?}"),
                    None,
                ));
            };
            let dims = fact
                .shape
                .iter()
                .map(|dim| dim.to_usize().unwrap_or(0))
                .collect();
            Ok(TensorSpec {
                name,
                dims,
                element,
            })
        })
        .collect()
}

pub(super) fn refusal(
    reason: impl Into<String>,
    source: Option<crate::engine::Cause>,
) -> EngineError {
    EngineError::Load {
        engine: EngineKind::Tract,
        reason: reason.into(),
        source,
    }
}

/// Turns an error of tract while loading into ours.
pub(super) fn refused(error: TractError) -> EngineError {
    refusal(reason(&error), Some(error.into()))
}

/// Writes the chain of an error in one line. tract prints whole nodes into it, so each link is shortened.
pub(super) fn reason(error: &TractError) -> String {
    const LONGEST_LINK: usize = 200;
    let links: Vec<String> = error
        .chain()
        .map(|link| {
            let text = link.to_string().replace('\n', " ");
            match text.char_indices().nth(LONGEST_LINK) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        })
        .collect();
    links.join(": ")
}
