mod algorithms;
mod around;
mod random;

use super::Coverage;
use crate::base::geometry::Size;
use crate::base::tensor::{
    ColourOrder, Element, InputSpec, Interpolation, Layout, ResizeMode, Tensor as Ours, TensorData,
};
use crate::engine::tract::Tract;
use crate::engine::tract::load::{self, Loading};
use crate::engine::{Engine, EngineKind, EngineOptions};
use crate::model::{Model, ModelOptions};
use std::path::{Path, PathBuf};

/// The eight models that the executor must run nearly whole.
const KNOWN: [&str; 8] = [
    "yolox_nano_416",
    "nanodet_m_320",
    "yunet_n_320",
    "fastestdet_352",
    "picodet_xs_320",
    "ultraface_rfb_320",
    "blazeface_back_256",
    "yolov8n_320_random",
];

/// Beginnings of the names of models that magnify rounding errors, and their limits. The first has logits of scores near
/// zero, which tract's sigmoid misses by up to 4.5e-7; the scores of the others are differences of nearly equal numbers.
const SENSITIVE: [(&str, f32); 2] = [("yolox_nano_as_detr_416", 1e-3), ("opset", 1e-3)];

/// Rounding error of a number that is the difference of two near 10: outputs of fixtures are, with no spread to speak of.
const ROUNDING: f32 = 2e-6;

fn models() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let shared = std::env::var_os("DETECT_SHARED").map(|shared| Path::new(&shared).join("models"));
    let mut files: Vec<PathBuf> = [Some(fixtures), shared]
        .into_iter()
        .flatten()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder of models"))
        .map(|file| file.expect("a file").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .collect();
    files.sort();
    files
}

/// Opens a model like [`crate::engine::open`]: its sizes are looked at first.
fn open(path: &Path) -> Option<Model> {
    let options = ModelOptions {
        path: Some(path.into()),
        ..ModelOptions::default()
    };
    let model = Model::open(&options).ok()?;
    let (weighed, options) = (model.weighed(false), EngineOptions::default());
    crate::engine::budget::check(EngineKind::Tract, weighed, &options).ok()?;
    Some(model)
}

/// Numbers from -1 to 1 or, for pictures, 0 to 255: the same each time.
fn picture(input: &InputSpec) -> Ours {
    let dims = input.dims();
    let count: usize = dims.iter().product();
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let [low, high] = [0, 255].map(|pixel| (pixel as f32 - input.mean[0]) / input.std[0]);
    let values: Vec<f32> = (0..count).map(|_| low + (high - low) * random()).collect();
    let mut picture = input.blank();
    match &mut picture.data {
        TensorData::F32(numbers) => *numbers = values,
        TensorData::U8(numbers) => *numbers = values.iter().map(|&v| v as u8).collect(),
        _ => panic!("an input of {:?}", picture.data.element()),
    }
    picture
}

fn engine(model: &Model, least_work: Option<u64>) -> Option<Tract> {
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    let loading = Loading::without_measuring(least_work);
    Tract::open_with(&model.bytes, &model.input, &options, loading).ok()
}

/// Largest difference beyond rounding, over the spread of what is expected.
fn difference(expected: &Ours, found: &Ours) -> f32 {
    assert_eq!((&expected.dims, &expected.name), (&found.dims, &found.name));
    let [expected, found] = [expected, found].map(|tensor| match &tensor.data {
        TensorData::F32(values) => values.clone(),
        TensorData::I64(values) => values.iter().map(|&v| v as f32).collect(),
        TensorData::I32(values) => values.iter().map(|&v| v as f32).collect(),
        TensorData::U8(values) => values.iter().map(|&v| f32::from(v)).collect(),
        TensorData::Foreign(_) => panic!("tract's own memory"),
    });
    let fold = |f: fn(f32, f32) -> f32| expected.iter().copied().reduce(f).unwrap_or(0.0);
    let spread = (fold(f32::max) - fold(f32::min)).max(1e-3);
    let differences = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
    let worst = differences.fold(0.0, |most: f32, d| {
        if d.is_nan() {
            f32::INFINITY
        } else {
            most.max(d)
        }
    });
    (worst - ROUNDING).max(0.0) / spread
}

fn name(path: &Path) -> String {
    path.file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

#[test]
fn models_run_as_with_tract_alone() {
    let only = std::env::var("DETECT_ONLY").unwrap_or_default();
    for path in models().iter().filter(|path| name(path).contains(&only)) {
        let Some(model) = open(path) else { continue };
        let Some(mut alone) = engine(&model, None) else {
            assert!(engine(&model, Some(0)).is_none(), "{path:?}");
            continue;
        };
        let mut with = engine(&model, Some(0)).unwrap_or_else(|| panic!("{path:?} loads alone"));
        let picture = picture(&model.input);
        let expected = alone.run(&picture).expect("it runs alone");
        let found = with
            .run(&picture)
            .unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let worst = (expected.iter().zip(&found))
            .map(|(a, b)| difference(a, b))
            .fold(0.0, f32::max);
        let share = with.coverage.as_ref().map_or(0.0, Coverage::share);
        println!(
            "{:<44} {:6.2} % inside, difference {worst:.1e}",
            name(path),
            share * 100.0
        );
        let special = SENSITIVE
            .iter()
            .find(|(begin, _)| name(path).starts_with(begin));
        let limit = special.map_or(1e-4, |(_, limit)| *limit);
        assert!(worst <= limit, "{path:?}: {worst}, expected {limit}");
    }
}

#[test]
fn detectors_run_inside() {
    for path in models() {
        let name = name(&path);
        let Some(model) = open(&path) else { continue };
        let mut loading = Loading::without_measuring(super::least_work());
        let Ok(loaded) = load::load(&model.bytes, &model.input, &mut loading) else {
            continue;
        };
        let coverage = loaded.coverage.expect("asked for");
        println!("{name:<44} {coverage}");
        if KNOWN.contains(&name.as_str()) {
            assert!(coverage.share() >= 0.95, "{name}: {coverage}");
            assert_eq!(coverage.networks, 1, "{name}: {coverage}");
        }
    }
}

/// Seeds of the graphs that are tried each time; `DETECT_GRAPHS` tries more.
const GRAPHS: u64 = 60;

#[test]
fn random_graphs_run_as_with_tract_alone() {
    let more = std::env::var("DETECT_GRAPHS")
        .ok()
        .and_then(|n| n.parse().ok());
    let (mut whole, count) = (0, more.unwrap_or(GRAPHS));
    for seed in 0..count {
        let (bytes, [height, width]) = random::Generator::file(seed);
        let input = InputSpec {
            name: "t0".into(),
            size: Size::new(width as u32, height as u32),
            layout: Layout::Nchw,
            element: Element::F32,
            colour: ColourOrder::Rgb,
            mean: [128.0; 3],
            std: [64.0; 3],
            resize: ResizeMode::Stretch,
            pad_value: 0.0,
            interpolation: Interpolation::Linear,
        };
        let options = EngineOptions {
            threads: 1 + (seed % 2) as usize,
            ..EngineOptions::default()
        };
        let engine = |least_work| {
            let opened = Tract::open_with(
                &bytes,
                &input,
                &options,
                Loading::without_measuring(least_work),
            );
            opened.unwrap_or_else(|error| panic!("graph {seed}: {error}"))
        };
        let (mut alone, mut with) = (engine(None), engine(Some(0)));
        let picture = picture(&input);
        let [expected, found] = [&mut alone, &mut with].map(|engine| {
            let made = engine.run(&picture);
            made.unwrap_or_else(|error| panic!("graph {seed}: {error}"))
        });
        let coverage = with.coverage.as_ref().expect("asked for");
        for (a, b) in expected.iter().zip(&found) {
            let worst = difference(a, b);
            assert!(
                worst <= 1e-4,
                "graph {seed}, {}: {worst}; {coverage}",
                a.name
            );
        }
        whole += usize::from(coverage.share() == 1.0 && coverage.networks == 1);
    }
    assert!(
        whole as u64 >= count * 9 / 10,
        "{whole} of {count} graphs ran inside as a whole"
    );
}

/// Endings of the names of quantised and half forms, behind the name of the float model that they were made from.
const FORMS: [&str; 9] = [
    "dyn",
    "fp16",
    "fp16io",
    "mix_dyn",
    "mix_qdq_pc",
    "mix_qop_pc",
    "qdq",
    "qdq_pc",
    "qop_pc",
];

/// Steps of all networks that the executor runs of a model.
fn steps(path: &Path) -> Vec<String> {
    let model = open(path).unwrap_or_else(|| panic!("{path:?} opens"));
    let mut loading = Loading::without_measuring(super::least_work());
    let loaded = load::load(&model.bytes, &model.input, &mut loading);
    let loaded = loaded.unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let networks = loaded.model.nodes().iter();
    let networks = networks.filter_map(|node| node.op_as::<super::op::ConvnetOp>());
    networks.flat_map(|op| op.network().steps()).collect()
}

#[test]
fn folded_forms_have_the_steps_of_their_float_form() {
    for path in models() {
        let name = name(&path);
        let Some((base, form)) = name.split_once('.') else {
            continue;
        };
        let float = path.with_file_name(format!("{base}.onnx"));
        if !FORMS.contains(&form) || !float.exists() {
            continue;
        }
        let (wanted, found) = (steps(&float), steps(&path));
        println!("{name:<44} {} steps", found.len());
        let differing = wanted
            .iter()
            .zip(&found)
            .find(|(wanted, found)| wanted != found);
        assert_eq!(
            differing, None,
            "{name}: a step of the float form, and that of this form"
        );
        assert_eq!(
            wanted.len(),
            found.len(),
            "{name}: steps of the float form, and of this form"
        );
    }
}
