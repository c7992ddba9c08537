use super::*;
use crate::onnx::rewrite::constants;
use crate::onnx::testing::{float_tensor, int64_tensor, model, node, value};
use tract_onnx::pb::{AttributeProto, TensorProto};

const UINT8: i32 = DataType::Uint8 as i32;
const INT8: i32 = DataType::Int8 as i32;
const INT32: i32 = DataType::Int32 as i32;

fn integers(name: &str, kind: i32, dims: &[i64], numbers: &[i32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: kind,
        int32_data: numbers.to_vec(),
        ..Default::default()
    }
}

fn attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        ..Default::default()
    }
}

/// `x` to `y`, with a scale "s" of 0.5 and zero points "z" of 128 (uint8) and "bottom" of 0.
fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
    let mut graph = model(nodes, &[("x", &[1, 2, 4, 4])], &[("y", &[1, 2, 4, 4])])
        .graph
        .unwrap();
    graph.initializer = vec![
        float_tensor("s", &[], &[0.5]),
        integers("z", UINT8, &[], &[128]),
        integers("bottom", UINT8, &[], &[0]),
    ];
    graph.initializer.extend(constants);
    graph
}

fn weights() -> Vec<TensorProto> {
    vec![
        integers("w", INT8, &[2, 2, 1, 1], &[1, -2, 3, -4]),
        float_tensor("ws", &[2], &[0.5, 2.0]),
        integers("wz", INT8, &[2], &[0, 1]),
        integers("b", INT32, &[2], &[8, 16]),
    ]
}

/// The numbers that `w` stands for by `ws` and `wz`, a scale and a zero point for each of its first dim.
const REAL_WEIGHTS: [f32; 4] = [0.5, -1.0, 4.0, -10.0];

fn ops(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(|n| n.op_type.as_str()).collect()
}

fn floats(graph: &GraphProto, name: &str) -> Vec<f32> {
    let tensor = graph.initializer.iter().find(|t| t.name == name);
    constants::floats(tensor.expect("the constant is there")).expect("of floats")
}

fn refused(mut graph: GraphProto, wanted: &str) {
    let before = graph.clone();
    let reason = run(&mut graph, 13).expect_err("must be refused");
    assert!(reason.contains(wanted), "{reason}");
    assert!(graph == before, "a refused graph is unchanged");
}

#[test]
fn pairs_go_and_weights_become_floats() {
    let mut of_weights = node("DequantizeLinear", &["w", "ws", "wz"], &["wf"]);
    of_weights.attribute.push(attribute("axis", 0));
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["xq"]),
        node("DequantizeLinear", &["xq", "s", "z"], &["xf"]),
        of_weights,
        node("Conv", &["xf", "wf"], &["c"]),
        node("QuantizeLinear", &["c", "s", "z"], &["cq"]),
        node("DequantizeLinear", &["cq", "s", "z"], &["y"]),
    ];
    let mut graph = graph(nodes, weights());
    graph.value_info = vec![value("cq", &[1, 2, 4, 4]), value("c", &[1, 2, 4, 4])];
    let said = run(&mut graph, 13).unwrap().unwrap().said;
    assert!(
        said.contains("1 weights") && said.contains("5 of 5"),
        "{said}"
    );
    // The result of the last pair is an output and keeps its name.
    assert_eq!(ops(&graph), ["Conv", "Identity"]);
    assert_eq!(graph.node[0].input[0], "x");
    assert_eq!(floats(&graph, &graph.node[0].input[1]), REAL_WEIGHTS);
    assert_eq!(graph.node[1].input, ["c"]);
    assert_eq!(graph.initializer.len(), 1, "scales and integers are gone");
    assert!(graph.value_info.iter().all(|value| value.name == "c"));
    assert_eq!(run(&mut graph, 13), Ok(None), "a second run finds nothing");
}

#[test]
fn a_range_from_zero_keeps_its_clip_where_nothing_else_does_the_work() {
    let pair = |first: NodeProto| {
        vec![
            first,
            node("QuantizeLinear", &["v", "s", "bottom"], &["q"]),
            node("DequantizeLinear", &["q", "s", "bottom"], &["r"]),
            node("Neg", &["r"], &["y"]),
        ]
    };
    let mut clipped = graph(pair(node("Neg", &["x"], &["v"])), Vec::new());
    run(&mut clipped, 13).unwrap().unwrap();
    assert_eq!(ops(&clipped), ["Neg", "Clip", "Neg"]);
    let bounds = &clipped.node[1].input;
    assert_eq!(floats(&clipped, &bounds[1]), [0.0]);
    assert_eq!(floats(&clipped, &bounds[2]), [127.5]);
    let mut old = graph(pair(node("Neg", &["x"], &["v"])), Vec::new());
    run(&mut old, 10).unwrap().unwrap();
    let bounds: Vec<_> = old.node[1]
        .attribute
        .iter()
        .map(|a| (a.name.as_str(), a.f))
        .collect();
    assert_eq!(bounds, [("min", 0.0), ("max", 127.5)]);
    let mut free = graph(pair(node("Relu", &["x"], &["v"])), Vec::new());
    run(&mut free, 13).unwrap().unwrap();
    assert_eq!(ops(&free), ["Relu", "Neg"]);
}

#[test]
fn operators_of_integers_become_operators_of_floats() {
    let convolution = node(
        "QLinearConv",
        &["xq", "s", "z", "w", "ws", "wz", "s", "z", "b"],
        &["c"],
    );
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["xq"]),
        convolution,
        node("QLinearSigmoid", &["c", "s", "z", "s", "bottom"], &["g"]),
        node(
            "QLinearConcat",
            &["s", "z", "c", "s", "z", "g", "s", "bottom"],
            &["both"],
        ),
        node("MaxPool", &["both"], &["pooled"]),
        node("DequantizeLinear", &["pooled", "s", "z"], &["y"]),
    ];
    let mut graph = graph(nodes, weights());
    run(&mut graph, 13).unwrap().unwrap();
    // A sigmoid is above 0 anyway, so its range needs no Clip.
    assert_eq!(
        ops(&graph),
        ["Conv", "Sigmoid", "Concat", "MaxPool", "Identity"]
    );
    let inputs = &graph.node[0].input;
    assert_eq!(floats(&graph, &inputs[1]), REAL_WEIGHTS);
    // The scale of a bias is the product of the scales of x and w.
    assert_eq!(
        floats(&graph, &inputs[2]),
        [8.0 * 0.5 * 0.5, 16.0 * 0.5 * 2.0]
    );
}

#[test]
fn what_only_moves_numbers_moves_floats() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"]),
        node("MaxPool", &["q"], &["m", "places"]),
        node("Reshape", &["m", "shape"], &["r"]),
        node("DequantizeLinear", &["r", "s", "z"], &["f"]),
        node(
            "QLinearConcat",
            &["s", "z", "r", "s", "z", "m", "s", "z"],
            &["both"],
        ),
        node("DequantizeLinear", &["both", "s", "z"], &["g"]),
        node("Add", &["f", "g"], &["y"]),
    ];
    let mut graph = graph(nodes, vec![int64_tensor("shape", &[-1])]);
    run(&mut graph, 13).unwrap().unwrap();
    assert_eq!(ops(&graph), ["MaxPool", "Reshape", "Concat", "Add"]);
    let [pool, reshape, concat, add] = &graph.node[..] else {
        panic!("four nodes");
    };
    assert_eq!(
        (pool.input[0].as_str(), pool.output[1].as_str()),
        ("x", "places")
    );
    assert_eq!(reshape.input[0], pool.output[0]);
    assert_eq!(
        concat.input,
        [reshape.output[0].clone(), pool.output[0].clone()]
    );
    assert_eq!(
        add.input,
        [reshape.output[0].clone(), concat.output[0].clone()]
    );
}

#[test]
fn a_gemm_without_a_scale_of_its_result_is_float() {
    let mut gemm = node("QGemm", &["xq", "s", "z", "w", "ws", "wz", "b"], &["y"]);
    gemm.attribute.push(attribute("transB", 1));
    let nodes = vec![node("QuantizeLinear", &["x", "s", "z"], &["xq"]), gemm];
    let mut constants = weights();
    constants[0].dims = vec![2, 2];
    let mut graph = graph(nodes, constants);
    run(&mut graph, 13).unwrap().unwrap();
    assert_eq!(ops(&graph), ["Gemm"]);
    assert_eq!(graph.node[0].attribute[0].name, "transB");
    assert_eq!(floats(&graph, &graph.node[0].input[1]), REAL_WEIGHTS);
}

/// The form of ONNX Runtime: scales multiplied with each other, then with the product; the bias added behind.
fn dynamic() -> Vec<NodeProto> {
    let mut cast = node("Cast", &["sum"], &["sumf"]);
    cast.attribute.push(attribute("to", DataType::Float as i64));
    vec![
        node("Reshape", &["ws", "across"], &["wsr"]),
        node("Reshape", &["bf", "across"], &["bfr"]),
        node("DynamicQuantizeLinear", &["x"], &["xq", "xs", "xz"]),
        node("ConvInteger", &["xq", "w", "xz", "wz"], &["sum"]),
        cast,
        node("Mul", &["xs", "wsr"], &["scales"]),
        node("Mul", &["sumf", "scales"], &["c"]),
        node("Add", &["c", "bfr"], &["y"]),
    ]
}

fn dynamic_constants() -> Vec<TensorProto> {
    let mut constants = weights();
    constants.push(float_tensor("bf", &[2], &[7.0, 8.0]));
    constants.push(int64_tensor("across", &[1, -1, 1, 1]));
    constants
}

#[test]
fn a_dynamic_chain_becomes_one_operator() {
    let mut graph = graph(dynamic(), dynamic_constants());
    run(&mut graph, 13).unwrap().unwrap();
    assert_eq!(ops(&graph), ["Reshape", "Reshape", "Conv"]);
    let convolution = &graph.node[2];
    assert_eq!(
        (
            convolution.input[0].as_str(),
            convolution.output[0].as_str()
        ),
        ("x", "y")
    );
    assert_eq!(floats(&graph, &convolution.input[1]), REAL_WEIGHTS);
    assert_eq!(floats(&graph, &convolution.input[2]), [7.0, 8.0]);
}

#[test]
fn a_dynamic_chain_that_ends_otherwise_is_left_alone() {
    let mut nodes = dynamic();
    nodes[6].input[1] = "s".into();
    refused(graph(nodes, dynamic_constants()), "which nothing makes");
    let mut nodes = dynamic();
    nodes.push(node("Neg", &["sumf"], &["another"]));
    refused(graph(nodes, dynamic_constants()), "which nothing makes");
    let mut nodes = dynamic();
    nodes[3].input[2] = "z".into();
    refused(graph(nodes, dynamic_constants()), "which nothing makes");
    let mut constants = dynamic_constants();
    constants[1] = float_tensor("ws", &[3], &[1.0; 3]);
    refused(graph(dynamic(), constants), "expected one number for each");
}

#[test]
fn what_is_not_understood_leaves_the_graph_as_it_is() {
    let between = |middle: NodeProto| {
        vec![
            node("QuantizeLinear", &["x", "s", "z"], &["q"]),
            middle,
            node("DequantizeLinear", &["m", "s", "z"], &["y"]),
        ]
    };
    let unknown = between(node("QLinearUnheardOf", &["q"], &["m"]));
    refused(graph(unknown, Vec::new()), "QLinearUnheardOf");
    let computes = between(node("Relu", &["q"], &["m"]));
    refused(graph(computes, Vec::new()), "computes with integers");
    let mut other_scale = between(node("Identity", &["q"], &["m"]));
    other_scale[2].input[1] = "t".into();
    let other = vec![float_tensor("t", &[], &[0.25])];
    refused(graph(other_scale, other), "another");
    let mut not_constant = between(node("Identity", &["q"], &["m"]));
    not_constant[0].input[1] = "x".into();
    refused(graph(not_constant, Vec::new()), "not a constant");
    let zero = vec![float_tensor("zero", &[], &[0.0])];
    let mut no_scale = between(node("Identity", &["q"], &["m"]));
    no_scale[0].input[1] = "zero".into();
    refused(graph(no_scale, zero), "not above 0");
    let short = vec![node("QLinearConv", &["x", "s"], &["y"])];
    refused(graph(short, Vec::new()), "no input 3");
}

#[test]
fn scales_that_do_not_fit_the_weights_are_refused() {
    for (axis, dims) in [
        (0, [4, 1, 1, 1]),
        (9, [2, 2, 1, 1]),
        (i64::MIN, [2, 2, 1, 1]),
    ] {
        let mut of_weights = node("DequantizeLinear", &["w", "ws", "wz"], &["wf"]);
        of_weights.attribute.push(attribute("axis", axis));
        let mut constants = weights();
        constants[0].dims = dims.to_vec();
        let nodes = vec![of_weights, node("Conv", &["x", "wf"], &["y"])];
        refused(graph(nodes, constants), "scales for weights");
    }
}

#[test]
fn an_integer_output_becomes_the_value_it_stands_for() {
    let nodes = vec![node("QuantizeLinear", &["x", "s", "z"], &["y"])];
    let mut graph = graph(nodes, Vec::new());
    let Some(type_proto::Value::TensorType(tensor)) =
        graph.output[0].r#type.as_mut().unwrap().value.as_mut()
    else {
        panic!("a tensor");
    };
    tensor.elem_type = UINT8;
    run(&mut graph, 13).unwrap().unwrap();
    assert_eq!(ops(&graph), ["Identity"]);
    let port = crate::onnx::facts::Port::new(&graph.output[0]).unwrap();
    assert_eq!(port.data_type, DataType::Float as i32);
}

#[test]
fn an_input_of_integers_stays_and_is_dequantised_once() {
    let nodes = vec![
        node("DequantizeLinear", &["x", "s", "bottom"], &["r"]),
        node("QuantizeLinear", &["r", "s", "z"], &["q"]),
        node("DequantizeLinear", &["q", "s", "z"], &["f"]),
        node("Neg", &["f"], &["y"]),
    ];
    let mut graph = graph(nodes, Vec::new());
    run(&mut graph, 13).unwrap().unwrap();
    assert_eq!(ops(&graph), ["DequantizeLinear", "Neg"]);
}

#[test]
fn a_short_file_does_not_unfold_into_gigabytes() {
    let many = (0..100_000).map(|i| {
        node(
            "DequantizeLinear",
            &["w", "s", "bottom8"],
            &[&format!("f{i}")],
        )
    });
    let mut nodes: Vec<_> = many.collect();
    nodes.push(node("Neg", &["f0"], &["y"]));
    let constants = vec![
        integers("w", INT8, &[4096], &[1; 4096]),
        integers("bottom8", INT8, &[], &[0]),
    ];
    refused(graph(nodes, constants), "numbers");
}

#[test]
fn names_of_absurd_length_are_not_spread() {
    let nodes = vec![node(
        "QuantizeLinear",
        &["x", "s", "z"],
        &[&"y".repeat(5000)],
    )];
    refused(graph(nodes, Vec::new()), "5000 bytes");
}

#[test]
fn constants_made_by_nodes_are_read_and_go() {
    let constant = |name: &str, tensor: TensorProto| {
        let mut made = node("Constant", &[], &[name]);
        made.attribute.push(AttributeProto {
            name: "value".into(),
            t: Some(tensor),
            ..Default::default()
        });
        made
    };
    let nodes = vec![
        constant("cs", float_tensor("", &[], &[0.5])),
        constant("cw", integers("", INT8, &[2], &[3, -3])),
        node("DequantizeLinear", &["cw", "cs"], &["f"]),
        node("Add", &["x", "f"], &["y"]),
    ];
    let mut graph = graph(nodes, Vec::new());
    run(&mut graph, 13).unwrap().unwrap();
    assert_eq!(ops(&graph), ["Add"]);
    assert_eq!(floats(&graph, &graph.node[0].input[1]), [1.5, -1.5]);
}

#[test]
fn constants_listed_as_inputs_go_with_their_inputs() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"]),
        node("DequantizeLinear", &["q", "s", "z"], &["f"]),
        node("Neg", &["f"], &["y"]),
    ];
    let mut graph = graph(nodes, Vec::new());
    graph.input.extend([value("s", &[]), value("z", &[])]);
    run(&mut graph, 13).unwrap().unwrap();
    let names: Vec<_> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    assert_eq!(names, ["x"]);
}

#[test]
fn readers_of_one_range_share_a_clip() {
    let pair = |scale: &str, q: &str, f: &str| {
        let (zero, made) = ("bottom", [q]);
        [
            node("QuantizeLinear", &["v", scale, zero], &made),
            node("DequantizeLinear", &[q, scale, zero], &[f]),
        ]
    };
    let folded = |second_scale: &str| {
        let mut nodes = vec![node("Neg", &["x"], &["v"])];
        nodes.extend(pair("s", "q1", "f1"));
        nodes.extend(pair(second_scale, "q2", "f2"));
        nodes.push(node("Add", &["f1", "f2"], &["y"]));
        let mut graph = graph(nodes, vec![float_tensor("t", &[], &[0.25])]);
        run(&mut graph, 13).unwrap().unwrap();
        graph
    };
    let alike = folded("s");
    assert_eq!(ops(&alike), ["Neg", "Clip", "Add"]);
    assert_eq!(alike.node[2].input, ["v/clipped", "v/clipped"]);
    assert_eq!(ops(&folded("t")), ["Neg", "Clip", "Clip", "Add"]);
}

#[test]
fn a_clip_from_zero_needs_no_second_one() {
    let nodes = vec![
        node("Clip", &["x", "low", "high"], &["v"]),
        node("Mul", &["v", "factor"], &["w"]),
        node("QuantizeLinear", &["w", "s", "bottom"], &["q"]),
        node("DequantizeLinear", &["q", "s", "bottom"], &["r"]),
        node("Neg", &["r"], &["y"]),
    ];
    for (factor, wanted) in [
        (0.5, &["Clip", "Mul", "Neg"][..]),
        (-0.5, &["Clip", "Mul", "Clip", "Neg"][..]),
    ] {
        let constants = [("low", 0.0), ("high", 6.0), ("factor", factor)]
            .map(|(name, number)| float_tensor(name, &[], &[number]));
        let mut graph = graph(nodes.clone(), constants.into());
        run(&mut graph, 13).unwrap().unwrap();
        assert_eq!(ops(&graph), wanted, "{factor}");
    }
}
