//! Converts our tensors to values of ONNX Runtime and back.
//!
//! Output types that [`Element`] lacks are widened in the same way by all engines, see [`element`].

use crate::base::tensor::{Element, Foreign, Number, Tensor, TensorData, TensorSpec};
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{
    DynValue, PrimitiveTensorElementType, Shape, TensorElementType, TensorRef, TensorValueType,
    Value,
};

/// Returns the type of ours for an output type; `None` for text, complex numbers and odd bits.
pub(super) fn element(ty: TensorElementType) -> Option<Element> {
    use TensorElementType as T;
    match ty {
        T::Float16 | T::Bfloat16 | T::Float32 | T::Float64 => Some(Element::F32),
        T::Uint8 | T::Bool => Some(Element::U8),
        T::Int8 | T::Int16 | T::Int32 | T::Uint16 => Some(Element::I32),
        T::Int64 | T::Uint32 | T::Uint64 => Some(Element::I64),
        _ => None,
    }
}

/// How a tensor of ours becomes the input of the graph.
#[derive(Clone)]
pub(super) enum Input {
    /// The types are equal: the graph reads our memory.
    AsItIs,
    /// The graph computes in f16: each run rounds into this memory.
    Rounded(Vec<f16>),
}

impl Input {
    /// Chooses the conversion for a graph that takes `wanted`; `None` if there is none from `ours`.
    pub fn new(wanted: TensorElementType, ours: Element) -> Option<Self> {
        match (wanted, ours) {
            (TensorElementType::Float16, Element::F32) => Some(Self::Rounded(Vec::new())),
            (wanted, ours) => (plain(ours) == wanted).then_some(Self::AsItIs),
        }
    }

    pub fn value<'a>(&'a mut self, input: &'a Tensor) -> ort::Result<SessionInputValue<'a>> {
        let dims = input.dims.as_slice();
        match (self, &input.data) {
            (Self::Rounded(rounded), data) => {
                let numbers = data.as_f32().unwrap_or_default();
                rounded.clear();
                rounded.extend(numbers.iter().map(|&n| f16::from_f32(n)));
                view(dims, rounded)
            }
            (_, TensorData::F32(numbers)) => view(dims, numbers),
            (_, TensorData::U8(numbers)) => view(dims, numbers),
            (_, TensorData::I32(numbers)) => view(dims, numbers),
            (_, TensorData::I64(numbers)) => view(dims, numbers),
            (_, TensorData::Foreign(numbers)) => view(dims, numbers.numbers()),
        }
    }
}

/// Returns ONNX Runtime's name of a type.
fn plain(element: Element) -> TensorElementType {
    match element {
        Element::F32 => TensorElementType::Float32,
        Element::U8 => TensorElementType::Uint8,
        Element::I32 => TensorElementType::Int32,
        Element::I64 => TensorElementType::Int64,
    }
}

fn view<'a, T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static>(
    dims: &'a [usize],
    numbers: &'a [T],
) -> ort::Result<SessionInputValue<'a>> {
    Ok(TensorRef::from_array_view((dims, numbers))?.into())
}

/// Fills `output` from an output of a run, with the type that `spec` promises and the dims of the run. Numbers of f32
/// are not copied.
pub(super) fn output(value: DynValue, spec: &TensorSpec, output: &mut Tensor) -> ort::Result<()> {
    use TensorElementType as T;
    match value.dtype().tensor_type() {
        Some(T::Float32) => keep(value, output),
        Some(T::Float16) => copy(value, output, f16::to_f32),
        Some(T::Bfloat16) => copy(value, output, bf16::to_f32),
        Some(T::Float64) => copy(value, output, |n: f64| n as f32),
        Some(T::Uint8) => copy(value, output, |n: u8| n),
        Some(T::Bool) => copy(value, output, |n: bool| u8::from(n)),
        Some(T::Int8) => copy(value, output, |n: i8| i32::from(n)),
        Some(T::Int16) => copy(value, output, |n: i16| i32::from(n)),
        Some(T::Int32) => copy(value, output, |n: i32| n),
        Some(T::Uint16) => copy(value, output, |n: u16| i32::from(n)),
        Some(T::Int64) => copy(value, output, |n: i64| n),
        Some(T::Uint32) => copy(value, output, |n: u32| i64::from(n)),
        Some(T::Uint64) => copy(value, output, |n: u64| n as i64),
        _ => {
            let (name, found) = (&spec.name, value.dtype());
            Err(ort::Error::new(format!("output {name} is {found}")))
        }
    }
}

/// Numbers in memory of ONNX Runtime; `Value` keeps the memory alive.
struct Numbers(Value<TensorValueType<f32>>);

impl AsRef<[f32]> for Numbers {
    fn as_ref(&self) -> &[f32] {
        self.0.extract_tensor().1
    }
}

fn keep(value: DynValue, output: &mut Tensor) -> ort::Result<()> {
    let numbers = value.downcast()?;
    output.dims.clear();
    output.dims.extend(dims(numbers.shape()));
    output.data = TensorData::Foreign(Foreign::new(Numbers(numbers)));
    Ok(())
}

fn copy<T: PrimitiveTensorElementType + Copy, U: Number>(
    value: DynValue,
    output: &mut Tensor,
    widen: impl Fn(T) -> U,
) -> ort::Result<()> {
    let (shape, numbers) = value.try_extract_tensor::<T>()?;
    output.refill(dims(shape), numbers.iter().map(|&n| widen(n)));
    Ok(())
}

fn dims(shape: &Shape) -> impl Iterator<Item = usize> {
    shape.iter().map(|&dim| dim.max(0) as usize)
}
