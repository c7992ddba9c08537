//! Reads and writes the numbers of ONNX constants, for rewrites that compute with them.

use std::collections::HashMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, TensorProto};

/// Returns the constants of a graph by name: initializers, and the values of `Constant` nodes.
pub fn by_name(graph: &GraphProto) -> HashMap<&str, &TensorProto> {
    let made = graph
        .node
        .iter()
        .filter(|node| node.op_type == "Constant")
        .filter_map(|node| {
            let value = node.attribute.iter().find(|a| a.name == "value")?;
            Some((node.output.first()?.as_str(), value.t.as_ref()?))
        });
    let initializers = graph.initializer.iter().map(|t| (t.name.as_str(), t));
    made.chain(initializers).collect()
}

/// Returns the numbers of a float tensor of 16 or 32 bits.
pub fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    let numbers = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if tensor.raw_data.is_empty() => tensor.float_data.clone(),
        DataType::Float => {
            let (numbers, _) = tensor.raw_data.as_chunks::<4>();
            numbers.iter().map(|n| f32::from_le_bytes(*n)).collect()
        }
        DataType::Float16 => bits(tensor).map(widen).collect(),
        DataType::Bfloat16 => bits(tensor)
            .map(|b| f32::from_bits(u32::from(b) << 16))
            .collect(),
        _ => return None,
    };
    complete(tensor, numbers)
}

/// Returns 16-bit numbers, stored as bytes or one in each entry of `int32_data`.
fn bits(tensor: &TensorProto) -> Box<dyn Iterator<Item = u16> + '_> {
    if tensor.raw_data.is_empty() {
        return Box::new(tensor.int32_data.iter().map(|n| *n as u16));
    }
    let (numbers, _) = tensor.raw_data.as_chunks::<2>();
    Box::new(numbers.iter().map(|n| u16::from_le_bytes(*n)))
}

/// Converts an IEEE half to f32, which is exact.
fn widen(half: u16) -> f32 {
    let (exponent, fraction) = (half >> 10 & 0x1f, u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // subnormal: the fraction counts units of 2^-24
        0 => fraction as f32 * f32::from_bits((127 - 24) << 23),
        0x1f => f32::from_bits(0x7f80_0000 | fraction << 13),
        // the exponents are biased by 15 and by 127
        _ => f32::from_bits((u32::from(exponent) + 112) << 23 | fraction << 13),
    };
    if half >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// Returns the numbers of a tensor of a type that activations and weights are quantised to: int8, uint8, int16, uint16,
/// int32.
pub fn quantised(tensor: &TensorProto) -> Option<Vec<i32>> {
    let raw = &tensor.raw_data;
    let stored = raw.is_empty();
    let numbers = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int8 | DataType::Uint8 | DataType::Int16 | DataType::Uint16 | DataType::Int32
            if stored =>
        {
            tensor.int32_data.clone()
        }
        DataType::Int8 => raw.iter().map(|b| i32::from(*b as i8)).collect(),
        DataType::Uint8 => raw.iter().map(|b| i32::from(*b)).collect(),
        DataType::Int16 => bits(tensor).map(|b| i32::from(b as i16)).collect(),
        DataType::Uint16 => bits(tensor).map(i32::from).collect(),
        DataType::Int32 => {
            let (numbers, _) = raw.as_chunks::<4>();
            numbers.iter().map(|n| i32::from_le_bytes(*n)).collect()
        }
        _ => return None,
    };
    complete(tensor, numbers)
}

fn complete<T>(tensor: &TensorProto, numbers: Vec<T>) -> Option<Vec<T>> {
    let expected = tensor.dims.iter().try_fold(1_usize, |product, dim| {
        product.checked_mul(usize::try_from(*dim).ok()?)
    });
    (expected == Some(numbers.len())).then_some(numbers)
}

pub fn float_tensor(name: impl Into<String>, dims: Vec<i64>, numbers: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims,
        data_type: DataType::Float as i32,
        raw_data: numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// Creates an int64 tensor of one axis.
pub fn int64_tensor(name: impl Into<String>, numbers: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![numbers.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: numbers.to_vec(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: DataType, dims: &[i64], raw: &[u8], stored: &[i32]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: kind as i32,
            raw_data: raw.to_vec(),
            int32_data: stored.to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn every_quantised_type_is_read_from_either_field() {
        let cases = [
            (DataType::Int8, &[0xff, 2][..], [-1, 2]),
            (DataType::Uint8, &[0xff, 2], [255, 2]),
            (DataType::Int16, &[0xff, 0xff, 2, 0], [-1, 2]),
            (DataType::Uint16, &[0xff, 0xff, 2, 0], [65535, 2]),
            (
                DataType::Int32,
                &[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0],
                [-1, 2],
            ),
        ];
        for (kind, raw, wanted) in cases {
            let raw = tensor(kind, &[2], raw, &[]);
            assert_eq!(quantised(&raw), Some(wanted.to_vec()), "{kind:?}");
            let stored = tensor(kind, &[1, 2], &[], &wanted);
            assert_eq!(quantised(&stored), Some(wanted.to_vec()), "{kind:?}");
        }
        assert_eq!(quantised(&tensor(DataType::Int4, &[2], &[0x12], &[])), None);
    }

    #[test]
    fn halves_are_widened_exactly() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (1, 2.0_f32.powi(-24)),
            (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (half, wanted) in cases {
            let half = tensor(DataType::Float16, &[1], &u16::to_le_bytes(half), &[]);
            assert_eq!(floats(&half), Some(vec![wanted]));
        }
        assert!(widen(0x7e00).is_nan());
        assert_eq!(widen(0x8000).to_bits(), (-0.0_f32).to_bits());
        let stored = tensor(DataType::Bfloat16, &[1], &[], &[0xbf80]);
        assert_eq!(floats(&stored), Some(vec![-1.0]));
    }

    #[test]
    fn data_that_contradict_the_dims_are_none() {
        for dims in [&[3][..], &[-1], &[i64::MAX, i64::MAX]] {
            assert_eq!(quantised(&tensor(DataType::Int8, dims, &[1, 2], &[])), None);
            assert_eq!(floats(&tensor(DataType::Float16, dims, &[1, 2], &[])), None);
        }
    }
}
