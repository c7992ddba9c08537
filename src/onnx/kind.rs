//! The kind of a file that is no ONNX model, by its first bytes.

/// Bytes at the beginning that are looked at.
const HEAD: usize = 64 << 10;

/// Says what a file is, and what to do, if it is one of those that are often taken for a model.
pub fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(HEAD)];
    let begins = |begin: &[u8]| head.starts_with(begin);
    let text = head.trim_ascii_start();
    let begins_text = |begin: &str| {
        text.get(..begin.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(begin.as_bytes()))
    };
    if begins(b"version https://git-lfs") {
        return Some(
            "it is a pointer of Git LFS, not the file that it stands for: fetch that with \"git lfs pull\"",
        );
    }
    if begins_text("<!doctype html") || begins_text("<html") {
        return Some(
            "it is an HTML page: the link led to a page about the file, not to the file itself",
        );
    }
    if begins_text("<?xml") {
        return Some(
            "it is XML, such as the graph of an OpenVINO model: pass the ONNX file that it was made from",
        );
    }
    if begins(b"PK\x03\x04") {
        let of_pytorch = contains(head, b"data.pkl");
        return Some(if of_pytorch {
            "it is a PyTorch file (.pt): export it to ONNX with its authors' tool, such as \"yolo export format=onnx\""
        } else {
            "it is a zip archive: unpack it first"
        });
    }
    if begins(b"\x80\x02") || begins(b"\x80\x03") || begins(b"\x80\x04") {
        return Some(
            "it is a pickle of Python, such as an old PyTorch file: export it to ONNX with its authors' tool",
        );
    }
    if head.get(4..8) == Some(b"TFL3") {
        return Some(
            "it is a TensorFlow Lite model (.tflite): export to ONNX instead, or convert it with tf2onnx",
        );
    }
    if begins(b"ftrt") || begins(b"ptrt") || is_engine(head) {
        return Some(
            "it is an engine of TensorRT (.engine), which only that library runs: pass the ONNX file that it was made from",
        );
    }
    if begins(b"\x1f\x8b") {
        return Some("it is compressed by gzip: unpack it first");
    }
    if begins(b"\x89HDF") {
        return Some("it is an HDF5 file, such as a Keras model: convert it with tf2onnx");
    }
    None
}

/// Ultralytics writes the length of its metadata, and these as JSON, before an engine.
fn is_engine(head: &[u8]) -> bool {
    let length = head.first_chunk::<4>().map(|b| u32::from_le_bytes(*b));
    let json = head.get(4) == Some(&b'{');
    json && length.is_some_and(|length| (2..1 << 20).contains(&length))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_taken_for_models_are_named() {
        for (bytes, word) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"[..],
                "LFS",
            ),
            (b"\n <!DOCTYPE html><html>", "HTML"),
            (b"<HTML lang=en>", "HTML"),
            (b"<?xml version=\"1.0\"?><net/>", "OpenVINO"),
            (b"PK\x03\x04....archive/data.pkl", ".pt"),
            (b"PK\x03\x04....readme.txt", "zip"),
            (b"\x80\x02}q\x00", "pickle"),
            (b"\x1c\0\0\0TFL3", ".tflite"),
            (b"ftrt\0\0", ".engine"),
            (b"\x10\0\0\0{\"names\": 0}", ".engine"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\x89HDF\r\n", "HDF5"),
        ] {
            let said = other_kind(bytes).unwrap_or_else(|| panic!("{word} is not known"));
            assert!(said.contains(word), "{word} in: {said}");
        }
    }

    #[test]
    fn a_model_and_noise_are_none_of_them() {
        for bytes in [&b""[..], b"\x08\x07\x12\x07pytorch", b"hello", b"{}"] {
            assert_eq!(other_kind(bytes), None, "{bytes:?}");
        }
    }
}
