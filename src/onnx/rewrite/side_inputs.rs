//! Replaces inputs beside the picture by constants, so that boxes come in input pixels, see [`Side`].

use crate::base::tensor::InputSpec;
use crate::onnx::facts::Port;
use crate::onnx::side_input::Side;
use std::collections::HashSet;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, TensorProto};

/// Changes `graph` and returns a sentence about it, if there was anything to change.
pub fn run(graph: &mut GraphProto, input: &InputSpec) -> Option<String> {
    let constants: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let mut said = Vec::new();
    let initializer = &mut graph.initializer;
    graph.input.retain(|value| {
        if value.name == input.name || constants.contains(&value.name) {
            return true;
        }
        let port = Port::new(value).ok();
        let made = port.and_then(|port| Some((Side::recognise(&port)?, port.data_type)));
        let Some((side, data_type)) = made else {
            return true;
        };
        let (dims, numbers) = side.constant(input.size);
        let Some(raw_data) = bytes(data_type, &numbers) else {
            return true;
        };
        let shown = match side {
            Side::PixelMask(..) => "1 everywhere".to_owned(),
            _ => format!("{numbers:?}"),
        };
        said.push(format!("\"{}\" as {shown}", value.name));
        initializer.push(TensorProto {
            name: value.name.clone(),
            dims: dims.into_iter().map(|dim| dim as i64).collect(),
            data_type,
            raw_data,
            ..Default::default()
        });
        false
    });
    (!said.is_empty()).then(|| format!("fixed the input {}", said.join(" and ")))
}

/// Returns numbers as ONNX stores this type.
fn bytes(data_type: i32, numbers: &[u32]) -> Option<Vec<u8>> {
    let numbers = numbers.iter().copied();
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Float => numbers.flat_map(|n| (n as f32).to_le_bytes()).collect(),
        DataType::Double => numbers.flat_map(|n| f64::from(n).to_le_bytes()).collect(),
        DataType::Int64 => numbers.flat_map(|n| i64::from(n).to_le_bytes()).collect(),
        DataType::Int32 => numbers.flat_map(u32::to_le_bytes).collect(),
        DataType::Bool => numbers.map(|n| u8::from(n != 0)).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{input_spec, model, node};

    fn graph(input: &str, data_type: DataType) -> GraphProto {
        let nodes = vec![node("Mul", &["x", input], &["y"])];
        let inputs: [(&str, &[i64]); 2] = [(input, &[1, 2]), ("x", &[1, 3, 32, 64])];
        let mut graph = model(nodes, &inputs, &[("y", &[])]).graph.unwrap();
        let kind = graph.input[0].r#type.as_mut().unwrap();
        let tract_onnx::pb::type_proto::Value::TensorType(tensor) = kind.value.as_mut().unwrap();
        tensor.elem_type = data_type as i32;
        graph
    }

    #[test]
    fn a_known_input_becomes_a_constant_of_its_type() {
        let mut sizes = graph("orig_target_sizes", DataType::Int64);
        let said = run(&mut sizes, &input_spec()).unwrap();
        assert!(
            said.contains("orig_target_sizes") && said.contains("[64, 32]"),
            "{said}"
        );
        assert_eq!(sizes.input.len(), 1);
        let constant = &sizes.initializer[0];
        assert_eq!(
            (constant.name.as_str(), &constant.dims[..]),
            ("orig_target_sizes", &[1, 2][..])
        );
        assert_eq!(
            constant.raw_data,
            [64_i64.to_le_bytes(), 32_i64.to_le_bytes()].concat()
        );
        assert_eq!(
            run(&mut sizes, &input_spec()),
            None,
            "a second run finds nothing"
        );

        let mut scale = graph("scale_factor", DataType::Float);
        run(&mut scale, &input_spec()).unwrap();
        assert_eq!(
            scale.initializer[0].raw_data,
            [1_f32.to_le_bytes(); 2].concat()
        );
    }

    #[test]
    fn other_inputs_are_left_alone() {
        let mut other = graph("prompt", DataType::Int64);
        let before = other.clone();
        assert_eq!(run(&mut other, &input_spec()), None);
        assert_eq!(other, before);
    }
}
