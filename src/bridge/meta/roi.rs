//! Detections as `GstVideoRegionOfInterestMeta`, the only metadata for boxes in GStreamer 1.22.
//!
//! `roi_type` is the label, `id` the number of the detection; x y w h are whole pixels inside the frame. A parameter
//! structure `detection` has the fields of DL Streamer (`x_min y_min x_max y_max`: double, 0 to 1 of the frame;
//! `confidence`: double; `label_id`: int) and our own `label` (string), `age` (uint64, nanoseconds) and `od_id` (uint, the
//! number of the same detection in the analytics metadata of the buffer, if it has any). A second structure `object_id` has the number of a tracked object as `id` (int), as in DL Streamer. Elements that scale the
//! picture keep box, label and id, but not the structures.
//!
//! Two more forms are read: the structure `object_id` of other trackers (`id`: a number of any type), and the structure
//! `extra-data` (`label`, `score`) of GStreamer 1.22's own detector.

use super::{Labelled, Roi, quark};
use crate::base::geometry::{BBox, Size};
use gst_video::VideoRegionOfInterestMeta;

/// Name of the parameter structure, and of a detection in a message.
const DETECTION: &str = "detection";
/// Name of the structure with the number of an object, and of that number in a message.
const OBJECT_ID: &str = "object_id";
/// Name of the field with the number of the detection in the analytics metadata.
const OD_ID: &str = "od_id";
/// Name of the structure that `onnxobjectdetector` attaches up to GStreamer 1.22.
const EXTRA_DATA: &str = "extra-data";

/// Adds detections; `ids` has the number of each in the analytics metadata, if it is there.
pub(super) fn attach(
    buffer: &mut gst::BufferRef,
    frame: Size,
    detections: &[Labelled<'_>],
    ids: &[Option<u32>],
) {
    for (labelled, od_id) in detections.iter().zip(ids) {
        let label = without_nul(labelled.label);
        let rect = pixels(labelled.detection.bbox, frame);
        let mut meta = VideoRegionOfInterestMeta::add(buffer, &label, rect);
        meta.set_id(id(labelled.number));
        let mut structure = structure(labelled, frame);
        if let Some(od_id) = od_id {
            structure.set(OD_ID, od_id);
        }
        meta.add_param(structure);
        if let Some(track) = labelled.track {
            let object = gst::Structure::builder(OBJECT_ID).field("id", id(track));
            meta.add_param(object.build());
        }
    }
}

/// Converts one detection for a message: the structure `detection` with `id x y w h`, which the metadata itself holds
/// on a buffer, and `object_id` if the object has a number.
pub fn to_structure(labelled: &Labelled<'_>, frame: Size) -> gst::Structure {
    let (x, y, w, h) = pixels(labelled.detection.bbox, frame);
    let mut structure = structure(labelled, frame);
    structure.set("id", id(labelled.number));
    structure.set("x", x);
    structure.set("y", y);
    structure.set("w", w);
    structure.set("h", h);
    if let Some(track) = labelled.track {
        structure.set(OBJECT_ID, id(track));
    }
    structure
}

fn structure(labelled: &Labelled<'_>, frame: Size) -> gst::Structure {
    let clipped = labelled.detection.bbox.clip(frame);
    let share = |v: f32, length: u32| f64::from(v) / f64::from(length.max(1));
    gst::Structure::builder(DETECTION)
        .field("label", without_nul(labelled.label))
        .field(
            "label_id",
            i32::try_from(labelled.detection.class).unwrap_or(i32::MAX),
        )
        .field("confidence", f64::from(labelled.detection.score))
        .field("x_min", share(clipped.x1, frame.width))
        .field("y_min", share(clipped.y1, frame.height))
        .field("x_max", share(clipped.x2, frame.width))
        .field("y_max", share(clipped.y2, frame.height))
        .field_if_some("age", labelled.age.map(gst::ClockTime::nseconds))
        .build()
}

/// Returns x, y, width and height inside the frame in whole pixels; at least one pixel, if the frame has one.
pub(super) fn pixels(bbox: BBox, frame: Size) -> (u32, u32, u32, u32) {
    let clipped = bbox.clip(frame);
    let span = |from: f32, to: f32, length: u32| {
        // `as` saturates, and turns NaN into 0.
        let start = (from.round() as u32).min(length.saturating_sub(1));
        let end = (to.round() as u32).min(length);
        (start, end.saturating_sub(start).max(length.min(1)))
    };
    let (x, w) = span(clipped.x1, clipped.x2, frame.width);
    let (y, h) = span(clipped.y1, clipped.y2, frame.height);
    (x, y, w, h)
}

/// Returns the number in the metadata's 31 bits, where 0 means "not set": 2,147,483,647 is followed by 1. At a hundred
/// detections a frame that takes a week.
fn id(number: u64) -> i32 {
    const MOST: u64 = i32::MAX as u64;
    number.saturating_sub(1).rem_euclid(MOST).saturating_add(1) as i32
}

/// Cuts a label at a NUL, where C strings end. A label file may hold anything.
pub(super) fn without_nul(label: &str) -> String {
    label.replace('\0', "\u{fffd}")
}

/// Returns every region of a buffer, and the number of the same detection in the analytics metadata, if the producer says it.
pub(super) fn read(buffer: &gst::BufferRef) -> Vec<(Roi, Option<u32>)> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|meta| {
            let (x, y, width, height) = meta.rect();
            let detection = meta.param(DETECTION);
            let extra = meta.param(EXTRA_DATA);
            let score = detection.and_then(|s| number(s, "confidence"));
            let od_id = detection.and_then(|s| s.get::<u32>(OD_ID).ok());
            let roi = Roi {
                x: signed(x),
                y: signed(y),
                width,
                height,
                label: label(&meta),
                score: score.or_else(|| extra.and_then(|s| number(s, "score"))),
                id: meta.id(),
                track: meta.param(OBJECT_ID).and_then(|s| whole(s, "id")),
                age: detection
                    .and_then(|s| s.get::<u64>("age").ok())
                    .filter(|ns| *ns != u64::MAX)
                    .map(gst::ClockTime::from_nseconds),
                share: detection.and_then(share),
            };
            (roi, od_id)
        })
        .collect()
}

/// Returns left, top, right and bottom edge, 0 to 1 of the frame.
fn share(detection: &gst::StructureRef) -> Option<[f64; 4]> {
    let [x1, y1, x2, y2] = ["x_min", "y_min", "x_max", "y_max"].map(|name| number(detection, name));
    Some([x1?, y1?, x2?, y2?])
}

/// Restores a negative number that a producer wrote into the unsigned field.
fn signed(coordinate: u32) -> i64 {
    i64::from(coordinate as i32)
}

/// Returns a finite number of either width.
fn number(structure: &gst::StructureRef, field: &str) -> Option<f64> {
    let double = structure.get::<f64>(field).ok();
    double
        .or_else(|| structure.get::<f32>(field).ok().map(f64::from))
        .filter(|v| v.is_finite())
}

/// Returns a whole number of any width that fits.
fn whole(structure: &gst::StructureRef, field: &str) -> Option<i64> {
    let value = structure.value(field).ok()?;
    let i32 = value.get::<i32>().ok().map(i64::from);
    let u32 = || value.get::<u32>().ok().map(i64::from);
    let u64 = || value.get::<u64>().ok().and_then(|v| v.try_into().ok());
    i32.or_else(u32).or_else(|| value.get().ok()).or_else(u64)
}

/// Returns the label: from the structure of the 1.22 detector, else the type of the region, else from `detection`.
fn label(meta: &gst::MetaRef<'_, VideoRegionOfInterestMeta>) -> String {
    let extra = meta.param(EXTRA_DATA);
    if let Some(label) = extra.and_then(|s| s.get::<String>("label").ok()) {
        return label;
    }
    let roi_type = roi_type(meta);
    if !roi_type.is_empty() {
        return roi_type;
    }
    let detection = meta.param(DETECTION);
    let label = detection.and_then(|s| s.get::<String>("label").ok());
    label.unwrap_or_default()
}

fn roi_type(meta: &gst::MetaRef<'_, VideoRegionOfInterestMeta>) -> String {
    // SAFETY: the meta is borrowed from a live buffer.
    quark::text(unsafe { (*meta.as_ptr()).roi_type })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::detection::Detection;
    use gst::glib;
    use gst::prelude::*;
    use gst_video::VideoRegionOfInterestMeta as Meta;

    const FRAME: Size = Size::new(200, 100);

    fn labelled(bbox: BBox, label: &str, number: u64) -> Labelled<'_> {
        let detection = Detection {
            bbox,
            class: 7,
            score: 0.75,
        };
        Labelled {
            detection,
            label,
            number,
            track: None,
            seen: None,
            age: None,
        }
    }

    fn read(buffer: &gst::BufferRef) -> Vec<Roi> {
        super::super::read(buffer)
    }

    fn buffer() -> gst::Buffer {
        gst::init().expect("GStreamer is installed");
        gst::Buffer::new()
    }

    fn attached(detections: &[Labelled<'_>]) -> gst::Buffer {
        let mut buffer = buffer();
        let writable = buffer.get_mut().expect("one owner");
        super::super::attach(writable, FRAME, detections);
        buffer
    }

    #[test]
    fn what_is_attached_is_read_back() {
        let age = gst::ClockTime::from_mseconds(40);
        let boxes = [
            Labelled {
                age: Some(age),
                ..labelled(BBox::new(10.5, 20.5, 50.5, 80.0), "person", 1)
            },
            labelled(BBox::new(0.0, 0.0, 200.0, 100.0), "кот 🐈", 2),
        ];
        let rois = read(&attached(&boxes));
        let wanted = Roi {
            x: 11,
            y: 21,
            width: 40,
            height: 59,
            label: "person".into(),
            score: Some(0.75),
            id: 1,
            track: None,
            age: Some(age),
            share: Some([0.0525, 0.205, 0.2525, 0.8]),
        };
        assert_eq!(rois[0], wanted);
        assert_eq!(
            (rois[1].label.as_str(), rois[1].id, rois.len()),
            ("кот 🐈", 2, 2)
        );
    }

    #[test]
    fn the_structure_has_the_fields_and_types_of_dl_streamer() {
        let one = labelled(BBox::new(-50.0, 25.0, 100.0, 400.0), "car", 9);
        let buffer = attached(&[one]);
        let meta = buffer.meta::<Meta>().expect("one region");
        let s = meta.param("detection").expect("the structure");
        let double = |name| s.get::<f64>(name).expect(name);
        assert_eq!([double("x_min"), double("x_max")], [0.0, 0.5]);
        assert_eq!([double("y_min"), double("y_max")], [0.25, 1.0]);
        assert_eq!(double("confidence"), 0.75);
        assert_eq!(s.get::<i32>("label_id").expect("an int"), 7);
        assert_eq!(s.get::<&str>("label").expect("a string"), "car");
        assert!(!s.has_field("age"), "the box is the frame's own");
        assert_eq!(meta.rect(), (0, 25, 100, 75));
    }

    #[test]
    fn a_message_has_the_same_fields_and_the_box() {
        gst::init().expect("GStreamer starts");
        let one = Labelled {
            age: Some(gst::ClockTime::SECOND),
            ..labelled(BBox::new(10.0, 20.0, 30.0, 60.0), "car", 3)
        };
        let message = to_structure(&one, FRAME);
        let buffer = attached(&[one]);
        let meta = buffer.meta::<Meta>().expect("one region");
        let in_meta = meta.param("detection").expect("the structure");
        // A message has no analytics metadata.
        for (name, value) in in_meta.iter().filter(|(name, _)| *name != OD_ID) {
            assert_eq!(
                format!("{value:?}"),
                format!("{:?}", message.value(name).expect(name)),
                "{name}"
            );
        }
        let field = |name| message.get::<u32>(name).expect(name);
        assert_eq!(
            [field("x"), field("y"), field("w"), field("h")],
            [10, 20, 20, 40]
        );
        assert_eq!(message.get::<i32>("id").expect("an int"), meta.id());
    }

    #[test]
    fn the_number_of_an_object_is_a_structure_of_its_own() {
        let known = Labelled {
            track: Some(4),
            ..labelled(BBox::new(10.0, 20.0, 30.0, 60.0), "car", 3)
        };
        let buffer = attached(&[known, labelled(known.detection.bbox, "car", 5)]);
        let meta = buffer.meta::<Meta>().expect("two regions");
        let object = meta.param("object_id").expect("as DL Streamer has it");
        assert_eq!((object.n_fields(), object.get::<i32>("id")), (1, Ok(4)));
        let tracks: Vec<_> = read(&buffer).iter().map(|roi| roi.track).collect();
        assert_eq!(tracks, [Some(4), None]);
        let message = to_structure(&known, FRAME);
        assert_eq!(message.get::<i32>("object_id"), Ok(4));
    }

    #[test]
    fn boxes_never_wrap_and_never_vanish() {
        let cases = [
            (BBox::new(-30.0, -10.0, -5.0, -1.0), (0, 0, 1, 1)),
            (BBox::new(500.0, 500.0, 900.0, 900.0), (199, 99, 1, 1)),
            (BBox::new(10.1, 10.1, 10.3, 10.3), (10, 10, 1, 1)),
            (
                BBox::new(f32::NAN, 0.0, f32::INFINITY, 10.0),
                (0, 0, 200, 10),
            ),
            (BBox::new(20.0, 20.0, 10.0, 10.0), (20, 20, 1, 1)),
        ];
        for (bbox, wanted) in cases {
            assert_eq!(pixels(bbox, FRAME), wanted, "{bbox:?}");
        }
        assert_eq!(
            pixels(BBox::new(0.0, 0.0, 9.0, 9.0), Size::default()),
            (0, 0, 0, 0)
        );
    }

    #[test]
    fn ids_start_again_at_one_after_the_last() {
        let last = i32::MAX as u64;
        let ids = [0, 1, last, last + 1, u64::MAX].map(id);
        assert_eq!(ids[..4], [1, 1, i32::MAX, 1]);
        assert!(ids[4] > 0);
    }

    #[test]
    fn a_nul_in_a_label_does_not_end_the_stream() {
        let buffer = attached(&[labelled(BBox::new(0.0, 0.0, 9.0, 9.0), "a\0b", 1)]);
        assert_eq!(read(&buffer)[0].label, "a\u{fffd}b");
    }

    #[test]
    fn regions_of_other_producers_are_read() {
        let mut buffer = buffer();
        let writable = buffer.get_mut().expect("one owner");
        Meta::add(writable, "face", (u32::MAX - 9, 5, 30, u32::MAX));
        let mut onnx = Meta::add(writable, "onnx-object_detector", (1, 2, 3, 4));
        onnx.add_param(
            gst::Structure::builder(EXTRA_DATA)
                .field("label", "dog")
                .field("score", 0.5_f64)
                .build(),
        );
        let mut odd = Meta::add(writable, "", (0, 0, 0, 0));
        odd.add_param(
            gst::Structure::builder(DETECTION)
                .field("confidence", "high")
                .field("age", -1_i32)
                .build(),
        );
        let rois = read(&buffer);
        assert_eq!(
            (rois[0].x, rois[0].height, rois[0].score),
            (-10, u32::MAX, None)
        );
        assert_eq!((rois[1].label.as_str(), rois[1].score), ("dog", Some(0.5)));
        assert_eq!(
            (rois[2].label.as_str(), rois[2].score, rois[2].age),
            ("", None, None)
        );
    }

    #[test]
    fn tracks_are_read_whatever_kind_of_number_they_have() {
        let mut buffer = buffer();
        let writable = buffer.get_mut().expect("one owner");
        let ids: [glib::SendValue; 5] = [
            7_i32.to_send_value(),
            8_u32.to_send_value(),
            9_i64.to_send_value(),
            10_u64.to_send_value(),
            "eleven".to_send_value(),
        ];
        for id in ids {
            let mut meta = Meta::add(writable, "", (1, 2, 3, 4));
            let mut track = gst::Structure::new_empty(OBJECT_ID);
            track.set_value("id", id);
            meta.add_param(track);
            let label = gst::Structure::builder(DETECTION).field("label", "van");
            meta.add_param(label.build());
        }
        let rois = read(&buffer);
        let tracks: Vec<_> = rois.iter().map(|roi| roi.track).collect();
        assert_eq!(tracks, [Some(7), Some(8), Some(9), Some(10), None]);
        assert_eq!(rois[0].label, "van", "the type is empty");
    }

    #[test]
    fn a_region_without_type_or_with_a_type_that_is_no_text_is_read() {
        let mut buffer = buffer();
        let writable = buffer.get_mut().expect("one owner");
        // SAFETY: the buffer is writable; the string ends in NUL and the quark of it is made by GLib itself.
        unsafe {
            let latin1 = glib::ffi::g_quark_from_string(c"caf\xe9".as_ptr());
            for quark in [0, latin1] {
                gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(
                    writable.as_mut_ptr(),
                    quark,
                    1,
                    2,
                    3,
                    4,
                );
            }
        }
        let labels: Vec<_> = read(&buffer).into_iter().map(|r| r.label).collect();
        assert_eq!(labels, ["", "caf\u{fffd}"]);
    }
}
