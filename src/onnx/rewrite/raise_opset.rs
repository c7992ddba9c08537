//! Raises a graph of operator set 7 to 10 that scales its values to operator set 11.
//!
//! Until set 9 the operator for that was Upsample, which tract has not, and the Resize of set 10 does not say how it
//! rounds. What both mean is `asymmetric` and `floor` in set 11. The operators whose numbers moved from attributes to
//! inputs on the way move theirs: Slice and TopK in set 10, Clip and Pad in set 11. All others only learnt to do more,
//! but for those of [`BARRED`], whose graphs stay as they are.

use super::{constants, names};
use crate::onnx::infer::Attributes;
use std::collections::HashSet;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

const RAISED_TO: i64 = 11;
const RAISED_FROM: std::ops::Range<i64> = 7..RAISED_TO;
const BARRED: [&str; 4] = ["Scan", "Scatter", "Loop", "If"];

/// Changes `model` and says what was done, if anything was to do.
pub fn run(model: &mut ModelProto) -> Option<String> {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let mut sets = model.opset_import.iter_mut();
    let version = &mut sets.find(|set| own(&set.domain))?.version;
    let graph = model.graph.as_mut()?;
    let before = *version;
    if !RAISED_FROM.contains(&before) || !applies(graph, before) {
        return None;
    }
    let mut raised = Vec::with_capacity(graph.node.len());
    let mut moved = Moved {
        taken: names::outside(graph).map(str::to_owned).collect(),
        constants: Vec::new(),
    };
    for node in &graph.node {
        raised.push(moved.raise(node.clone(), before)?);
    }
    graph.node = raised;
    graph.initializer.extend(moved.constants);
    *version = RAISED_TO;
    Some(format!(
        "raised the graph from operator set {before} to {RAISED_TO}, for its Upsample or Resize"
    ))
}

fn applies(graph: &GraphProto, version: i64) -> bool {
    let scales = |node: &NodeProto| match node.op_type.as_str() {
        "Upsample" => version < 10,
        "Resize" => version == 10,
        _ => false,
    };
    // Normalised for each place of its own: only until set 8, and nobody wrote it.
    let by_place = |node: &NodeProto| {
        node.op_type == "BatchNormalization" && Attributes::new(node).integer("spatial", 1) == 0
    };
    let barred = |node: &NodeProto| BARRED.contains(&node.op_type.as_str()) || by_place(node);
    graph.node.iter().any(scales) && !graph.node.iter().any(barred)
}

/// Numbers on the way from attributes to inputs.
struct Moved {
    taken: HashSet<String>,
    constants: Vec<TensorProto>,
}

impl Moved {
    /// `None` if a node has not what it should have.
    fn raise(&mut self, mut node: NodeProto, version: i64) -> Option<NodeProto> {
        match node.op_type.as_str() {
            "Upsample" => {
                let scales = match Attributes::new(&node).get("scales") {
                    Some(scales) => {
                        let (length, scales) = (scales.floats.len() as i64, scales.floats.clone());
                        self.floats(&node, "scales", vec![length], &scales)
                    }
                    None => node.input.get(1)?.clone(),
                };
                self.resize(&mut node, scales)?;
            }
            "Resize" => {
                let scales = node.input.get(1)?.clone();
                self.resize(&mut node, scales)?;
            }
            "Slice" if version < 10 => {
                for name in ["starts", "ends", "axes"] {
                    match Attributes::new(&node).get(name).map(|a| a.ints.clone()) {
                        Some(numbers) => node.input.push(self.integers(&node, name, &numbers)),
                        None if name == "axes" => {}
                        None => return None,
                    }
                }
                node.attribute.clear();
            }
            "TopK" if version < 10 => {
                let k = Attributes::new(&node).get("k")?.i;
                node.input.push(self.integers(&node, "k", &[k]));
                node.attribute.retain(|a| a.name != "k");
            }
            "Pad" => {
                let pads = Attributes::new(&node).get("pads")?.ints.clone();
                let value = Attributes::new(&node).get("value").map_or(0.0, |a| a.f);
                let pads = self.integers(&node, "pads", &pads);
                let value = self.floats(&node, "value", Vec::new(), &[value]);
                node.input.extend([pads, value]);
                node.attribute.retain(|a| a.name == "mode");
            }
            "Clip" => {
                for name in ["min", "max"] {
                    let bound = Attributes::new(&node).get(name).map(|a| a.f);
                    let bound = bound.map(|f| self.floats(&node, name, Vec::new(), &[f]));
                    node.input.push(bound.unwrap_or_default());
                }
                node.attribute.clear();
            }
            "BatchNormalization" => node.attribute.retain(|a| a.name != "spatial"),
            _ => {}
        }
        Some(node)
    }

    fn resize(&mut self, node: &mut NodeProto, scales: String) -> Option<()> {
        let x = node.input.first()?.clone();
        let roi = self.floats(node, "roi", vec![0], &[]);
        node.op_type = "Resize".into();
        node.input = vec![x, roi, scales];
        node.attribute.retain(|a| a.name == "mode");
        node.attribute.extend([
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ]);
        Some(())
    }

    fn name(&mut self, node: &NodeProto, what: &str) -> String {
        let base = format!("{}/{what}", node.output.first().map_or("", String::as_str));
        let mut name = base.clone();
        let mut count = self.constants.len();
        while !self.taken.insert(name.clone()) {
            name = format!("{base}_{count}");
            count += 1;
        }
        name
    }

    fn floats(&mut self, node: &NodeProto, what: &str, dims: Vec<i64>, numbers: &[f32]) -> String {
        let name = self.name(node, what);
        self.constants
            .push(constants::float_tensor(name.clone(), dims, numbers));
        name
    }

    fn integers(&mut self, node: &NodeProto, what: &str, numbers: &[i64]) -> String {
        let name = self.name(node, what);
        self.constants.push(TensorProto {
            name: name.clone(),
            dims: vec![numbers.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: numbers.to_vec(),
            ..Default::default()
        });
        name
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::parse::integers;
    use crate::onnx::testing::{float_tensor, model, node};

    fn with(name: &str, fill: impl FnOnce(&mut AttributeProto)) -> AttributeProto {
        let mut attribute = AttributeProto {
            name: name.into(),
            ..Default::default()
        };
        fill(&mut attribute);
        attribute
    }

    fn old(version: i64, nodes: Vec<NodeProto>) -> ModelProto {
        let mut model = model(nodes, &[("x", &[1, 3, 4, 4])], &[("y", &[])]);
        model.opset_import[0].version = version;
        let scales = float_tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
        model.graph.as_mut().unwrap().initializer.push(scales);
        model
    }

    fn constant<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
        let found = graph.initializer.iter().find(|tensor| tensor.name == name);
        found.expect("the constant is there")
    }

    #[test]
    fn attributes_become_inputs() {
        let mut slice = node("Slice", &["x"], &["s"]);
        slice.attribute = vec![
            with("starts", |a| a.ints = vec![1]),
            with("ends", |a| a.ints = vec![9]),
        ];
        let mut clip = node("Clip", &["s"], &["c"]);
        clip.attribute = vec![with("max", |a| a.f = 6.0)];
        let mut upsample = node("Upsample", &["c"], &["y"]);
        upsample.attribute = vec![
            with("mode", |a| a.s = b"nearest".to_vec()),
            with("scales", |a| a.floats = vec![1.0, 1.0, 4.0, 4.0]),
        ];
        let mut model = old(7, vec![slice, clip, upsample]);
        let said = run(&mut model).unwrap();
        assert!(said.contains("from operator set 7 to 11"), "{said}");
        assert_eq!(model.opset_import[0].version, 11);
        let graph = model.graph.as_ref().unwrap();
        let [slice, clip, resize] = &graph.node[..] else {
            panic!("three nodes");
        };
        assert_eq!(slice.input.len(), 3);
        assert_eq!(integers(constant(graph, &slice.input[2])), Some(vec![9]));
        assert_eq!((clip.input.len(), clip.input[1].as_str()), (3, ""));
        assert_eq!(
            constants::floats(constant(graph, &clip.input[2])),
            Some(vec![6.0])
        );
        assert_eq!((resize.op_type.as_str(), resize.input.len()), ("Resize", 3));
        assert_eq!(constant(graph, &resize.input[1]).dims, [0]);
        assert_eq!(
            constants::floats(constant(graph, &resize.input[2])),
            Some(vec![1.0, 1.0, 4.0, 4.0])
        );
        assert_eq!(
            Attributes::new(resize).get("nearest_mode").unwrap().s,
            b"floor"
        );
        assert_eq!(run(&mut model), None, "a second run finds nothing");
    }

    #[test]
    fn a_resize_of_set_10_learns_how_it_rounds() {
        let mut model = old(10, vec![node("Resize", &["x", "scales"], &["y"])]);
        run(&mut model).unwrap();
        let resize = &model.graph.as_ref().unwrap().node[0];
        assert_eq!(resize.input[2], "scales");
        assert_eq!(
            Attributes::new(resize).get("nearest_mode").unwrap().s,
            b"floor"
        );
    }

    #[test]
    fn other_graphs_are_left_alone() {
        let upsample = || node("Upsample", &["x", "scales"], &["y"]);
        let mut by_place = node("BatchNormalization", &["x"], &["b"]);
        by_place.attribute.push(with("spatial", |a| a.i = 0));
        for mut model in [
            old(9, vec![node("Relu", &["x"], &["y"])]),
            old(11, vec![node("Resize", &["x", "", "scales"], &["y"])]),
            old(9, vec![upsample(), node("Scan", &["x"], &["z"])]),
            old(8, vec![by_place, upsample()]),
            old(6, vec![upsample()]),
            old(8, vec![node("Upsample", &["x"], &["y"])]),
        ] {
            let before = model.clone();
            assert_eq!(run(&mut model), None);
            assert!(model == before);
        }
    }
}
