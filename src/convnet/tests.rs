use std::sync::Arc;

use super::graph::{Graph, Input, reference};
use super::kernels::Kernels;
use super::random::{Data, Generator, Random, data_for};
use super::{Options, Plan, Session};

/// Runs a graph with the named kernels.
fn run(graph: &Graph, kernels: &str, inputs: &[Input]) -> Vec<Vec<f32>> {
    let options = Options {
        kernels: Some(kernels.into()),
        ..Options::default()
    };
    let plan = Arc::new(Plan::new(graph, &options).unwrap());
    let mut outputs: Vec<Vec<f32>> = plan.outputs().iter().map(|&n| vec![f32::NAN; n]).collect();
    let mut session = Session::new(plan);
    // twice: the second run meets what the first one left in the arena
    for _ in 0..2 {
        let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
        session.run(inputs, &mut slices).unwrap();
    }
    outputs
}

/// Compares with the interpreter, relative to the output's largest value.
fn check(graph: &Graph, kernels: &str, data: &[Data], wanted: &[Vec<f64>], name: &str) {
    let inputs: Vec<Input> = data.iter().map(Data::borrow).collect();
    let outputs = run(graph, kernels, &inputs);
    for (o, (output, wanted)) in outputs.iter().zip(wanted).enumerate() {
        assert_eq!(output.len(), wanted.len(), "{name} {kernels}");
        let scale = wanted.iter().fold(1f64, |m, v| m.max(v.abs()));
        for (i, (&a, &b)) in output.iter().zip(wanted).enumerate() {
            let error = (f64::from(a) - b).abs();
            assert!(
                error <= 2e-4 * scale,
                "{name} {kernels}: output {o} value {i} is {a}, expected {b} (largest {scale})\n{}",
                describe(graph)
            );
        }
    }
}

fn describe(graph: &Graph) -> String {
    let line = |(i, n): (usize, &super::graph::Node)| {
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
        for kernels in Kernels::available() {
            check(
                &graph,
                kernels.name,
                &data,
                &wanted,
                &format!("seed {seed}"),
            );
        }
    }
}
