//! [`Value`]: dims of a tensor and, if known, its numbers.

use crate::onnx::parse;
use std::sync::Arc;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

/// Numbers, row-major. Integers and booleans of any width are i64.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::I64(numbers) => numbers.len(),
        }
    }

    /// Returns the numbers of an array of `dims` with the given steps along each axis, from `offset`.
    pub fn strided(&self, offset: isize, dims: &[usize], strides: &[isize]) -> Self {
        match self {
            Self::F32(numbers) => Self::F32(strided(numbers, offset, dims, strides)),
            Self::I64(numbers) => Self::I64(strided(numbers, offset, dims, strides)),
        }
    }

    /// Returns the numbers at `places`.
    pub fn gathered(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::F32(numbers) => Self::F32(places.map(|i| numbers[i]).collect()),
            Self::I64(numbers) => Self::I64(places.map(|i| numbers[i]).collect()),
        }
    }
}

fn strided<T: Copy>(numbers: &[T], offset: isize, dims: &[usize], strides: &[isize]) -> Vec<T> {
    let count = dims.iter().product();
    let mut taken = Vec::with_capacity(count);
    let mut index = vec![0; dims.len()];
    let mut at = offset;
    while taken.len() < count {
        taken.push(numbers[at as usize]);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            // Wraps where a step is taken back at once.
            at = at.wrapping_add(strides[axis]);
            if index[axis] < dims[axis] {
                break;
            }
            at = at.wrapping_sub(strides[axis].wrapping_mul(dims[axis] as isize));
            index[axis] = 0;
        }
    }
    taken
}

/// Returns the steps along the axes of a row-major array.
pub fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1_isize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].wrapping_mul(dims[axis] as isize); // may wrap where another is 0
    }
    strides
}

/// More axes than any tensor has, so that quadratic work over axes stays short.
pub const MAX_RANK: usize = 64;

/// Returns the numbers in a tensor; `None` beyond the budget of [`parse::MAX_ELEMENTS`], which a single dim may not
/// exceed either.
pub fn count(dims: &[usize]) -> Option<usize> {
    if dims.len() > MAX_RANK || dims.iter().any(|dim| *dim as u64 > parse::MAX_ELEMENTS) {
        return None;
    }
    let count = dims
        .iter()
        .try_fold(1_usize, |n, dim| n.checked_mul(*dim))?;
    (count as u64 <= parse::MAX_ELEMENTS).then_some(count)
}

/// Dims of a tensor, and its numbers where they are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub dims: Vec<usize>,
    /// The numbers, as many as `dims` say.
    pub data: Option<Arc<Data>>,
}

impl Value {
    pub fn new(dims: Vec<usize>, data: Option<Data>) -> Self {
        debug_assert!(data.as_ref().is_none_or(|d| count(&dims) == Some(d.len())));
        Self {
            dims,
            data: data.map(Arc::new),
        }
    }

    /// Reads a constant of the file. Leaves out its numbers if there are more than `limit`, or if the type is not
    /// followed.
    pub fn from_tensor(tensor: &TensorProto, limit: usize) -> Option<Self> {
        let dims: Vec<usize> = (tensor.dims.iter())
            .map(|dim| usize::try_from(*dim).ok())
            .collect::<Option<_>>()?;
        let count = count(&dims)?;
        let data = (count <= limit).then(|| data(tensor)).flatten();
        Some(Self::new(dims, data.filter(|data| data.len() == count)))
    }

    pub fn integers(&self) -> Option<&[i64]> {
        match self.data.as_deref() {
            Some(Data::I64(numbers)) => Some(numbers),
            _ => None,
        }
    }

    pub fn floats(&self) -> Option<&[f32]> {
        match self.data.as_deref() {
            Some(Data::F32(numbers)) => Some(numbers),
            _ => None,
        }
    }
}

fn data(tensor: &TensorProto) -> Option<Data> {
    let raw = &tensor.raw_data;
    let narrow = || tensor.int32_data.iter().map(|n| i64::from(*n)).collect();
    Some(match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if raw.is_empty() => Data::F32(tensor.float_data.clone()),
        DataType::Float => Data::F32(chunks(raw, f32::from_le_bytes)),
        DataType::Int64 => Data::I64(parse::integers(tensor)?),
        DataType::Int32 | DataType::Bool if raw.is_empty() => Data::I64(narrow()),
        DataType::Int32 => Data::I64(chunks(raw, |bytes| i32::from_le_bytes(bytes).into())),
        DataType::Bool => Data::I64(raw.iter().map(|byte| i64::from(*byte)).collect()),
        _ => return None,
    })
}

fn chunks<T, const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>()
        .0
        .iter()
        .map(|bytes| number(*bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{float_tensor, int64_tensor};
    use super::*;

    #[test]
    fn strides_walk_an_array_in_any_order() {
        let data = Data::I64((0..6).collect());
        assert_eq!(strides(&[4, 2, 3]), [6, 3, 1]);
        let turned = data.strided(0, &[3, 2], &[1, 3]);
        assert_eq!(turned, Data::I64(vec![0, 3, 1, 4, 2, 5]));
        let backwards = data.strided(5, &[2], &[-3]);
        assert_eq!(backwards, Data::I64(vec![5, 2]));
        assert_eq!(data.strided(4, &[], &[]), Data::I64(vec![4]));
        assert_eq!(data.strided(0, &[0, 2], &[1, 1]).len(), 0);
    }

    #[test]
    fn constants_are_read_up_to_the_limit() {
        let floats = float_tensor("f", &[2], &[1.5, 2.5]);
        assert_eq!(
            Value::from_tensor(&floats, 2).unwrap().floats(),
            Some(&[1.5, 2.5][..])
        );
        let beyond = Value::from_tensor(&floats, 1).unwrap();
        assert_eq!((&beyond.dims[..], beyond.data), (&[2][..], None));
        let raw = TensorProto {
            raw_data: [1.5_f32, -2.0]
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect(),
            float_data: vec![],
            ..floats
        };
        assert_eq!(
            Value::from_tensor(&raw, 2).unwrap().floats(),
            Some(&[1.5, -2.0][..])
        );
        let integers = int64_tensor("i", &[-1, 7]);
        assert_eq!(
            Value::from_tensor(&integers, 2).unwrap().integers(),
            Some(&[-1, 7][..])
        );
    }
}
