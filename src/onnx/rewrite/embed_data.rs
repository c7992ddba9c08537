//! Brings weights that an exporter left in a second file into the model, so that bytes are all an engine needs.
//!
//! A constant with external data names a file beside the model (`location`) and a place in it (`offset`, `length`). Nobody
//! vouches for these: many constants may name the whole of one large file. So dims, places and the sum of all lengths are
//! checked before any byte is read. A location must stay within the model's folder. The file there may be a link to
//! anywhere, for the caches of model hubs consist of links, but must be a regular file in the end.
//!
//! Each constant is read straight to where it stays, so its bytes are in memory once. A mapped file would save nothing,
//! because the messages of the format own their bytes. It would bring a danger: if another program cuts the file, reading
//! the mapping ends the process with SIGBUS, whereas reading the file is an error.

use crate::onnx::error::OnnxError;
use crate::onnx::{file, parse};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path};
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, TensorProto};

/// Most names of files in the sentence about what was done.
const MOST_NAMED: usize = 4;
/// Most letters of a name in an error.
const MOST_LETTERS: usize = 200;

/// The numbers of a constant in a second file.
struct Place {
    location: String,
    offset: u64,
    length: u64,
}

/// Changes `model` and says what was done, if anything was to do. `folder` is the model's own.
///
/// # Errors
/// [`OnnxError::ExternalData`] if a file is not there, too short, or not in the model's folder, or if a place in it does not
/// fit the dims of its constant; [`OnnxError::TooLarge`] if all constants together are.
pub fn run(model: &mut ModelProto, folder: Option<&Path>) -> Result<Option<String>, OnnxError> {
    let tensors = tensors(model).filter(|tensor| is_external(tensor));
    let placed = tensors.map(|tensor| Ok((Place::new(tensor)?, tensor)));
    let mut placed = placed.collect::<Result<Vec<_>, OnnxError>>()?;
    let sum = placed.iter().map(|(place, _)| place.length);
    let sum = sum.fold(0, u64::saturating_add);
    file::check_length("the sum of the weights in second files", sum)?;
    // One file after the other, so that one is open at a time.
    placed.sort_by(|(a, _), (b, _)| (&a.location, a.offset).cmp(&(&b.location, b.offset)));
    let mut names = Vec::new();
    for group in placed.chunk_by_mut(|(a, _), (b, _)| a.location == b.location) {
        let location = group[0].0.location.clone();
        read_file(&location, folder, group)?;
        names.push(location);
    }
    Ok((!names.is_empty()).then(|| format!("took in the weights of {}", in_words(&names))))
}

/// Returns the constants of the graph. Those of graphs inside its nodes are refused later, by [`parse::check_embedded`].
fn tensors(model: &mut ModelProto) -> impl Iterator<Item = &mut TensorProto> {
    model.graph.iter_mut().flat_map(|graph| {
        let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        let constants = attributes.filter_map(|attribute| attribute.t.as_mut());
        graph.initializer.iter_mut().chain(constants)
    })
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

impl Place {
    /// # Errors
    /// [`OnnxError::ExternalData`] if the tensor names no place, or one of another length than its dims ask for.
    fn new(tensor: &TensorProto) -> Result<Self, OnnxError> {
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key == key);
            entry.map(|entry| entry.value.as_str())
        };
        let location = entry("location").unwrap_or_default();
        let inside = |part| matches!(part, Component::Normal(_));
        if location.is_empty() || !Path::new(location).components().all(inside) {
            let why = "it is not in the model's folder, expected a name without \"..\" or a leading \"/\"";
            return Err(refuse(location, why.into()));
        }
        let number = |key: &str| match entry(key).map(|text| (text, text.parse::<u64>())) {
            None => Ok(None),
            Some((_, Ok(number))) => Ok(Some(number)),
            Some((text, Err(_))) => {
                let why = format!("its {key} is \"{}\", expected a number", short(text));
                Err(refuse(location, why))
            }
        };
        let (offset, stated) = (number("offset")?.unwrap_or(0), number("length")?);
        let name = short(&tensor.name);
        let dims = || &tensor.dims[..tensor.dims.len().min(8)];
        let Some(length) = parse::raw_length(tensor) else {
            let why = format!("constant \"{name}\" of dims {:?} has no length", dims());
            return Err(refuse(location, why));
        };
        match stated {
            Some(stated) if stated != length => {
                let why = format!(
                    "constant \"{name}\" of dims {:?} has {stated} bytes there, expected {length}",
                    dims()
                );
                Err(refuse(location, why))
            }
            _ => Ok(Self {
                location: location.to_owned(),
                offset,
                length,
            }),
        }
    }
}

/// Reads the constants of one file, which `placed` has in the order of their offsets.
fn read_file(
    location: &str,
    folder: Option<&Path>,
    placed: &mut [(Place, &mut TensorProto)],
) -> Result<(), OnnxError> {
    let folder = folder.ok_or_else(|| refuse(location, "the model is not a file".into()))?;
    let opened = file::open(&folder.join(location));
    let (mut file, bytes) = opened.map_err(|error| refuse(location, error.to_string()))?;
    for (place, tensor) in &*placed {
        let end = place.offset.checked_add(place.length);
        if end.is_none_or(|end| end > bytes) {
            let why = format!(
                "it has {bytes} bytes, constant \"{}\" has {} from {} on",
                short(&tensor.name),
                place.length,
                place.offset
            );
            return Err(refuse(location, why));
        }
    }
    for (place, tensor) in placed {
        let read = read_part(&mut file, place.offset, place.length);
        tensor.raw_data = read.map_err(|error| refuse(location, error.to_string()))?;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(())
}

fn read_part(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = file::reserve(length)?;
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()), // it was cut meanwhile
    }
}

fn refuse(location: &str, why: String) -> OnnxError {
    OnnxError::ExternalData {
        file: short(location),
        why,
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_LETTERS).collect()
}

fn in_words(names: &[String]) -> String {
    let named = names[..names.len().min(MOST_NAMED)].join(", ");
    match names.len().checked_sub(MOST_NAMED) {
        None | Some(0) => named,
        Some(more) => format!("{named} and {more} more files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{model, node};
    use std::path::PathBuf;
    use tract_onnx::pb::StringStringEntryProto;

    fn external(entries: &[(&str, &str)]) -> ModelProto {
        let mut model = model(
            vec![node("Relu", &["w"], &["y"])],
            &[("x", &[1])],
            &[("y", &[2])],
        );
        let graph = model.graph.as_mut().expect("a graph");
        graph.initializer.push(tensor("w", &[2], entries));
        model
    }

    fn tensor(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).into(),
            value: (*value).into(),
        };
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: 1,
            data_location: Some(DataLocation::External as i32),
            external_data: entries.iter().map(entry).collect(),
            ..Default::default()
        }
    }

    fn folder(name: &str) -> PathBuf {
        let name = format!("gstdetect-embed-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        folder
    }

    fn refusal(model: &mut ModelProto, folder: &Path) -> String {
        let error = run(model, Some(folder)).expect_err("must be refused");
        error.to_string()
    }

    #[test]
    fn the_named_part_of_the_file_becomes_the_constant() {
        let folder = folder("part");
        std::fs::write(folder.join("w.data"), [9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        for length in [&[("length", "8")][..], &[]] {
            let place = [("location", "w.data"), ("offset", "2")];
            let mut model = external(&[&place, length].concat());
            let said = run(&mut model, Some(&folder)).unwrap().unwrap();
            assert!(said.contains("w.data"));
            let tensor = &model.graph.as_ref().unwrap().initializer[0];
            assert_eq!(tensor.raw_data, [1, 2, 3, 4, 5, 6, 7, 8]);
            assert!(!is_external(tensor) && tensor.external_data.is_empty());
        }
        let behind = |offset| external(&[("location", "w.data"), ("offset", offset)]);
        for offset in ["4", "18446744073709551615"] {
            let refused = refusal(&mut behind(offset), &folder);
            assert!(refused.contains("it has 11 bytes"), "{refused}");
        }
        for offset in ["-1", "18446744073709551616", ""] {
            let refused = refusal(&mut behind(offset), &folder);
            assert!(refused.contains("expected a number"), "{refused}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn dims_come_before_data() {
        // There is no such file, and nobody looks for it.
        let nowhere = Path::new("/nowhere");
        let place = [("location", "w.data"), ("length", "4")];
        let refused = refusal(&mut external(&place), nowhere);
        assert!(
            refused.contains("has 4 bytes there, expected 8"),
            "{refused}"
        );
        for dims in [&[-1][..], &[i64::MAX, i64::MAX]] {
            let mut model = external(&place);
            model.graph.as_mut().unwrap().initializer[0].dims = dims.to_vec();
            let refused = refusal(&mut model, nowhere);
            assert!(refused.contains("has no length"), "{refused}");
        }
    }

    #[test]
    fn the_sum_of_all_references_is_limited_before_a_byte_is_read() {
        let folder = folder("sum");
        const BYTES: u64 = 300 << 20;
        let file = File::create(folder.join("hole.data")).expect("writable");
        file.set_len(BYTES).expect("a hole takes no place");
        let mut model = external(&[("location", "hole.data"), ("length", "8")]);
        let graph = model.graph.as_mut().expect("a graph");
        let (length, dims) = (BYTES.to_string(), [(BYTES / 4) as i64]);
        graph.initializer.extend((0..40).map(|number| {
            let place = [("location", "hole.data"), ("length", &length)];
            tensor(&format!("w{number}"), &dims, &place)
        }));
        let error = run(&mut model, Some(&folder)).expect_err("12 GB");
        assert!(matches!(error, OnnxError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains("12582912008 bytes"), "{error}");
        let read = model.graph.iter().flat_map(|graph| &graph.initializer);
        assert!(read.into_iter().all(|tensor| tensor.raw_data.is_empty()));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_elsewhere_and_missing_files_are_refused_by_name() {
        for location in [
            "",
            "/etc/passwd",
            "../w.data",
            "a/../../w.data",
            "missing.data",
        ] {
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

    #[test]
    fn a_link_is_followed_to_a_regular_file_only() {
        let folder = folder("links");
        std::fs::create_dir_all(folder.join("blobs")).unwrap();
        std::fs::write(folder.join("blobs/1"), [7; 8]).unwrap();
        let link = |name: &str, to: &str| {
            std::os::unix::fs::symlink(to, folder.join(name)).expect("a link");
        };
        link("good", "blobs/1");
        link("device", "/dev/zero");
        link("loop", "loop");
        link("folder", "blobs");
        link("broken", "blobs/2");
        let model = |location| external(&[("location", location)]);
        assert!(run(&mut model("good"), Some(&folder)).is_ok());
        for (location, why) in [
            ("device", "not a regular file"),
            ("folder", "not a regular file"),
            ("loop", "cannot read"),
            ("broken", "no file"),
        ] {
            let refused = refusal(&mut model(location), &folder);
            assert!(refused.contains(why), "{location}: {refused}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn weights_in_many_files_need_one_open_file_at_a_time() {
        let folder = folder("many");
        let mut model = external(&[("location", "0")]);
        let graph = model.graph.as_mut().expect("a graph");
        graph.initializer.clear();
        // More files than a process may usually have open.
        for number in 0..1500_u32 {
            let name = number.to_string();
            std::fs::write(folder.join(&name), number.to_le_bytes()).unwrap();
            graph
                .initializer
                .push(tensor(&name, &[1], &[("location", &name)]));
        }
        let said = run(&mut model, Some(&folder)).unwrap().unwrap();
        assert!(said.ends_with("and 1496 more files"), "{said}");
        let graph = model.graph.as_ref().expect("a graph");
        for (number, tensor) in (0_u32..).zip(&graph.initializer) {
            assert_eq!(tensor.raw_data, number.to_le_bytes());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
