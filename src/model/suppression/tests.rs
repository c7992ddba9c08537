use super::*;
use crate::base::tensor::Layout;
use crate::families::nms3::{Nms3, Nms3Places};
use crate::onnx::testing::{float_tensor, input_spec, int64_tensor, model, node, with};

const NMS3: Nms3 = Nms3::chosen(Nms3Places {
    boxes: 0,
    scores: 1,
    labels: 2,
});

/// A suppression class by class, and what it leaves: boxes `[k, 4]`, scores `[k]`, labels `[k]`.
fn graph() -> GraphProto {
    let nodes = vec![
        node("Conv", &["x", "box_weights"], &["box_map"]),
        node("Reshape", &["box_map", "box_dims"], &["boxes"]),
        node("Conv", &["x", "score_weights"], &["score_map"]),
        node("Reshape", &["score_map", "score_dims"], &["scores"]),
        node(
            "NonMaxSuppression",
            &["boxes", "scores", "most", "iou", "least"],
            &["kept"],
        ),
        with(
            node("Gather", &["kept", "two"], &["cells"]),
            &[("axis", &[1])],
        ),
        with(
            node("Gather", &["kept", "one"], &["labels"]),
            &[("axis", &[1])],
        ),
        node("Reshape", &["boxes", "flat"], &["flat_boxes"]),
        with(
            node("Gather", &["flat_boxes", "cells"], &["kept_boxes"]),
            &[("axis", &[0])],
        ),
        node("GatherND", &["scores", "kept"], &["kept_scores"]),
    ];
    let size = [("strides", &[8_i64, 8][..])];
    let mut nodes = nodes;
    for place in [0, 2] {
        nodes[place] = with(nodes[place].clone(), &size);
    }
    let input = input_spec();
    let dims = input.dims().map(|dim| dim as i64);
    let outputs: [(&str, &[i64]); 3] = [
        ("kept_boxes", &[-1, 4]),
        ("kept_scores", &[-1]),
        ("labels", &[-1]),
    ];
    let mut graph = model(nodes, &[("x", &dims)], &outputs).graph.unwrap();
    let label = graph.output[2].r#type.as_mut().unwrap().value.as_mut();
    let crate::onnx::proto::type_proto::Value::TensorType(tensor) = label.unwrap();
    tensor.elem_type = crate::onnx::proto::tensor_proto::DataType::Int64 as i32;
    let weights =
        |name: &str, out: usize| float_tensor(name, &[out as i64, 3, 8, 8], &vec![0.0; out * 192]);
    graph.initializer = vec![
        weights("box_weights", 4),
        weights("score_weights", 3),
        int64_tensor("box_dims", &[1, -1, 4]),
        int64_tensor("score_dims", &[1, 3, -1]),
        int64_tensor("most", &[100]),
        float_tensor("iou", &[1], &[0.5]),
        float_tensor("least", &[1], &[0.3]),
        int64_tensor("flat", &[-1, 4]),
        scalar("one", 1),
        scalar("two", 2),
    ];
    graph
}

fn scalar(name: &str, number: i64) -> crate::onnx::proto::TensorProto {
    crate::onnx::proto::TensorProto {
        dims: vec![],
        ..int64_tensor(name, &[number])
    }
}

fn proved(graph: &GraphProto) -> Option<Proved> {
    let input = input_spec();
    assert_eq!(input.layout, Layout::Nchw);
    let read: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    prove(graph, &read, 13, &NMS3, &input)
}

#[test]
fn a_suppression_like_ours_is_cut() {
    let mut graph = graph();
    let proved = proved(&graph).expect("it is like ours");
    let suppression = proved.suppression;
    assert_eq!(
        (suppression.iou, suppression.classes, suppression.candidates),
        (0.5, 3, 32)
    );
    assert!(proved.how.every_class && suppression.by_class);
    let said = suppression.cut(&mut graph).unwrap();
    assert!(said.contains("IoU of 0.5"), "{said}");
    let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
    assert_eq!(ops, ["Conv", "Reshape", "Conv", "Reshape"]);
    let ends: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(ends, ["boxes", "scores"]);
}

#[test]
fn what_is_otherwise_stays_in_the_graph() {
    type Change = fn(&mut GraphProto);
    let changes: [(&str, Change); 5] = [
        ("the wrong column", |g| g.node[6].input[1] = "two".into()),
        ("boxes moved after it", |g| {
            g.node
                .push(node("Add", &["kept_boxes", "one_pixel"], &["moved"]));
            g.initializer.push(float_tensor("one_pixel", &[], &[1.0]));
            g.output[0].name = "moved".into();
        }),
        ("few boxes", |g| {
            g.initializer[4] = int64_tensor("most", &[1])
        }),
        ("scores of another value", |g| {
            g.node.push(node("Sqrt", &["kept_scores"], &["roots"]));
            g.output[1].name = "roots".into();
        }),
        ("a further value of the picture", |g| {
            g.node
                .push(node("Conv", &["x", "score_weights"], &["other"]));
            g.node
                .push(node("ReduceMax", &["other"], &["most_of_other"]));
            g.node
                .push(node("Add", &["kept_scores", "most_of_other"], &["raised"]));
            g.output[1].name = "raised".into();
        }),
    ];
    for (what, change) in changes {
        let mut changed = graph();
        change(&mut changed);
        assert!(proved(&changed).is_none(), "{what}");
    }
}
