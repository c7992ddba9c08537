//! The ways to compute a 3x3 convolution give the same numbers.

use super::super::chooser::Chooser;
use super::super::op::ConvnetOp;
use super::around::{FLOAT, conv, file, input};
use super::{difference, models, name, open, picture};
use crate::base::tensor::InputSpec;
use crate::convnet::Algorithm;
use crate::engine::tract::Tract;
use crate::engine::tract::load::Loading;
use crate::engine::tract::tests::node;
use crate::engine::{Engine, EngineOptions};

/// How the description of a step begins that only this algorithm has.
const ALGORITHMS: [(Algorithm, &str); 4] = [
    (Algorithm::Estimate, ""),
    (Algorithm::Direct, ""),
    (Algorithm::Winograd2, "winograd F(2, 3)"),
    (Algorithm::Winograd4, "winograd F(4, 3)"),
];

fn engine(bytes: &[u8], input: &InputSpec, loading: Loading) -> Tract {
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    Tract::open_with(bytes, input, &options, loading).expect("it loads")
}

/// Compares each algorithm with tract alone. `has_choice`: some layer can be computed in several ways.
fn check(name: &str, bytes: &[u8], input: &InputSpec, has_choice: bool) {
    let picture = picture(input);
    let mut alone = engine(bytes, input, Loading::without_measuring(None));
    let expected = alone.run(&picture).expect("it runs");
    for (algorithm, step) in ALGORITHMS {
        let loading = Loading {
            chooser: Chooser::fixed(algorithm),
            ..Loading::without_measuring(Some(0))
        };
        let mut engine = engine(bytes, input, loading);
        let nodes = engine.plan.model().nodes().iter();
        let networks = nodes.filter_map(|node| node.op_as::<ConvnetOp>());
        let steps: Vec<String> = networks.flat_map(|op| op.network().steps()).collect();
        let is_there = steps.iter().any(|s| s.starts_with(step));
        assert!(is_there || !has_choice, "{name}, {algorithm:?}: {steps:#?}");
        let is_winograd = steps.iter().any(|s| s.starts_with("winograd"));
        assert!(!is_winograd || algorithm != Algorithm::Direct, "{steps:#?}");
        let found = engine.run(&picture).expect("it runs");
        let worst = (expected.iter().zip(&found))
            .map(|(a, b)| difference(a, b))
            .fold(0.0, f32::max);
        println!("{name:<44} {algorithm:?}, difference {worst:.1e}");
        assert!(worst <= 1e-4, "{name}, {algorithm:?}: {worst}");
    }
}

#[test]
fn every_algorithm_gives_the_numbers_of_tract_alone() {
    let size = [26, 34];
    let (first, a) = conv("in", "a", [3, 16, 3]);
    let (second, b) = conv("a", "b", [16, 24, 3]);
    let (third, c) = conv("b", "c", [24, 40, 3]);
    let nodes = vec![first, second, third, node("Relu", &["c"], "out")];
    let bytes = file(size, FLOAT, vec![a, b, c], nodes, &[("out", FLOAT)]);
    check("three layers", &bytes, &input(size), true);
}

/// Real models, and whether they have layers that can be computed in several ways. Their boxes: tests/reference.
const MODELS: [(&str, bool); 3] = [
    ("yolox_nano_416", false),
    ("nanodet_m_320", false),
    ("yolov8n_320_random", true),
];

#[test]
fn every_algorithm_gives_the_numbers_of_real_models() {
    for path in models() {
        let name = name(&path);
        let Some((_, has_choice)) = MODELS.iter().find(|(known, _)| *known == name) else {
            continue;
        };
        let model = open(&path).unwrap_or_else(|| panic!("{name} opens"));
        check(&name, &model.bytes, &model.input, *has_choice);
    }
}
