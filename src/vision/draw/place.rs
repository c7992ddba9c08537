//! Places the tag of a box: inside the picture, over no earlier tag, close to the box.

use super::canvas::Rect;
use crate::base::geometry::Size;

/// Most tags that may stand between a box and its own tag above or below it.
const MAX_AWAY: i32 = 2;

/// Returns the first free place for a tag of `size` at the box whose line has the outer rim `line`. `None` leaves the
/// tag out, because it would hide another one. The corner is aligned to chroma cells.
///
/// Places in order: above, below the upper edge, below the box, above the lower edge; the same at the right end; beside
/// the box; further down inside; further away above and below.
pub fn place_tag(
    line: Rect,
    size: Size,
    picture: Rect,
    cell: (u32, u32),
    placed: impl Iterator<Item = Rect> + Clone,
) -> Option<Rect> {
    let (width, height) = (size.width as i32, size.height as i32);
    let left = line.x1.min(picture.x2 - width).max(picture.x1);
    let right = (line.x2 - width).max(picture.x1);
    let heights = [line.y1 - height, line.y1, line.y2, line.y2 - height];
    let at = |x: i32| heights.map(|y| (x, y));
    let beside = [(line.x2, line.y1), (line.x1 - width, line.y1)];
    let steps = 1..(line.y2 - line.y1) / height.max(1);
    let inside = steps.map(|step| (left, line.y1 + step * height));
    let away = (1..=MAX_AWAY).flat_map(|step| {
        let by = step * height;
        [(left, line.y1 - height - by), (left, line.y2 + by)]
    });
    let places = at(left)
        .into_iter()
        .chain(at(right))
        .chain(beside)
        .chain(inside)
        .chain(away);

    let down = |v: i32, cell: u32| v - v.rem_euclid(cell.max(1) as i32);
    let fits = |rect: &Rect| rect.intersect(&picture) == *rect;
    let free = |rect: &Rect| placed.clone().all(|tag| tag.intersect(rect).is_empty());
    places
        .map(|(x, y)| (down(x, cell.0), down(y, cell.1)))
        .map(|(x, y)| Rect::new(x, y, x + width, y + height))
        .find(|rect| fits(rect) && free(rect))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Rect = Rect::new(0, 0, 101, 81);
    const TAG: Size = Size::new(40, 12);

    fn place(line: Rect, placed: &[Rect]) -> Option<Rect> {
        place_tag(line, TAG, PICTURE, (2, 2), placed.iter().copied())
    }

    fn check(tags: &[Rect]) {
        for (index, tag) in tags.iter().enumerate() {
            assert_eq!(tag.intersect(&PICTURE), *tag, "{tag:?} is cut off");
            assert_eq!((tag.x1 % 2, tag.y1 % 2), (0, 0), "{tag:?}");
            for other in &tags[..index] {
                assert!(tag.intersect(other).is_empty(), "{tag:?} over {other:?}");
            }
        }
    }

    #[test]
    fn the_first_goes_above_and_where_the_picture_ends_below_the_upper_side() {
        let top = |line| place(line, &[]).map(|tag| (tag.x1, tag.y1));
        assert_eq!(top(Rect::new(10, 30, 60, 60)), Some((10, 18)));
        assert_eq!(top(Rect::new(10, 4, 60, 60)), Some((10, 4)));
        assert_eq!(
            top(Rect::new(90, 30, 101, 60)),
            Some((60, 18)),
            "moved to the left, to a cell"
        );
    }

    #[test]
    fn tags_of_one_place_do_not_hide_each_other_and_end_when_it_is_full() {
        let mut tags = Vec::new();
        while let Some(tag) = place(Rect::new(20, 26, 80, 60), &tags) {
            tags.push(tag);
            check(&tags);
        }
        assert!((5..12).contains(&tags.len()), "{} tags", tags.len());
    }

    #[test]
    fn boxes_anywhere_get_tags_that_are_whole_or_none() {
        let mut tags = Vec::new();
        for number in 0..200 {
            let (x, y) = (number * 37 % 110 - 10, number * 53 % 90 - 10);
            let line = Rect::new(x, y, x + number % 60, y + number % 40).intersect(&PICTURE);
            tags.extend(place(line, &tags));
            check(&tags);
        }
        assert!(tags.len() > 5, "{} tags", tags.len());
    }

    #[test]
    fn a_tag_larger_than_the_picture_is_left_out() {
        let line = Rect::new(0, 0, 8, 8);
        let small = Rect::new(0, 0, 16, 8);
        assert_eq!(
            place_tag(line, TAG, small, (1, 1), std::iter::empty()),
            None
        );
    }
}
