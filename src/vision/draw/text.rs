//! [`Lettering`]: draws texts on a ground of one colour, and keeps what it has drawn.
//!
//! The font is DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew and many signs. Each character stands on its own: no
//! joined letters, left to right only. A missing character is drawn as a box.

use super::canvas::{Canvas, Rgba};
use crate::base::geometry::Size;
use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
use std::collections::HashMap;
use std::sync::Arc;

/// Most texts and glyphs kept. Scores change with every frame, so texts come and go.
const MAX_KEPT: usize = 1024;
/// Longer texts are cut before they are measured.
const MAX_CHARS: usize = 200;
const ELLIPSIS: char = '…';

/// Everything that determines the look of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TagKey {
    text: String,
    font_size: u32,
    ground: Rgba,
    max_width: u32,
}

/// A rasterised character: coverage of each pixel, 0 to 255, and its position relative to the pen on the baseline.
struct Glyph {
    id: GlyphId,
    left: i32,
    top: i32,
    width: usize,
    coverage: Vec<u8>,
    advance: f32,
}

/// The font, and what was drawn with it.
pub struct Lettering {
    font: FontRef<'static>,
    glyphs: HashMap<(char, u32), Glyph>,
    tags: HashMap<TagKey, Arc<Canvas>>,
}

impl Default for Lettering {
    fn default() -> Self {
        Self {
            font: FontRef::try_from_slice(dejavu::sans::regular())
                .expect("the font is part of this library and was read by its tests"),
            glyphs: HashMap::new(),
            tags: HashMap::new(),
        }
    }
}

impl Lettering {
    /// Draws `text` in black or white, whichever reads better, on an opaque `ground`. `font_size` is the em square in
    /// pixels. Width and height are even. A text wider than `max_width` ends in an ellipsis.
    pub fn tag(&mut self, text: &str, font_size: u32, ground: Rgba, max_width: u32) -> Arc<Canvas> {
        let key = TagKey {
            text: text.to_owned(),
            font_size,
            ground,
            max_width,
        };
        if let Some(canvas) = self.tags.get(&key) {
            return canvas.clone();
        }
        if self.tags.len() >= MAX_KEPT {
            self.tags.clear();
        }
        let canvas = Arc::new(self.draw(&key));
        self.tags.insert(key, canvas.clone());
        canvas
    }

    fn draw(&mut self, key: &TagKey) -> Canvas {
        let scale = self.scale(key.font_size);
        let scaled = self.font.as_scaled(scale);
        let (ascent, descent) = (scaled.ascent(), scaled.descent());
        let pad_x = (key.font_size / 4).max(2);
        // The font's own ascent has room for accents on capitals, so less is needed above than below.
        let height = (ascent - descent).ceil() as u32;
        let baseline = ascent.round() as i32;
        let room = key.max_width.saturating_sub(2 * pad_x) as f32;
        let (placed, width) = self.place(&key.text, key.font_size, room);

        let size = Size::new(width.ceil() as u32 + 2 * pad_x, height);
        let even = |v: u32| v.next_multiple_of(2);
        let mut canvas = Canvas::new(Size::new(even(size.width), even(size.height)), key.ground);
        let ink = ink_on(key.ground);
        for (character, x) in placed {
            if let Some(glyph) = self.glyphs.get(&(character, key.font_size)) {
                let left = pad_x as i32 + x.round() as i32 + glyph.left;
                stamp(&mut canvas, glyph, left, baseline + glyph.top, ink);
            }
        }
        canvas
    }

    /// Returns the characters that fit into `room`, each with its pen position, and their total width.
    fn place(&mut self, text: &str, font_size: u32, room: f32) -> (Vec<(char, f32)>, f32) {
        let mut placed: Vec<(char, f32)> = Vec::new();
        let mut ends = Vec::new();
        let mut pen = 0.0;
        let mut last = None;
        let mut complete = true;
        for (index, character) in text.chars().filter_map(printable).enumerate() {
            let (id, advance) = self.glyph(character, font_size);
            let kern = last.map_or(0.0, |l| {
                self.font.as_scaled(self.scale(font_size)).kern(l, id)
            });
            if index >= MAX_CHARS || pen + kern + advance > room {
                complete = false;
                break;
            }
            placed.push((character, pen + kern));
            pen += kern + advance;
            ends.push(pen);
            last = Some(id);
        }
        if !complete {
            let (_, dots) = self.glyph(ELLIPSIS, font_size);
            while ends.last().is_some_and(|end| end + dots > room) {
                ends.pop();
                placed.pop();
            }
            pen = ends.last().copied().unwrap_or(0.0);
            if pen + dots <= room {
                placed.push((ELLIPSIS, pen));
                pen += dots;
            }
        }
        (placed, pen)
    }

    /// Rasterises the character if it is new.
    fn glyph(&mut self, character: char, font_size: u32) -> (GlyphId, f32) {
        if self.glyphs.len() >= MAX_KEPT && !self.glyphs.contains_key(&(character, font_size)) {
            // Texts placed so far may lose a glyph for one frame; a label does not have a thousand different
            // characters.
            self.glyphs.clear();
        }
        let scale = self.scale(font_size);
        let font = &self.font;
        let glyph = self
            .glyphs
            .entry((character, font_size))
            .or_insert_with(|| Glyph::new(font, scale, character));
        (glyph.id, glyph.advance)
    }

    /// Converts a font size: ab_glyph scales by line height, people by the em square.
    fn scale(&self, font_size: u32) -> PxScale {
        let em = self.font.units_per_em().unwrap_or(2048.0);
        PxScale::from(font_size as f32 * self.font.height_unscaled() / em)
    }
}

impl Glyph {
    fn new(font: &FontRef<'_>, scale: PxScale, character: char) -> Self {
        let id = font.glyph_id(character);
        let advance = font.as_scaled(scale).h_advance(id);
        let mut glyph = Self {
            id,
            left: 0,
            top: 0,
            width: 0,
            coverage: Vec::new(),
            advance,
        };
        if let Some(outlined) = font.outline_glyph(id.with_scale(scale)) {
            let bounds = outlined.px_bounds();
            glyph.left = bounds.min.x as i32;
            glyph.top = bounds.min.y as i32;
            glyph.width = bounds.width() as usize;
            glyph.coverage = vec![0; glyph.width * bounds.height() as usize];
            outlined.draw(|x, y, c| {
                let index = y as usize * glyph.width + x as usize;
                if let Some(pixel) = glyph.coverage.get_mut(index) {
                    *pixel = (c.clamp(0.0, 1.0) * 255.0).round() as u8;
                }
            });
        }
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

    /// Counts the pixels that differ from the ground.
    fn inked(canvas: &Canvas, ground: Rgba) -> usize {
        canvas.pixels.iter().filter(|p| **p != ground).count()
    }

    #[test]
    fn every_script_of_the_font_leaves_ink_and_a_missing_character_a_box() {
        let mut lettering = Lettering::default();
        for text in ["person", "человек", "άνθρωπος", "ß", "😀", "犬"] {
            let canvas = lettering.tag(text, 20, YELLOW, 1000);
            assert!(inked(&canvas, YELLOW) > 20, "{text}");
        }
        let missing = |t: &str| Lettering::default().tag(t, 20, YELLOW, 1000);
        assert_eq!(missing("犬"), missing("猫"), "both are the box");
        assert_ne!(missing("Ж"), missing("犬"));
    }

    #[test]
    fn texts_without_shape_are_narrow_and_harmless() {
        let mut lettering = Lettering::default();
        let joiner = lettering.tag("\u{200d}\u{fe0f}", 20, YELLOW, 1000);
        assert_eq!(joiner, lettering.tag("", 20, YELLOW, 1000));
        let line_break = lettering.tag("a\nb", 20, YELLOW, 1000);
        assert_eq!(line_break, lettering.tag("a b", 20, YELLOW, 1000));
    }

    #[test]
    fn a_long_text_is_cut_to_the_room() {
        let mut lettering = Lettering::default();
        let long = "a very long label of a very talkative model".repeat(20);
        for room in [0, 7, 20, 50, 120] {
            let canvas = lettering.tag(&long, 20, YELLOW, room);
            assert!(canvas.size.width <= room.max(12), "{room}: {}", canvas.size);
        }
        let cut = lettering.tag(&long, 20, YELLOW, 120);
        assert_eq!(cut, lettering.tag(&long[..100], 20, YELLOW, 120));
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
        let first = lettering.tag("dog", 20, YELLOW, 1000);
        assert!(Arc::ptr_eq(&first, &lettering.tag("dog", 20, YELLOW, 1000)));
        for number in 0..2 * MAX_KEPT {
            lettering.tag(&format!("{number}"), 6, YELLOW, 1000);
        }
        assert!(lettering.tags.len() <= MAX_KEPT);
        for number in 0..2 * MAX_KEPT as u32 {
            let character = char::from_u32(0x4e00 + number).expect("CJK ideographs");
            lettering.tag(&character.to_string(), 6, YELLOW, 1000);
        }
        assert!(lettering.glyphs.len() <= MAX_KEPT);
    }
}
