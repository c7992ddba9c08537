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
    let variant = |kernels, threads| Variant {
        kernels,
        algorithm: Algorithm::Auto,
        threads,
    };
    let both = |kernels| [variant(kernels, 1), variant(kernels, 3)];
    tables().into_iter().flat_map(both).collect()
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
                let limit = 10. * spread[o] + 8e-3 * scale(wanted);
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
    let (mut all, mut compared) = (0, 0);
    for seed in seeds(200) {
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
