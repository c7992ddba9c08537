//! Plans in f16, against the interpreter and against each other.

use super::random::{Data, Generator, Random, data_for};
use super::*;
use crate::convnet::HalfPrecision;
use crate::convnet::kernels::element::{Element, Half, Number};

/// Tables of this machine that have one for f16; with the kernels of `GST_DETECT_KERNELS` alone, if that is set.
fn tables() -> Vec<&'static str> {
    let only = std::env::var(VARIABLE).unwrap_or_default();
    let tables = Kernels::available().into_iter();
    tables
        .filter(|k| k.half().is_some() && (only.is_empty() || k.name == only))
        .map(|k| k.name)
        .collect()
}

/// Plans a graph that computes with f16 wherever it can, and returns its outputs.
fn run_half(graph: &Graph, variant: &Variant, head: Element, inputs: &[Input]) -> Vec<Vec<f32>> {
    let options = Options {
        kernels: Some(variant.kernels.into()),
        algorithm: variant.algorithm,
        half: Some(HalfPrecision {
            head,
            ..HalfPrecision::default()
        }),
        ..Options::default()
    };
    run_with(graph, options, variant.threads, inputs)
}

fn half_variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for kernels in tables() {
        for (algorithm, threads) in [
            (Algorithm::Direct, 3),
            (Algorithm::Winograd2, 1),
            (Algorithm::Winograd4, 1),
        ] {
            all.push(Variant {
                kernels,
                algorithm,
                threads,
            });
        }
    }
    all
}

fn largest_difference(a: &[f64], b: impl Iterator<Item = f64>) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0., |most, d| if d > most || d.is_nan() { d } else { most })
}

/// Compares with the interpreter. The limit is a multiple of what rounding every tensor to f16 does to the outputs, which
/// shows how far the graph spreads errors, and a part of the largest value for the sums inside of operators.
///
/// Returns false if values leave the range of f16, or the graph spreads errors until nothing can be told.
fn check_half(graph: &Graph, data: &[Data], variants: &[Variant], name: &str) -> bool {
    let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
    let mut largest = 0f64;
    let rounded = reference::run_rounded(graph, &inputs, |x| {
        largest = largest.max(x.abs());
        Half::from_f32(x as f32).to_f32().into()
    });
    let (wanted, rounded) = (reference::run(graph, &inputs).unwrap(), rounded.unwrap());
    if largest > 5_000. {
        return false;
    }
    let scale = |o: &[f64]| o.iter().fold(1f64, |most, v| most.max(v.abs()));
    let spread = wanted.iter().zip(&rounded);
    let spread: Vec<f64> = spread
        .map(|(w, r)| largest_difference(w, r.iter().copied()))
        .collect();
    if wanted
        .iter()
        .zip(&spread)
        .any(|(w, s)| *s > 0.02 * scale(w))
    {
        return false;
    }
    for variant in variants {
        for head in [Element::F16, Element::F32] {
            let outputs = run_half(graph, variant, head, &inputs);
            for (o, (output, wanted)) in outputs.iter().zip(&wanted).enumerate() {
                let error = largest_difference(wanted, output.iter().map(|&v| v.into()));
                // Winograd's transforms multiply errors
                let part = match variant.algorithm {
                    Algorithm::Winograd4 => 2.5e-2,
                    _ => 8e-3,
                };
                let limit = 10. * spread[o] + part * scale(wanted);
                assert!(
                    error <= limit,
                    "{name} {variant:?} head {head}: output {o} differs by {error}, limit {limit}\n{}",
                    describe(graph)
                );
            }
        }
    }
    true
}

#[test]
fn random_graphs_in_f16_equal_the_interpreter_within_rounding() {
    let variants = half_variants();
    if variants.is_empty() {
        println!("not tried: this processor does not compute with f16");
        return;
    }
    let (mut all, mut compared) = (0, 0);
    for seed in seeds(60) {
        let graph = Generator::graph(seed, 5 + (seed as usize % 30 * 7) % 30);
        let data = data_for(&graph, &mut Random::new(seed + 1_000_000));
        all += 1;
        compared += usize::from(check_half(
            &graph,
            &data,
            &variants,
            &format!("seed {seed}"),
        ));
    }
    println!("{compared} of {all} graphs stay within the range of f16");
    assert!(all < 20 || compared * 4 > all * 3, "{compared} of {all}");
}

/// NEON and its portable twin round after the same operations. They differ by the twin's double rounding and by its exact
/// quotients, two units in the last place of the largest value.
#[cfg(target_arch = "aarch64")]
#[test]
fn kernels_for_f16_equal_their_portable_twin() {
    let others = Kernels::available().into_iter();
    let others: Vec<_> = others
        .filter(|k| k.half().is_some() && !k.is_portable())
        .map(|k| k.name)
        .collect();
    for seed in 0..12 {
        let random = &mut Random::new(seed);
        let (from, to) = (random.between(1, 40), random.between(1, 40));
        let shape = Shape::new(from, random.between(3, 19), random.between(3, 19));
        for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)] {
            for groups in [1, from] {
                let mut graph = Graph::new();
                let x = graph.input(shape).unwrap();
                let to = if groups == 1 { to } else { from };
                let window = Window::square(kernel, stride, kernel / 2);
                let conv = random_conv(random, from, to, groups, window);
                let y = graph.conv(x, conv).unwrap();
                let f = random.pick(&[
                    Activation::Silu,
                    Activation::Relu,
                    Activation::HardSwish,
                    Activation::Sigmoid,
                    Activation::LeakyRelu { slope: 0.1 },
                ]);
                let y = graph.activate(y, f).unwrap();
                graph.output(y, Layout::Planar).unwrap();
                let data = data_for(&graph, random);
                let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
                let outputs = |kernels| {
                    let variant = Variant {
                        kernels,
                        algorithm: Algorithm::Direct,
                        threads: 1,
                    };
                    run_half(&graph, &variant, Element::F16, &inputs).remove(0)
                };
                let twin = outputs("scalar");
                let largest = twin.iter().fold(1f32, |most, v| most.max(v.abs()));
                for &kernels in &others {
                    for (i, (a, b)) in outputs(kernels).iter().zip(&twin).enumerate() {
                        assert!(
                            (a - b).abs() <= 2. * largest / 1024.,
                            "{kernels} {kernel}x{kernel} {f:?} seed {seed}: value {i} is {a}, {b} in the twin"
                        );
                    }
                }
            }
        }
    }
}
