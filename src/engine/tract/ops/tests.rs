//! Compares each operator with tract's on the same model.

use super::replace;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::nn::{
    CoordTransformer, DataFormat, Interpolator, Nearest, Resize, Softmax, SoftmaxKind,
};

/// Returns pseudo-random numbers from -1 to 1.
fn numbers(count: usize) -> Vec<f32> {
    let number = |n: usize| (n as u32).wrapping_mul(2_654_435_761) >> 8;
    (0..count)
        .map(|n| number(n) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

struct Case {
    /// Batch, channels, rows, columns.
    shape: [usize; 4],
    kernel: [usize; 2],
    strides: [usize; 2],
    padding: PaddingSpec,
}

impl Case {
    fn spec(&self) -> PoolSpec {
        PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: TVec::from_slice(&self.kernel),
            padding: self.padding.clone(),
            dilations: None,
            strides: Some(TVec::from_slice(&self.strides)),
            input_channels: self.shape[1],
            output_channels: self.shape[1],
        }
    }

    fn name(&self) -> String {
        let Self {
            shape,
            kernel,
            strides,
            padding,
        } = self;
        format!("{shape:?}, kernel {kernel:?}, strides {strides:?}, {padding:?}")
    }
}

fn cases() -> Vec<Case> {
    let case = |shape, kernel, strides, padding| Case {
        shape,
        kernel,
        strides,
        padding,
    };
    let around = |n| PaddingSpec::Explicit(tvec!(n, n), tvec!(n, n));
    let pool = |ceil| PaddingSpec::ExplicitOnnxPool(tvec!(0, 1), tvec!(1, 0), ceil);
    vec![
        case([1, 4, 16, 20], [3, 3], [2, 2], around(1)),
        case([1, 4, 17, 19], [3, 3], [2, 2], around(1)),
        case([2, 3, 9, 8], [5, 5], [2, 2], around(2)),
        case([1, 2, 12, 12], [2, 2], [2, 2], PaddingSpec::Valid),
        case([1, 2, 13, 11], [3, 3], [2, 2], PaddingSpec::SameUpper),
        case([1, 2, 13, 11], [4, 3], [2, 1], PaddingSpec::SameLower),
        case([1, 2, 10, 10], [1, 7], [1, 3], PaddingSpec::Valid),
        case([1, 1, 3, 1], [3, 3], [2, 2], around(1)),
        case([1, 2, 9, 9], [3, 2], [2, 2], pool(false)),
        case([1, 2, 9, 9], [3, 2], [2, 2], pool(true)),
        case([1, 3, 13, 13], [13, 13], [1, 1], around(6)),
        case([1, 64, 40, 40], [3, 3], [2, 2], around(1)),
    ]
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

fn compare(model: TypedModel, case: &Case, replaced: Option<&str>, within: f32) {
    compare_of(model, &case.shape, &case.name(), replaced, within);
}

/// Compares the model with our operators and with tract's; `replaced` names the operator of ours expected in it.
fn compare_of(model: TypedModel, shape: &[usize], name: &str, replaced: Option<&str>, within: f32) {
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

fn pooling(case: &Case, spec: PoolSpec, indices: Option<DatumType>) -> TypedModel {
    model(&case.shape, MaxPool::new(spec, indices), vec![])
}

/// Creates a convolution with so many kernels for a channel, and `bias` numbers of bias.
fn convolution(case: &Case, mut spec: PoolSpec, kernels: usize, bias: usize) -> TypedModel {
    let channels = case.shape[1];
    spec.output_channels = channels * kernels;
    let kernel = tensor(&[channels * kernels, 1, case.kernel[0], case.kernel[1]]);
    let bias = match bias {
        1 => tensor0(0.5_f32),
        n => tensor1(&numbers(n)),
    };
    let op = Conv::new(spec, KernelFormat::OIHW, channels, None);
    model(&case.shape, op, vec![kernel, bias])
}

#[test]
fn a_maximum_is_that_of_tract() {
    for case in cases() {
        let model = pooling(&case, case.spec(), None);
        compare(model, &case, Some("DetectMaxPool"), 0.0);
    }
}

#[test]
fn a_strided_depthwise_convolution_is_that_of_tract() {
    for case in cases() {
        for bias in [case.shape[1], 1] {
            let model = convolution(&case, case.spec(), 1, bias);
            // Without a stride the operator stays tract's.
            let ours = (case.strides != [1, 1]).then_some("DetectDepthwise");
            compare(model, &case, ours, 1e-4);
        }
    }
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
        compare_of(softmax(shape, axis), shape, &name, ours, 1e-6);
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
            compare_of(resizing(shape, resize, factors), shape, &name, ours, 1e-6);
        }
    }
}

#[test]
fn what_is_of_another_kind_stays_that_of_tract() {
    let case = &cases()[0];
    let dilated = PoolSpec {
        dilations: Some(tvec!(2, 2)),
        ..case.spec()
    };
    compare(pooling(case, dilated.clone(), None), case, None, 0.0);
    compare(convolution(case, dilated, 1, 4), case, None, 0.0);
    compare(convolution(case, case.spec(), 2, 8), case, None, 0.0);
    let model = pooling(case, case.spec(), Some(i64::datum_type()));
    compare(model, case, None, 0.0);
    let large = Case {
        kernel: [65, 1],
        padding: PaddingSpec::Explicit(tvec!(60, 0), tvec!(60, 0)),
        shape: [1, 2, 9, 9],
        strides: [1, 1],
    };
    compare(pooling(&large, large.spec(), None), &large, None, 0.0);
    let last = PoolSpec {
        data_format: DataFormat::NHWC,
        input_channels: 20,
        output_channels: 20,
        ..case.spec()
    };
    compare(pooling(case, last, None), case, None, 0.0);
}
