//! Gives a free input the dims chosen for it, and forgets the dims that followed from free ones.
//!
//! Free dims are symbolic, 0 or -1. Dims of outputs and of values in between are notes for the reader; those that
//! are free, or that cannot be trusted any more, are dropped, and the engine works them out.

use crate::base::tensor::InputSpec;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{GraphProto, TensorShapeProto, ValueInfoProto, type_proto};

/// Changes `graph` and says what was done, if anything was to do.
pub fn run(graph: &mut GraphProto, input: &InputSpec) -> Option<String> {
    let wanted = input.dims().map(|dim| dim as i64);
    let mut inputs = graph.input.iter_mut();
    let dims = &mut shape(inputs.find(|value| value.name == input.name)?)?.dim;
    if dims.iter().map(fixed).eq(wanted.map(Some)) {
        return None;
    }
    *dims = wanted
        .iter()
        .map(|dim| Dimension {
            value: Some(dimension::Value::DimValue(*dim)),
            ..Default::default()
        })
        .collect();
    for output in &mut graph.output {
        forget_free_dims(output);
    }
    graph.value_info.retain_mut(|value| {
        shape(value).is_some_and(|shape| shape.dim.iter().all(|dim| fixed(dim).is_some()))
    });
    Some(format!("fixed the input to {wanted:?}"))
}

fn fixed(dim: &Dimension) -> Option<i64> {
    match dim.value {
        Some(dimension::Value::DimValue(dim)) if dim > 0 => Some(dim),
        _ => None,
    }
}

fn shape(value: &mut ValueInfoProto) -> Option<&mut TensorShapeProto> {
    match value.r#type.as_mut()?.value.as_mut()? {
        type_proto::Value::TensorType(tensor) => tensor.shape.as_mut(),
    }
}

/// A free dim stays free, but loses its name: names tie dims together, and those of the input have gone. (The shape
/// itself must stay; ONNX wants one at every output.)
fn forget_free_dims(value: &mut ValueInfoProto) {
    let dims = shape(value).into_iter().flat_map(|shape| &mut shape.dim);
    for dim in dims.filter(|dim| fixed(dim).is_none()) {
        dim.value = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::Layout;
    use crate::onnx::facts::Port;
    use crate::onnx::testing::{input_spec, model, node, value};

    fn spec(layout: Layout) -> InputSpec {
        InputSpec {
            layout,
            ..input_spec()
        }
    }

    fn graph(input: &[i64], output: &[i64]) -> GraphProto {
        let nodes = vec![node("Relu", &["x"], &["m"]), node("Relu", &["m"], &["y"])];
        model(nodes, &[("x", input)], &[("y", output)])
            .graph
            .unwrap()
    }

    fn dims(value: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
        Port::new(value).unwrap().dims
    }

    #[test]
    fn free_dims_are_fixed_and_notes_that_hold_are_kept() {
        let mut graph = graph(&[-1, 3, 0, -2], &[1, -3, 85]);
        graph.value_info = vec![value("m", &[1, 3, -1, -2]), value("w", &[16, 3])];
        let said = run(&mut graph, &spec(Layout::Nchw)).unwrap();
        assert!(said.contains("[1, 3, 32, 64]"), "{said}");
        assert_eq!(
            dims(&graph.input[0]),
            Some(vec![Some(1), Some(3), Some(32), Some(64)])
        );
        assert_eq!(dims(&graph.output[0]), Some(vec![Some(1), None, Some(85)]));
        let free = shape(&mut graph.output[0]).unwrap().dim[1].clone();
        assert_eq!(free.value, None, "the name is gone");
        assert_eq!(graph.value_info.len(), 1);
        assert_eq!(graph.value_info[0].name, "w");
    }

    #[test]
    fn rows_come_before_columns_in_either_layout() {
        let mut graph = graph(&[1, -1, -2, 3], &[1, 21, 7]);
        run(&mut graph, &spec(Layout::Nhwc)).unwrap();
        assert_eq!(
            dims(&graph.input[0]),
            Some(vec![Some(1), Some(32), Some(64), Some(3)])
        );
        assert_eq!(
            dims(&graph.output[0]),
            Some(vec![Some(1), Some(21), Some(7)])
        );
    }

    #[test]
    fn a_fixed_model_is_left_alone() {
        let mut fixed = graph(&[1, 3, 32, 64], &[1, -1, 85]);
        let before = fixed.clone();
        assert_eq!(run(&mut fixed, &spec(Layout::Nchw)), None);
        assert_eq!(fixed, before);
    }
}
