//! [`Outline`]: what is in an ONNX file, for people who look at it, whether it is a detector or not.

use super::error::OnnxError;
use super::facts::Port;
use super::file;
use crate::base::text::shortened;
use crate::onnx::parse::decode;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use tract_onnx::pb::{GraphProto, ValueInfoProto, attribute_proto::AttributeType};

/// Graphs inside the nodes of graphs are looked into so deep.
const DEEPEST: usize = 8;

/// Most letters of a name in an outline.
const MOST_LETTERS: usize = 200;
/// Most letters of a value of the metadata: the names of some thousand classes.
const MOST_LETTERS_OF_VALUE: usize = 100_000;
/// Most entries of a list.
const MOST_ENTRIES: usize = 100;

/// The contents of a file. Texts of any length are cut, and so are lists.
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
            opsets: (model.opset_import.iter().take(MOST_ENTRIES))
                .map(|set| (name(&set.domain), set.version))
                .collect(),
            producer: format!(
                "{} {}",
                name(&model.producer_name),
                name(&model.producer_version)
            )
            .trim()
            .to_owned(),
            metadata: (model.metadata_props.iter().take(MOST_ENTRIES))
                .map(|entry| {
                    let value = shortened(&entry.value, MOST_LETTERS_OF_VALUE);
                    (name(&entry.key), value.into_owned())
                })
                .collect(),
            ..Self::default()
        };
        let Some(graph) = &model.graph else {
            return Ok(outline);
        };
        let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let fed = |name: &str| !constants.contains(&name);
        let inputs = graph.input.iter().filter(|info| fed(&info.name));
        outline.inputs = ports(inputs)?;
        outline.outputs = ports(graph.output.iter())?;
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
                "" | "ai.onnx" => name(&node.op_type),
                domain => format!("{}.{}", name(domain), name(&node.op_type)),
            };
            let is_new = !self.operators.contains_key(&operator);
            if is_new && self.operators.len() >= MOST_ENTRIES {
                add_one(self.operators.entry("others".into()).or_default());
                continue;
            }
            add_one(self.operators.entry(operator).or_default());
            for attribute in &node.attribute {
                let inner = (attribute.r#type == AttributeType::Graph as i32)
                    .then_some(attribute.g.as_ref());
                if let (Some(Some(inner)), 1..) = (inner, deep) {
                    self.count(inner, deep.saturating_sub(1));
                }
            }
        }
    }
}

/// Describes the first inputs or outputs, and counts the others.
fn ports<'a>(mut all: impl Iterator<Item = &'a ValueInfoProto>) -> Result<Vec<String>, OnnxError> {
    let first = all.by_ref().take(MOST_ENTRIES);
    let describe = |info| Ok(name(&Port::new(info)?.to_string()));
    let mut ports = first.map(describe).collect::<Result<Vec<_>, OnnxError>>()?;
    match all.count() {
        0 => {}
        more => ports.push(format!("{more} more")),
    }
    Ok(ports)
}

/// Returns a text of the file, cut to the length of a name.
fn name(text: &str) -> String {
    shortened(text, MOST_LETTERS).into_owned()
}

fn add_one(count: &mut usize) {
    *count = count.saturating_add(1);
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
    fn texts_and_lists_of_any_length_are_cut() {
        let ports: Vec<String> = (0..300).map(|number| format!("y{number}")).collect();
        let nodes = ports.iter().map(|y| {
            let mut node = node("Relu", &["x"], &[y]);
            node.op_type = format!("Foreign{y}");
            node
        });
        let outputs: Vec<(&str, &[i64])> = ports.iter().map(|y| (&**y, &[1][..])).collect();
        let mut model = model(nodes.collect(), &[("x", &[1])], &outputs);
        model.producer_name = "p".repeat(10 << 20);
        let outline = Outline::from_bytes(&model.encode_to_vec()).expect("a model");
        assert!(outline.producer.ends_with("bytes more)") && outline.producer.len() < 300);
        assert_eq!(outline.outputs.len(), 101);
        assert_eq!(outline.outputs[100], "200 more");
        assert_eq!(outline.operators.len(), 101);
        assert_eq!(outline.operators["others"], 200);
    }

    #[test]
    fn what_is_no_model_has_none() {
        assert!(Outline::from_bytes(b"not ONNX").is_err());
    }
}
