//! [`Fonts`]: the built-in font, and those added for characters that it lacks; and [`Glyph`], a rasterised character.

use ab_glyph::{Font as _, FontArc, FontRef, FontVec, GlyphId, PxScale, ScaleFont};
use std::collections::{BTreeSet, HashSet};

/// Most fonts beside the built-in one.
const MAX_ADDED: usize = 8;
/// Most characters that a font is looked for.
const MAX_SOUGHT: usize = 512;

/// A font for characters that the built-in one lacks.
#[derive(Clone)]
pub struct Font(FontArc);

impl Font {
    /// Reads a font file, of a collection the font `index`. Returns `None` if the bytes are no font with an outline for
    /// `character`.
    pub fn new(bytes: Vec<u8>, index: u32, character: char) -> Option<Self> {
        let font = FontVec::try_from_vec_and_index(bytes, index).ok()?;
        let font = Self(FontArc::new(font));
        font.0.outline(font.0.glyph_id(character))?;
        font.has(character).then_some(font)
    }

    /// Returns whether the font has this character.
    pub fn has(&self, character: char) -> bool {
        self.0.glyph_id(character) != GlyphId(0)
    }
}

/// Place of a font in [`Fonts`], and of a character in it.
pub(super) type Place = (usize, GlyphId);

/// Fonts in the order in which they are asked for a character.
pub(super) struct Fonts {
    all: Vec<FontArc>,
    /// Characters that no font has, and that nobody has looked for yet.
    missing: BTreeSet<char>,
    /// Characters that were looked for before.
    sought: HashSet<char>,
}

impl Default for Fonts {
    fn default() -> Self {
        let font = FontRef::try_from_slice(dejavu::sans::regular())
            .expect("the font is part of this library and was read by its tests");
        Self::new(FontArc::new(font))
    }
}

impl Fonts {
    fn new(first: FontArc) -> Self {
        Self {
            all: vec![first],
            missing: BTreeSet::new(),
            sought: HashSet::new(),
        }
    }

    #[cfg(test)]
    pub fn only(font: Font) -> Self {
        Self::new(font.0)
    }

    /// Adds a font; false if there are too many.
    pub fn add(&mut self, font: Font) -> bool {
        let added = self.all.len() <= MAX_ADDED;
        if added {
            self.all.push(font.0);
        }
        added
    }

    /// Takes the characters that were drawn as boxes since the last call. Each is returned once.
    pub fn take_missing(&mut self) -> Vec<char> {
        let missing = std::mem::take(&mut self.missing);
        self.sought.extend(&missing);
        missing.into_iter().collect()
    }

    /// Returns the first font that has the character, else the box of the built-in font.
    pub fn find(&mut self, character: char) -> Place {
        let mut places = self
            .all
            .iter()
            .map(|font| font.glyph_id(character))
            .enumerate();
        places.find(|(_, id)| *id != GlyphId(0)).unwrap_or_else(|| {
            let known = self.sought.len() + self.missing.len();
            if known < MAX_SOUGHT && !self.sought.contains(&character) {
                self.missing.insert(character);
            }
            (0, GlyphId(0))
        })
    }

    /// Returns ascent and descent of the built-in font, which set the height of all texts. The descent is negative.
    pub fn heights(&self, font_size: u32) -> (f32, f32) {
        let scaled = self.all[0].as_scaled(self.scale(0, font_size));
        (scaled.ascent(), scaled.descent())
    }

    /// Returns by how much two neighbours are moved together.
    pub fn kern(&self, last: Place, next: Place, font_size: u32) -> f32 {
        if last.0 != next.0 {
            return 0.0;
        }
        let scale = self.scale(next.0, font_size);
        self.all[next.0].as_scaled(scale).kern(last.1, next.1)
    }

    pub fn rasterise(&self, place: Place, font_size: u32) -> Glyph {
        let (font, scale) = (&self.all[place.0], self.scale(place.0, font_size));
        Glyph::new(font, scale, place)
    }

    /// Converts a font size: ab_glyph scales by line height, people by the em square.
    fn scale(&self, font: usize, font_size: u32) -> PxScale {
        let font = &self.all[font];
        let em = font.units_per_em().unwrap_or(2048.0);
        PxScale::from(font_size as f32 * font.height_unscaled() / em)
    }
}

/// A rasterised character: coverage of each pixel, 0 to 255, and its position relative to the pen on the baseline.
pub(super) struct Glyph {
    pub place: Place,
    pub left: i32,
    pub top: i32,
    pub width: usize,
    pub coverage: Vec<u8>,
    pub advance: f32,
}

impl Glyph {
    fn new(font: &FontArc, scale: PxScale, place: Place) -> Self {
        let id = place.1;
        let mut glyph = Self {
            place,
            left: 0,
            top: 0,
            width: 0,
            coverage: Vec::new(),
            advance: font.as_scaled(scale).h_advance(id),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// DejaVu Serif has no Hebrew, DejaVu Sans has.
    const HEBREW: char = 'א';

    fn serif() -> Fonts {
        let serif = FontRef::try_from_slice(dejavu::serif::regular()).expect("a font");
        Fonts::new(FontArc::new(serif))
    }

    fn sans() -> Font {
        Font::new(dejavu::sans::regular().to_vec(), 0, HEBREW).expect("it has Hebrew")
    }

    #[test]
    fn a_character_comes_from_the_first_font_that_has_it() {
        let mut fonts = serif();
        assert_eq!(fonts.find(HEBREW), (0, GlyphId(0)));
        assert!(fonts.add(sans()));
        assert_eq!(fonts.find('a').0, 0);
        let place = fonts.find(HEBREW);
        assert_eq!((place.0, place.1 == GlyphId(0)), (1, false));
        let (glyph, mut only) = (fonts.rasterise(place, 20), Fonts::default());
        let same = only.find(HEBREW);
        let wanted = only.rasterise(same, 20);
        assert_eq!(glyph.coverage, wanted.coverage);
        let latin = fonts.find('a');
        assert_eq!(fonts.kern(latin, place, 20), 0.0);
    }

    #[test]
    fn a_missing_character_is_told_once() {
        let mut fonts = serif();
        for character in [HEBREW, 'ב', HEBREW, 'a'] {
            fonts.find(character);
        }
        assert_eq!(fonts.take_missing(), [HEBREW, 'ב']);
        fonts.find(HEBREW);
        assert_eq!(fonts.take_missing(), []);
        for number in 0..3 * MAX_SOUGHT as u32 {
            fonts.find(char::from_u32(0x4e00 + number).expect("CJK ideographs"));
        }
        assert!(fonts.take_missing().len() < MAX_SOUGHT);
    }

    #[test]
    fn what_is_no_font_or_lacks_the_character_is_not_added() {
        assert!(Font::new(b"no font".to_vec(), 0, 'a').is_none());
        assert!(Font::new(dejavu::sans::regular().to_vec(), 9, 'a').is_none());
        assert!(Font::new(dejavu::serif::regular().to_vec(), 0, HEBREW).is_none());
        assert!(sans().has(HEBREW) && !sans().has('犬'));
        let mut fonts = serif();
        let added = (0..2 * MAX_ADDED).filter(|_| fonts.add(sans())).count();
        assert_eq!(added, MAX_ADDED);
    }
}
