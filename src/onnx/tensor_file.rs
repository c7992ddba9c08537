//! [`read_tensor`]: a tensor on its own, as ONNX's test data keep inputs and outputs (`input_0.pb`).
//!
//! The file is one `TensorProto`. Its numbers lie in `raw_data`, little-endian, or in the field of their type; f16
//! becomes f32, and so do f64 and bool, which no model of ours is given.

use crate::base::tensor::{Tensor, TensorData};
use prost::Message;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

/// Reads a tensor.
///
/// # Errors
/// What is wrong, in words.
pub fn read_tensor(bytes: &[u8]) -> Result<Tensor, String> {
    let proto = TensorProto::decode(bytes).map_err(|err| format!("it is no tensor: {err}"))?;
    if proto.data_location == Some(DataLocation::External as i32) {
        return Err("its numbers lie in another file".into());
    }
    let dims = proto.dims.iter().map(|dim| usize::try_from(*dim).ok());
    let dims = dims.collect::<Option<Vec<_>>>();
    let dims = dims.ok_or_else(|| format!("its dims are {:?}", proto.dims))?;
    let data = numbers(&proto)?;
    let expected = dims.iter().try_fold(1_usize, |n, dim| n.checked_mul(*dim));
    if expected != Some(data.len()) {
        return Err(format!("it has {} numbers, and dims {dims:?}", data.len()));
    }
    Ok(Tensor {
        name: proto.name,
        dims,
        data,
    })
}

fn numbers(proto: &TensorProto) -> Result<TensorData, String> {
    let raw = proto.raw_data.as_slice();
    let listed = raw.is_empty();
    let half = |bits: u16| half::f16::from_bits(bits).to_f32();
    let kind = DataType::try_from(proto.data_type);
    Ok(match kind {
        Ok(DataType::Float) if listed => TensorData::F32(proto.float_data.clone()),
        Ok(DataType::Float) => TensorData::F32(each(raw, f32::from_le_bytes)),
        Ok(DataType::Double) if listed => {
            TensorData::F32(proto.double_data.iter().map(|v| *v as f32).collect())
        }
        Ok(DataType::Double) => TensorData::F32(each(raw, |b| f64::from_le_bytes(b) as f32)),
        Ok(DataType::Float16) if listed => {
            TensorData::F32(proto.int32_data.iter().map(|v| half(*v as u16)).collect())
        }
        Ok(DataType::Float16) => TensorData::F32(each(raw, |b| half(u16::from_le_bytes(b)))),
        Ok(DataType::Int64) if listed => TensorData::I64(proto.int64_data.clone()),
        Ok(DataType::Int64) => TensorData::I64(each(raw, i64::from_le_bytes)),
        Ok(DataType::Int32) if listed => TensorData::I32(proto.int32_data.clone()),
        Ok(DataType::Int32) => TensorData::I32(each(raw, i32::from_le_bytes)),
        Ok(DataType::Uint8) if listed => {
            TensorData::U8(proto.int32_data.iter().map(|v| *v as u8).collect())
        }
        Ok(DataType::Uint8) => TensorData::U8(raw.to_vec()),
        Ok(DataType::Bool) => {
            TensorData::F32(raw.iter().map(|v| f32::from(u8::from(*v != 0))).collect())
        }
        Ok(other) => return Err(format!("its numbers are {}", other.as_str_name())),
        Err(_) => return Err(format!("its numbers are of type {}", proto.data_type)),
    })
}

fn each<const N: usize, T>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = raw.as_chunks::<N>();
    chunks.iter().map(|bytes| number(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: DataType, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: "x".into(),
            data_type: kind as i32,
            dims: dims.to_vec(),
            ..TensorProto::default()
        }
    }

    fn read(proto: &TensorProto) -> Result<Tensor, String> {
        read_tensor(&proto.encode_to_vec())
    }

    #[test]
    fn numbers_are_read_from_either_place() {
        let mut raw = tensor(DataType::Float, &[2, 1]);
        raw.raw_data = [1.5_f32, -2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let mut listed = tensor(DataType::Float, &[2, 1]);
        listed.float_data = vec![1.5, -2.0];
        for proto in [raw, listed] {
            let read = read(&proto).expect("a tensor");
            assert_eq!((read.name.as_str(), read.dims), ("x", vec![2, 1]));
            assert_eq!(read.data, TensorData::F32(vec![1.5, -2.0]));
        }
        let mut half = tensor(DataType::Float16, &[1]);
        half.raw_data = half::f16::from_f32(0.25).to_le_bytes().to_vec();
        assert_eq!(
            read(&half).expect("a tensor").data,
            TensorData::F32(vec![0.25])
        );
        let mut integers = tensor(DataType::Int64, &[2]);
        integers.int64_data = vec![7, -7];
        assert_eq!(
            read(&integers).expect("a tensor").data,
            TensorData::I64(vec![7, -7])
        );
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let mut short = tensor(DataType::Float, &[3]);
        short.float_data = vec![1.0];
        assert_eq!(read(&short).unwrap_err(), "it has 1 numbers, and dims [3]");
        assert!(read(&tensor(DataType::Float, &[-1])).is_err());
        assert!(read(&tensor(DataType::Float, &[i64::MAX, 4])).is_err());
        assert!(
            read(&tensor(DataType::String, &[1]))
                .unwrap_err()
                .contains("STRING")
        );
        assert!(read_tensor(b"\xff\xff").is_err());
    }
}
