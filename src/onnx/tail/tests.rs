use super::*;
use crate::onnx::testing::{float_tensor, input_spec, int64_tensor, model, node, with};
use tract_onnx::pb::AttributeProto;

/// The sums of the rows of the picture above a threshold, the first three at most; a number for each picture stays.
fn chosen() -> ModelProto {
    let nodes = vec![
        with(node("ReduceSum", &["x"], &["sums"]), &[("axes", &[1, 3])]),
        node("Reshape", &["sums", "list"], &["rows"]),
        node("Greater", &["rows", "least"], &["above"]),
        node("NonZero", &["above"], &["found"]),
        with(
            node("Transpose", &["found"], &["places"]),
            &[("perm", &[1, 0])],
        ),
        node("GatherND", &["rows", "places"], &["all"]),
        node("Slice", &["all", "from", "to"], &["y"]),
    ];
    let dims = input_spec().dims().map(|dim| dim as i64);
    let mut model = model(
        nodes,
        &[("x", &dims)],
        &[("y", &[-1]), ("sums", &[1, 1, 32, 1])],
    );
    let graph = model.graph.as_mut().unwrap();
    graph.initializer = vec![
        int64_tensor("list", &[-1]),
        float_tensor("least", &[], &[0.5]),
        int64_tensor("from", &[0]),
        int64_tensor("to", &[3]),
    ];
    model
}

fn ran(tail: &Tail, rows: &[f32]) -> Vec<Tensor> {
    let heads: Vec<Tensor> = tail
        .inputs
        .iter()
        .map(|name| match name.as_str() {
            "above" => Tensor {
                name: name.clone(),
                dims: vec![rows.len()],
                data: TensorData::U8(rows.iter().map(|row| u8::from(*row > 0.5)).collect()),
            },
            "rows" => Tensor::f32(name.clone(), [rows.len()], rows.to_vec()),
            _ => Tensor::f32(name.clone(), [1, 1, rows.len(), 1], rows.to_vec()),
        })
        .collect();
    let mut outputs = vec![Tensor::empty("y"), Tensor::empty("sums")];
    tail.run(&heads, &mut outputs).unwrap();
    outputs
}

#[test]
fn a_slice_is_held_within_what_there_is() {
    let mut model = chosen();
    let tail = Tail::split(&mut model, &input_spec()).unwrap();
    assert_eq!(tail.operators(), 4);
    let graph = model.graph.as_ref().unwrap();
    let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
    assert_eq!(ops, ["ReduceSum", "Reshape", "Greater"]);
    let ends: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(ends, ["above", "rows", "sums"]);
    let dims: Vec<_> = tail.outputs().iter().map(|o| o.dims.clone()).collect();
    assert_eq!(dims, [vec![0], vec![1, 1, 32, 1]]);
    for (rows, wanted) in [
        (&[0.0, 0.9, 0.2, 0.8][..], &[0.9, 0.8][..]),
        (&[0.6, 0.7, 0.8, 0.9], &[0.6, 0.7, 0.8]),
        (&[0.1, 0.2], &[]),
    ] {
        let outputs = ran(&tail, rows);
        assert_eq!(outputs[0].as_f32(), Some(wanted));
        assert_eq!(outputs[0].dims, [wanted.len()]);
        assert_eq!(outputs[1].as_f32(), Some(rows));
    }
}

#[test]
fn a_graph_of_known_dims_has_no_tail() {
    let mut model = chosen();
    let graph = model.graph.as_mut().unwrap();
    graph.node.truncate(3);
    graph.output[0].name = "above".into();
    let before = model.clone();
    assert!(Tail::split(&mut model, &input_spec()).is_none());
    assert_eq!(model, before);
}

#[test]
fn a_tail_with_another_operator_is_left_to_the_engine() {
    let mut model = chosen();
    let graph = model.graph.as_mut().unwrap();
    graph.node.push(node("Mystery", &["all"], &["more"]));
    graph.output[0].name = "more".into();
    let before = model.clone();
    assert!(Tail::split(&mut model, &input_spec()).is_none());
    assert_eq!(model, before);
}

#[test]
fn a_branch_is_taken_by_what_was_found() {
    let branch = |op: &str| {
        let graph = model(vec![node(op, &["all"], &["inner"])], &[], &[("inner", &[])]);
        graph.graph
    };
    let mut model = chosen();
    let graph = model.graph.as_mut().unwrap();
    graph.node.pop();
    graph.node.push(node("Size", &["all"], &["count"]));
    graph
        .node
        .push(node("Greater", &["count", "one"], &["several"]));
    let mut choice = node("If", &["several"], &["y"]);
    for (name, op) in [("then_branch", "Neg"), ("else_branch", "Identity")] {
        choice.attribute.push(AttributeProto {
            name: name.into(),
            g: branch(op),
            ..Default::default()
        });
    }
    graph.node.push(choice);
    graph.initializer.push(int64_tensor("one", &[1]));
    let tail = Tail::split(&mut model, &input_spec()).unwrap();
    assert_eq!(ran(&tail, &[0.9, 0.8])[0].as_f32(), Some(&[-0.9, -0.8][..]));
    assert_eq!(ran(&tail, &[0.9, 0.1])[0].as_f32(), Some(&[0.9][..]));
}
