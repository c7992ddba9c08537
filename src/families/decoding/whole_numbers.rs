//! Class numbers and counts, for decoders of rows that the graph has chosen.

use super::output::shape_error;
use crate::base::tensor::{TensorData, TensorSpec};
use crate::families::decoding::DecodeError;

/// More classes than any detector has.
const MAX_NUMBER: f32 = 65_536.0;

/// The whole number that a float stands for; none if it is negative, not finite or beyond any class.
pub(crate) fn whole(value: f32) -> Option<u32> {
    let rounded = value.round();
    (0.0..=MAX_NUMBER)
        .contains(&rounded)
        .then_some(rounded as u32)
}

/// The whole number at `index`, of whatever type; none where there is none, or as [`whole`].
pub(crate) fn whole_at(data: &TensorData, index: usize) -> Option<u32> {
    let number = match data {
        TensorData::F32(_) | TensorData::Foreign(_) => return whole(*data.as_f32()?.get(index)?),
        TensorData::U8(values) => i64::from(*values.get(index)?),
        TensorData::I32(values) => i64::from(*values.get(index)?),
        TensorData::I64(values) => *values.get(index)?,
    };
    let number = u32::try_from(number).ok()?;
    (number <= MAX_NUMBER as u32).then_some(number)
}

/// The output at the place that the family names.
pub(crate) fn at_place<'a>(
    outputs: &'a [TensorSpec],
    place: usize,
    expected: &str,
) -> Result<&'a TensorSpec, DecodeError> {
    outputs.get(place).ok_or_else(|| DecodeError::Outputs {
        found: outputs.to_vec(),
        expected: expected.into(),
    })
}

/// Checks that there are as many numbers as boxes.
pub(crate) fn check_count(name: &str, found: usize, boxes: usize) -> Result<(), DecodeError> {
    if found == boxes {
        return Ok(());
    }
    let expected = format!("{boxes}, a number for every box");
    Err(shape_error(name, &[found], &expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_number_is_read() {
        for data in [
            TensorData::F32(vec![0.0, 7.0]),
            TensorData::U8(vec![0, 7]),
            TensorData::I32(vec![0, 7]),
            TensorData::I64(vec![0, 7]),
        ] {
            assert_eq!(whole_at(&data, 0), Some(0), "{data:?}");
            assert_eq!(whole_at(&data, 1), Some(7), "{data:?}");
            assert_eq!(whole_at(&data, 2), None, "{data:?}");
        }
        assert_eq!(whole(6.999), Some(7), "floats carry rounding errors");
    }

    #[test]
    fn what_can_be_no_class_is_none() {
        for value in [-1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9] {
            assert_eq!(whole(value), None, "{value}");
        }
        assert_eq!(whole_at(&TensorData::I32(vec![-1]), 0), None);
        assert_eq!(whole_at(&TensorData::I64(vec![i64::MAX]), 0), None);
        assert_eq!(whole_at(&TensorData::I64(vec![1 << 32]), 0), None);
    }
}
