//! `verify`: runs a model on inputs with known outputs, and says whether this engine gives the same.
//!
//! - `tensors.rs` compares tensors with ONNX's test data and `.npz` archives (`npz.rs`).
//! - `boxes.rs` compares boxes found in pictures with those of a card.

mod boxes;
mod npz;
mod tensors;

use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::report::print;
use std::path::{Path, PathBuf};

/// Verdict on one output or picture: its name, how it compares in words, and whether it is the same.
#[derive(Debug, PartialEq)]
struct Checked {
    what: String,
    said: String,
    holds: bool,
}

pub fn run(arguments: &VerifyArgs) -> Result<(), Failure> {
    let (model, data) = find(&arguments.model, &arguments.data)?;
    let settings = arguments.properties.settings()?;
    let mut checked = Vec::new();
    for path in &data {
        checked.extend(match path.extension().and_then(|end| end.to_str()) {
            Some("json") => boxes::check(&model, path, arguments, &settings)?,
            _ => tensors::check(&model, path, arguments, &settings)?,
        });
    }
    for one in &checked {
        let verdict = if one.holds { "same     " } else { "DIFFERENT" };
        print(&format!("{verdict}  {}: {}\n", one.what, one.said))?;
    }
    let different = checked.iter().filter(|one| !one.holds).count();
    match (different, checked.len()) {
        (_, 0) => Err(Failure::Usage(format!(
            "the data hold no known outputs for {}",
            model.display()
        ))),
        (0, all) => print(&format!("{}: all {all} as expected\n", model.display())),
        (n, all) => Err(Failure::Differs(format!(
            "{}: {n} of {all} differ from what is expected",
            model.display()
        ))),
    }
}

/// Returns the model's file, and the paths of its known outputs.
fn find(model: &Path, data: &[PathBuf]) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    if !model.is_dir() {
        if data.is_empty() {
            return Err(Failure::Usage(format!(
                "no known outputs are named for {}; name folders test_data_set_N, .npz files or cards",
                model.display()
            )));
        }
        return Ok((model.to_owned(), data.to_vec()));
    }
    let file = model.join("model.onnx");
    if !file.is_file() {
        return Err(Failure::Usage(format!("there is no {}", file.display())));
    }
    let data = match data.is_empty() {
        false => data.to_vec(),
        true => test_data_sets(model),
    };
    match data.is_empty() {
        true => Err(Failure::Usage(format!(
            "there is no test_data_set_0 in {}",
            model.display()
        ))),
        false => Ok((file, data)),
    }
}

/// Returns the folders `test_data_set_N` in the order of their numbers.
fn test_data_sets(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let number: u32 = name.strip_prefix("test_data_set_")?.parse().ok()?;
        Some((number, entry.path()))
    });
    let mut sets: Vec<_> = numbered.collect();
    sets.sort();
    sets.into_iter().map(|(_, path)| path).collect()
}
