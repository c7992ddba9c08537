//! Compares each operator with tract's on the same model.

use super::replace;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{GatherElements, Slice, Tile, Topk, TypedConcat};
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{
    CoordTransformer, GridSample, InterpolationMode, Interpolator, Nearest, PaddingMode, Resize,
    Softmax, SoftmaxKind,
};

/// Returns pseudo-random numbers from -1 to 1.
fn numbers(count: usize) -> Vec<f32> {
    let number = |n: usize| (n as u32).wrapping_mul(2_654_435_761) >> 8;
    (0..count)
        .map(|n| number(n) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

fn run(model: &TypedModel, input: &Tensor, threads: usize) -> Tensor {
    let optimised = model
        .clone()
        .into_optimized()
        .expect("all shapes are known");
    let plan = optimised.into_runnable().expect("it has one input");
    let executor = match threads {
        1 => multithread::Executor::SingleThread,
        n => multithread::Executor::multithread(n),
    };
    let run = || plan.run(tvec!(input.clone().into_tvalue()));
    let outputs = multithread::multithread_tract_scope(executor, run).expect("it runs");
    outputs[0].clone().into_tensor()
}

fn numbers_of(tensor: &Tensor) -> Vec<f32> {
    let plain = tensor.try_as_plain_ram().expect("in memory");
    plain.as_slice().expect("of f32").to_vec()
}

/// Compares the model with our operators and with tract's; `replaced` names the operator of ours expected in it.
fn compare(model: TypedModel, shape: &[usize], name: &str, replaced: Option<&str>, within: f32) {
    let tract = model.into_decluttered().expect("a sound model");
    let mut ours = tract.clone();
    replace(&mut ours).expect("what fits is replaced");
    let found = ours.nodes.iter().map(|node| node.op.name());
    let found: Vec<_> = found.filter(|op| op.starts_with("Detect")).collect();
    assert_eq!(found.first().map(AsRef::as_ref), replaced, "{name}");
    let input = tensor(shape);
    let expected = run(&tract, &input, 1);
    for threads in [1, 3] {
        let answer = run(&ours, &input, threads);
        assert_eq!(answer.shape(), expected.shape(), "{name}");
        let (answer, expected) = (numbers_of(&answer), numbers_of(&expected));
        let pairs = answer.iter().zip(&expected);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= within, "{name}, threads {threads}: {worst}");
    }
}

/// Creates a model of one operator, with constants as its further inputs.
fn model(shape: &[usize], op: impl Into<Box<dyn TypedOp>>, constants: Vec<Tensor>) -> TypedModel {
    let mut model = TypedModel::default();
    let input = model.add_source("input", f32::fact(shape));
    let mut inputs = vec![input.expect("the first node")];
    for (index, constant) in constants.into_iter().enumerate() {
        let constant = model.add_const(format!("constant {index}"), constant);
        inputs.push(constant.expect("a name of its own"));
    }
    let outputs = model.wire_node("op", op, &inputs).expect("it takes these");
    model
        .select_output_outlets(&outputs)
        .expect("they are there");
    model
}

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::from_shape(shape, &numbers(shape.iter().product())).expect("as many as the shape says")
}

fn softmax(shape: &[usize], axis: usize) -> TypedModel {
    let op = Softmax::new(tvec!(axis), None, SoftmaxKind::Softmax);
    model(shape, op, vec![])
}

#[test]
fn a_softmax_is_that_of_tract() {
    for (shape, axis, ours) in [
        (&[1, 80, 5, 7][..], 1, true),
        (&[3, 4, 5], 0, true),
        (&[1, 50, 2], 2, true),
        (&[2, 3, 15], 2, true),
        (&[2, 3, 16], 2, false),
    ] {
        let name = format!("{shape:?}, axis {axis}");
        let ours = ours.then_some("DetectSoftmax");
        compare(softmax(shape, axis), shape, &name, ours, 1e-6);
    }
}

/// Creates a resize by factors, or to a size.
fn resizing(shape: &[usize], resize: Resize, factors: &[f32]) -> TypedModel {
    let by = match resize.optional_scales_input {
        Some(_) => tensor1(factors),
        None => {
            let pairs = shape.iter().zip(factors);
            let to = pairs.map(|(&dim, factor)| (dim as f32 * factor) as i64);
            tensor1(&to.collect::<Vec<_>>())
        }
    };
    model(shape, resize, vec![by])
}

#[test]
fn a_resized_tensor_is_that_of_tract() {
    use CoordTransformer::{AlignCorners, Asymmetric, HalfPixel};
    use Interpolator::{Cubic, Linear, Nearest as Nearby};
    for (shape, factors, interpolator, coord_transformer, ours) in [
        (
            &[1, 3, 5, 6][..],
            &[1.0, 1.0, 2.0, 2.0][..],
            Linear,
            HalfPixel,
            true,
        ),
        (
            &[1, 3, 8, 6],
            &[1.0, 1.0, 0.5, 0.5],
            Linear,
            HalfPixel,
            true,
        ),
        (
            &[2, 3, 7, 5],
            &[1.0, 1.0, 1.5, 3.0],
            Linear,
            Asymmetric,
            true,
        ),
        (&[2, 7, 5], &[1.0, 2.0, 1.0], Linear, AlignCorners, true),
        (&[1, 1, 4, 4], &[1.0, 1.0, 2.5, 2.0], Cubic, HalfPixel, true),
        (
            &[1, 2, 5, 5],
            &[1.0, 1.0, 1.4, 1.4],
            Nearby,
            Asymmetric,
            true,
        ),
        (
            &[1, 2, 5, 5],
            &[1.0, 2.0, 2.0, 1.0],
            Linear,
            HalfPixel,
            false,
        ),
    ] {
        for scales in [Some(1), None] {
            let resize = Resize {
                coord_transformer: coord_transformer.clone(),
                interpolator: interpolator.clone(),
                nearest: Nearest::Floor,
                optional_scales_input: scales,
                optional_sizes_input: scales.is_none().then_some(1),
            };
            let name = format!("{shape:?}, {factors:?}, {resize:?}");
            let ours = ours.then_some("DetectResize");
            compare(resizing(shape, resize, factors), shape, &name, ours, 1e-6);
        }
    }
}

/// Creates a sampling of maps at places of which some lie outside, and some on borders and pixels.
fn sampling(shape: &[usize], grid: &[usize], op: GridSample) -> TypedModel {
    let mut places: Vec<f32> = numbers(grid.iter().product());
    places.iter_mut().for_each(|place| *place *= 1.6);
    places[..8].copy_from_slice(&[-1.0, 1.0, 1.0, -1.0, 0.0, 0.0, -9.0, 9.0]);
    let grid = Tensor::from_shape(grid, &places).expect("as many as the shape says");
    model(shape, op, vec![grid])
}

#[test]
fn a_sampled_map_is_that_of_tract() {
    use InterpolationMode::{Bicubic, Bilinear, Nearest};
    use PaddingMode::{Border, Reflection, Zeros};
    for (mode, padding_mode, ours) in [
        (Bilinear, Zeros, true),
        (Bilinear, Border, true),
        (Bilinear, Reflection, false),
        (Nearest, Zeros, false),
        (Bicubic, Zeros, false),
    ] {
        for align_corners in [false, true] {
            for (shape, grid) in [
                (&[1, 3, 5, 6][..], &[1, 4, 7, 2][..]),
                (&[8, 4, 10, 10], &[8, 30, 4, 2]),
                (&[2, 1, 1, 1], &[2, 1, 4, 2]),
            ] {
                let op = GridSample {
                    mode: mode.clone(),
                    padding_mode: padding_mode.clone(),
                    align_corners,
                };
                let name = format!("{shape:?} at {grid:?}, {op:?}");
                let ours = ours.then_some("DetectGridSample");
                compare(sampling(shape, grid, op), shape, &name, ours, 1e-5);
            }
        }
    }
}

/// The best numbers with their places, as f32, one behind the other.
fn best(shape: &[usize], axis: usize, count: i64, largest: bool, levels: f32) -> TypedModel {
    let mut model = TypedModel::default();
    let input = model.add_source("input", f32::fact(shape)).expect("first");
    let levels = tensor0(levels).broadcast_into_rank(shape.len());
    let levels = model.add_const("levels", levels.expect("a scalar"));
    let count = model.add_const("count", tensor1(&[count])).expect("new");
    // equal numbers keep the order of their places
    let mut wire = |name: &str, op: Box<dyn TypedOp>, inputs: &[OutletId]| {
        model.wire_node(name, op, inputs).expect("it takes these")
    };
    let scaled = wire(
        "scaled",
        Box::new(math::mul()),
        &[input, levels.expect("new")],
    )[0];
    let steps = wire("steps", Box::new(math::round()), &[scaled])[0];
    let top = Topk::new(axis, largest, 1.into());
    let top = wire("top", Box::new(top), &[steps, count]);
    let places = wire("places", Box::new(cast(f32::datum_type())), &top[1..])[0];
    let joined = wire("joined", Box::new(TypedConcat::new(0)), &[top[0], places]);
    model
        .select_output_outlets(&joined)
        .expect("they are there");
    model
}

#[test]
fn the_best_numbers_are_those_of_tract() {
    for (shape, axis, count) in [
        (&[1, 300][..], 1, 40),
        (&[2, 50, 3], 1, 50),
        (&[3, 4, 70], 2, 1),
        (&[9], 0, 4),
    ] {
        for largest in [true, false] {
            for levels in [1e6, 5.0] {
                let name = format!("{count} of {shape:?}, {largest}, {levels}");
                let model = best(shape, axis, count, largest, levels);
                compare(model, shape, &name, Some("DetectTop"), 0.0);
            }
        }
    }
}

/// Gathers along `axis` at indices that are repeated so many times along each axis.
fn gathering(shape: &[usize], axis: usize, indices: Tensor, repeated: &[usize]) -> TypedModel {
    let mut model = TypedModel::default();
    let input = model.add_source("input", f32::fact(shape)).expect("first");
    let rank = shape.len();
    let indices = indices
        .cast_to::<f32>()
        .expect("small numbers")
        .into_owned();
    let indices = model.add_const("indices", indices).expect("new");
    let five = tensor0(5.0f32).broadcast_into_rank(rank).expect("a scalar");
    let five = model.add_const("five", five).expect("new");
    let times = repeated.iter().map(|&n| TDim::from(n)).collect();
    let mut wire = |name: &str, op: Box<dyn TypedOp>, inputs: &[OutletId]| {
        model.wire_node(name, op, inputs).expect("it takes these")[0]
    };
    // computed indices, which tract does not repeat while it loads: no number of the input is above 5
    let mut one = input;
    for axis in 0..rank {
        let slice = Slice::new(axis, 0, 1);
        one = wire(&format!("slice {axis}"), Box::new(slice), &[one]);
    }
    let one = wire("five again", Box::new(math::max()), &[one, five]);
    let zero = wire("zero", Box::new(math::sub()), &[one, five]);
    let indices = wire("computed", Box::new(math::add()), &[indices, zero]);
    let indices = wire("cast", Box::new(cast(i64::datum_type())), &[indices]);
    let indices = wire("tile", Box::new(Tile::new(times)), &[indices]);
    let output = wire(
        "gather",
        Box::new(GatherElements::new(axis)),
        &[input, indices],
    );
    model.select_output_outlets(&[output]).expect("it is there");
    model
}

#[test]
fn gathered_numbers_are_those_of_tract() {
    for (shape, axis, count, inner) in [
        (&[1, 30, 7][..], 1, 12, 7),
        (&[2, 9, 4], 1, 20, 1),
        (&[3, 5, 11], 2, 6, 1),
    ] {
        let mut dims = shape.to_vec();
        dims[axis] = count;
        let length = shape[axis] as i64;
        for whole in [false, true] {
            let mut once = dims.clone();
            let mut times = vec![1; dims.len()];
            if whole && inner > 1 {
                once[axis + 1..].fill(1);
                times[axis + 1..].copy_from_slice(&dims[axis + 1..]);
            }
            let number = |n: i64| n * 7 % length - if n % 3 == 0 { length } else { 0 };
            let numbers: Vec<i64> = (0..once.iter().product::<usize>() as i64)
                .map(number)
                .collect();
            let indices = Tensor::from_shape(&once, &numbers).expect("as many");
            let name = format!("{shape:?}, axis {axis}, {whole}");
            let model = gathering(shape, axis, indices, &times);
            compare(model, shape, &name, Some("DetectGather"), 0.0);
        }
    }
}

#[test]
fn an_index_outside_is_an_error() {
    let indices = tensor2(&[[0i64, 5, 1]]);
    let model = gathering(&[1, 5], 1, indices, &[1, 1]);
    let mut model = model.into_decluttered().expect("a sound model");
    replace(&mut model).expect("what fits is replaced");
    let plan = model.into_runnable().expect("it has one input");
    let error = plan
        .run(tvec!(tensor(&[1, 5]).into_tvalue()))
        .expect_err("5 of 5");
    assert!(
        format!("{error:?}").contains("index 5 of an axis of 5"),
        "{error:?}"
    );
}

#[test]
fn what_is_of_another_kind_stays_that_of_tract() {
    let shape = &[2, 3, 15];
    let logarithm = SoftmaxKind::LogSoftmax;
    let op = Softmax::new(tvec!(1), None, logarithm);
    compare(model(shape, op, vec![]), shape, "logarithm", None, 0.0);
    let op = Softmax::new(tvec!(1, 2), None, SoftmaxKind::Softmax);
    compare(model(shape, op, vec![]), shape, "two axes", None, 0.0);
}
