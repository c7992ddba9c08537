//! [`Lettering`]: draws texts on a ground of one colour, and keeps what it has drawn.
//!
//! The font is DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew and many signs. Fonts for other characters can be added.
//! Each character stands on its own: no joined letters, left to right only. A missing character is drawn as a box.

use super::canvas::{Canvas, Rgba};
use super::font::{Font, Fonts, Glyph, Place};
use super::kept::Kept;
use crate::base::geometry::Size;
use std::sync::Arc;

/// Most bytes of texts that are kept. Scores change with every frame, so texts come and go.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Most bytes of glyphs that are kept.
const MAX_GLYPH_BYTES: usize = 4 << 20;
/// Longer texts are cut before they are measured.
const MAX_CHARS: usize = 200;
const ELLIPSIS: char = '…';

/// Everything that determines the look of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    text: String,
    /// Bytes at the end of the text that are not cut.
    tail: usize,
    font_size: u32,
    ground: Rgba,
    max_width: u32,
}

impl Text {
    /// Describes `text`, and `tail` behind it, in black or white, whichever reads better, on an opaque `ground`. `font_size`
    /// is the em square in pixels. A `text` that makes the tag wider than `max_width` ends in an ellipsis; `tail` is cut
    /// only where it is too wide alone.
    pub fn new((text, tail): (&str, &str), font_size: u32, ground: Rgba, max_width: u32) -> Self {
        Self {
            text: format!("{text}{tail}"),
            tail: tail.len(),
            font_size,
            ground,
            max_width,
        }
    }

    fn pad_x(&self) -> u32 {
        (self.font_size / 4).max(2)
    }
}

/// Characters with their pen positions, and how far they reach.
#[derive(Debug, Default)]
struct Line {
    placed: Vec<(char, f32)>,
    width: f32,
    /// The text was cut, and ends in an ellipsis if there is room for one.
    cut: bool,
}

/// The fonts, and what was drawn with them.
#[derive(Default)]
pub struct Lettering {
    fonts: Fonts,
    glyphs: Kept<(char, u32), Arc<Glyph>, MAX_GLYPH_BYTES>,
    tags: Kept<Text, Arc<Canvas>, MAX_TEXT_BYTES>,
}

impl Lettering {
    /// Creates it with another built-in font.
    #[cfg(test)]
    fn only(font: Font) -> Self {
        Self {
            fonts: Fonts::only(font),
            ..Self::default()
        }
    }

    /// Takes the characters that were drawn as boxes because no font has them; each is returned once.
    pub fn take_missing(&mut self) -> Vec<char> {
        self.fonts.take_missing()
    }

    /// Adds a font for such characters; texts are drawn anew.
    pub fn add_font(&mut self, font: Font) {
        if self.fonts.add(font) {
            self.glyphs.clear();
            self.tags.clear();
        }
    }

    /// Returns the size that a tag has when it is drawn. Width and height are even.
    pub fn size(&mut self, tag: &Text) -> Size {
        match self.tags.get(tag) {
            Some(canvas) => canvas.size,
            None => {
                let line = self.lay_out(tag);
                self.size_of_line(tag, &line)
            }
        }
    }

    fn size_of_line(&self, tag: &Text, line: &Line) -> Size {
        // The font's own ascent has room for accents on capitals, so less is needed above than below.
        let (ascent, descent) = self.fonts.heights(tag.font_size);
        let width = line.width.ceil() as u32 + 2 * tag.pad_x();
        let height = (ascent - descent).ceil() as u32;
        Size::new(width.next_multiple_of(2), height.next_multiple_of(2))
    }

    /// Draws a tag, unless its picture is kept.
    pub fn draw(&mut self, tag: Text) -> Arc<Canvas> {
        if let Some(canvas) = self.tags.get(&tag) {
            return canvas.clone();
        }
        let line = self.lay_out(&tag);
        let mut canvas = Canvas::new(self.size_of_line(&tag, &line), tag.ground);
        let (ascent, _) = self.fonts.heights(tag.font_size);
        let ink = ink_on(tag.ground);
        for (character, x) in line.placed {
            let glyph = self.glyph(character, tag.font_size);
            let left = tag.pad_x() as i32 + x.round() as i32 + glyph.left;
            let top = ascent.round() as i32 + glyph.top;
            stamp(&mut canvas, &glyph, left, top, ink);
        }
        let canvas = Arc::new(canvas);
        let bytes = canvas.pixels.len() * size_of::<Rgba>() + tag.text.len();
        self.tags.keep(tag, canvas.clone(), bytes);
        canvas
    }

    /// Places the whole text, or of its head as much as there is room for beside the tail.
    fn lay_out(&mut self, tag: &Text) -> Line {
        let (font_size, room) = (
            tag.font_size,
            tag.max_width.saturating_sub(2 * tag.pad_x()) as f32,
        );
        let whole = self.place(&tag.text, font_size, room);
        if !whole.cut || tag.tail == 0 {
            return whole;
        }
        let (head, tail) = tag.text.split_at(tag.text.len() - tag.tail);
        let end = self.place(tail, font_size, room);
        let mut line = self.place(head, font_size, room - end.width);
        if line.placed.is_empty() {
            return self.place(tail.trim_start(), font_size, room);
        }
        let moved = end.placed.iter().map(|(c, x)| (*c, line.width + x));
        line.placed.extend(moved);
        line.width += end.width;
        line
    }

    /// Places the characters that fit into `room`.
    fn place(&mut self, text: &str, font_size: u32, room: f32) -> Line {
        let mut line = Line::default();
        let mut ends = Vec::new();
        let mut last: Option<Place> = None;
        for (index, character) in text.chars().filter_map(printable).enumerate() {
            let glyph = self.glyph(character, font_size);
            let kern = last.map_or(0.0, |last| self.fonts.kern(last, glyph.place, font_size));
            if index >= MAX_CHARS || line.width + kern + glyph.advance > room {
                line.cut = true;
                break;
            }
            line.placed.push((character, line.width + kern));
            line.width += kern + glyph.advance;
            ends.push(line.width);
            last = Some(glyph.place);
        }
        if line.cut {
            let dots = self.glyph(ELLIPSIS, font_size).advance;
            while ends.last().is_some_and(|end| end + dots > room) {
                ends.pop();
                line.placed.pop();
            }
            line.width = ends.last().copied().unwrap_or(0.0);
            if line.width + dots <= room {
                line.placed.push((ELLIPSIS, line.width));
                line.width += dots;
            }
        }
        line
    }

    /// Rasterises the character if it is new.
    fn glyph(&mut self, character: char, font_size: u32) -> Arc<Glyph> {
        let key = (character, font_size);
        if let Some(glyph) = self.glyphs.get(&key) {
            return glyph.clone();
        }
        let place = self.fonts.find(character);
        let glyph = Arc::new(self.fonts.rasterise(place, font_size));
        let bytes = glyph.coverage.len();
        self.glyphs.keep(key, glyph.clone(), bytes);
        glyph
    }
}

/// Returns a printable character; `None` for joiners and variation selectors, as in emoji. Line breaks become spaces.
fn printable(character: char) -> Option<char> {
    match character {
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => None,
        c if c.is_control() => Some(' '),
        c => Some(c),
    }
}

/// Returns black or white by the luminance of the ground (BT.709, gamma approximated by 2).
fn ink_on([r, g, b, _]: Rgba) -> [u8; 3] {
    let linear = |v: u8| (f32::from(v) / 255.0).powi(2);
    let luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    // Here the contrasts (L + 0.05) / 0.05 and 1.05 / (L + 0.05) are equal.
    if luminance > 0.179 { [0; 3] } else { [255; 3] }
}

fn stamp(canvas: &mut Canvas, glyph: &Glyph, left: i32, top: i32, ink: [u8; 3]) {
    if glyph.width == 0 {
        return;
    }
    let (width, height) = (canvas.size.width as usize, canvas.size.height as usize);
    for (row, line) in glyph.coverage.chunks_exact(glyph.width).enumerate() {
        let Some(y) = usize::try_from(top + row as i32)
            .ok()
            .filter(|y| *y < height)
        else {
            continue;
        };
        for (column, &coverage) in line.iter().enumerate() {
            let Some(x) = usize::try_from(left + column as i32)
                .ok()
                .filter(|x| *x < width)
            else {
                continue;
            };
            let pixel = &mut canvas.pixels[y * width + x];
            for (channel, ink) in pixel.iter_mut().zip(ink) {
                let (a, c) = (u32::from(coverage), u32::from(ink));
                *channel = ((u32::from(*channel) * (255 - a) + c * a + 127) / 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YELLOW: Rgba = [255, 230, 0, 255];

    fn draw(lettering: &mut Lettering, text: &str, font_size: u32, room: u32) -> Arc<Canvas> {
        lettering.draw(Text::new((text, ""), font_size, YELLOW, room))
    }

    /// Counts the pixels that differ from the ground.
    fn inked(canvas: &Canvas, ground: Rgba) -> usize {
        canvas.pixels.iter().filter(|p| **p != ground).count()
    }

    #[test]
    fn every_script_of_the_font_leaves_ink_and_a_missing_character_a_box() {
        let mut lettering = Lettering::default();
        for text in ["person", "человек", "άνθρωπος", "ß", "😀", "犬"] {
            let canvas = draw(&mut lettering, text, 20, 1000);
            assert!(inked(&canvas, YELLOW) > 20, "{text}");
        }
        let missing = |t: &str| draw(&mut Lettering::default(), t, 20, 1000);
        assert_eq!(missing("犬"), missing("猫"), "both are the box");
        assert_ne!(missing("Ж"), missing("犬"));
    }

    #[test]
    fn texts_without_shape_are_narrow_and_harmless() {
        let mut lettering = Lettering::default();
        let joiner = draw(&mut lettering, "\u{200d}\u{fe0f}", 20, 1000);
        assert_eq!(joiner, draw(&mut lettering, "", 20, 1000));
        let line_break = draw(&mut lettering, "a\nb", 20, 1000);
        assert_eq!(line_break, draw(&mut lettering, "a b", 20, 1000));
    }

    #[test]
    fn a_long_text_is_cut_to_the_room() {
        let mut lettering = Lettering::default();
        let long = "a very long label of a very talkative model".repeat(20);
        for room in [0, 7, 20, 50, 120] {
            let canvas = draw(&mut lettering, &long, 20, room);
            assert!(canvas.size.width <= room.max(12), "{room}: {}", canvas.size);
        }
        let cut = draw(&mut lettering, &long, 20, 120);
        assert_eq!(cut, draw(&mut lettering, &long[..100], 20, 120));
    }

    #[test]
    fn letters_are_dark_on_light_and_light_on_dark() {
        assert_eq!(ink_on([255, 230, 0, 255]), [0; 3]);
        assert_eq!(ink_on([0, 60, 0, 255]), [255; 3]);
        assert_eq!(ink_on([0, 0, 200, 255]), [255; 3]);
    }

    #[test]
    fn what_was_drawn_is_kept_within_bounds() {
        let mut lettering = Lettering::default();
        let first = draw(&mut lettering, "dog", 20, 1000);
        assert!(Arc::ptr_eq(&first, &draw(&mut lettering, "dog", 20, 1000)));
        for number in 0..200 {
            let text = format!("person {number}");
            let canvas = draw(&mut lettering, &text, 400, 4000);
            let bytes = canvas.pixels.len() * 4;
            assert!(bytes > MAX_TEXT_BYTES / 200, "few would do");
        }
        assert!(lettering.tags.bytes() <= MAX_TEXT_BYTES);
        for number in 0..1000 {
            let character = char::from_u32(0x4e00 + number).expect("CJK ideographs");
            draw(&mut lettering, &character.to_string(), 400, 1000);
        }
        assert!(lettering.glyphs.bytes() <= MAX_GLYPH_BYTES);
    }

    #[test]
    fn an_added_font_draws_what_was_a_box() {
        const HEBREW: &str = "א";
        let serif = || Font::new(dejavu::serif::regular().to_vec(), 0, 'a').expect("a font");
        let (mut lettering, mut whole) = (Lettering::only(serif()), Lettering::only(serif()));
        let sans = Font::new(dejavu::sans::regular().to_vec(), 0, 'א').expect("a font");
        whole.add_font(sans.clone());
        let boxed = draw(&mut lettering, HEBREW, 20, 1000);
        assert_ne!(boxed, draw(&mut whole, HEBREW, 20, 1000));
        assert_eq!(lettering.take_missing(), ['א']);
        lettering.add_font(sans);
        assert_eq!(
            draw(&mut lettering, HEBREW, 20, 1000),
            draw(&mut whole, HEBREW, 20, 1000)
        );
        assert_eq!(lettering.take_missing(), []);
    }

    #[test]
    fn a_tag_is_as_large_as_was_said_before_it_was_drawn() {
        let mut lettering = Lettering::default();
        for (text, tail) in [("dog", " 0.87"), ("", ""), ("a very long label", " #7 0.5")] {
            for room in [0, 30, 90, 1000] {
                let tag = || Text::new((text, tail), 20, YELLOW, room);
                let size = lettering.size(&tag());
                assert_eq!(lettering.draw(tag()).size, size, "{text}{tail} in {room}");
                assert_eq!(lettering.size(&tag()), size, "drawn already");
            }
        }
    }
}
