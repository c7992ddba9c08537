//! [`InputSize`]: the input size that the user asked for.

use crate::base::geometry::Size;
pub use crate::families::card::MAX_SIDE;
use std::fmt;
use std::str::FromStr;

/// `auto`, or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputSize {
    /// The exported size. Where the export leaves it free: the size of metadata or card, or else the shape of the pictures.
    #[default]
    Auto,
    /// Width and height in pixels.
    Fixed(Size),
}

/// The longer side of an input of free size that nobody says anything about: what most detectors are trained at.
const USUAL_SIDE: u32 = 640;

/// The input for pictures of such a shape, with sides that are multiples of `stride`: `USUAL_SIDE` on the longer one,
/// and as little as the picture needs on the shorter. Square if there is no picture yet.
pub fn usual(picture: Option<Size>, stride: u32) -> Size {
    let stride = stride.clamp(1, USUAL_SIDE);
    let side =
        |pixels: u64| pixels.clamp(1, USUAL_SIDE.into()).div_ceil(stride.into()) as u32 * stride;
    let picture = picture.unwrap_or(Size::new(1, 1));
    let (width, height) = (u64::from(picture.width), u64::from(picture.height));
    let scaled =
        |short: u64, long: u64| side((short * u64::from(USUAL_SIDE)).div_ceil(long.max(1)));
    let longer = side(USUAL_SIDE.into());
    match width >= height {
        true => Size::new(longer, scaled(height, width)),
        false => Size::new(scaled(width, height), longer),
    }
}

impl FromStr for InputSize {
    type Err = InputSizeError;

    /// "auto", "416" (square), "640x384" (width x height).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || InputSizeError {
            found: text.to_owned(),
        };
        let text = text.trim();
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let side = |side: &str| match side.parse::<u32>() {
            // `parse` takes "+416" too; nobody means that.
            Ok(n) if (1..=MAX_SIDE).contains(&n) && !side.starts_with('+') => Ok(n),
            _ => Err(refuse()),
        };
        let (width, height) = text.split_once('x').unwrap_or((text, text));
        Ok(Self::Fixed(Size::new(side(width)?, side(height)?)))
    }
}

impl fmt::Display for InputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(size) => size.fmt(f),
        }
    }
}

/// A text that is no input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSizeError {
    /// The text.
    pub found: String,
}

impl fmt::Display for InputSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "input size is \"{}\", expected \"auto\", a side like \"416\" or width x height like \"640x384\", \
             each 1 to {MAX_SIDE}",
            self.found
        )
    }
}

impl std::error::Error for InputSizeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_forms_are_read_and_written_alike() {
        assert_eq!("auto".parse(), Ok(InputSize::Auto));
        assert_eq!("416".parse(), Ok(InputSize::Fixed(Size::new(416, 416))));
        let wide: InputSize = " 640x384 ".parse().unwrap();
        assert_eq!(wide, InputSize::Fixed(Size::new(640, 384)));
        assert_eq!(wide.to_string().parse(), Ok(wide));
    }

    #[test]
    fn the_usual_size_has_the_shape_of_the_picture() {
        let usual = |width, height| usual(Some(Size::new(width, height)), 32);
        assert_eq!(
            usual(1920, 1080),
            Size::new(640, 384),
            "360 and what the stride needs"
        );
        assert_eq!(usual(640, 480), Size::new(640, 480));
        assert_eq!(usual(480, 640), Size::new(480, 640));
        assert_eq!(usual(320, 320), Size::new(640, 640));
        assert_eq!(usual(10_000, 1), Size::new(640, 32));
        assert_eq!(usual(1, u32::MAX), Size::new(32, 640));
        assert_eq!(usual(0, 0), Size::new(640, 32), "no such picture comes");
        assert_eq!(super::usual(None, 32), Size::new(640, 640));
        assert_eq!(
            super::usual(Some(Size::new(16, 9)), 128),
            Size::new(640, 384)
        );
        assert_eq!(
            super::usual(Some(Size::new(16, 9)), 4096),
            Size::new(640, 640)
        );
    }

    #[test]
    fn junk_is_refused_with_the_good_forms() {
        for junk in [
            "",
            "0",
            "0x416",
            "416x",
            "x416",
            "-1",
            "+416",
            "8193",
            "640X384",
            "1x2x3",
            "4e2",
            "99999999999",
        ] {
            let error = junk.parse::<InputSize>().unwrap_err().to_string();
            assert!(error.contains(&format!("\"{junk}\"")), "{error}");
            assert!(
                error.contains("auto") && error.contains("640x384"),
                "{error}"
            );
        }
    }
}
