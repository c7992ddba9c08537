//! [`Params`]: what the integers of a tensor stand for.

use super::Reason;
use std::rc::Rc;
use tract_onnx::pb::tensor_proto::DataType;

/// Scale and zero point. There are as many zero points as scales, or one.
#[derive(Debug, Clone)]
pub struct Params {
    pub scale: Rc<[f32]>,
    pub zero: Rc<[i32]>,
    /// Where the channels are, if there is more than one scale.
    pub axis: Option<i64>,
    /// Least and largest number of the type.
    pub limits: (i32, i32),
}

impl Params {
    pub fn starts_at_zero(&self) -> bool {
        self.zero.iter().all(|zero| *zero == self.limits.0)
    }

    /// The largest value, if there is one scale.
    pub fn largest(&self) -> Option<f32> {
        match (&self.scale[..], &self.zero[..]) {
            ([scale], [zero]) => {
                let steps = i64::from(self.limits.1) - i64::from(*zero);
                Some(steps as f32 * scale)
            }
            _ => None,
        }
    }

    /// A zero point for each scale.
    pub fn zeros(&self) -> impl Iterator<Item = &i32> + Clone {
        self.zero.iter().cycle().take(self.scale.len())
    }

    /// The type of a zero point left out is not told.
    pub fn same_numbers(&self, other: &Self) -> bool {
        let same_scale = Rc::ptr_eq(&self.scale, &other.scale) || self.scale == other.scale;
        let same_zero = Rc::ptr_eq(&self.zero, &other.zero) || self.zeros().eq(other.zeros());
        same_scale && same_zero && self.axis == other.axis
    }

    /// Computes (q - zero) * scale.
    pub fn dequantised(&self, numbers: &[i32], dims: &[i64]) -> Result<Vec<f32>, Reason> {
        let odd = || format!("{} scales for weights of dims {dims:?}", self.scale.len());
        // Numbers in a row that share a scale.
        let run = match self.axis {
            None => numbers.len(),
            Some(axis) => {
                let rank = dims.len() as i64;
                let axis = if axis < 0 {
                    axis.checked_add(rank).ok_or_else(odd)?
                } else {
                    axis
                };
                let axis = usize::try_from(axis).map_err(|_| odd())?;
                if dims.get(axis) != Some(&(self.scale.len() as i64)) {
                    return Err(odd());
                }
                let mut inner = dims.iter().skip(axis + 1);
                inner
                    .try_fold(1_usize, |product, dim| {
                        product.checked_mul(usize::try_from(*dim).ok()?)
                    })
                    .ok_or_else(odd)?
            }
        };
        let channels = self.scale.iter().zip(self.zeros());
        let channels = channels.cycle();
        let runs = numbers.chunks(run.max(1)).zip(channels);
        let floats = runs.flat_map(|(run, (scale, zero))| {
            run.iter()
                .map(move |q| (i64::from(*q) - i64::from(*zero)) as f32 * scale)
        });
        Ok(floats.collect())
    }
}

/// Returns the least and the largest number of an integer type; `None` of any other.
pub fn limits(data_type: i32) -> Option<(i32, i32)> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN, i32::MAX),
        _ => return None,
    })
}
