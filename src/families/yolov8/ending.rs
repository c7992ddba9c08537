//! Heads of YOLOv8: the bins of four sides, then classes. A candidate is centre, size and scores.

use super::Yolov8;
use crate::onnx::infer::Inference;
use crate::onnx::proto::NodeProto;
use crate::onnx::rewrite::{Cell, Ending, sigmoid};

/// Left, top, right, bottom.
pub const SIDES: usize = 4;
const MAX_BINS: usize = 64;

impl Ending for Yolov8 {
    fn axis(&self) -> usize {
        1
    }

    fn orders(&self) -> &[&[usize]] {
        &[&[0, 1], &[1, 0]]
    }

    fn fields(&self, channels: &[usize]) -> Option<usize> {
        let &[sides, classes] = channels else {
            return None;
        };
        let bins = sides / SIDES;
        let usual = sides == bins * SIDES && (1..=MAX_BINS).contains(&bins) && classes > 0;
        usual.then_some(SIDES + classes)
    }

    fn in_pixels(&self) -> usize {
        SIDES
    }

    fn candidate(&self, cell: &Cell) -> Vec<f32> {
        let numbers = cell.numbers(0);
        let bins = numbers.clone().count() / SIDES;
        let side = |side: usize| distance(numbers.clone().skip(side * bins).take(bins));
        let [left, top, right, bottom] = [0, 1, 2, 3].map(side);
        let [x, y] = cell.middle();
        let centre = [x + (right - left) / 2.0, y + (bottom - top) / 2.0];
        let size = [left + right, top + bottom];
        let boxes = centre.into_iter().chain(size).map(|n| n * cell.stride());
        boxes.chain(cell.numbers(1).map(sigmoid)).collect()
    }

    fn accepts(&self, _strides: &[u32], _channels: &[usize]) -> bool {
        true
    }

    fn computes(&self, node: &NodeProto, shapes: &Inference) -> bool {
        is_mean_of_bins(node, shapes)
    }
}

/// The mean of the softmax over bins; a single one is the distance itself.
fn distance(bins: impl Iterator<Item = f32> + Clone) -> f32 {
    if bins.clone().count() == 1 {
        return bins.sum();
    }
    let weights = || bins.clone().map(f32::exp);
    let sum: f32 = weights().sum();
    (0..)
        .zip(weights())
        .map(|(n, weight)| n as f32 * weight)
        .sum::<f32>()
        / sum
}

/// The convolution that takes the mean over bins: its weights count them.
fn is_mean_of_bins(node: &NodeProto, shapes: &Inference) -> bool {
    let weights = || shapes.get(node.input.get(1)?);
    node.op_type == "Conv"
        && weights().is_some_and(|weights| {
            weights.dims.first() == Some(&1)
                && weights
                    .floats()
                    .is_some_and(|w| w.len() > 1 && (0..).zip(w).all(|(n, w)| n as f32 == *w))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::Family;
    use crate::families::evidence::testing::boxed;
    use crate::families::yolov8::Yolov8Heads;
    use crate::onnx::proto::GraphProto;
    use crate::onnx::rewrite::cut_head::run;
    use crate::onnx::rewrite::cut_head::testing::{concat, conv, weights};
    use crate::onnx::testing::{float_tensor, input_spec, int64_tensor, model, node, with};

    /// One stride of 32, two cells, distances of one bin; `classes` behind them.
    fn graph(classes: i64) -> GraphProto {
        let nodes = vec![
            conv("of_sides", "sides", 32),
            conv("of_classes", "classes", 32),
            node("Reshape", &["sides", "flat"], &["distances"]),
            with(
                node("Split", &["distances"], &["before", "behind"]),
                &[("axis", &[1])],
            ),
            node("Sub", &["grid", "before"], &["first"]),
            node("Add", &["grid", "behind"], &["second"]),
            node("Add", &["first", "second"], &["both"]),
            node("Div", &["both", "two"], &["centres"]),
            node("Sub", &["second", "first"], &["sizes"]),
            concat(&["centres", "sizes"], "cells", 1),
            node("Mul", &["cells", "stride"], &["boxes"]),
            node("Reshape", &["classes", "flat_classes"], &["logits"]),
            node("Sigmoid", &["logits"], &["scores"]),
            concat(&["boxes", "scores"], "y", 1),
        ];
        let mut graph = model(
            nodes,
            &[("x", &[1, 3, 32, 64])],
            &[("y", &[1, 4 + classes, 2])],
        )
        .graph
        .unwrap();
        graph.initializer = vec![
            weights("of_sides", 4, 32),
            weights("of_classes", classes, 32),
            int64_tensor("flat", &[1, 4, 2]),
            int64_tensor("flat_classes", &[1, classes, 2]),
            float_tensor("grid", &[1, 2, 2], &[0.5, 1.5, 0.5, 0.5]),
            float_tensor("two", &[], &[2.0]),
            float_tensor("stride", &[], &[32.0]),
        ];
        graph
    }

    #[test]
    fn heads_of_no_class_stay_in_the_graph() {
        let heads = run(&mut graph(2), 13, &input_spec(), &Yolov8).expect("sides and classes");
        let wanted = Yolov8Heads {
            strides: vec![32],
            bins: 1,
        };
        assert_eq!(Yolov8.ended_at(&heads), Some(boxed(wanted)));
        assert_eq!(run(&mut graph(0), 13, &input_spec(), &Yolov8), None);
    }
}
