//! [`Outline`]: what is in an ONNX file, for people who look at it, whether it is a detector or not.

use super::error::OnnxError;
use super::facts::Port;
use super::file;
use crate::onnx::parse::decode;
use std::collections::BTreeMap;
use std::path::Path;
use tract_onnx::pb::{GraphProto, attribute_proto::AttributeType};

/// Graphs inside the nodes of graphs are looked into so deep.
const DEEPEST: usize = 8;

/// The contents of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outline {
    /// Length of the file.
    pub bytes: u64,
    /// Version of the format.
    pub ir_version: i64,
    /// Domain, empty for ONNX's own, and version.
    pub opsets: Vec<(String, i64)>,
    /// Name and version of the program that wrote it, as far as told.
    pub producer: String,
    /// Name, dims and type of each.
    pub inputs: Vec<String>,
    /// Name, dims and type of each output.
    pub outputs: Vec<String>,
    /// How often each operator is used, graphs inside nodes included; other domains than ONNX's stand before a dot.
    pub operators: BTreeMap<String, usize>,
    /// Numbers in its constants.
    pub parameters: u64,
    /// Keys and values of the metadata.
    pub metadata: Vec<(String, String)>,
}

impl Outline {
    /// Reads the outline of the file at `path`.
    ///
    /// # Errors
    /// [`OnnxError`], if it cannot be read or is not ONNX.
    pub fn open(path: &Path) -> Result<Self, OnnxError> {
        Self::from_bytes(&file::read(path)?)
    }

    /// Reads the outline of a model in memory.
    ///
    /// # Errors
    /// [`OnnxError`], if `bytes` are not ONNX.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = decode(bytes)?;
        let mut outline = Self {
            bytes: bytes.len() as u64,
            ir_version: model.ir_version,
            opsets: (model.opset_import.iter())
                .map(|set| (set.domain.clone(), set.version))
                .collect(),
            producer: format!("{} {}", model.producer_name, model.producer_version)
                .trim()
                .to_owned(),
            metadata: (model.metadata_props.iter())
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect(),
            ..Self::default()
        };
        let Some(graph) = &model.graph else {
            return Ok(outline);
        };
        let constants: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let fed = |name: &str| !constants.contains(&name);
        let inputs = graph.input.iter().filter(|info| fed(&info.name));
        outline.inputs = inputs.map(port).collect::<Result<_, _>>()?;
        outline.outputs = graph.output.iter().map(port).collect::<Result<_, _>>()?;
        outline.count(graph, DEEPEST);
        Ok(outline)
    }

    fn count(&mut self, graph: &GraphProto, deep: usize) {
        for constant in &graph.initializer {
            let numbers = constant.dims.iter().map(|dim| dim.unsigned_abs());
            let numbers = numbers.fold(1_u64, u64::saturating_mul);
            self.parameters = self.parameters.saturating_add(numbers);
        }
        for node in &graph.node {
            let operator = match node.domain.as_str() {
                "" | "ai.onnx" => node.op_type.clone(),
                domain => format!("{domain}.{}", node.op_type),
            };
            *self.operators.entry(operator).or_default() += 1;
            for attribute in &node.attribute {
                let inner = (attribute.r#type == AttributeType::Graph as i32)
                    .then_some(attribute.g.as_ref());
                if let (Some(Some(inner)), 1..) = (inner, deep) {
                    self.count(inner, deep - 1);
                }
            }
        }
    }
}

fn port(info: &tract_onnx::pb::ValueInfoProto) -> Result<String, OnnxError> {
    Ok(Port::new(info)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{float_tensor, model, node};
    use prost::Message;
    use tract_onnx::pb::AttributeProto;

    #[test]
    fn operators_of_inner_graphs_and_other_domains_are_counted() {
        let inner = model(vec![node("Relu", &["x"], &["z"])], &[], &[("z", &[1])]);
        let mut branch = node("If", &["x"], &["y"]);
        branch.attribute.push(AttributeProto {
            name: "then_branch".into(),
            r#type: AttributeType::Graph as i32,
            g: inner.graph,
            ..AttributeProto::default()
        });
        let mut foreign = node("Gelu", &["w"], &["v"]);
        foreign.domain = "com.example".into();
        let mut model = model(
            vec![branch, foreign],
            &[("x", &[1, 3, -1, 4])],
            &[("y", &[1])],
        );
        let graph = model.graph.as_mut().expect("a graph");
        graph
            .initializer
            .push(float_tensor("w", &[2, 3], &[0.0; 6]));
        let outline = Outline::from_bytes(&model.encode_to_vec()).expect("a model");
        let operators: Vec<_> = outline.operators.into_iter().collect();
        let counted = [("If", 1), ("Relu", 1), ("com.example.Gelu", 1)];
        assert_eq!(operators, counted.map(|(name, n)| (name.to_owned(), n)));
        assert_eq!(outline.parameters, 6);
        assert_eq!(outline.inputs, ["x [1, 3, ?, 4] float32"]);
    }

    #[test]
    fn what_is_no_model_has_none() {
        assert!(Outline::from_bytes(b"not ONNX").is_err());
    }
}
