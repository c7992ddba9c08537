use std::time::Duration;

use super::*;
use crate::convnet::graph::*;

/// Processor time of this thread: other programs do not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ns = text.split_whitespace().next().unwrap().parse().unwrap();
    Duration::from_nanos(ns)
}

/// Plans a graph and returns the result with the processor time that it took.
fn timed(graph: &Graph) -> (Result<Plan>, Duration) {
    let start = cpu_time();
    let plan = Plan::new(graph, &Options::default());
    (plan, cpu_time() - start)
}

fn conv(from: usize, to: usize, window: Window) -> Conv {
    let [kh, kw] = window.kernel;
    Conv {
        out_channels: to,
        groups: 1,
        window,
        weights: vec![0.5; from * to * kh * kw].into(),
        bias: None,
    }
}

/// One chain of `n` operators whose buffers all live until the last one reads them.
fn long_graph(n: usize) -> Graph {
    let mut graph = Graph::new();
    let mut x = graph.input(Shape::new(8, 4, 4)).unwrap();
    let mut all = Vec::new();
    while graph.nodes().len() + 2 < n {
        x = match all.len() % 4 {
            0 => graph.conv(x, conv(8, 8, Window::square(1, 1, 0))).unwrap(),
            1 => graph.activate(x, Activation::Sigmoid).unwrap(),
            2 => graph.pool(x, Pool::Max, Window::square(3, 1, 1)).unwrap(),
            _ => graph.shuffle(x, 2).unwrap(),
        };
        all.push(x);
    }
    let joined = graph.concat(&all).unwrap();
    graph.output(joined, Layout::Planar).unwrap();
    graph
}

#[test]
#[cfg(target_os = "linux")]
fn long_graphs_are_planned_in_time() {
    let (plan, time) = timed(&long_graph(20_000));
    println!("20,000 operators: {time:?}, {:?}", plan.as_ref().err());
    assert!(plan.is_ok(), "{:?}", plan.err());
    assert!(
        time < Duration::from_secs(2),
        "20,000 operators took {time:?}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn hostile_sizes_are_refused_at_once() {
    let wide = Shape::new(1 << 14, 1 << 7, 1 << 7);
    let mut graph = Graph::new();
    let x = graph.input(wide).unwrap();
    let y = graph.activate(x, Activation::Relu).unwrap();
    let z = graph.activate(x, Activation::Mish).unwrap();
    let sum = graph.add(y, z).unwrap();
    graph.output(sum, Layout::Planar).unwrap();
    let large = graph;

    // a small output of a large border
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(1, 1 << 14, 1 << 14)).unwrap();
    let pads = Pads {
        top: 4096,
        left: 4096,
        bottom: 4096,
        right: 4096,
    };
    let window = Window {
        stride: [64, 64],
        pads,
        ..Window::square(1, 1, 0)
    };
    let y = graph.conv(x, conv(1, 1, window)).unwrap();
    graph.output(y, Layout::Rows).unwrap();
    let padded = graph;

    // concatenations of everything so far: channels double each time
    let mut graph = Graph::new();
    let mut all = vec![graph.input(Shape::new(64, 1, 1)).unwrap()];
    while let Ok(joined) = graph.concat(&all) {
        all.push(joined);
    }
    let last = *all.last().unwrap();
    graph.output(last, Layout::Planar).unwrap();
    let joined = graph;

    // one pixel of very many channels
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(1 << 28, 1, 1)).unwrap();
    assert!(graph.slice(x, 1, usize::MAX).is_err());
    graph.output(x, Layout::Planar).unwrap();
    let deep = graph;

    for (name, graph) in [
        ("deep", deep),
        ("large", large),
        ("padded", padded),
        ("joined", joined),
    ] {
        let (plan, time) = timed(&graph);
        println!("{name}: {time:?}, {:?}", plan.as_ref().err());
        assert!(
            matches!(plan, Err(Error::Budget { .. })),
            "{name}: {:?}",
            plan.err()
        );
        assert!(time < Duration::from_millis(250), "{name}: {time:?}");
    }
}

#[test]
fn ranges_hold_for_every_tensor() {
    use crate::convnet::tests::random::{Generator, Random, data_for};
    for seed in 0..200 {
        let mut graph = Generator::graph(seed, 5 + seed as usize % 31);
        let seen = graph.outputs().len();
        let all: Vec<TensorId> = (0..graph.nodes().len() as u32).map(TensorId).collect();
        for &tensor in &all {
            graph.output(tensor, Layout::Planar).unwrap();
        }
        let data = data_for(&graph, &mut Random::new(seed));
        let inputs: Vec<Input> = data.iter().map(|d| d.borrow()).collect();
        let values = reference::run(&graph, &inputs).unwrap();
        let mut known: Vec<ranges::Range> = Vec::new();
        for (node, values) in graph.nodes().iter().zip(&values[seen..]) {
            let operands: Vec<_> = node.inputs.iter().map(|t| known[t.index()]).collect();
            let [low, high] = ranges::range_of(node, &operands);
            for &value in values {
                let within = f64::from(low) - 1e-6..=f64::from(high) + 1e-6;
                assert!(
                    value.is_nan() || within.contains(&value),
                    "seed {seed}: {} gives {value}, expected {low} to {high}",
                    node.op.name()
                );
            }
            known.push([low, high]);
        }
    }
}
