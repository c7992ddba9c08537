//! The executor: bytes become a graph, the graph a plan within its budgets, and small ones run against the interpreter.
//!
//! Each operator takes a byte for its kind, one for each operand, and numbers for its sizes, most of them small and some
//! hostile. What a builder or the planner refuses is no finding; a panic, memory beyond the budget and a wrong value are.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../../src/convnet/mod.rs"]
mod convnet;
mod guard;

use arbitrary::{Result, Unstructured};
use convnet::graph::*;
use convnet::{Budget, Options, Plan, Session};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// For the graph, its plan, and a run with the interpreter's values.
const MEMORY_BYTES: usize = 512 << 20;

const BUDGET: Budget = Budget {
    activations: 64 << 20,
    weights: 16 << 20,
    steps: 2_000,
};

/// Graphs that need more are planned and not run: the interpreter is slow.
const MAX_MULTIPLY_ADDS: u64 = 1 << 18;
const MAX_VALUES: usize = 1 << 16;

/// Weights of one convolution; more would only be slow.
const MAX_WEIGHTS: usize = 1 << 16;

fuzz_target!(init: guard::prepare(), |data: &[u8]| {
    // Too few bytes end the graph.
    guard::within(MEMORY_BYTES, || look(data));
});

fn look(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut graph = Graph::new();
    let mut all: Vec<TensorId> = Vec::new();
    while !u.is_empty() && all.len() < 3_000 {
        if let Ok(Some(tensor)) = operator(&mut u, &mut graph, &all) {
            all.push(tensor);
        }
    }
    for &tensor in all.iter().rev().take(2) {
        graph
            .output(tensor, Layout::Planar)
            .expect("the tensor is there");
    }
    let options = Options {
        budget: BUDGET,
        ..Options::default()
    };
    if let Ok(plan) = Plan::new(&graph, &options) {
        assert!(plan.activation_bytes() <= 2 * BUDGET.activations);
        let values: usize = graph.nodes().iter().map(|n| n.shape.len()).sum();
        if values <= MAX_VALUES && graph.multiply_adds() <= MAX_MULTIPLY_ADDS {
            compare(&graph, plan);
        }
    }
}

/// Runs the plan and the interpreter on the same numbers.
fn compare(graph: &Graph, plan: Plan) {
    let data: Vec<Vec<f32>> = plan
        .inputs()
        .iter()
        .map(|(shape, _)| pattern(shape.len()))
        .collect();
    let inputs: Vec<Input> = data.iter().map(|d| Input::F32(d)).collect();
    let wanted = reference::run(graph, &inputs).expect("the inputs have the graph's shapes");
    let mut outputs: Vec<Vec<f32>> = plan.outputs().iter().map(|&n| vec![f32::NAN; n]).collect();
    let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
    let mut session = Session::new(Arc::new(plan));
    session
        .run(&inputs, &mut slices)
        .expect("the data fits the plan");
    for (output, wanted) in outputs.iter().zip(&wanted) {
        let scale = wanted.iter().fold(1f64, |m, v| m.max(v.abs()));
        // beyond, errors of f32 have grown with the operators before
        if !scale.is_finite() || scale > 1e4 {
            continue;
        }
        for (&a, &b) in output.iter().zip(wanted) {
            assert!(
                (f64::from(a) - b).abs() <= 1e-2 * scale,
                "{a}, expected {b}: {graph:?}"
            );
        }
    }
}

/// Numbers of -1 to 1.
fn pattern(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 37 % 101) as f32 / 50. - 1.).collect()
}

/// Mostly small, sometimes anything.
fn size(u: &mut Unstructured) -> Result<usize> {
    Ok(match u.arbitrary::<u8>()? {
        255 => u.arbitrary::<u32>()? as usize,
        254 => u.arbitrary::<u16>()?.into(),
        small => (small % 40).into(),
    })
}

fn pair(u: &mut Unstructured) -> Result<[usize; 2]> {
    Ok([size(u)?, size(u)?])
}

fn window(u: &mut Unstructured) -> Result<Window> {
    let kernel = if u.arbitrary()? { [3, 3] } else { pair(u)? };
    let stride = if u.arbitrary()? { [1, 1] } else { pair(u)? };
    let dilation = if u.arbitrary()? { [1, 1] } else { pair(u)? };
    let pads = if u.arbitrary()? {
        Pads::all(1)
    } else {
        Pads {
            top: size(u)?,
            left: size(u)?,
            bottom: size(u)?,
            right: size(u)?,
        }
    };
    Ok(Window {
        kernel,
        stride,
        dilation,
        pads,
    })
}

fn conv(
    u: &mut Unstructured,
    outer: usize,
    inner: usize,
    out_channels: usize,
    groups: usize,
) -> Result<Option<Conv>> {
    let window = window(u)?;
    let dims = [
        outer,
        inner / groups.max(1),
        window.kernel[0],
        window.kernel[1],
    ];
    let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let Some(count) = count.filter(|&n| n <= MAX_WEIGHTS && out_channels <= MAX_WEIGHTS) else {
        return Ok(None);
    };
    let fan = (count / outer.max(1)).max(1) as f32;
    Ok(Some(Conv {
        out_channels,
        groups,
        window,
        weights: pattern(count).iter().map(|w| w / fan.sqrt()).collect(),
        bias: u.arbitrary::<bool>()?.then(|| pattern(out_channels).into()),
    }))
}

/// Adds one operator, if it can be added.
fn operator(u: &mut Unstructured, g: &mut Graph, all: &[TensorId]) -> Result<Option<TensorId>> {
    let kind: u8 = u.arbitrary()?;
    if all.is_empty() || kind == 255 {
        let shape = Shape::new(size(u)?, size(u)?, size(u)?);
        return Ok(g.input(shape).ok());
    }
    let pick = |u: &mut Unstructured| -> Result<TensorId> {
        let back = usize::from(u.arbitrary::<u8>()?) % all.len();
        Ok(all[all.len() - 1 - back])
    };
    let x = pick(u)?;
    let c = g.shape(x).c;
    let added = match kind % 16 {
        0 | 1 => {
            let (to, groups) = (size(u)?, if u.arbitrary()? { 1 } else { size(u)? });
            let Some(conv) = conv(u, to, c, to, groups)? else {
                return Ok(None);
            };
            g.conv(x, conv)
        }
        2 => {
            let Some(conv) = conv(u, c, 1, c, c)? else {
                return Ok(None);
            };
            g.conv(x, Conv { groups: c, ..conv })
        }
        3 => {
            let to = size(u)?;
            let Some(conv) = conv(u, c, to, to, 1)? else {
                return Ok(None);
            };
            g.transposed_conv(x, conv, pair(u)?)
        }
        4 => g.pool(x, Pool::Max, window(u)?),
        5 => g.pool(
            x,
            Pool::Average {
                count_padding: u.arbitrary()?,
            },
            window(u)?,
        ),
        6 => g.global(x, Reduce::Mean),
        7 => {
            let (size, scale) = (pair(u)?, f64::from(u.arbitrary::<u8>()?) / 16.);
            let (interpolation, coordinates) = (Interpolation::Linear, Coordinates::HalfPixel);
            g.resize(
                x,
                Resize {
                    interpolation,
                    coordinates,
                    size,
                    scale: [scale; 2],
                },
            )
        }
        8 => g.binary(Binary::Add, x, pick(u)?),
        9 => g.binary(Binary::Mul, x, pick(u)?),
        10 => g.activate(
            x,
            if u.arbitrary()? {
                Activation::Silu
            } else {
                Activation::Relu
            },
        ),
        11 if u.arbitrary()? => g.concat(all),
        11 => g.concat(&[x, pick(u)?, pick(u)?]),
        12 => g.slice(x, size(u)?, size(u)?),
        13 => g.shuffle(x, size(u)?),
        14 => g.crop(
            x,
            Crop {
                top: size(u)?,
                left: size(u)?,
                step: pair(u)?,
                size: pair(u)?,
            },
        ),
        _ => match u.arbitrary::<u8>()? % 5 {
            0 => g.pad(
                x,
                Pads {
                    top: size(u)?,
                    left: size(u)?,
                    bottom: size(u)?,
                    right: size(u)?,
                },
                0.5,
            ),
            1 => g.reshape(x, size(u)?, size(u)?),
            2 => g.depth_to_space(x, size(u)?, u.arbitrary()?),
            3 => g.softmax(x, size(u)?),
            _ => {
                let [heads, areas] = pair(u)?;
                let attention = Attention {
                    heads,
                    areas,
                    scale: 0.25,
                };
                g.attention([x, pick(u)?, pick(u)?], attention)
            }
        },
    };
    Ok(added.ok())
}
