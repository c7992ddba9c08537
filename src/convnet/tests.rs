use std::sync::Arc;

use super::graph::*;
use super::kernels::Kernels;
use super::random::{ACTIVATIONS, Data, Generator, Random, data_for};
use super::{Algorithm, Budget, Error, Options, Plan, Session};

/// One way to run a graph.
#[derive(Clone, Debug)]
struct Variant {
    kernels: &'static str,
    algorithm: Algorithm,
    threads: usize,
}

/// All ways that this machine can run a graph.
fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for kernels in Kernels::available() {
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
    all
}

fn run(graph: &Graph, variant: &Variant, inputs: &[Input]) -> Vec<Vec<f32>> {
    let options = Options {
        kernels: Some(variant.kernels.into()),
        algorithm: variant.algorithm,
        ..Options::default()
    };
    let plan = Arc::new(Plan::new(graph, &options).unwrap());
    let mut outputs: Vec<Vec<f32>> = plan.outputs().iter().map(|&n| vec![f32::NAN; n]).collect();
    let mut session = Session::with_threads(plan, variant.threads, None).unwrap();
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
    let seeds: Vec<u64> = match std::env::var("CONVNET_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..300).collect(),
    };
    for seed in seeds {
        let graph = Generator::graph(seed, 5 + (seed as usize * 7) % 36);
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
    let random = &mut Random::new(1);
    for w in 1..=33 {
        let (from, to) = (random.between(1, 40), random.between(1, 70));
        for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (2, 3)] {
            let window = Window::square(kernel, stride, kernel / 2 + usize::from(w < kernel));
            let conv = random_conv(random, from, to, 1, window);
            let shape = Shape::new(from, random.between(1, 9), w);
            check_one(w as u64, shape, |g, x| g.conv(x, conv.clone()).unwrap());
        }
    }
}

#[test]
fn depthwise_convolutions_of_every_width() {
    let random = &mut Random::new(2);
    for w in 1..=27 {
        let c = random.between(2, 40);
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (2, 2)] {
            let window = Window::square(kernel, stride, kernel / 2 + usize::from(w < 3));
            let conv = random_conv(random, c, c, c, window);
            let shape = Shape::new(c, random.between(3, 9), w);
            check_one(w as u64, shape, |g, x| {
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
