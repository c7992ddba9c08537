//! Decodes ONNX messages, and checks what the rest of the library relies on.
//!
//! Protobuf is lenient: half a file, or a file of another kind, may decode without an error. So a model is taken only
//! if it has a graph with nodes, inputs and outputs and an operator set, if whatever is used in the graph is made in
//! it, and if every constant holds as many numbers as its dims say.

use super::decoded_size::decoded_size;
use super::error::OnnxError;
use super::file;
use super::kind::other_kind;
use super::wire::{Fields, Value, WireError};
use prost::Message;
use std::collections::HashSet;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

/// Numbers in one tensor of a graph; 64 Mi of f32 are 256 MiB.
pub const MAX_ELEMENTS: u64 = 64 << 20;

/// Longest name in a graph. Names of exporters that join those of fused operators have some hundred bytes.
const MAX_NAME_BYTES: usize = 1 << 16;

/// The format stands at 13 in 2026; anything far from that is not the number it should be.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 1..=99;

/// Field numbers of `ModelProto`.
const IR_VERSION: u32 = 1;
const GRAPH: u32 = 7;
const LAST_KNOWN: u32 = 26;

/// Decodes a model and checks that it holds together.
///
/// # Errors
/// [`OnnxError::NotOnnx`], `Truncated` or `TooLarge`.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, OnnxError> {
    decode_model(bytes).map_err(|error| other_kind(bytes).map_or(error, not_onnx))
}

fn decode_model(bytes: &[u8]) -> Result<ModelProto, OnnxError> {
    check_wire(bytes)?;
    file::check_length("what the file becomes in memory", decoded_size(bytes))?;
    let model = ModelProto::decode(bytes).map_err(|error| not_onnx(error.to_string()))?;
    check_model(&model, bytes.len())?;
    Ok(model)
}

fn not_onnx(why: impl Into<String>) -> OnnxError {
    OnnxError::NotOnnx { why: why.into() }
}

/// Tells a model that ends too early from a file that never was one.
fn check_wire(bytes: &[u8]) -> Result<(), OnnxError> {
    let mut looks_like_onnx = false;
    for field in Fields::new(bytes) {
        match field {
            Ok((IR_VERSION, Value::Varint(version))) if is_ir_version(version as i64) => {
                looks_like_onnx = true;
            }
            Ok((number, _)) if number <= LAST_KNOWN => {}
            Ok((number, _)) => {
                return Err(not_onnx(format!("field {number} is none of a model's")));
            }
            Err(error @ WireError::Truncated { .. }) if looks_like_onnx => {
                return Err(OnnxError::Truncated {
                    found: bytes.len() as u64,
                    why: error.to_string(),
                });
            }
            Err(error) => return Err(not_onnx(error.to_string())),
        }
    }
    Ok(())
}

fn is_ir_version(version: i64) -> bool {
    IR_VERSIONS.contains(&version)
}

fn check_model(model: &ModelProto, length: usize) -> Result<(), OnnxError> {
    if !is_ir_version(model.ir_version) {
        return Err(not_onnx(format!("its IR version is {}", model.ir_version)));
    }
    // An exporter writes the operator sets behind the graph, so a cut between two fields shows here.
    let cut_short = |what: &str| OnnxError::Truncated {
        found: length as u64,
        why: format!("it has no {what} (field {GRAPH} and those behind it)"),
    };
    let graph = model.graph.as_ref().ok_or_else(|| cut_short("graph"))?;
    if model.opset_import.is_empty() {
        return Err(cut_short("operator set"));
    }
    check_graph(graph)
}

fn check_graph(graph: &GraphProto) -> Result<(), OnnxError> {
    for (what, missing) in [
        ("node", graph.node.is_empty()),
        ("input", graph.input.is_empty()),
        ("output", graph.output.is_empty()),
    ] {
        if missing {
            return Err(not_onnx(format!("its graph has no {what}")));
        }
    }
    check_lengths(graph)?;
    check_names(graph)?;
    check_constants(graph)
}

/// Refuses names that are copied, compared and printed for ever.
fn check_lengths(graph: &GraphProto) -> Result<(), OnnxError> {
    let nodes = graph.node.iter().flat_map(|node| {
        let own = [&node.name, &node.op_type, &node.domain];
        own.into_iter().chain(&node.input).chain(&node.output)
    });
    let ports = graph.input.iter().chain(&graph.output);
    let names = nodes
        .chain(ports.map(|port| &port.name))
        .chain(graph.initializer.iter().map(|tensor| &tensor.name));
    match names.map(String::len).max() {
        Some(longest) if longest > MAX_NAME_BYTES => Err(OnnxError::TooLarge {
            what: "a name in its graph".into(),
            found: format!("{longest} bytes"),
            limit: format!("{MAX_NAME_BYTES} bytes"),
        }),
        _ => Ok(()),
    }
}

/// Checks the constants once more when those of a second file have been taken in.
///
/// # Errors
/// [`OnnxError::NotOnnx`] as [`decode`], [`OnnxError::ExternalData`] if one is still elsewhere.
pub fn check_embedded(model: &ModelProto) -> Result<(), OnnxError> {
    model.graph.iter().try_for_each(|graph| {
        check_constants(graph)?;
        match external(graph) {
            Some(tensor) => Err(OnnxError::ExternalData {
                file: tensor
                    .external_data
                    .first()
                    .map_or(String::new(), |entry| entry.value.clone()),
                why: format!("constant \"{}\" is inside a loop or branch", tensor.name),
            }),
            None => Ok(()),
        }
    })
}

/// A constant of a graph, or of the graphs inside it, that is in a second file.
fn external(graph: &GraphProto) -> Option<&TensorProto> {
    let attributes = || graph.node.iter().flat_map(|node| &node.attribute);
    let mut tensors = attributes()
        .flat_map(|a| a.t.iter().chain(&a.tensors))
        .chain(&graph.initializer);
    let inner = || {
        attributes()
            .flat_map(|a| a.g.iter().chain(&a.graphs))
            .find_map(external)
    };
    tensors.find(|t| is_external(t)).or_else(inner)
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// The constants of a graph and of the graphs inside it.
fn check_constants(graph: &GraphProto) -> Result<(), OnnxError> {
    graph.initializer.iter().try_for_each(check_tensor)?;
    for node in &graph.node {
        for attribute in &node.attribute {
            attribute
                .t
                .iter()
                .chain(&attribute.tensors)
                .try_for_each(check_tensor)?;
            attribute
                .g
                .iter()
                .chain(&attribute.graphs)
                .try_for_each(check_constants)?;
        }
        if node.op_type == "ConstantOfShape" {
            check_fill(graph, node.input.first())?;
        }
    }
    Ok(())
}

/// Whatever a node or the graph takes must be made by a node, or be an input or a constant.
///
/// # Errors
/// [`OnnxError::NotOnnx`] that names who takes what.
pub fn check_names(graph: &GraphProto) -> Result<(), OnnxError> {
    let mut made: HashSet<&str> = HashSet::new();
    made.extend(graph.input.iter().map(|input| input.name.as_str()));
    made.extend(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
    made.extend(
        graph
            .sparse_initializer
            .iter()
            .filter_map(|sparse| Some(sparse.values.as_ref()?.name.as_str())),
    );
    made.extend(
        graph
            .node
            .iter()
            .flat_map(|node| node.output.iter().map(String::as_str)),
    );
    for node in &graph.node {
        if node.op_type.is_empty() {
            return Err(not_onnx(format!("node \"{}\" has no operator", node.name)));
        }
        // An empty name is an optional input left out.
        let unknown = node
            .input
            .iter()
            .find(|name| !name.is_empty() && !made.contains(name.as_str()));
        if let Some(name) = unknown {
            return Err(not_onnx(format!(
                "{} node \"{}\" takes \"{name}\", which nothing makes",
                node.op_type, node.name
            )));
        }
    }
    match graph
        .output
        .iter()
        .find(|output| !made.contains(output.name.as_str()))
    {
        Some(output) => Err(not_onnx(format!(
            "nothing makes its output \"{}\"",
            output.name
        ))),
        None => Ok(()),
    }
}

/// The fill of a `ConstantOfShape` is not in the file, so its size is not bounded by the file's.
fn check_fill(graph: &GraphProto, shape: Option<&String>) -> Result<(), OnnxError> {
    let dims = shape
        .and_then(|name| graph.initializer.iter().find(|tensor| tensor.name == *name))
        .and_then(integers);
    match dims {
        Some(dims) => check_budget(
            &format!("the constant made from \"{}\"", shape.map_or("", |s| s)),
            &dims,
        ),
        None => Ok(()),
    }
}

/// Refuses dims whose product is beyond [`MAX_ELEMENTS`]; a dim that is not above 0 is free.
pub fn check_budget(what: &str, dims: &[i64]) -> Result<(), OnnxError> {
    let elements = dims
        .iter()
        .filter_map(|dim| u64::try_from(*dim).ok())
        .filter(|dim| *dim > 0)
        .try_fold(1_u64, u64::checked_mul);
    match elements {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(()),
        _ => Err(OnnxError::TooLarge {
            what: what.to_owned(),
            found: format!("{dims:?}"),
            limit: format!("{MAX_ELEMENTS} elements"),
        }),
    }
}

/// Dims and data of a constant must agree, so that no engine reads, or takes memory, beyond the file.
fn check_tensor(tensor: &TensorProto) -> Result<(), OnnxError> {
    if is_external(tensor) {
        return Ok(()); // not here yet: see rewrite/embed_data.rs
    }
    let Some(elements) = elements(tensor) else {
        return Err(not_onnx(format!(
            "constant \"{}\" has dims {:?}",
            tensor.name, tensor.dims
        )));
    };
    let (found, expected, unit) = match data_length(tensor, elements) {
        Some(lengths) => lengths,
        None => {
            return Err(not_onnx(format!(
                "constant \"{}\" has number type {}",
                tensor.name, tensor.data_type
            )));
        }
    };
    if Some(found) == expected {
        return Ok(());
    }
    Err(not_onnx(format!(
        "constant \"{}\" of dims {:?} holds {found} {unit}, expected {}",
        tensor.name,
        tensor.dims,
        expected.map_or("fewer than there are numbers for".to_owned(), |n| n
            .to_string())
    )))
}

/// Returns how many numbers the dims of a tensor stand for; `None` if they are none that a tensor has.
fn elements(tensor: &TensorProto) -> Option<u64> {
    tensor.dims.iter().try_fold(1_u64, |product, dim| {
        product.checked_mul(u64::try_from(*dim).ok()?)
    })
}

/// Returns how many bytes the numbers of a tensor take, by its dims and type; `None` if these are none that have bytes.
pub fn raw_length(tensor: &TensorProto) -> Option<u64> {
    let bits = bits(DataType::try_from(tensor.data_type).ok()?)?;
    Some(elements(tensor)?.checked_mul(bits)?.div_ceil(8))
}

/// Returns the size of a number; `None` where there is none.
fn bits(kind: DataType) -> Option<u64> {
    Some(match kind {
        DataType::Undefined | DataType::String => return None,
        DataType::Uint4 | DataType::Int4 | DataType::Float4e2m1 => 4,
        DataType::Uint8
        | DataType::Int8
        | DataType::Bool
        | DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz => 8,
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => 16,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 32,
        DataType::Double | DataType::Int64 | DataType::Uint64 | DataType::Complex64 => 64,
        DataType::Complex128 => 128,
    })
}

/// Data found and expected, in the unit they are stored in; `None` for a type that ONNX has not.
fn data_length(tensor: &TensorProto, elements: u64) -> Option<(u64, Option<u64>, &'static str)> {
    let kind = DataType::try_from(tensor.data_type).ok()?;
    if kind == DataType::String {
        return Some((tensor.string_data.len() as u64, Some(elements), "strings"));
    }
    let bits = bits(kind)?;
    if !tensor.raw_data.is_empty() {
        return Some((tensor.raw_data.len() as u64, raw_length(tensor), "bytes"));
    }
    let (found, expected) = match kind {
        DataType::Float => (tensor.float_data.len(), Some(elements)),
        DataType::Complex64 => (tensor.float_data.len(), elements.checked_mul(2)),
        DataType::Double => (tensor.double_data.len(), Some(elements)),
        DataType::Complex128 => (tensor.double_data.len(), elements.checked_mul(2)),
        DataType::Int64 => (tensor.int64_data.len(), Some(elements)),
        DataType::Uint32 | DataType::Uint64 => (tensor.uint64_data.len(), Some(elements)),
        // Two to an entry.
        _ if bits == 4 => (tensor.int32_data.len(), Some(elements.div_ceil(2))),
        _ => (tensor.int32_data.len(), Some(elements)),
    };
    Some((found as u64, expected, "numbers"))
}

/// The numbers of an int64 tensor, as shapes are stored.
pub fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.int64_data.clone());
    }
    let numbers = tensor.raw_data.chunks_exact(8);
    numbers
        .map(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, int64_tensor, model, node};

    fn refused(model: &ModelProto) -> String {
        decode(&model.encode_to_vec())
            .expect_err("must be refused")
            .to_string()
    }

    fn small() -> ModelProto {
        let mut model = model(
            vec![node("Add", &["x", "c"], &["y"])],
            &[("x", &[1, 2])],
            &[("y", &[1, 2])],
        );
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.push(float_tensor("c", &[2], &[1.0, 2.0]));
        model
    }

    #[test]
    fn a_whole_model_is_taken() {
        assert_eq!(decode(&small().encode_to_vec()).unwrap(), small());
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = small().encode_to_vec();
        for length in 0..bytes.len() {
            assert!(
                decode(&bytes[..length]).is_err(),
                "the first {length} bytes"
            );
        }
    }

    #[test]
    fn an_early_end_is_told_from_another_kind_of_file() {
        let bytes = small().encode_to_vec();
        let error = decode(&bytes[..bytes.len() / 2]).unwrap_err();
        assert!(matches!(error, OnnxError::Truncated { .. }), "{error}");
        for other in [
            &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..],
            b"<!DOCTYPE html><html>",
            b"PK\x03\x04",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            b"version https://git-lfs.github.com/spec/v1\n",
            &[0; 64],
        ] {
            let error = decode(other).unwrap_err();
            assert!(matches!(error, OnnxError::NotOnnx { .. }), "{error}");
        }
    }

    #[test]
    fn what_nothing_makes_is_refused() {
        let mut broken = small();
        broken.graph.as_mut().unwrap().output[0].name = "z".into();
        assert!(refused(&broken).contains("\"z\""));
        let mut broken = small();
        broken.graph.as_mut().unwrap().initializer.clear();
        let error = refused(&broken);
        assert!(error.contains("\"c\"") && error.contains("Add"), "{error}");
    }

    #[test]
    fn constants_must_hold_what_their_dims_say() {
        let cases: [(&[i64], &str); 4] = [
            (&[3], "expected 3"),
            (&[-2], "[-2]"),
            (&[i64::MAX, i64::MAX], "dims"),
            (&[1 << 61], "holds"),
        ];
        for (dims, wanted) in cases {
            let mut broken = small();
            broken.graph.as_mut().unwrap().initializer[0].dims = dims.to_vec();
            let error = refused(&broken);
            assert!(error.contains("\"c\"") && error.contains(wanted), "{error}");
        }
        let mut broken = small();
        broken.graph.as_mut().unwrap().initializer[0].data_type = 99;
        assert!(refused(&broken).contains("type 99"));
    }

    #[test]
    fn a_fill_of_absurd_size_is_refused() {
        let mut broken = small();
        let graph = broken.graph.as_mut().unwrap();
        graph
            .node
            .push(node("ConstantOfShape", &["shape"], &["fill"]));
        graph
            .initializer
            .push(int64_tensor("shape", &[1 << 20, 1 << 20]));
        assert!(refused(&broken).contains("too large"));
    }

    #[test]
    fn absurd_dims_do_not_overflow() {
        assert!(check_budget("x", &[1, 3, 640, 640]).is_ok());
        assert!(
            check_budget("x", &[1, 3, 0, -1]).is_ok(),
            "free dims count as nothing"
        );
        assert!(check_budget("x", &[1, 3, 8192, 8192]).is_err());
        assert!(check_budget("x", &[i64::MAX, i64::MAX]).is_err());
    }
}
