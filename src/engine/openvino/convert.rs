//! Converts our tensors to tensors of OpenVINO and back.
//!
//! Output types that [`Element`] lacks are widened in the same way by all engines, see [`element`].

use crate::base::tensor::{Element, Number, Tensor, TensorData, TensorSpec};
use half::{bf16, f16};
use openvino::{ElementType, InferenceError, InferenceErrorKind};

type Native = openvino::Tensor;

/// Returns the type of ours for an output type; `None` for text and odd bits.
pub(super) fn element(ty: ElementType) -> Option<Element> {
    use ElementType as T;
    match ty {
        T::F16 | T::Bf16 | T::F32 | T::F64 => Some(Element::F32),
        T::U8 | T::Boolean => Some(Element::U8),
        T::I8 | T::I16 | T::I32 | T::U16 => Some(Element::I32),
        T::I64 | T::U32 | T::U64 => Some(Element::I64),
        _ => None,
    }
}

/// How a tensor of ours becomes the input of the graph.
#[derive(Clone, Copy)]
pub(super) enum Input {
    AsItIs,
    /// The graph computes in f16: each run rounds.
    Rounded,
}

impl Input {
    /// Chooses the conversion for a graph that takes `wanted`; `None` if there is none from `ours`.
    pub fn new(wanted: ElementType, ours: Element) -> Option<Self> {
        match (wanted, ours) {
            (ElementType::F16, Element::F32) => Some(Self::Rounded),
            (ElementType::F32, Element::F32)
            | (ElementType::U8, Element::U8)
            | (ElementType::I32, Element::I32)
            | (ElementType::I64, Element::I64) => Some(Self::AsItIs),
            _ => None,
        }
    }

    pub fn fill(self, native: &mut Native, input: &Tensor) -> Result<(), InferenceError> {
        match (self, &input.data) {
            (Self::Rounded, data) => {
                let numbers = data.as_f32().unwrap_or_default();
                let target = same_count::<f16>(native, numbers.len())?;
                for (target, number) in target.iter_mut().zip(numbers) {
                    *target = f16::from_f32(*number);
                }
                Ok(())
            }
            (_, TensorData::F32(numbers)) => copy(native, numbers),
            (_, TensorData::U8(numbers)) => copy(native, numbers),
            (_, TensorData::I32(numbers)) => copy(native, numbers),
            (_, TensorData::I64(numbers)) => copy(native, numbers),
            (_, TensorData::Foreign(numbers)) => copy(native, numbers.numbers()),
        }
    }
}

fn copy<T: Copy>(native: &mut Native, numbers: &[T]) -> Result<(), InferenceError> {
    same_count(native, numbers.len())?.copy_from_slice(numbers);
    Ok(())
}

fn same_count<T>(native: &mut Native, count: usize) -> Result<&mut [T], InferenceError> {
    let target = native.get_data_mut::<T>()?;
    if target.len() == count {
        Ok(target)
    } else {
        let found = target.len();
        Err(wrong(format!("input of {count} numbers, expected {found}")))
    }
}

/// Fills `output` from an output of a run, with the type that `spec` promises and the dims of the run.
pub(super) fn output(
    native: &Native,
    spec: &TensorSpec,
    output: &mut Tensor,
) -> Result<(), InferenceError> {
    use ElementType as T;
    match native.get_element_type()? {
        T::F32 => copy_out(native, output, |n: f32| n),
        T::F16 => copy_out(native, output, f16::to_f32),
        T::Bf16 => copy_out(native, output, bf16::to_f32),
        T::F64 => copy_out(native, output, |n: f64| n as f32),
        T::U8 | T::Boolean => copy_out(native, output, |n: u8| n),
        T::I8 => copy_out(native, output, |n: i8| i32::from(n)),
        T::I16 => copy_out(native, output, |n: i16| i32::from(n)),
        T::I32 => copy_out(native, output, |n: i32| n),
        T::U16 => copy_out(native, output, |n: u16| i32::from(n)),
        T::I64 => copy_out(native, output, |n: i64| n),
        T::U32 => copy_out(native, output, |n: u32| i64::from(n)),
        T::U64 => copy_out(native, output, |n: u64| n as i64),
        found => Err(wrong(format!("output {} is {found}", spec.name))),
    }
}

fn copy_out<T: Copy, U: Number>(
    native: &Native,
    output: &mut Tensor,
    widen: impl Fn(T) -> U,
) -> Result<(), InferenceError> {
    let shape = native.get_shape()?;
    let dims = shape.get_dimensions().iter();
    let dims = dims.map(|&dim| usize::try_from(dim).unwrap_or(0));
    // An empty tensor of OpenVINO may have no memory, and the bindings must not make a slice of that.
    let numbers: &[T] = match native.get_byte_size()? {
        0 => &[],
        _ => native.get_data::<T>()?,
    };
    output.refill(dims, numbers.iter().map(|&n| widen(n)));
    Ok(())
}

fn wrong(message: String) -> InferenceError {
    InferenceError {
        kind: InferenceErrorKind::ParameterMismatch,
        message: Some(message),
    }
}
