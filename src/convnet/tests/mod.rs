mod attention;
mod half;
pub mod random;
mod transposed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::graph::*;
use super::kernels::{Kernels, VARIABLE};
use super::{Algorithm, Budget, Error, Options, Plan, Session};
use random::{ACTIVATIONS, Data, Generator, Random, data_for};

/// One way to run a graph.
#[derive(Clone, Debug)]
struct Variant {
    kernels: &'static str,
    algorithm: Algorithm,
    threads: usize,
}

/// All ways that this machine can run a graph; with the kernels of `GST_DETECT_KERNELS` alone, if that is set.
fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    let only = std::env::var(VARIABLE).unwrap_or_default();
    for kernels in Kernels::available() {
        if !only.is_empty() && kernels.name != only {
            continue;
        }
        for (algorithm, threads) in [
            (Algorithm::Auto, 3),
            (Algorithm::Direct, 1),
            (Algorithm::Winograd2, 1),
            (Algorithm::Winograd4, 1),
        ] {
            all.push(Variant {
                kernels: kernels.name,
                algorithm,
                threads,
            });
        }
    }
    assert!(!all.is_empty(), "this machine cannot run {VARIABLE}={only}");
    all
}

/// Seeds of a test: the first `count`, or the one of `CONVNET_SEED`, or from there on as many as `CONVNET_SECONDS` lets
/// run, one at least (see tests/kernels.sh).
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| -> Option<u64> {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse()
                .unwrap_or_else(|_| panic!("{name}={text}, expected a number")),
        )
    };
    let (first, seconds) = (number("CONVNET_SEED"), number("CONVNET_SECONDS"));
    let count = match (first, seconds) {
        (_, Some(_)) => u64::MAX - first.unwrap_or(0),
        (Some(_), None) => 1,
        (None, None) => count,
    };
    let end = seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let first = first.unwrap_or(0);
    (first..first + count)
        .take_while(move |&seed| seed == first || end.is_none_or(|end| Instant::now() < end))
        .inspect(|seed| println!("seed {seed}"))
}

fn run(graph: &Graph, variant: &Variant, inputs: &[Input]) -> Vec<Vec<f32>> {
    let options = Options {
        kernels: Some(variant.kernels.into()),
        algorithm: variant.algorithm,
        ..Options::default()
    };
    run_with(graph, options, variant.threads, inputs)
}

fn run_with(graph: &Graph, options: Options, threads: usize, inputs: &[Input]) -> Vec<Vec<f32>> {
    let plan = Arc::new(Plan::new(graph, &options).unwrap());
    let mut outputs: Vec<Vec<f32>> = plan.outputs().iter().map(|&n| vec![f32::NAN; n]).collect();
    let mut session = Session::with_threads(plan, threads, None).unwrap();
    // twice: the second run meets what the first one left in the arena
    for _ in 0..2 {
        let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
        session.run(inputs, &mut slices).unwrap();
    }
    outputs
}

/// Compares with the interpreter, relative to the output's largest value.
fn check(graph: &Graph, variant: &Variant, data: &[Data], wanted: &[Vec<f64>], name: &str) {
    let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
    let outputs = run(graph, variant, &inputs);
    for (o, (output, wanted)) in outputs.iter().zip(wanted).enumerate() {
        assert_eq!(output.len(), wanted.len(), "{name} {variant:?}");
        let scale = wanted.iter().fold(1f64, |m, v| m.max(v.abs()));
        for (i, (&a, &b)) in output.iter().zip(wanted).enumerate() {
            let error = (f64::from(a) - b).abs();
            assert!(
                error <= 2e-4 * scale,
                "{name} {variant:?}: output {o} value {i} is {a}, expected {b} (largest {scale})\n{}",
                describe(graph)
            );
        }
    }
}

fn describe(graph: &Graph) -> String {
    let line = |(i, n): (usize, &Node)| {
        let inputs: Vec<usize> = n.inputs.iter().map(|t| t.index()).collect();
        format!("{i}: {} {inputs:?} -> {}\n", n.op.name(), n.shape)
    };
    let nodes: String = graph.nodes().iter().enumerate().map(line).collect();
    format!("{nodes}{:?}", graph.outputs())
}

#[test]
fn random_graphs_equal_the_interpreter() {
    for seed in seeds(300) {
        let graph = Generator::graph(seed, 5 + (seed as usize % 36 * 7) % 36);
        let data = data_for(&graph, &mut Random::new(seed + 1_000_000));
        let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
        let wanted = reference::run(&graph, &inputs).unwrap();
        for variant in variants() {
            check(&graph, &variant, &data, &wanted, &format!("seed {seed}"));
        }
    }
}

/// Checks a graph of one operator on random data.
fn check_one(seed: u64, shape: Shape, build: impl Fn(&mut Graph, TensorId) -> TensorId) {
    let mut graph = Graph::new();
    let x = graph.input(shape).unwrap();
    let y = build(&mut graph, x);
    graph.output(y, Layout::Planar).unwrap();
    let data = data_for(&graph, &mut Random::new(seed));
    let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
    let wanted = reference::run(&graph, &inputs).unwrap();
    for variant in variants() {
        check(&graph, &variant, &data, &wanted, &format!("{shape}"));
    }
}

fn random_conv(random: &mut Random, from: usize, to: usize, groups: usize, window: Window) -> Conv {
    let n = from / groups * to * window.kernel[0] * window.kernel[1];
    let fan = (n / to) as f32;
    Conv {
        out_channels: to,
        groups,
        window,
        weights: random.values(n).iter().map(|w| w / fan.sqrt()).collect(),
        bias: Some(random.values(to).into()),
    }
}

#[test]
fn dense_convolutions_of_every_width() {
    for seed in seeds(33) {
        let random = &mut Random::new(seed);
        let w = 1 + seed as usize % 33;
        let (from, to) = (random.between(1, 40), random.between(1, 70));
        for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (2, 3)] {
            let window = Window::square(kernel, stride, kernel / 2 + usize::from(w < kernel));
            let conv = random_conv(random, from, to, 1, window);
            let shape = Shape::new(from, random.between(1, 9), w);
            check_one(seed, shape, |g, x| g.conv(x, conv.clone()).unwrap());
        }
    }
}

#[test]
fn depthwise_convolutions_of_every_width() {
    for seed in seeds(27) {
        let random = &mut Random::new(seed);
        let w = 1 + seed as usize % 27;
        let c = random.between(2, 40);
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (2, 2)] {
            let window = Window::square(kernel, stride, kernel / 2 + usize::from(w < 3));
            let conv = random_conv(random, c, c, c, window);
            let shape = Shape::new(c, random.between(3, 9), w);
            check_one(seed, shape, |g, x| {
                let y = g.conv(x, conv.clone()).unwrap();
                g.activate(y, Activation::Silu).unwrap()
            });
        }
    }
}

#[test]
fn activations_are_accurate_from_end_to_end() {
    let mut values: Vec<f32> = (-400..=400).map(|i| i as f32 * 0.05).collect();
    values.extend([
        1e-8, -1e-8, 1e-3, -1e-3, 60., -60., 87., -87., 1e4, -1e4, 1e30, -1e30,
    ]);
    for f in ACTIVATIONS {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(1, 1, values.len())).unwrap();
        let y = graph.activate(x, f).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        for variant in variants() {
            let output = run(&graph, &variant, &[Input::F32(&values)]);
            for (&x, &y) in values.iter().zip(&output[0]) {
                let wanted = f.apply(f64::from(x));
                if wanted.abs() > f64::from(f32::MAX) {
                    continue;
                }
                let error = (f64::from(y) - wanted).abs();
                assert!(
                    error <= 1e-6 + 3e-6 * wanted.abs(),
                    "{f:?}({x}) is {y}, expected {wanted}, {variant:?}"
                );
            }
        }
    }
}

#[test]
fn nan_goes_exactly_where_the_definition_says() {
    let random = &mut Random::new(3);
    for f in ACTIVATIONS {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(17, 6, 9)).unwrap();
        let conv = random_conv(random, 17, 17, 17, Window::square(3, 1, 1));
        let y = graph.conv(x, conv).unwrap();
        let y = graph.activate(y, f).unwrap();
        let conv = random_conv(random, 17, 19, 1, Window::square(1, 1, 0));
        let z = graph.conv(y, conv).unwrap();
        let z = graph.activate(z, f).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        graph.output(z, Layout::Rows).unwrap();
        let mut values = random.values(17 * 6 * 9);
        values[5 * 54 + 20] = f32::NAN;
        let inputs = [Input::F32(&values)];
        let wanted = reference::run(&graph, &inputs).unwrap();
        for variant in variants() {
            for (output, wanted) in run(&graph, &variant, &inputs).iter().zip(&wanted) {
                let places = output.iter().map(|v| v.is_nan());
                let expected = wanted.iter().map(|v| v.is_nan());
                assert!(places.eq(expected), "{f:?} {variant:?}");
            }
        }
    }
}

#[test]
fn budgets_give_errors() {
    let graph = Generator::graph(7, 20);
    let refused = |budget: Budget| {
        let options = Options {
            budget,
            ..Options::default()
        };
        match Plan::new(&graph, &options).unwrap_err() {
            Error::Budget { what, .. } => what,
            other => panic!("{other}"),
        }
    };
    let budget = Budget::default();
    assert_eq!(refused(Budget { steps: 3, ..budget }), "steps");
    assert_eq!(
        refused(Budget {
            weights: 8,
            ..budget
        }),
        "bytes of weights"
    );
    assert_eq!(
        refused(Budget {
            activations: 64,
            ..budget
        }),
        "bytes of activations"
    );
}

#[test]
fn plans_of_other_sizes_share_weights() {
    let conv = random_conv(&mut Random::new(4), 16, 32, 1, Window::square(3, 2, 1));
    let options = Options::default();
    let plan = |size: usize| {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(16, size, size)).unwrap();
        let y = graph.conv(x, conv.clone()).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        Plan::new(&graph, &options).unwrap()
    };
    let first = plan(20);
    let bytes = options.weights.bytes();
    assert!(bytes > 0);
    let second = plan(36);
    assert_eq!(options.weights.bytes(), bytes);
    drop((first, second));
    assert_eq!(options.weights.bytes(), 0);
}

#[test]
fn wrong_data_is_refused() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(1, 2, 2)).unwrap();
    graph.output(x, Layout::Planar).unwrap();
    let plan = Arc::new(Plan::new(&graph, &Options::default()).unwrap());
    let mut session = Session::new(plan);
    let mut out = [0.; 4];
    let few = session.run(&[Input::F32(&[1.; 3])], &mut [&mut out]);
    assert!(
        few.unwrap_err()
            .to_string()
            .contains("3 values does not fit [1, 2, 2]")
    );
    let bytes = session.run(&[Input::U8(&[1; 4])], &mut [&mut out]);
    assert!(bytes.is_err());
    assert!(session.run(&[], &mut [&mut out]).is_err());
    assert!(
        session
            .run(&[Input::F32(&[1.; 4])], &mut [&mut out[..3]])
            .is_err()
    );
    session
        .run(&[Input::F32(&[1., 2., 3., 4.])], &mut [&mut out])
        .unwrap();
    assert_eq!(out, [1., 2., 3., 4.]);
}

#[test]
fn unknown_kernels_are_refused_by_name() {
    let options = Options {
        kernels: Some("mmx".into()),
        ..Options::default()
    };
    let error = Plan::new(&Generator::graph(1, 5), &options).unwrap_err();
    assert!(error.to_string().contains("\"mmx\""));
}

/// Checks that a graph equals the interpreter and consists of these steps.
fn check_steps(graph: &Graph, wanted_steps: &[&str]) {
    let data = data_for(graph, &mut Random::new(9));
    let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
    let wanted = reference::run(graph, &inputs).unwrap();
    for variant in variants() {
        check(graph, &variant, &data, &wanted, "composition");
    }
    let options = Options {
        algorithm: Algorithm::Direct,
        ..Options::default()
    };
    let plan = Plan::new(graph, &options).unwrap();
    let names = plan.steps().iter().map(|s| s.name());
    let steps: Vec<&str> = names.filter(|&name| name != "border").collect();
    assert_eq!(steps, wanted_steps);
}

/// Builds conv, then `gate`, which gets the convolution's output.
fn conv_then(gate: impl Fn(&mut Graph, TensorId) -> TensorId) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(3, 9, 9)).unwrap();
    let conv = random_conv(&mut Random::new(5), 3, 20, 1, Window::square(3, 2, 0));
    let y = graph.conv(x, conv).unwrap();
    let z = gate(&mut graph, y);
    graph.output(z, Layout::Rows).unwrap();
    graph
}

#[test]
fn gates_of_their_own_input_join_the_convolution() {
    let one = ["load", "dense", "store"];
    let silu = |g: &mut Graph, y: TensorId| {
        let gate = g.activate(y, Activation::Sigmoid).unwrap();
        g.mul(y, gate).unwrap()
    };
    check_steps(&conv_then(silu), &one);
    let clip = Activation::Clip { min: 0., max: 6. };
    let hard_swish = |g: &mut Graph, y: TensorId| {
        let shifted = g.scale(y, 1., 3.).unwrap();
        let gate = g.activate(shifted, clip).unwrap();
        let product = g.mul(y, gate).unwrap();
        g.scale(product, 1. / 6., 0.).unwrap()
    };
    check_steps(&conv_then(hard_swish), &one);
    let hard_swish_divided_first = |g: &mut Graph, y: TensorId| {
        let shifted = g.scale(y, 1., 3.).unwrap();
        let gate = g.activate(shifted, clip).unwrap();
        let gate = g.scale(gate, 1. / 6., 0.).unwrap();
        g.mul(gate, y).unwrap()
    };
    check_steps(&conv_then(hard_swish_divided_first), &one);
    let limited_twice = |g: &mut Graph, y: TensorId| {
        let above = g.activate(y, Activation::Relu).unwrap();
        let (min, max) = (f32::NEG_INFINITY, 6.);
        g.activate(above, Activation::Clip { min, max }).unwrap()
    };
    check_steps(&conv_then(limited_twice), &one);
    let mish = |g: &mut Graph, y: TensorId| {
        let soft = g.activate(y, Activation::Softplus).unwrap();
        let gate = g.activate(soft, Activation::Tanh).unwrap();
        g.mul(y, gate).unwrap()
    };
    check_steps(&conv_then(mish), &one);
}

#[test]
fn a_gate_of_another_tensor_stays_a_product() {
    let graph = conv_then(|g, y| {
        let other = g.scale(y, 2., 0.).unwrap();
        let gate = g.activate(other, Activation::Sigmoid).unwrap();
        g.mul(y, gate).unwrap()
    });
    let steps = ["load", "dense", "elementwise", "elementwise", "store"];
    check_steps(&graph, &steps);
}

#[test]
fn constants_of_one_value_per_channel_join_the_convolution() {
    let graph = conv_then(|g, y| {
        let values = Random::new(6).values(20);
        let constant = g.constant(Shape::new(20, 1, 1), values.into()).unwrap();
        let y = g.mul(y, constant).unwrap();
        g.activate(y, Activation::Relu).unwrap()
    });
    check_steps(&graph, &["load", "dense", "store"]);
}

#[test]
fn focus_and_padding_join_the_convolution() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(3, 10, 14)).unwrap();
    let part = |g: &mut Graph, top: usize, left: usize| {
        let rows = Crop {
            top,
            left: 0,
            step: [2, 1],
            size: [5, 14],
        };
        let columns = Crop {
            top: 0,
            left,
            step: [1, 2],
            size: [5, 7],
        };
        let rows = g.crop(x, rows).unwrap();
        g.crop(rows, columns).unwrap()
    };
    let parts = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(t, l)| part(&mut graph, t, l));
    let y = graph.concat(&parts).unwrap();
    let conv = random_conv(&mut Random::new(7), 12, 16, 1, Window::square(3, 1, 1));
    let y = graph.conv(y, conv).unwrap();
    let y = graph
        .pad(
            y,
            Pads {
                top: 0,
                left: 0,
                bottom: 1,
                right: 1,
            },
            0.,
        )
        .unwrap();
    let conv = random_conv(&mut Random::new(8), 16, 8, 1, Window::square(3, 2, 0));
    let y = graph.conv(y, conv).unwrap();
    graph.output(y, Layout::Planar).unwrap();
    check_steps(&graph, &["load", "dense", "dense", "store"]);
}

#[test]
fn shuffles_and_slices_cost_no_steps() {
    let random = &mut Random::new(10);
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(3, 8, 8)).unwrap();
    let mut conv = |g: &mut Graph, x: TensorId, to: usize| {
        let from = g.shape(x).c;
        g.conv(x, random_conv(random, from, to, 1, Window::square(1, 1, 0)))
            .unwrap()
    };
    let mut y = conv(&mut graph, x, 58);
    for _ in 0..3 {
        let pass = graph.slice(y, 0, 29).unwrap();
        let rest = graph.slice(y, 29, 29).unwrap();
        let rest = conv(&mut graph, rest, 29);
        y = graph.concat(&[pass, rest]).unwrap();
        y = graph.shuffle(y, 2).unwrap();
    }
    let y = conv(&mut graph, y, 7);
    graph.output(y, Layout::Planar).unwrap();
    check_steps(
        &graph,
        &["load", "dense", "dense", "dense", "dense", "dense", "store"],
    );
}

#[test]
fn few_outputs_of_many_inputs_take_the_narrow_kernel() {
    let random = &mut Random::new(11);
    for (c, size, to, window) in [
        (32, [9, 19], 1, Window::square(5, 1, 2)),
        (48, [7, 8], 1, Window::square(3, 2, 1)),
        (256, [3, 25], 1, Window::square(1, 1, 0)),
        (
            64,
            [6, 5],
            2,
            Window {
                dilation: [2, 1],
                ..Window::square(3, 1, 1)
            },
        ),
    ] {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(c, size[0], size[1])).unwrap();
        let x = graph.activate(x, Activation::Tanh).unwrap();
        let conv = random_conv(random, c, to, 1, window);
        let y = graph.conv(x, conv).unwrap();
        let y = graph.activate(y, Activation::Sigmoid).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        let data = data_for(&graph, &mut Random::new(12));
        let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
        let wanted = reference::run(&graph, &inputs).unwrap();
        for variant in variants() {
            check(&graph, &variant, &data, &wanted, "narrow");
            let options = Options {
                kernels: Some(variant.kernels.into()),
                algorithm: Algorithm::Direct,
                ..Options::default()
            };
            let plan = Plan::new(&graph, &options).unwrap();
            let narrow = plan.steps().iter().any(|s| s.name() == "narrow dense");
            assert_eq!(
                narrow,
                // of two outputs only blocks of sixteen would waste more
                variant.kernels == "avx512" || to == 1
            );
        }
    }
}

#[test]
fn weights_larger_than_the_cache_give_the_same() {
    let random = &mut Random::new(13);
    for (from, to, window) in [
        (160, 250, Window::square(3, 2, 1)),
        (700, 400, Window::square(1, 1, 0)),
    ] {
        let conv = random_conv(random, from, to, 1, window);
        check_one(14, Shape::new(from, 5, 7), |g, x| {
            g.conv(x, conv.clone()).unwrap()
        });
    }
}

#[test]
fn kernels_of_this_machine() {
    let names: Vec<_> = Kernels::available().iter().map(|k| k.name).collect();
    // tests/kernels.sh reads this line
    println!("kernels: {}", names.join(" "));
    assert_eq!(names.last(), Some(&"scalar"));
}

#[test]
fn limits_cost_no_steps_where_folding_leaves_them() {
    let random = &mut Random::new(21);
    let clip = |min: f32, max: f32| Activation::Clip { min, max };
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(3, 8, 8)).unwrap();
    let x = graph.activate(x, clip(0., 0.75)).unwrap();
    let mut conv = |g: &mut Graph, x: TensorId, window: Window| {
        let from = g.shape(x).c;
        g.conv(x, random_conv(random, from, 16, 1, window)).unwrap()
    };
    let stem = conv(&mut graph, x, Window::square(3, 2, 1));
    // a limit inside and one behind SiLU
    let limited = graph.activate(stem, clip(-0.5, 3.)).unwrap();
    let gate = graph.activate(limited, Activation::Sigmoid).unwrap();
    let gate = graph.activate(gate, clip(0., 1.)).unwrap();
    let silu = graph.mul(limited, gate).unwrap();
    let a = conv(&mut graph, silu, Window::square(1, 1, 0));
    let a = graph.activate(a, Activation::Silu).unwrap();
    let a = graph.activate(a, clip(0., 0.5)).unwrap();
    let b = conv(&mut graph, silu, Window::square(1, 1, 0));
    let pooled = graph.pool(b, Pool::Max, Window::square(3, 1, 1)).unwrap();
    let joined = graph.concat(&[a, pooled]).unwrap();
    let joined = graph.activate(joined, clip(0., 0.5)).unwrap();
    let y = conv(&mut graph, joined, Window::square(1, 1, 0));
    // limits around a sum
    let y = graph.activate(y, clip(-1., 1.)).unwrap();
    let y = graph.add(y, a).unwrap();
    let y = graph.activate(y, clip(-0.25, 1.5)).unwrap();
    graph.output(y, Layout::Planar).unwrap();
    check_steps(
        &graph,
        &[
            "load", "dense", "dense", "dense", "pooling", "dense", "store",
        ],
    );
}

#[test]
fn an_input_with_another_reader_is_loaded_without_limits() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(4, 3, 5)).unwrap();
    let limited = graph.activate(x, Activation::Relu).unwrap();
    let y = graph.concat(&[x, limited]).unwrap();
    graph.output(y, Layout::Planar).unwrap();
    check_steps(&graph, &["load", "gather", "elementwise", "store"]);
}

#[test]
fn three_activations_in_a_row_are_two_steps() {
    let graph = conv_then(|g, y| {
        let y = g.activate(y, Activation::Tanh).unwrap();
        let y = g.activate(y, Activation::Exp).unwrap();
        let y = g.activate(y, Activation::Abs).unwrap();
        g.scale(y, 2., 0.).unwrap()
    });
    let steps = ["load", "dense", "elementwise", "elementwise", "store"];
    check_steps(&graph, &steps);
}

#[test]
fn blocks_in_any_order_join_the_convolution() {
    for (rows, columns, clip) in [(2, 2, true), (4, 2, false), (1, 3, true)] {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(3, 8, 12)).unwrap();
        let phases: Vec<TensorId> = (0..rows * columns)
            .map(|phase| {
                let crop = Crop {
                    top: phase / columns,
                    left: phase % columns,
                    step: [rows, columns],
                    size: [8 / rows, 12 / columns],
                };
                graph.crop(x, crop).unwrap()
            })
            .collect();
        let mut y = graph.concat(&phases).unwrap();
        if clip {
            let (min, max) = (-0.5, 0.5);
            y = graph.activate(y, Activation::Clip { min, max }).unwrap();
        }
        let c = graph.shape(y).c as u32;
        let picks = (0..c).map(|i| i * 7 % c).collect();
        let y = graph.channels(y, picks).unwrap();
        let window = Window::square(3, 1, 1);
        let conv = random_conv(&mut Random::new(22), c as usize, 16, 1, window);
        let y = graph.conv(y, conv).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        check_steps(&graph, &["load", "dense", "store"]);
    }
}

#[test]
fn a_block_with_few_of_its_phases_is_not_widened() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(3, 8, 12)).unwrap();
    let crop = Crop {
        top: 1,
        left: 2,
        step: [4, 4],
        size: [2, 3],
    };
    let parts = [graph.crop(x, crop).unwrap(), graph.crop(x, crop).unwrap()];
    let y = graph.concat(&parts).unwrap();
    let conv = random_conv(&mut Random::new(23), 6, 16, 1, Window::square(1, 1, 0));
    let y = graph.conv(y, conv).unwrap();
    graph.output(y, Layout::Planar).unwrap();
    let steps = ["load", "gather", "resample", "resample", "dense", "store"];
    check_steps(&graph, &steps);
}

#[test]
fn a_sum_behind_two_activations_is_a_step_of_its_own() {
    let graph = conv_then(|g, y| {
        let other = g.activate(y, Activation::Abs).unwrap();
        let conv = random_conv(&mut Random::new(24), 20, 20, 1, Window::square(1, 1, 0));
        let y = g.conv(other, conv).unwrap();
        let y = g.activate(y, Activation::Tanh).unwrap();
        let y = g.activate(y, Activation::Exp).unwrap();
        g.add(y, other).unwrap()
    });
    check_steps(&graph, &["load", "dense", "dense", "elementwise", "store"]);
}

#[test]
fn sums_of_convolutions_are_one_of_all_their_inputs() {
    let random = &mut Random::new(31);
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(24, 7, 9)).unwrap();
    let window = Window::square(1, 1, 0);
    let mut conv = |graph: &mut Graph, x, window| {
        let from = graph.shape(x).c;
        let conv = random_conv(random, from, 20, 1, window);
        graph.conv(x, conv).unwrap()
    };
    let x = conv(&mut graph, x, window);
    let parts = [0, 5, 11].map(|first| graph.slice(x, first, 8).unwrap());
    let parts = parts.map(|part| conv(&mut graph, part, window));
    let y = graph.add(parts[0], parts[1]).unwrap();
    let y = graph.add(parts[2], y).unwrap();
    let y = graph
        .affine(y, vec![0.5; 20].into(), vec![0.1; 20].into())
        .unwrap();
    let y = graph.activate(y, Activation::Silu).unwrap();
    graph.output(y, Layout::Planar).unwrap();
    check_steps(&graph, &["load", "dense", "dense", "store"]);
    // another window, and another reader of a part: a step more each
    let wide = conv(&mut graph, x, Window::square(3, 1, 1));
    let narrow = conv(&mut graph, x, window);
    let z = graph.add(wide, narrow).unwrap();
    graph.output(z, Layout::Planar).unwrap();
    let (a, b) = (conv(&mut graph, x, window), conv(&mut graph, y, window));
    let z = graph.add(a, b).unwrap();
    graph.output(z, Layout::Planar).unwrap();
    graph.output(a, Layout::Planar).unwrap();
    let plan = Plan::new(&graph, &Options::default()).unwrap();
    let dense = plan.steps().iter().filter(|step| step.is_dense()).count();
    assert_eq!(dense, 2 + 2 + 2);
    let data = data_for(&graph, random);
    let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
    let wanted = reference::run(&graph, &inputs).unwrap();
    for variant in variants() {
        check(&graph, &variant, &data, &wanted, "sums of convolutions");
    }
}
