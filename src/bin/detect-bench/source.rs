//! [`Source`]: where frames come from, and the elements for it.

use crate::args::Stream;
use crate::failure::Failure;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Camera,
    Test,
    File(PathBuf),
    /// Elements as gst-launch-1.0 takes them.
    Elements(String),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        Ok(match text {
            "camera" => Self::Camera,
            "test" => Self::Test,
            _ if path.is_file() => Self::File(path),
            // Elements are words; a path contains a folder or an ending such as .avi.
            _ if text.contains(['!', ' ', '=']) || is_element(text) => {
                Self::Elements(text.to_owned())
            }
            _ => {
                return Err(
                    "no such file and no such element; expected camera, test, a file, or elements as gst-launch-1.0 takes them"
                        .into(),
                );
            }
        })
    }
}

fn is_element(name: &str) -> bool {
    gst::ElementFactory::find(name).is_some()
}

/// Parses a size such as `1280x720`.
pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "expected width x height, such as 1280x720".to_owned();
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=16384).contains(side));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(wrong()),
    }
}

/// Returns a path as one word of a pipeline description.
fn quoted(path: &std::path::Path) -> String {
    let path = path.display().to_string();
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Source {
    /// Returns the elements that give raw frames, as gst-launch-1.0 takes them; `live` makes the test source keep time.
    pub fn elements(&self, stream: &Stream, live: bool) -> Result<String, Failure> {
        let (width, height) = stream.size;
        let rate = stream.rate;
        let caps = format!("width={width},height={height},framerate={rate}/1");
        Ok(match self {
            Self::Camera => camera(&caps)?,
            Self::Test => format!(
                "videotestsrc is-live={live} pattern=ball motion=sweep ! video/x-raw,format=I420,{caps}"
            ),
            Self::File(path) => format!(
                "filesrc location={} ! decodebin ! videoconvert",
                quoted(path)
            ),
            Self::Elements(elements) => elements.clone(),
        })
    }

    /// Describes the source at the head of a report.
    pub fn describe(&self, stream: &Stream) -> String {
        let (width, height) = stream.size;
        match self {
            Self::Camera => format!("camera, {width}x{height}, {} frames/s", stream.rate),
            Self::Test => format!("test, {width}x{height}, {} frames/s", stream.rate),
            Self::File(path) => path.display().to_string(),
            Self::Elements(elements) => elements.clone(),
        }
    }
}

/// Returns the elements of the first camera: libcamera's, as on a Raspberry Pi, else Video4Linux's, raw before JPEG.
fn camera(caps: &str) -> Result<String, Failure> {
    if is_element("libcamerasrc") && has_media_device() {
        return Ok(format!("libcamerasrc ! video/x-raw,{caps}"));
    }
    let mut devices = std::fs::read_dir("/sys/class/video4linux")
        .into_iter()
        .flatten()
        .flatten();
    let capturing = devices.find_map(|device| {
        // The first node of a device captures; the others carry metadata.
        let first = std::fs::read_to_string(device.path().join("index"))
            .ok()?
            .trim()
            == "0";
        first.then(|| format!("/dev/{}", device.file_name().to_string_lossy()))
    });
    let device = capturing.ok_or_else(|| {
        Failure::Pipeline(
            "no camera was found: /dev has no video device; name elements, as --source \"v4l2src device=/dev/video2\""
                .into(),
        )
    })?;
    Ok(format!(
        "v4l2src device={device} ! capsfilter caps=\"video/x-raw,{caps};image/jpeg,{caps}\" ! decodebin ! videoconvert"
    ))
}

fn has_media_device() -> bool {
    let mut names = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    names.any(|entry| entry.file_name().to_string_lossy().starts_with("media"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_recognised_by_what_it_is() {
        gst::init().expect("GStreamer starts");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!("camera".parse(), Ok(Source::Camera));
        assert_eq!("test".parse(), Ok(Source::Test));
        assert_eq!(file.parse(), Ok(Source::File(file.into())));
        let elements = "videotestsrc num-buffers=3";
        assert_eq!(elements.parse(), Ok(Source::Elements(elements.into())));
        assert!("/no/such/clip.avi".parse::<Source>().is_err());
    }

    #[test]
    fn sizes_have_two_sides() {
        assert_eq!(parse_size("640x480"), Ok((640, 480)));
        for wrong in ["640", "0x4", "x", "640x480x3", "99999x2"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_stays_one_word() {
        let path = std::path::Path::new("/a b/c\"d\\e.avi");
        assert_eq!(quoted(path), r#""/a b/c\"d\\e.avi""#);
    }
}
