//! Reads arrays from a NumPy archive (`numpy.savez`, `numpy.savez_compressed`).
//!
//! The archive is a ZIP of files `NAME.npy`, stored or deflated; it is read by its central directory. A file has a head
//! that is a Python dictionary: `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }`.

use gstdetect::base::tensor::{Tensor, TensorData};
use std::io::Read;

const END_OF_DIRECTORY: [u8; 4] = *b"PK\x05\x06";
const DIRECTORY_ENTRY: [u8; 4] = *b"PK\x01\x02";
const MAGIC: &[u8] = b"\x93NUMPY";
/// Largest array that is read; inputs and outputs of detectors are smaller.
const MOST_BYTES: u64 = 1 << 30;

/// Returns all arrays of an archive, with their names.
///
/// # Errors
/// A sentence that says what is wrong with the archive.
pub fn read(archive: &[u8]) -> Result<Vec<Tensor>, String> {
    let end = (archive
        .windows(4)
        .rposition(|part| part == END_OF_DIRECTORY))
    .ok_or("it is not an .npz archive: it has no directory")?;
    let count = number(archive, end + 10, 2)?;
    let mut at = number(archive, end + 16, 4)? as usize;
    let mut tensors = Vec::new();
    for _ in 0..count {
        let (tensor, next) = entry(archive, at)?;
        tensors.push(tensor);
        at = next;
    }
    Ok(tensors)
}

/// Returns a little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> Result<u64, String> {
    let part = part(bytes, at, length)?;
    Ok(part
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

fn part(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], String> {
    let end = at.checked_add(length).filter(|end| *end <= bytes.len());
    let end = end.ok_or_else(|| format!("it ends after {} bytes, inside an entry", bytes.len()))?;
    Ok(&bytes[at..end])
}

/// Returns the array of the directory entry at `at`, and where the next entry begins.
fn entry(archive: &[u8], at: usize) -> Result<(Tensor, usize), String> {
    if part(archive, at, 4)? != DIRECTORY_ENTRY {
        return Err("its directory is broken".into());
    }
    let field = |offset, length| number(archive, at + offset, length);
    let (method, packed, whole) = (field(10, 2)?, field(20, 4)?, field(24, 4)?);
    let lengths = [
        field(28, 2)? as usize,
        field(30, 2)? as usize,
        field(32, 2)? as usize,
    ];
    let local = field(42, 4)? as usize;
    let name = String::from_utf8_lossy(part(archive, at + 46, lengths[0])?).into_owned();
    let next = at + 46 + lengths.iter().sum::<usize>();
    let begin = local
        + 30
        + number(archive, local + 26, 2)? as usize
        + number(archive, local + 28, 2)? as usize;
    if whole > MOST_BYTES {
        return Err(format!(
            "{name} has {whole} bytes, expected at most {MOST_BYTES}"
        ));
    }
    let packed = part(archive, begin, packed as usize)?;
    let bytes = match method {
        0 => packed.to_vec(),
        8 => {
            let mut bytes = Vec::new();
            let inflate = flate2::read::DeflateDecoder::new(packed).take(MOST_BYTES);
            let mut inflate = inflate;
            inflate
                .read_to_end(&mut bytes)
                .map_err(|err| format!("{name} cannot be inflated: {err}"))?;
            bytes
        }
        other => {
            return Err(format!(
                "{name} is packed by method {other}, expected 0 (stored) or 8 (deflated)"
            ));
        }
    };
    let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
    let tensor = array(&name, &bytes).map_err(|why| format!("{name}: {why}"))?;
    Ok((tensor, next))
}

/// Reads one `.npy` file.
fn array(name: &str, bytes: &[u8]) -> Result<Tensor, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is not a NumPy array")?;
    let (length, begin) = match rest.first() {
        Some(1) => (number(rest, 2, 2)? as usize, 4),
        Some(2 | 3) => (number(rest, 2, 4)? as usize, 6),
        _ => return Err("its format version is unknown, expected 1, 2 or 3".into()),
    };
    let head = String::from_utf8_lossy(part(rest, begin, length)?).into_owned();
    let dims = dims(&head)?;
    let numbers = &rest[begin + length..];
    let data = data(&text(&head, "'descr':")?, numbers)?;
    if head.contains("'fortran_order': True") && dims.iter().filter(|d| **d > 1).count() > 1 {
        return Err("it is in Fortran order; save numpy.ascontiguousarray of it".into());
    }
    let expected = dims.iter().try_fold(1_usize, |n, dim| n.checked_mul(*dim));
    if expected != Some(data.len()) {
        return Err(format!("it has {} numbers, but dims {dims:?}", data.len()));
    }
    Ok(Tensor {
        name: name.to_owned(),
        dims,
        data,
    })
}

/// The text in quotes behind `key`.
fn text(head: &str, key: &str) -> Result<String, String> {
    let behind = head.split_once(key).map(|(_, behind)| behind);
    let quoted = behind.and_then(|behind| behind.split('\'').nth(1));
    quoted
        .map(str::to_owned)
        .ok_or_else(|| format!("its head has no {key}"))
}

fn dims(head: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("its shape cannot be read from {head:?}");
    let behind = head.split_once("'shape':").map(|(_, behind)| behind);
    let inside = behind.and_then(|b| Some(b.split_once('(')?.1.split_once(')')?.0));
    let dims = inside
        .ok_or_else(wrong)?
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty());
    dims.map(|dim| dim.parse().map_err(|_| wrong())).collect()
}

fn data(kind: &str, bytes: &[u8]) -> Result<TensorData, String> {
    fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (chunks, _) = bytes.as_chunks::<N>();
        chunks.iter().map(|chunk| number(*chunk)).collect()
    }
    Ok(match kind {
        "<f4" => TensorData::F32(each(bytes, f32::from_le_bytes)),
        "<f8" => TensorData::F32(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        "<f2" => TensorData::F32(each(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
        "<i8" => TensorData::I64(each(bytes, i64::from_le_bytes)),
        "<i4" => TensorData::I32(each(bytes, i32::from_le_bytes)),
        "|u1" => TensorData::U8(bytes.to_vec()),
        "|b1" => TensorData::F32(bytes.iter().map(|b| f32::from(*b)).collect()),
        other => {
            return Err(format!(
                "its numbers are {other}, expected f2, f4, f8, i4, i8, u1 or b1"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn npy(head: &str, numbers: &[u8]) -> Vec<u8> {
        let length = u16::try_from(head.len()).expect("short");
        [
            MAGIC,
            &[1, 0],
            &length.to_le_bytes(),
            head.as_bytes(),
            numbers,
        ]
        .concat()
    }

    /// An archive of one file.
    fn archive(name: &str, method: u16, packed: &[u8], whole: usize) -> Vec<u8> {
        let length = |n: usize| u32::try_from(n).expect("small").to_le_bytes();
        let name_length = u16::try_from(name.len()).expect("short").to_le_bytes();
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend([0; 22]);
        bytes.extend(name_length);
        bytes.extend([2, 0]); // an extra field, as Python writes it
        bytes.extend(name.as_bytes());
        bytes.extend([0; 2]);
        bytes.extend(packed);
        let directory = bytes.len();
        bytes.extend(DIRECTORY_ENTRY);
        bytes.extend([0; 6]);
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(length(packed.len()));
        bytes.extend(length(whole));
        bytes.extend(name_length);
        bytes.extend([0; 16]);
        bytes.extend(name.as_bytes());
        bytes.extend(END_OF_DIRECTORY);
        bytes.extend([0; 6]);
        bytes.extend([1, 0]);
        bytes.extend([0; 4]);
        bytes.extend(length(directory));
        bytes.extend([0; 2]);
        bytes
    }

    fn floats() -> Vec<u8> {
        let numbers: Vec<u8> = [1.5_f32, -2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        npy(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n",
            &numbers,
        )
    }

    #[test]
    fn stored_and_deflated_arrays_are_read() {
        let file = floats();
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflate.write_all(&file).expect("memory");
        let deflated = deflate.finish().expect("memory");
        for bytes in [
            archive("x.npy", 0, &file, file.len()),
            archive("x.npy", 8, &deflated, file.len()),
        ] {
            let tensors = read(&bytes).expect("an archive");
            let [tensor] = tensors.as_slice() else {
                panic!("{tensors:?}");
            };
            assert_eq!(
                (tensor.name.as_str(), tensor.dims.as_slice()),
                ("x", &[1, 2][..])
            );
            assert_eq!(tensor.data, TensorData::F32(vec![1.5, -2.0]));
        }
    }

    #[test]
    fn a_broken_archive_is_refused() {
        let whole = archive("x.npy", 0, &floats(), floats().len());
        // The last two bytes are the length of a comment.
        for length in 0..whole.len() - 2 {
            assert!(
                read(&whole[..length]).is_err(),
                "{length} of {} bytes",
                whole.len()
            );
        }
        assert!(
            read(&archive("x.npy", 14, &floats(), 1))
                .unwrap_err()
                .contains("method 14")
        );
    }

    #[test]
    fn arrays_of_another_kind_are_refused() {
        let refused = |head: &str| array("x", &npy(head, &[0; 16])).unwrap_err();
        let head = |kind: &str, fortran: &str, shape: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
        };
        assert!(refused(&head("<f4", "True", "(2, 2)")).contains("Fortran"));
        assert!(refused(&head("<c8", "False", "(2,)")).contains("<c8"));
        assert!(refused(&head("<f4", "False", "(3,)")).contains("4 numbers"));
        assert!(refused("{}").contains("shape"));
        let scalar = array(
            "x",
            &npy(&head("<i8", "False", "()"), &[7, 0, 0, 0, 0, 0, 0, 0]),
        );
        assert_eq!(scalar.expect("a scalar").data, TensorData::I64(vec![7]));
    }
}
