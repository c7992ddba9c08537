//! Detections as `GstAnalyticsRelationMeta`, beside the regions of interest, where GStreamer is 1.26 or later.
//!
//! Each detection is a `GstAnalyticsODMtd`: the label as type, the box in whole pixels of the buffer, the score. The object
//! that it belongs to, if objects are tracked, is a `GstAnalyticsTrackingMtd`, which the detection relates to
//! (`RELATE_TO`), as upstream's trackers have it. Elements that scale the picture keep both, with the box scaled.

mod library;

use super::{Labelled, roi};
use crate::base::geometry::Size;
use library::{Detected, Followed, Library};

/// A detection as read, whoever attached it. Values are not checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    /// Number of the detection among all entries of the buffer.
    pub id: u32,
    pub label: String,
    pub x: i64,
    pub y: i64,
    pub width: u32,
    pub height: u32,
    /// Always finite.
    pub score: Option<f64>,
    pub track: Option<i64>,
}

/// Says why analytics metadata are neither written nor read in this process; `None` if they are. Loads the library.
pub(super) fn absence() -> Option<&'static str> {
    Library::here().err()
}

/// Adds detections to a buffer. Returns the number of each among the entries of the buffer, or `None` where analytics
/// metadata are not used.
pub(super) fn attach(
    buffer: &mut gst::BufferRef,
    frame: Size,
    detections: &[Labelled<'_>],
) -> Vec<Option<u32>> {
    let library = Library::here().ok().filter(|_| !detections.is_empty());
    let Some(mut relations) = library.and_then(|library| library.relations_mut(buffer)) else {
        return vec![None; detections.len()];
    };
    let add = |labelled: &Labelled| {
        let (x, y, width, height) = roi::pixels(labelled.detection.bbox, frame);
        let id = relations.add_detection(&Detected {
            label: roi::without_nul(labelled.label),
            x: whole(x),
            y: whole(y),
            width: whole(width),
            height: whole(height),
            score: labelled.detection.score,
        })?;
        if let Some(track) = labelled.track {
            let followed = Followed {
                track,
                first_seen: labelled.seen.map(|(first, _)| first),
                last_seen: labelled.seen.map(|(_, last)| last),
                lost: false,
            };
            relations.add_followed(id, &followed);
        }
        Some(id)
    };
    detections.iter().map(add).collect()
}

/// Returns the detections of a buffer, in the order of attachment.
pub(super) fn read(buffer: &gst::BufferRef) -> Vec<Object> {
    let library = Library::here().ok();
    let Some(relations) = library.and_then(|library| library.relations(buffer)) else {
        return Vec::new();
    };
    let followed = relations.followed();
    let object = |(id, detected): (u32, Detected)| {
        let mut related = followed
            .iter()
            .filter(|(other, followed)| !followed.lost && relations.are_related(id, *other));
        Object {
            id,
            label: detected.label,
            x: detected.x.into(),
            y: detected.y.into(),
            width: detected.width.max(0).unsigned_abs(),
            height: detected.height.max(0).unsigned_abs(),
            score: Some(f64::from(detected.score)).filter(|score| score.is_finite()),
            track: related.next().and_then(|(_, f)| f.track.try_into().ok()),
        }
    };
    relations.detections().into_iter().map(object).collect()
}

/// Returns a length in pixels as the library takes it.
fn whole(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::detection::Detection;
    use crate::base::geometry::BBox;

    const FRAME: Size = Size::new(200, 100);

    fn labelled(x: f32, label: &str, track: Option<u64>) -> Labelled<'_> {
        let time = gst::ClockTime::from_mseconds;
        Labelled {
            detection: Detection {
                bbox: BBox::new(x, 20.0, x + 30.0, 60.0),
                class: 3,
                score: 0.75,
            },
            label,
            number: 9,
            track,
            seen: track.map(|_| (time(40), time(80))),
            age: None,
        }
    }

    fn object(id: u32, x: i64, label: &str, track: Option<i64>) -> Object {
        Object {
            id,
            label: label.into(),
            x,
            y: 20,
            width: 30,
            height: 40,
            score: Some(0.75),
            track,
        }
    }

    /// Whether this test can go on; says so if not.
    fn is_used() -> bool {
        gst::init().expect("GStreamer is installed");
        match absence() {
            Some(why) => eprintln!("skipped: {why}"),
            None => return true,
        }
        false
    }

    #[test]
    fn without_the_library_nothing_is_attached() {
        if is_used() {
            return;
        }
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().expect("one owner");
        let ids = attach(writable, FRAME, &[labelled(10.0, "cat", Some(1))]);
        assert_eq!((ids, read(&buffer)), (vec![None], Vec::new()));
        assert_eq!(buffer.iter_meta::<gst::Meta>().count(), 0);
    }

    #[test]
    fn what_is_attached_is_read_back() {
        if !is_used() {
            return;
        }
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().expect("one owner");
        assert_eq!(attach(writable, FRAME, &[]), []);
        assert_eq!(writable.iter_meta::<gst::Meta>().count(), 0);
        let first = [
            labelled(10.0, "cat", Some(7)),
            labelled(50.0, "кот 🐈", None),
        ];
        // The object of the first detection has the number between.
        assert_eq!(attach(writable, FRAME, &first), [Some(0), Some(2)]);
        // A second detector adds to what is there.
        let second = [labelled(190.0, "a\0b", Some(u64::MAX))];
        assert_eq!(attach(writable, FRAME, &second), [Some(3)]);
        let copy = buffer.copy();
        drop(buffer);
        let mut clipped = object(3, 190, "a\u{fffd}b", None);
        clipped.width = 10;
        let wanted = [
            object(0, 10, "cat", Some(7)),
            object(2, 50, "кот 🐈", None),
            clipped,
        ];
        assert_eq!(read(&copy), wanted);
        assert_eq!(copy.iter_meta::<gst::Meta>().count(), 1);
    }

    #[test]
    fn an_object_that_is_followed_has_its_times() {
        if !is_used() {
            return;
        }
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().expect("one owner");
        attach(writable, FRAME, &[labelled(10.0, "cat", Some(7))]);
        let time = gst::ClockTime::from_mseconds;
        let mut followed = Followed {
            track: 7,
            first_seen: Some(time(40)),
            last_seen: Some(time(80)),
            lost: false,
        };
        let library = Library::here().expect("asked above");
        let relations = library.relations(&buffer).expect("attached");
        assert_eq!(relations.followed(), [(1, followed)]);
        assert!(relations.are_related(0, 1) && relations.are_related(1, 0));
        assert!(!relations.are_related(0, 0));
        // Without times.
        followed.track = 8;
        (followed.first_seen, followed.last_seen) = (None, None);
        let unknown = Labelled {
            seen: None,
            ..labelled(50.0, "cat", Some(8))
        };
        let writable = buffer.get_mut().expect("one owner");
        attach(writable, FRAME, &[unknown]);
        let relations = library.relations(&buffer).expect("attached");
        assert_eq!(relations.followed()[1], (3, followed));
    }
}
