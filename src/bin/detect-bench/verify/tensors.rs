//! Compares tensors with recorded ones. The graph runs as the file has it: no head is cut off.
//!
//! A number is the same if it differs by at most `absolute` times the largest number in its tensor, plus `relative` times
//! the expected number. NaN is the same as NaN.

use super::{Checked, npz};
use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::settings::Settings;
use gstdetect::base::tensor::{Tensor, TensorData};
use gstdetect::engine::{self, Engine, EngineKind, EngineOptions, Precision};
use gstdetect::model::{Model, ModelOptions};
use gstdetect::onnx::tensor_file;
use std::path::{Path, PathBuf};

/// Recorded inputs and outputs.
struct Known {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// Returns a verdict on each output.
pub fn check(
    model: &Path,
    data: &Path,
    arguments: &VerifyArgs,
    settings: &Settings,
) -> Result<Vec<Checked>, Failure> {
    let options = model_options(model, settings)?;
    let opened = Model::open_uncut(&options).map_err(Failure::model)?;
    let known = known(data, &opened)?;
    let input = picture(&known, &opened, data)?;
    let (kind, engine_options) = engine_options(settings)?;
    let mut engine = engine::open(kind, &opened, &engine_options)
        .map_err(Failure::model)?
        .engine;
    let outputs = run(engine.as_mut(), &input)?;
    let checked = known.outputs.iter().enumerate().map(|(n, expected)| {
        // Test data without names have the outputs in the model's order.
        let named = outputs.iter().find(|output| output.name == expected.name);
        let output = named.or_else(|| outputs.get(n).filter(|_| expected.name.is_empty()));
        let what = format!("{}, output {}", data.display(), label(expected, n));
        match output {
            Some(output) => compare(what, expected, output, arguments),
            None => Checked {
                what,
                said: format!(
                    "the model has no such output; it has {}",
                    outputs
                        .iter()
                        .map(|o| o.name.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                holds: false,
            },
        }
    });
    Ok(checked.collect())
}

fn label(tensor: &Tensor, place: usize) -> String {
    match tensor.name.as_str() {
        "" => place.to_string(),
        name => name.to_owned(),
    }
}

fn model_options(model: &Path, settings: &Settings) -> Result<ModelOptions, Failure> {
    let path = |name| settings.get(name).map(PathBuf::from);
    let size = settings.get("input-size").unwrap_or("auto");
    Ok(ModelOptions {
        path: Some(model.to_owned()),
        labels: path("labels"),
        card: path("model-config"),
        input_size: size
            .parse()
            .map_err(|err| Failure::Usage(format!("input-size cannot be {size:?}: {err}")))?,
        ..ModelOptions::default()
    })
}

fn engine_options(settings: &Settings) -> Result<(EngineKind, EngineOptions), Failure> {
    let name = settings.get("engine").unwrap_or("tract");
    let known = [
        EngineKind::Tract,
        EngineKind::OnnxRuntime,
        EngineKind::OpenVino,
        EngineKind::Auto,
    ];
    let kind = known.into_iter().find(|kind| kind.to_string() == name);
    let kind = kind.ok_or_else(|| {
        Failure::Usage(format!(
            "engine cannot be {name:?}, expected tract, onnxruntime, openvino or auto"
        ))
    })?;
    let precision = settings.get("precision").unwrap_or("auto");
    let known = [Precision::Auto, Precision::F32, Precision::F16];
    let threads = settings.get("threads").unwrap_or("0");
    Ok((
        kind,
        EngineOptions {
            at_once: 1,
            max_compute: max_compute(settings)?,
            threads: threads.parse().map_err(|_| {
                Failure::Usage(format!(
                    "threads cannot be {threads:?}, expected a whole number"
                ))
            })?,
            precision: (known.into_iter())
                .find(|known| known.to_string() == precision)
                .ok_or_else(|| {
                    Failure::Usage(format!(
                        "precision cannot be {precision:?}, expected auto, f32 or f16"
                    ))
                })?,
        },
    ))
}

/// Returns the property `max-compute` in multiply-adds.
fn max_compute(settings: &Settings) -> Result<Option<u64>, Failure> {
    let thousand_millions = |text: &str| text.parse::<u64>().ok()?.checked_mul(1_000_000_000);
    let number = |text| {
        thousand_millions(text).ok_or_else(|| {
            Failure::Usage(format!(
                "max-compute cannot be {text:?}, expected a whole number"
            ))
        })
    };
    settings.get("max-compute").map(number).transpose()
}

fn known(data: &Path, model: &Model) -> Result<Known, Failure> {
    let in_words =
        |err: &dyn std::fmt::Display| Failure::pipeline(format!("{}: {err}", data.display()));
    if data.is_dir() {
        return Ok(Known {
            inputs: numbered(data, "input_")?,
            outputs: numbered(data, "output_")?,
        });
    }
    let bytes = std::fs::read(data).map_err(|err| in_words(&err))?;
    let arrays = npz::read(&bytes).map_err(|err| in_words(&err))?;
    let is_output = |tensor: &Tensor| model.outputs.contains(&tensor.name);
    let (outputs, inputs) = arrays.into_iter().partition(is_output);
    Ok(Known { inputs, outputs })
}

/// Reads `input_0.pb`, `input_1.pb` ... in a folder.
fn numbered(folder: &Path, begin: &str) -> Result<Vec<Tensor>, Failure> {
    let paths = (0..).map(|n| folder.join(format!("{begin}{n}.pb")));
    let paths = paths.take_while(|path| path.exists());
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).map_err(|err| err.to_string());
        let tensor = bytes.and_then(|bytes| tensor_file::read_tensor(&bytes));
        tensor.map_err(|err| Failure::pipeline(format!("{}: {err}", path.display())))
    };
    paths.map(read).collect()
}

/// Returns the input that takes the picture, in the engine's type. Other inputs have become constants of the graph.
fn picture(known: &Known, model: &Model, data: &Path) -> Result<Tensor, Failure> {
    let dims = model.input.dims();
    let of_name = known
        .inputs
        .iter()
        .find(|input| input.name == model.input.name);
    let same = |input: &&Tensor| without_ones(&input.dims) == without_ones(&dims);
    let input = of_name
        .or_else(|| known.inputs.iter().find(same))
        .ok_or_else(|| {
            Failure::pipeline(format!(
                "{}: no input is named {:?}, and none has dims {dims:?}",
                data.display(),
                model.input.name
            ))
        })?;
    if without_ones(&input.dims) != without_ones(&dims) {
        return Err(Failure::pipeline(format!(
            "{}: the input {} has dims {:?}, but the model takes {dims:?}; try --input-size",
            data.display(),
            input.name,
            input.dims
        )));
    }
    let wanted = model.input.blank();
    let numbers = || (0..input.data.len()).map(|n| at(&input.data, n));
    Ok(Tensor {
        data: match wanted.data {
            TensorData::U8(_) => TensorData::U8(numbers().map(|v| v as u8).collect()),
            _ => TensorData::F32(numbers().map(|v| v as f32).collect()),
        },
        ..wanted
    })
}

/// Returns the dims without leading ones: a batch of one may be left out.
fn without_ones(dims: &[usize]) -> &[usize] {
    let first = dims.iter().position(|dim| *dim != 1).unwrap_or(dims.len());
    &dims[first..]
}

fn run(engine: &mut dyn Engine, input: &Tensor) -> Result<Vec<Tensor>, Failure> {
    engine.run(input).map_err(Failure::model)
}

fn at(data: &TensorData, place: usize) -> f64 {
    match data {
        TensorData::F32(v) => f64::from(v[place]),
        TensorData::U8(v) => f64::from(v[place]),
        TensorData::I32(v) => f64::from(v[place]),
        TensorData::I64(v) => v[place] as f64,
        TensorData::Foreign(v) => f64::from(v.numbers()[place]),
    }
}

fn compare(what: String, expected: &Tensor, output: &Tensor, arguments: &VerifyArgs) -> Checked {
    if without_ones(&expected.dims) != without_ones(&output.dims) {
        return Checked {
            what,
            said: format!("dims {:?}, expected {:?}", output.dims, expected.dims),
            holds: false,
        };
    }
    let count = expected.data.len().min(output.data.len());
    let numbers = || (0..count).map(|n| (n, at(&expected.data, n), at(&output.data, n)));
    let finite = numbers()
        .map(|(_, wanted, _)| wanted.abs())
        .filter(|v| v.is_finite());
    let largest = finite.fold(0.0, f64::max);
    let allowed = |wanted: f64| {
        f64::from(arguments.absolute) * largest + f64::from(arguments.relative) * wanted.abs()
    };
    let same = |wanted: f64, got: f64| {
        wanted == got
            || (wanted.is_nan() && got.is_nan())
            || (wanted - got).abs() <= allowed(wanted)
    };
    let wrong: Vec<_> = numbers()
        .filter(|(_, wanted, got)| !same(*wanted, *got))
        .collect();
    let distance = |(_, wanted, got): &(usize, f64, f64)| (wanted - got).abs();
    let most = numbers()
        .map(|n| distance(&n))
        .filter(|d| d.is_finite())
        .fold(0.0, f64::max);
    let tolerance = format!(
        "tolerance: {:e} of the largest, {largest:.4}, plus {:e} of each",
        arguments.absolute, arguments.relative
    );
    let worst = wrong
        .iter()
        .max_by(|a, b| distance(a).total_cmp(&distance(b)));
    match worst {
        None => Checked {
            what,
            said: format!("{count} numbers, largest difference {most:.2e} ({tolerance})"),
            holds: true,
        },
        Some((place, wanted, got)) => Checked {
            what,
            said: format!(
                "{} of {count} numbers differ, most of all number {place}: {got}, expected {wanted} ({tolerance})",
                wrong.len()
            ),
            holds: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser;

    fn compared(expected: &[f32], output: &[f32]) -> Checked {
        let words = [
            "detect-bench",
            "verify",
            "x.onnx",
            "--relative",
            "0.01",
            "--absolute",
            "0.001",
        ];
        let Command::Verify(arguments) = Arguments::parse_from(words).command else {
            panic!("another command");
        };
        let tensor = |v: &[f32]| Tensor::f32("y", vec![1, v.len()], v.to_vec());
        compare("x".into(), &tensor(expected), &tensor(output), &arguments)
    }

    #[test]
    fn a_number_may_differ_by_shares_of_itself_and_of_the_largest() {
        assert!(compared(&[0.0, 100.0], &[0.09, 101.0]).holds);
        assert!(!compared(&[0.0, 100.0], &[0.11, 100.0]).holds);
        assert!(!compared(&[0.0, 100.0], &[0.0, 102.0]).holds);
        assert!(compared(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY]).holds);
        assert!(!compared(&[1.0, 1.0], &[1.0, f32::NAN]).holds);
    }

    #[test]
    fn the_worst_number_is_named() {
        let said = compared(&[1.0, 2.0, 3.0], &[1.0, 2.5, 4.0]).said;
        assert!(
            said.contains("2 of 3 numbers") && said.contains("number 2: 4, expected 3"),
            "{said}"
        );
    }

    #[test]
    fn other_dims_are_no_match() {
        let said = compared(&[1.0, 2.0], &[1.0]).said;
        assert!(said.contains("[1, 1], expected [1, 2]"), "{said}");
    }
}
