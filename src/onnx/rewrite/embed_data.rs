//! Brings weights that an exporter left in a second file into the model, so that bytes are all an engine needs.
//!
//! A constant with external data names a file beside the model (`location`) and a place in it (`offset`, `length`).

use crate::onnx::error::OnnxError;
use crate::onnx::file;
use std::collections::HashMap;
use std::path::{Component, Path};
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, TensorProto};

/// Changes `model` and says what was done, if anything was to do. `folder` is the model's own.
///
/// # Errors
/// [`OnnxError::ExternalData`] if the file is not there, too short, or not in the model's folder.
pub fn run(model: &mut ModelProto, folder: Option<&Path>) -> Result<Option<String>, OnnxError> {
    let mut files = HashMap::new();
    let graph = model.graph.iter_mut();
    let tensors = graph.flat_map(|graph| {
        let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        graph
            .initializer
            .iter_mut()
            .chain(attributes.filter_map(|a| a.t.as_mut()))
    });
    for tensor in tensors.filter(|tensor| is_external(tensor)) {
        embed(tensor, folder, &mut files)?;
    }
    let mut names: Vec<String> = files.into_keys().collect();
    names.sort();
    Ok((!names.is_empty()).then(|| format!("took in the weights of {}", names.join(", "))))
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

fn embed(
    tensor: &mut TensorProto,
    folder: Option<&Path>,
    files: &mut HashMap<String, Vec<u8>>,
) -> Result<(), OnnxError> {
    let entry = |key: &str| {
        tensor
            .external_data
            .iter()
            .find(|e| e.key == key)
            .map(|e| e.value.as_str())
    };
    let location = entry("location").unwrap_or_default();
    let refuse = |why: String| OnnxError::ExternalData {
        file: location.to_owned(),
        why,
    };
    let inside = Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if location.is_empty() || !inside {
        return Err(refuse("it is not in the model's folder".into()));
    }
    let number = |key: &str| match entry(key) {
        Some(text) => text
            .parse::<usize>()
            .map(Some)
            .map_err(|_| refuse(format!("its {key} is \"{text}\""))),
        None => Ok(None),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if !files.contains_key(location) {
        let folder = folder.ok_or_else(|| refuse("the model is not a file".into()))?;
        let bytes =
            file::read(&folder.join(location)).map_err(|error| refuse(error.to_string()))?;
        files.insert(location.to_owned(), bytes);
    }
    let bytes = &files[location];
    let end = length.map_or(Some(bytes.len()), |length| offset.checked_add(length));
    let data = end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
        refuse(format!(
            "it has {} bytes, constant \"{}\" starts at {offset}",
            bytes.len(),
            tensor.name
        ))
    })?;
    tensor.raw_data = data.to_vec();
    tensor.external_data.clear();
    tensor.data_location = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};
    use tract_onnx::pb::StringStringEntryProto;

    fn external(entries: &[(&str, &str)]) -> ModelProto {
        let mut model = model(
            vec![node("Relu", &["w"], &["y"])],
            &[("x", &[1])],
            &[("y", &[2])],
        );
        model.graph.as_mut().unwrap().initializer.push(TensorProto {
            name: "w".into(),
            dims: vec![2],
            data_type: 1,
            data_location: Some(DataLocation::External as i32),
            external_data: entries
                .iter()
                .map(|(key, value)| StringStringEntryProto {
                    key: key.to_string(),
                    value: value.to_string(),
                })
                .collect(),
            ..Default::default()
        });
        model
    }

    #[test]
    fn the_named_part_of_the_file_becomes_the_constant() {
        let folder = std::env::temp_dir().join(format!("gstdetect-embed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("w.data"), [9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let mut model = external(&[("location", "w.data"), ("offset", "2"), ("length", "8")]);
        let said = run(&mut model, Some(&folder)).unwrap().unwrap();
        assert!(said.contains("w.data"));
        let tensor = &model.graph.as_ref().unwrap().initializer[0];
        assert_eq!(tensor.raw_data, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!is_external(tensor) && tensor.external_data.is_empty());
        let error = run(
            &mut external(&[("location", "w.data"), ("offset", "4"), ("length", "8")]),
            Some(&folder),
        );
        assert!(error.unwrap_err().to_string().contains("11 bytes"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_elsewhere_and_missing_files_are_refused_by_name() {
        for location in ["", "/etc/passwd", "../w.data", "missing.data"] {
            let error = run(
                &mut external(&[("location", location)]),
                Some(Path::new("/nowhere")),
            )
            .unwrap_err();
            assert!(
                matches!(&error, OnnxError::ExternalData { file, .. } if file == location),
                "{error}"
            );
        }
    }
}
