//! Parts shared by the operators: [`each_plane`], traits of an operator with known output, and the maximum of two rows.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Makes a tensor of `dims` from `input`, plane by plane, on the threads of the executor.
///
/// `areas` are the numbers in a plane of the input and of the output. `make` gets the index of a plane, the plane of
/// the input, the plane to fill, which holds zeros, and the scratch value that `scratch` made for its thread.
///
/// # Errors
/// The input is not f32, or has another number of planes than the output.
pub(super) fn each_plane<S>(
    input: &Tensor,
    dims: &[usize],
    [from, to]: [usize; 2],
    scratch: impl Fn() -> S + Send + Sync,
    make: impl Fn(&mut S, usize, &[f32], &mut [f32]) + Send + Sync,
) -> TractResult<TVec<TValue>> {
    let mut output = Tensor::zero::<f32>(dims)?;
    let larger = output.len().max(input.len());
    ensure!(
        input.len() / from == output.len() / to,
        "an input of {:?} for an output of {dims:?}",
        input.shape()
    );
    let input = input.try_as_plain_ram()?;
    let input = input.as_slice::<f32>()?;
    {
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        multithread::par_chunks_mut(output, to, larger, |first, planes| {
            let mut scratch = scratch();
            for (number, output) in (first..).zip(planes.chunks_exact_mut(to)) {
                let input = &input[number * from..(number + 1) * from];
                make(&mut scratch, number, input, output);
            }
            Ok(())
        })?;
    }
    Ok(tvec!(output.into_tvalue()))
}

/// Implements the traits of an operator that has a name and makes one f32 tensor, whose dims are in a field.
macro_rules! of_dims {
    ($operator:ty, $name:literal, $($dims:ident).+) => {
        impl Op for $operator {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl TypedOp for $operator {
            fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                Ok(tvec!(f32::fact(&self.$($dims).+)))
            }

            as_op!();
        }
    };
}

pub(super) use of_dims;

/// Takes the higher of two numbers at each place. NaN raises nothing, as in tract.
pub(super) fn raise(highest: &mut [f32], numbers: &[f32]) {
    for (highest, &number) in highest.iter_mut().zip(numbers) {
        *highest = if *highest < number { number } else { *highest };
    }
}
