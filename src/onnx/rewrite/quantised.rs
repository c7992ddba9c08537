//! The quantised form of a graph, for engines that compute with integers, beside the one folded to float.
//!
//! Both must be the same model to whoever feeds them and reads their outputs, so this form is made by the same
//! rewrites, as far as they are needed to be fed and read: those that only spare tract what it lacks leave it as it is.
//! Its ends are compared with those of the folded form; if they differ in anything there is no such form.

use crate::onnx::budget::{self, Weighed};
use crate::onnx::facts::Port;
use crate::onnx::infer;
use crate::onnx::rewrite::{
    Plan, add_batch, constant_inputs, cut_head, feed, fold_quantised, follow_size,
};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::fmt;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

/// How a graph is quantised; of several ways in one graph the last of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantisation {
    /// Float operators between QuantizeLinear and DequantizeLinear, from which an engine makes operators of integers.
    Qdq,
    /// Operators of integers (QLinearConv and others).
    QOperator,
    /// Scales of activations are measured while running.
    Dynamic,
}

impl fmt::Display for Quantisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qdq => "QDQ",
            Self::QOperator => "QOperator",
            Self::Dynamic => "dynamic",
        })
    }
}

impl Quantisation {
    /// `None` where activations are not quantised: then nothing is computed with integers, whoever runs it.
    pub fn find(graph: &GraphProto) -> Option<Self> {
        let ops = || graph.node.iter().map(|node| node.op_type.as_str());
        if ops().any(fold_quantised::is_dynamic) {
            Some(Self::Dynamic)
        } else if ops().any(fold_quantised::is_of_integers) {
            Some(Self::QOperator)
        } else {
            ops().any(|op| op == "QuantizeLinear").then_some(Self::Qdq)
        }
    }
}

/// A quantised graph as it was before it was folded.
#[derive(Debug, PartialEq)]
pub struct Unfolded {
    /// The graph.
    pub model: ModelProto,
    /// How the graph is quantised.
    pub quantisation: Quantisation,
    /// One sentence for each rewrite that it has been through.
    pub rewrites: Vec<String>,
    /// Results of DequantizeLinear, and the names of the same values in the folded graph.
    pub renamed: HashMap<String, String>,
    /// Integers, and the names of the values that they stand for in the folded graph.
    pub integers: HashMap<String, String>,
}

/// The quantised form, ready for engines that compute with integers.
pub struct Prepared {
    /// `None` if nothing was changed.
    pub bytes: Option<Vec<u8>>,
    /// How the graph is quantised.
    pub quantisation: Quantisation,
    /// One sentence for each rewrite that changed something.
    pub rewrites: Vec<String>,
    /// The demand of an inference, or the reason why no engine may have the graph.
    pub(crate) weighed: Weighed,
}

/// Runs the rewrites that the form needs. `folded` is the other form, ready; `heads` tells that its head was cut.
///
/// # Errors
/// Why the form cannot be had, in words.
pub fn prepare(
    unfolded: Unfolded,
    folded: &GraphProto,
    plan: &Plan,
    heads: Option<&cut_head::Heads>,
) -> Result<Prepared, String> {
    let Unfolded {
        mut model,
        quantisation,
        mut rewrites,
        renamed,
        integers,
    } = unfolded;
    let opset = infer::opset(&model);
    let graph = model.graph.as_mut().ok_or("it has no graph")?;
    let exported = plan.exported_input();
    rewrites.extend(feed(graph, plan, &exported));
    if let Some(heads) = heads {
        name_alike(graph, &folded.output, &renamed);
        dequantise(graph, &folded.output, &integers);
        rewrites.push(cut_head::end_at(graph, &folded.output, &heads.strides)?);
    }
    if plan.exported != plan.input.size {
        rewrites.push(follow_size::run(graph, opset, &exported, plan.input)?);
    }
    check_ends(graph, folded)?;
    rewrites.extend(constant_inputs::run(&mut model, !rewrites.is_empty()));
    Ok(Prepared {
        weighed: budget::weigh(&model, plan.input),
        bytes: (!rewrites.is_empty()).then(|| model.encode_to_vec()),
        quantisation,
        rewrites,
    })
}

/// Gives the values that `outputs` of the folded graph stand for their names there. They are those behind the last
/// DequantizeLinear, so that what is in front of it is computed with integers too.
fn name_alike(
    graph: &mut GraphProto,
    outputs: &[ValueInfoProto],
    renamed: &HashMap<String, String>,
) {
    for name in outputs.iter().map(|output| &output.name) {
        let mut made = graph.node.iter().flat_map(|node| &node.output);
        let Some(value) = made.find(|made| renamed.get(*made) == Some(name)).cloned() else {
            continue;
        };
        // What is not rounded yet may have the name.
        let made: HashSet<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
        let free = (0..).map(|n| format!("{name}/unrounded_{n}"));
        let mut free = free.filter(|free| !made.contains(free));
        let free = free.next().expect("one of endlessly many is free");
        add_batch::rename(graph, name, &free);
        let outputs = graph.node.iter_mut().flat_map(|node| &mut node.output);
        for output in outputs.filter(|output| *output == name) {
            output.clone_from(&free);
        }
        graph.node.push(NodeProto {
            op_type: "Identity".into(),
            name: format!("{name}/dequantised"),
            input: vec![value],
            output: vec![name.clone()],
            ..Default::default()
        });
    }
}

/// Makes the values that `outputs` of the folded graph stand for of the results of convolutions of integers, where those
/// are not dequantised in the graph: joined with others as integers, for example.
fn dequantise(
    graph: &mut GraphProto,
    outputs: &[ValueInfoProto],
    integers: &HashMap<String, String>,
) {
    let made: HashSet<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
    let missing = outputs.iter().map(|output| &output.name);
    let missing: HashSet<&String> = missing.filter(|name| !made.contains(name)).collect();
    let mut added = Vec::new();
    for node in graph.node.iter().filter(|n| n.op_type == "QLinearConv") {
        // Scale and zero point of what it gives are inputs 6 and 7.
        let (Some(q), Some(params)) = (node.output.first(), node.input.get(6..8)) else {
            continue;
        };
        if let Some(name) = integers.get(q).filter(|name| missing.contains(name)) {
            added.push(NodeProto {
                op_type: "DequantizeLinear".into(),
                name: format!("{name}/dequantised"),
                input: [std::slice::from_ref(q), params].concat(),
                output: vec![name.clone()],
                ..Default::default()
            });
        }
    }
    graph.node.extend(added);
}

/// # Errors
/// The first input or output of `graph` that `folded` has not, or the other way round.
fn check_ends(graph: &GraphProto, folded: &GraphProto) -> Result<(), String> {
    let pairs = [
        ("input", fed(graph)?, fed(folded)?),
        ("output", ports(&graph.output)?, ports(&folded.output)?),
    ];
    for (what, found, wanted) in pairs {
        if found.len() != wanted.len() {
            let (found, wanted) = (found.len(), wanted.len());
            return Err(format!("it has {found} {what}s, folded {wanted}"));
        }
        if let Some((found, wanted)) = found.iter().zip(&wanted).find(|(a, b)| a != b) {
            return Err(format!("its {what} is {found}, folded {wanted}"));
        }
    }
    Ok(())
}

/// Inputs that are no constants.
fn fed(graph: &GraphProto) -> Result<Vec<Port>, String> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs = graph.input.iter();
    let inputs = inputs.filter(|input| !constants.contains(input.name.as_str()));
    ports(inputs)
}

fn ports<'a>(values: impl IntoIterator<Item = &'a ValueInfoProto>) -> Result<Vec<Port>, String> {
    let ports = values.into_iter().map(Port::new);
    ports.collect::<Result<_, _>>().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::{Normalised, fix_shape, normalise};
    use super::*;
    use crate::base::geometry::Size;
    use crate::base::tensor::InputSpec;
    use crate::onnx::testing::{float_tensor, input_spec, model, node};
    use tract_onnx::pb::TensorProto;
    use tract_onnx::pb::tensor_proto::DataType;

    /// A Relu between two pairs, of a scale of 0.5 and a zero point of 3.
    fn quantised(side: i64, output: &str) -> ModelProto {
        let nodes = vec![
            node("QuantizeLinear", &["x", "scale", "zero"], &["q"]),
            node("DequantizeLinear", &["q", "scale", "zero"], &["d"]),
            node("Relu", &["d"], &["r"]),
            node("QuantizeLinear", &["r", "scale", "zero"], &["integers"]),
            node(
                "DequantizeLinear",
                &["integers", "scale", "zero"],
                &["floats"],
            ),
        ];
        let (input, outputs) = ([("x", &[1, 3, 32, side][..])], [(output, &[][..])]);
        let mut model = model(nodes, &input, &outputs);
        let graph = model.graph.as_mut().unwrap();
        let zero = TensorProto {
            name: "zero".into(),
            data_type: DataType::Uint8 as i32,
            raw_data: vec![3],
            ..Default::default()
        };
        graph.initializer = vec![float_tensor("scale", &[], &[0.5]), zero];
        model
    }

    fn both(mut model: ModelProto, to: Size) -> (Result<Prepared, String>, GraphProto) {
        let bytes = model.encode_to_vec();
        let Normalised { unfolded, .. } = normalise(&bytes, &mut model, Vec::new());
        let exported = input_spec();
        let input = InputSpec {
            size: to,
            ..input_spec()
        };
        let plan = Plan {
            input: &input,
            exported: exported.size,
            ending: None,
            table: None,
            raw_heads: true,
        };
        let mut folded = model.graph.unwrap();
        fix_shape::run(&mut folded, &exported);
        if to != exported.size {
            follow_size::run(&mut folded, 13, &exported, &input).unwrap();
        }
        (prepare(unfolded.unwrap(), &folded, &plan, None), folded)
    }

    fn ops(graph: &GraphProto) -> Vec<&str> {
        graph.node.iter().map(|n| n.op_type.as_str()).collect()
    }

    #[test]
    fn a_graph_that_needs_nothing_is_left_as_it_is() {
        let (form, folded) = both(quantised(64, "floats"), input_spec().size);
        let form = form.unwrap();
        assert!(form.bytes.is_none() && form.rewrites.is_empty());
        assert_eq!(form.quantisation, Quantisation::Qdq);
        assert!(ops(&folded).iter().all(|op| !op.contains("Quantize")));
    }

    #[test]
    fn what_the_input_needs_is_done_to_both() {
        for (side, size, said) in [
            (-1, input_spec().size, "[1, 3, 32, 64]"),
            (64, Size::new(96, 64), "64x32 to 96x64"),
        ] {
            let (form, folded) = both(quantised(side, "floats"), size);
            let form = form.unwrap();
            assert!(form.rewrites[0].contains(said), "{:?}", form.rewrites);
            let written = ModelProto::decode(&form.bytes.unwrap()[..]).unwrap();
            let graph = written.graph.unwrap();
            assert_eq!(graph.input, folded.input);
            assert_eq!(graph.output, folded.output);
            assert_eq!(ops(&graph), ops(quantised(64, "").graph.as_ref().unwrap()));
        }
    }

    #[test]
    fn outputs_of_integers_are_not_those_of_the_folded_graph() {
        let mut model = quantised(64, "integers");
        let output = &mut model.graph.as_mut().unwrap().output[0];
        let kind = output.r#type.as_mut().unwrap().value.as_mut().unwrap();
        let tract_onnx::pb::type_proto::Value::TensorType(tensor) = kind;
        tensor.elem_type = DataType::Uint8 as i32;
        let why = both(model, input_spec().size).0.err().unwrap();
        assert!(why.contains("its output is integers [] uint8"), "{why}");
    }

    #[test]
    fn a_graph_that_cannot_follow_has_no_such_form() {
        let mut model = quantised(64, "floats");
        let graph = model.graph.as_mut().unwrap();
        graph.node[2] = node("QLinearAveragePool", &["d"], &["r"]);
        let mut folded = graph.clone();
        let unfolded = Unfolded {
            model,
            quantisation: Quantisation::QOperator,
            rewrites: Vec::new(),
            renamed: HashMap::new(),
            integers: HashMap::new(),
        };
        folded.node.clear();
        let input = InputSpec {
            size: Size::new(96, 64),
            ..input_spec()
        };
        let plan = Plan {
            input: &input,
            exported: input_spec().size,
            ending: None,
            table: None,
            raw_heads: true,
        };
        let why = prepare(unfolded, &folded, &plan, None).err().unwrap();
        assert!(why.contains("QLinearAveragePool"), "{why}");
    }

    #[test]
    fn a_value_takes_its_name_from_the_folded_graph() {
        let mut graph = quantised(64, "floats").graph.unwrap();
        let folded = model(vec![], &[], &[("r", &[1])]).graph.unwrap();
        let renamed = HashMap::from([("floats".to_owned(), "r".to_owned())]);
        name_alike(&mut graph, &folded.output, &renamed);
        let last = graph.node.last().unwrap();
        assert_eq!(
            (last.op_type.as_str(), &last.input[0], &last.output[0]),
            ("Identity", &"floats".to_owned(), &"r".to_owned())
        );
        assert_eq!(graph.node[2].output[0], "r/unrounded_0");
        assert_eq!(graph.node[3].input[0], "r/unrounded_0");
    }

    #[test]
    fn integers_that_no_operator_dequantises_are_dequantised_at_the_end() {
        let inputs = ["x", "xs", "xz", "w", "ws", "wz", "scale", "zero"];
        let nodes = vec![
            node("QLinearConv", &inputs, &["q"]),
            node("QLinearConv", &inputs, &["other"]),
            node("QLinearSigmoid", &["q", "scale", "zero"], &["joined"]),
        ];
        let mut graph = model(nodes, &[], &[]).graph.unwrap();
        let folded = model(vec![], &[], &[("q/float", &[1])]).graph.unwrap();
        let integers = [("q", "q/float"), ("other", "other/float")];
        let integers = integers.map(|(q, value)| (q.to_owned(), value.to_owned()));
        let integers = HashMap::from(integers);
        for _ in 0..2 {
            dequantise(&mut graph, &folded.output, &integers);
            assert_eq!(graph.node.len(), 4, "one, and once");
        }
        let last = graph.node.last().unwrap();
        assert_eq!(last.op_type, "DequantizeLinear");
        assert_eq!(last.input, ["q", "scale", "zero"]);
        assert_eq!(last.output, ["q/float"]);
    }

    #[test]
    fn the_kind_is_that_of_the_operators() {
        let of = |ops: &[&str]| {
            let nodes = ops.iter().map(|op| node(op, &["x"], &[*op])).collect();
            Quantisation::find(&model(nodes, &[], &[]).graph.unwrap())
        };
        let qdq = ["QuantizeLinear", "DequantizeLinear"];
        assert_eq!(of(&qdq), Some(Quantisation::Qdq));
        assert_eq!(of(&["QLinearConv", qdq[0]]), Some(Quantisation::QOperator));
        assert_eq!(
            of(&["QGemm", "DynamicQuantizeLinear"]),
            Some(Quantisation::Dynamic)
        );
        assert_eq!(of(&["DequantizeLinear", "Conv"]), None, "weights alone");
    }
}
