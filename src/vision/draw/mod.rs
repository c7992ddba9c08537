//! [`Artist`]: lays out boxes and labels as a few small pieces instead of one canvas as large as the picture.
//!
//! A box is a line in the colour of its class, centred on the edge, between two thin dark lines that set it off from
//! any ground. A label stands on a filled tag above its box, else in another place where it covers no label, else it is
//! left out. The pieces of a [`Drawing`] are painted into the picture ([`PictureMut`]) or handed on as canvases
//! ([`Drawing::tiles`]).

mod blend;
mod canvas;
mod font;
mod kept;
mod palette;
mod pixelate;
mod place;
mod text;
mod weights;

pub use blend::{PictureMut, PlaneMut};
pub use canvas::{Canvas, Fill, Rect, Rgba};
pub use font::Font;
pub use palette::colour_of;

use crate::base::geometry::{BBox, Size};
use place::place_tag;
use std::sync::Arc;
use text::{Lettering, Text};

/// Colour of the thin lines on both sides of a box line.
const SHADE: Rgba = [0, 0, 0, 144];
/// Background of the caption.
const CAPTION_GROUND: Rgba = [24, 24, 24, 255];
/// Distance of the caption from the edges of the picture in pixels; a multiple of a chroma cell.
const CAPTION_MARGIN: u32 = 4;
/// Pixels of the picture's shorter side for each pixel of line width and of letters.
const PIXELS_PER_LINE: u32 = 240;
const PIXELS_PER_EM: u32 = 42;
const MIN_LINE: u32 = 2;
const MIN_FONT_SIZE: u32 = 11;

/// One box to be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark<'a> {
    /// Box in pixels of the picture; may reach outside.
    pub bbox: BBox,
    /// Class, which selects the colour.
    pub class: &'a str,
    /// Text on the tag, which is cut where it is too long.
    pub text: &'a str,
    /// Text behind it, which is not cut for its sake. There is no tag if both are empty.
    pub tail: &'a str,
}

/// Widths in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Width of the lines.
    pub line_width: u32,
    /// Size of the em square of the letters.
    pub font_size: u32,
}

impl Style {
    /// Fills in what suits a picture of `size` where a value is 0.
    pub fn new(line_width: u32, font_size: u32, size: Size) -> Self {
        let side = size.width.min(size.height);
        let or = |value: u32, auto: u32| if value == 0 { auto } else { value };
        // Lines and letters wider than the picture are useless, and letters have to be rasterised.
        let limit = side.max(MIN_FONT_SIZE);
        Self {
            line_width: or(line_width, (side / PIXELS_PER_LINE).max(MIN_LINE)).min(limit),
            font_size: or(font_size, (side / PIXELS_PER_EM).max(MIN_FONT_SIZE)).min(limit),
        }
    }
}

/// A label at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Pixels of the picture that it covers.
    pub rect: Rect,
    /// The drawn text.
    pub canvas: Arc<Canvas>,
}

/// The lines of one box, inside the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Fills to paint in order.
    pub fills: Vec<Fill>,
    /// Pixels that they cover: at most four edges, which do not overlap.
    pub edges: Vec<Rect>,
}

/// Pieces to paint: all frames, then all tags, so that no line crosses a label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawing {
    /// Lines of the boxes.
    pub frames: Vec<Frame>,
    /// Labels.
    pub tags: Vec<Tag>,
}

impl Drawing {
    /// Paints everything into a picture.
    pub fn paint(&self, picture: &mut PictureMut<'_>) {
        for fill in self.frames.iter().flat_map(|f| &f.fills) {
            picture.fill(fill.rect, fill.colour);
        }
        for tag in &self.tags {
            picture.draw(&tag.canvas, tag.rect.x1, tag.rect.y1);
        }
    }

    /// Returns everything as canvases with their top left corners, to be laid over the picture in order.
    pub fn tiles(&self) -> impl Iterator<Item = (i32, i32, Arc<Canvas>)> {
        let edges = self.frames.iter().flat_map(|frame| {
            let tile = |edge: &Rect| Arc::new(Canvas::of_fills(*edge, &frame.fills));
            frame.edges.iter().map(move |e| (e.x1, e.y1, tile(e)))
        });
        let tag = |t: &Tag| (t.rect.x1, t.rect.y1, t.canvas.clone());
        edges.chain(self.tags.iter().map(tag))
    }
}

/// Lays out drawings, and keeps the letters it has drawn.
#[derive(Default)]
pub struct Artist {
    lettering: Lettering,
}

impl Artist {
    /// Takes the characters that were drawn as boxes because no font has them; each is returned once.
    pub fn take_missing(&mut self) -> Vec<char> {
        self.lettering.take_missing()
    }

    /// Adds a font for such characters. Drawings that follow are made with it.
    pub fn add_font(&mut self, font: Font) {
        self.lettering.add_font(font);
    }

    /// Lays out `marks`, which come best first. The best is drawn last, on top, and its label is placed first.
    /// `caption` goes to the top left corner, and no label covers it.
    ///
    /// `cell` is the number of pixels, across and down, that share one chroma sample. Lines and tags begin and end at a
    /// cell, so that their colour is uniform.
    pub fn draw(
        &mut self,
        marks: &[Mark<'_>],
        caption: Option<&str>,
        style: Style,
        size: Size,
        cell: (u32, u32),
    ) -> Drawing {
        let picture = Rect::of_size(size);
        let mut drawing = Drawing::default();
        drawing.tags.extend(caption.and_then(|text| {
            let room = size.width.saturating_sub(2 * CAPTION_MARGIN);
            let tag = Text::new((text, ""), style.font_size, CAPTION_GROUND, room);
            let margin = CAPTION_MARGIN as i32;
            let rect = Rect::of_size(self.lettering.size(&tag)).moved(margin, margin);
            let fits = rect.intersect(&picture) == rect;
            fits.then(|| Tag {
                rect,
                canvas: self.lettering.draw(tag),
            })
        }));
        for mark in marks {
            let Some(outer) = line_around(mark.bbox, style, picture, cell) else {
                continue;
            };
            let ground = colour_of(mark.class);
            drawing
                .frames
                .push(frame(outer, ground, style, picture, cell));
            if !mark.text.is_empty() || !mark.tail.is_empty() {
                let text = (mark.text, mark.tail);
                let tag = Text::new(text, style.font_size, ground, size.width);
                let placed = drawing.tags.iter().map(|tag| tag.rect);
                let tag_size = self.lettering.size(&tag);
                // Drawn only where there is room for it: letters are the costly part.
                if let Some(rect) = place_tag(outer, tag_size, picture, cell, placed) {
                    let canvas = self.lettering.draw(tag);
                    drawing.tags.push(Tag { rect, canvas });
                }
            }
        }
        drawing.frames.reverse();
        drawing.tags.reverse();
        drawing
    }
}

/// Returns the outer rim of the line inside the picture; `None` for a box outside of it.
fn line_around(bbox: BBox, style: Style, picture: Rect, cell: (u32, u32)) -> Option<Rect> {
    let width = (picture.x2 as f32, picture.y2 as f32);
    let (x1, y1) = (bbox.x1.max(0.0), bbox.y1.max(0.0));
    let (x2, y2) = (bbox.x2.min(width.0), bbox.y2.min(width.1));
    if !bbox.is_finite() || x1 >= x2 || y1 >= y2 {
        return None;
    }
    let half = style.line_width as f32 / 2.0;
    let rim = Rect::new(
        to_cell(x1 - half, cell.0),
        to_cell(y1 - half, cell.1),
        to_cell(x2 + half, cell.0),
        to_cell(y2 + half, cell.1),
    );
    Some(rim.intersect(&picture))
}

/// Rounds to the nearest border between two cells.
fn to_cell(value: f32, cell: u32) -> i32 {
    (value / cell as f32).round() as i32 * cell as i32
}

fn frame(outer: Rect, colour: Rgba, style: Style, picture: Rect, cell: (u32, u32)) -> Frame {
    let across = style.line_width.next_multiple_of(cell.0.max(1)) as i32;
    let down = style.line_width.next_multiple_of(cell.1.max(1)) as i32;
    let inner = Rect::new(
        outer.x1 + across,
        outer.y1 + down,
        outer.x2 - across,
        outer.y2 - down,
    );
    let shade = (style.line_width as i32 / 3).max(1);
    let (rim, core) = (outer.inset(-shade).intersect(&picture), inner.inset(shade));
    let fill = |colour| move |rect| Fill { rect, colour };
    let dark = rim.ring(&outer).into_iter().chain(inner.ring(&core));
    let line = outer.ring(&inner).into_iter();
    Frame {
        fills: dark
            .filter(|r| !r.is_empty())
            .map(fill(SHADE))
            .chain(line.map(fill(colour)))
            .collect(),
        edges: rim.ring(&core),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(100, 80);
    const STYLE: Style = Style {
        line_width: 2,
        font_size: 11,
    };

    fn mark(x1: f32, y1: f32, x2: f32, y2: f32) -> Mark<'static> {
        Mark {
            bbox: BBox::new(x1, y1, x2, y2),
            class: "dog",
            text: "",
            tail: "",
        }
    }

    fn draw(marks: &[Mark<'_>], cell: (u32, u32)) -> Drawing {
        Artist::default().draw(marks, None, STYLE, SIZE, cell)
    }

    /// Paints the whole drawing on a transparent canvas of the picture's size.
    fn on_canvas(drawing: &Drawing) -> Canvas {
        let fills: Vec<_> = drawing
            .frames
            .iter()
            .flat_map(|f| f.fills.clone())
            .collect();
        Canvas::of_fills(Rect::of_size(SIZE), &fills)
    }

    #[test]
    fn the_line_is_centred_on_the_edge_between_dark_ones() {
        let canvas = on_canvas(&draw(&[mark(20.0, 10.0, 60.0, 50.0)], (1, 1)));
        let row: Vec<_> = canvas.row(30)[17..25].to_vec();
        let (none, dog) = ([0; 4], colour_of("dog"));
        assert_eq!(row, [none, SHADE_AT, dog, dog, SHADE_AT, none, none, none]);
        let column: Vec<_> = (48..54).map(|y| canvas.row(y)[40]).collect();
        assert_eq!(column, [SHADE_AT, dog, dog, SHADE_AT, none, none]);
        const SHADE_AT: Rgba = SHADE;
    }

    #[test]
    fn tiles_cover_the_same_pixels_as_the_fills() {
        for bbox in [(20.0, 10.0, 60.0, 50.0), (-5.0, -5.0, 30.0, 90.0)] {
            let drawing = draw(&[mark(bbox.0, bbox.1, bbox.2, bbox.3)], (2, 2));
            let mut laid = Canvas::new(SIZE, [0; 4]);
            for (x, y, tile) in drawing.tiles() {
                for row in 0..tile.size.height as usize {
                    for (column, pixel) in tile.row(row).iter().enumerate() {
                        let place = (y as usize + row) * 100 + x as usize + column;
                        assert_eq!(laid.pixels[place], [0; 4], "tiles overlap");
                        laid.pixels[place] = *pixel;
                    }
                }
            }
            assert_eq!(laid, on_canvas(&drawing));
        }
    }

    #[test]
    fn lines_begin_and_end_with_a_chroma_cell() {
        for left in 10..20 {
            let left = left as f32 + 0.3;
            let drawing = draw(&[mark(left, left, left + 31.0, left + 33.0)], (2, 2));
            let line = drawing.frames[0].fills.iter().filter(|f| f.colour != SHADE);
            for Fill { rect, .. } in line {
                for edge in [rect.x1, rect.y1, rect.x2, rect.y2] {
                    assert_eq!(edge % 2, 0, "{rect:?} of a box at {left}");
                }
            }
        }
    }

    #[test]
    fn boxes_outside_or_without_size_are_not_drawn_and_those_partly_inside_are_closed() {
        let nothing = [
            mark(200.0, 10.0, 220.0, 20.0),
            mark(-20.0, 10.0, 0.0, 20.0),
            mark(50.0, 20.0, 40.0, 30.0),
            mark(f32::NAN, 0.0, 10.0, 10.0),
        ];
        assert_eq!(draw(&nothing, (1, 1)), Drawing::default());
        let canvas = on_canvas(&draw(&[mark(50.0, 10.0, 1e9, 40.0)], (1, 1)));
        assert_eq!(canvas.row(25)[98..], [colour_of("dog"); 2]);
    }

    #[test]
    fn one_pixel_is_still_seen() {
        let canvas = on_canvas(&draw(&[mark(30.0, 30.0, 31.0, 31.0)], (2, 2)));
        assert_eq!(canvas.row(30)[30], colour_of("dog"));
    }

    #[test]
    fn labels_stay_in_the_picture_and_off_each_other() {
        let labelled = |x: f32, y: f32| Mark {
            text: "dog 0.87",
            ..mark(x, y, x + 30.0, y + 30.0)
        };
        let drawing = draw(
            &[
                labelled(20.0, 30.0),
                labelled(22.0, 30.0),
                labelled(90.0, 2.0),
            ],
            (2, 2),
        );
        let rects: Vec<_> = drawing.tags.iter().map(|t| t.rect).collect();
        assert_eq!(rects.len(), 3);
        for (index, rect) in rects.iter().enumerate() {
            assert_eq!(
                rect.intersect(&Rect::of_size(SIZE)),
                *rect,
                "{index} is cut off"
            );
            for other in &rects[..index] {
                assert!(rect.intersect(other).is_empty(), "{rect:?} over {other:?}");
            }
        }
        assert_eq!(
            rects[2].y2, 30,
            "the best is above its line, whose rim 29 is no cell's"
        );
    }

    #[test]
    fn a_label_that_is_too_long_keeps_what_is_behind_it() {
        let labelled = |text, tail| Mark {
            text,
            tail,
            ..mark(20.0, 40.0, 60.0, 70.0)
        };
        let last = |text, tail| {
            let drawing = draw(&[labelled(text, tail)], (2, 2));
            let tag = drawing.tags.last().expect("there is room").clone();
            let width = tag.canvas.size.width as usize;
            let rows = 0..tag.canvas.size.height as usize;
            let end = |y| tag.canvas.row(y)[width - 24..].to_vec();
            (width, rows.map(end).collect::<Vec<_>>())
        };
        let long = "a label that is longer than the picture is wide";
        let (width, end) = last(long, " 0.87");
        assert!(width <= SIZE.width as usize && width > 80, "{width}");
        assert_eq!(end, last("dog", " 0.87").1, "the score is there");
        assert_ne!(end, last(long, " 0.55").1);
        assert_ne!(end, last(long, "").1);
    }

    #[test]
    fn the_caption_stands_free_and_is_left_out_where_it_is_too_high() {
        let corner = Mark {
            text: "dog 0.87",
            ..mark(0.0, 0.0, 30.0, 30.0)
        };
        let draw = |size| Artist::default().draw(&[corner], Some("30 FPS"), STYLE, size, (2, 2));
        let tags = draw(SIZE).tags;
        assert_eq!((tags.len(), tags[1].rect.x1, tags[1].rect.y1), (2, 4, 4));
        assert!(tags[0].rect.intersect(&tags[1].rect).is_empty());
        assert_eq!(draw(Size::new(100, 12)).tags, []);
    }

    #[test]
    fn sizes_follow_the_picture_unless_given() {
        let auto = |w, h| Style::new(0, 0, Size::new(w, h));
        assert_eq!(
            (auto(320, 240).line_width, auto(320, 240).font_size),
            (2, 11)
        );
        assert_eq!(
            (auto(1920, 1080).line_width, auto(1920, 1080).font_size),
            (4, 25)
        );
        let given = Style::new(7, 30, SIZE);
        assert_eq!((given.line_width, given.font_size), (7, 30));
        assert_eq!(Style::new(u32::MAX, u32::MAX, SIZE).font_size, 80);
    }
}
