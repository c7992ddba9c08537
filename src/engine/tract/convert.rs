//! Converts our tensors to tensors of tract and back.
//!
//! Output types that [`Element`] lacks are widened to one that holds them: f16, f64 and quantised numbers to float32,
//! booleans to uint8, short integers to int32, dimensions and unsigned long integers to int64.

use crate::base::tensor::{Element, Number, Tensor, TensorData, TensorSpec};
use std::sync::Arc;
use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_hir::internal::{Datum, anyhow, bail};

type Native = tract_onnx::prelude::Tensor;

/// Returns tract's name of a type.
pub(super) fn datum_type(element: Element) -> DatumType {
    match element {
        Element::F32 => DatumType::F32,
        Element::U8 => DatumType::U8,
        Element::I32 => DatumType::I32,
        Element::I64 => DatumType::I64,
    }
}

/// Returns the type of ours for an output type; `None` for text and complex numbers.
pub(super) fn element(datum_type: DatumType) -> Option<Element> {
    match datum_type {
        DatumType::F16 | DatumType::F32 | DatumType::F64 => Some(Element::F32),
        DatumType::U8 | DatumType::Bool => Some(Element::U8),
        DatumType::I8 | DatumType::I16 | DatumType::I32 | DatumType::U16 => Some(Element::I32),
        DatumType::I64 | DatumType::U32 | DatumType::U64 | DatumType::TDim => Some(Element::I64),
        quantised if quantised.is_quantized() => Some(Element::F32),
        _ => None,
    }
}

/// Copies our input into tract's tensor, with the graph's shape and type. Allocates a new one if the last run still
/// holds it.
pub(super) fn fill(native: &mut Arc<Native>, input: &Tensor) -> TractResult<()> {
    if Arc::get_mut(native).is_none() {
        *native = Arc::new(Native::zero_dt(native.datum_type(), native.shape())?);
    }
    let target = Arc::get_mut(native).ok_or_else(|| anyhow!("a tensor just made is shared"))?;
    match &input.data {
        TensorData::F32(values) => fill_from(target, values),
        TensorData::U8(values) => fill_from(target, values),
        TensorData::I32(values) => fill_from(target, values),
        TensorData::I64(values) => fill_from(target, values),
        TensorData::Foreign(values) => fill_from(target, values.numbers()),
    }
}

fn fill_from<T: Datum + Copy>(target: &mut Native, values: &[T]) -> TractResult<()> {
    if target.datum_type() != T::datum_type() {
        let ours = Native::from_shape(target.shape(), values)?;
        *target = ours.cast_to_dt(target.datum_type())?.into_owned();
        return Ok(());
    }
    let mut plain = target.try_as_plain_ram_mut()?;
    let slice = plain.as_slice_mut::<T>()?;
    if slice.len() != values.len() {
        bail!(
            "input of {} numbers, expected {}",
            values.len(),
            slice.len()
        );
    }
    slice.copy_from_slice(values);
    Ok(())
}

/// Fills `output` from an output of a run, with the type that `spec` promises and the dims of the run.
pub(super) fn output(value: &Native, spec: &TensorSpec, output: &mut Tensor) -> TractResult<()> {
    let value = value.cast_to_dt(datum_type(spec.element))?;
    match spec.element {
        Element::F32 => copy::<f32>(&value, output),
        Element::U8 => copy::<u8>(&value, output),
        Element::I32 => copy::<i32>(&value, output),
        Element::I64 => copy::<i64>(&value, output),
    }
}

fn copy<T: Datum + Number>(value: &Native, output: &mut Tensor) -> TractResult<()> {
    let plain = value.try_as_plain_ram()?;
    let numbers = plain.as_slice::<T>()?;
    output.refill(value.shape().iter().copied(), numbers.iter().copied());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::prelude::{TDim, f16, tensor1};

    fn given(native: &Native) -> TensorData {
        let spec = TensorSpec {
            name: "out".into(),
            dims: vec![],
            element: element(native.datum_type()).expect("a type we give out"),
        };
        let mut tensor = Tensor::empty("out");
        output(native, &spec, &mut tensor).expect("convertible");
        assert_eq!(tensor.dims, native.shape());
        tensor.data
    }

    #[test]
    fn other_types_are_widened() {
        assert_eq!(given(&tensor1(&[1.5_f32])), TensorData::F32(vec![1.5]));
        assert_eq!(
            given(&tensor1(&[f16::from_f32(1.5)])),
            TensorData::F32(vec![1.5])
        );
        assert_eq!(given(&tensor1(&[1.5_f64])), TensorData::F32(vec![1.5]));
        assert_eq!(given(&tensor1(&[true, false])), TensorData::U8(vec![1, 0]));
        assert_eq!(given(&tensor1(&[255_u8])), TensorData::U8(vec![255]));
        assert_eq!(given(&tensor1(&[-3_i8])), TensorData::I32(vec![-3]));
        assert_eq!(given(&tensor1(&[-3_i32])), TensorData::I32(vec![-3]));
        assert_eq!(
            given(&tensor1(&[u32::MAX])),
            TensorData::I64(vec![u32::MAX.into()])
        );
        assert_eq!(given(&tensor1(&[TDim::from(7)])), TensorData::I64(vec![7]));
        assert_eq!(element(DatumType::String), None);
    }

    fn numbers<T: Datum>(native: &Native) -> TractResult<Vec<T>> {
        Ok(native.try_as_plain_ram()?.as_slice::<T>()?.to_vec())
    }

    #[test]
    fn a_filled_tensor_is_filled_again_in_place() {
        let mut native = Arc::new(Native::zero::<f32>(&[2]).expect("two zeros"));
        let first = Arc::as_ptr(&native);
        for values in [vec![1.0, 2.0], vec![3.0, 4.0]] {
            fill(&mut native, &Tensor::f32("in", [2], values.clone())).expect("of one shape");
            assert_eq!(numbers::<f32>(&native).expect("f32"), values);
        }
        assert_eq!(Arc::as_ptr(&native), first);
        let held = Arc::clone(&native);
        fill(&mut native, &Tensor::f32("in", [2], vec![5.0, 6.0])).expect("a new one");
        assert_eq!(numbers::<f32>(&held).expect("f32"), [3.0, 4.0]);
    }

    #[test]
    fn an_input_is_rounded_to_the_type_of_the_graph() {
        let mut native = Arc::new(Native::zero::<f16>(&[1]).expect("a zero"));
        fill(&mut native, &Tensor::f32("in", [1], vec![0.1])).expect("f32 becomes f16");
        assert_eq!(numbers::<f16>(&native).expect("f16"), [f16::from_f32(0.1)]);
    }
}
