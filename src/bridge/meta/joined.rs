//! [`join`]: one list of boxes from two kinds of metadata, in which the same detection may be found twice.

use super::Roi;
use super::analytics::Object;

/// Most pixels by which two copies of a box differ. Each kind rounds for itself when the picture is scaled.
const ROUNDED: i64 = 2;

/// Adds to `regions`, each with the number of its copy if it names one, those `objects` that are no copies. A region gets
/// score and track from its copy where it has none, as after scaling.
pub(super) fn join(regions: Vec<(Roi, Option<u32>)>, objects: Vec<Object>) -> Vec<Roi> {
    let mut objects: Vec<_> = objects.into_iter().map(Some).collect();
    let mut rois: Vec<_> = regions
        .into_iter()
        .map(|(mut roi, od_id)| {
            if let Some(object) = take_copy(&mut objects, &roi, od_id) {
                roi.score = roi.score.or(object.score);
                roi.track = roi.track.or(object.track);
            }
            roi
        })
        .collect();
    rois.extend(objects.into_iter().flatten().map(Roi::from));
    rois
}

/// Takes the copy of a region out of `objects`: the one it names, or else the nearest in the same place.
fn take_copy(objects: &mut [Option<Object>], roi: &Roi, od_id: Option<u32>) -> Option<Object> {
    let same_label = |object: &&mut Option<Object>| {
        let object = object.as_ref();
        object.is_some_and(|o| o.label.is_empty() || roi.label.is_empty() || o.label == roi.label)
    };
    let named = objects.iter_mut().filter(same_label).find(|object| {
        let object = object.as_ref();
        object.is_some_and(|object| Some(object.id) == od_id)
    });
    if let Some(named) = named {
        return named.take();
    }
    let near = objects.iter_mut().filter(same_label).filter_map(|object| {
        let far = distance(object.as_ref()?, roi);
        (far <= ROUNDED).then_some((far, object))
    });
    let (_, nearest) = near.min_by_key(|(far, _)| *far)?;
    nearest.take()
}

/// Returns the largest difference of two edges or lengths.
fn distance(object: &Object, roi: &Roi) -> i64 {
    let differences = [
        object.x.saturating_sub(roi.x),
        object.y.saturating_sub(roi.y),
        i64::from(object.width).saturating_sub(roi.width.into()),
        i64::from(object.height).saturating_sub(roi.height.into()),
    ];
    differences
        .map(i64::saturating_abs)
        .into_iter()
        .max()
        .unwrap_or(0)
}

impl From<Object> for Roi {
    fn from(object: Object) -> Self {
        Self {
            x: object.x,
            y: object.y,
            width: object.width,
            height: object.height,
            label: object.label,
            score: object.score,
            id: 0,
            track: object.track,
            age: None,
            share: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(id: u32, x: i64, label: &str) -> Object {
        Object {
            id,
            label: label.into(),
            x,
            y: 20,
            width: 30,
            height: 40,
            score: Some(0.5),
            track: Some(7),
        }
    }

    fn region(x: i64, label: &str) -> Roi {
        Roi {
            id: 3,
            score: None,
            track: None,
            ..Roi::from(object(0, x, label))
        }
    }

    /// The left edge, the number and the track of each box.
    fn joined(
        regions: Vec<(Roi, Option<u32>)>,
        objects: Vec<Object>,
    ) -> Vec<(i64, i32, Option<i64>)> {
        let rois = join(regions, objects).into_iter();
        rois.map(|roi| (roi.x, roi.id, roi.track)).collect()
    }

    #[test]
    fn a_detection_of_both_kinds_counts_once() {
        let regions = || vec![(region(10, "cat"), Some(4))];
        assert_eq!(
            joined(regions(), vec![object(4, 10, "cat")]),
            [(10, 3, Some(7))]
        );
        // Moved by an element that knows one kind only.
        assert_eq!(
            joined(regions(), vec![object(4, 99, "cat")]),
            [(10, 3, Some(7))]
        );
        // Scaled: the region has lost its number, and either was rounded.
        let scaled = vec![(region(10, "cat"), None)];
        assert_eq!(
            joined(scaled, vec![object(1, 12, "cat")]),
            [(10, 3, Some(7))]
        );
        // Without a type.
        assert_eq!(
            joined(regions(), vec![object(1, 10, "")]),
            [(10, 3, Some(7))]
        );
    }

    #[test]
    fn what_is_no_copy_is_a_box_of_its_own() {
        let regions = || vec![(region(10, "cat"), Some(4))];
        for other in [
            object(1, 13, "cat"),
            object(1, 10, "dog"),
            object(4, 10, "dog"),
        ] {
            let x = other.x;
            assert_eq!(
                joined(regions(), vec![other]),
                [(10, 3, None), (x, 0, Some(7))]
            );
        }
        let one = vec![object(0, 5, "cat"), object(1, 50, "dog")];
        let both = [(5, 0, Some(7)), (50, 0, Some(7))];
        assert_eq!(joined(Vec::new(), one), both);
        assert_eq!(joined(regions(), Vec::new()), [(10, 3, None)]);
    }

    #[test]
    fn each_copy_belongs_to_one_region_and_the_nearest_goes_first() {
        let regions = vec![(region(10, "cat"), None), (region(12, "cat"), None)];
        let mut far = object(0, 12, "cat");
        far.track = Some(8);
        let objects = vec![far, object(1, 10, "cat")];
        assert_eq!(
            joined(regions, objects),
            [(10, 3, Some(7)), (12, 3, Some(8))]
        );
    }
}
