//! The [`InputSpec`] of a model, out of the file, its reading, the card and what the user asked for.

use super::error::ModelError;
use super::input_size::{self, InputSize, MAX_SIDE};
use super::{Decision, topic};
use crate::base::geometry::Size;
use crate::base::tensor::{Element, InputSpec, Layout};
use crate::families::Reading;
use crate::families::card::Card;
use crate::onnx::error::OnnxError;
use crate::onnx::facts::{Facts, Port};
use crate::onnx::parse::check_budget;
use crate::onnx::python_literal;

/// The size that the user wants, and the size of the pictures to come if it is known.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The property `input-size`.
    pub size: InputSize,
    /// Size of the pictures to come, if it is known.
    pub picture: Option<Size>,
}

/// # Errors
/// [`OnnxError::InputSize`] for a size that the model does not take, [`ModelError::Card`] for a card that
/// contradicts the file, [`OnnxError::TooLarge`].
pub fn spec(
    facts: &Facts,
    reading: &Reading,
    card: &Card,
    asked: Asked,
    decisions: &mut Vec<Decision>,
) -> Result<InputSpec, ModelError> {
    let (name, layout) = port(facts, card, decisions)?;
    let size = size(facts, reading, card, asked, decisions)?;
    let convention = &reading.convention;
    let mut spec = InputSpec {
        name,
        size,
        layout,
        element: facts.picture.element,
        colour: convention.colour,
        mean: convention.mean,
        std: convention.std,
        resize: convention.resize,
        pad_value: convention.pad_value,
        interpolation: convention.interpolation,
    };
    if spec.element == Element::U8 {
        // Pixels as they are; whatever the family does to them is then in the graph.
        (spec.mean, spec.std) = ([0.0; 3], [1.0; 3]);
    }
    check_budget(
        &format!("input \"{}\"", spec.name),
        &spec.dims().map(|dim| dim as i64),
    )?;
    Ok(spec)
}

/// Name and layout, which the card may state and the file must allow.
fn port(
    facts: &Facts,
    card: &Card,
    decisions: &mut Vec<Decision>,
) -> Result<(String, Layout), ModelError> {
    let picture = &facts.picture;
    if let Some(name) = card.name.as_ref().filter(|name| **name != picture.name) {
        return Err(card
            .error(format!(
                "input.name is \"{name}\", but the model's input is \"{}\"",
                picture.name
            ))
            .into());
    }
    let layout = card.layout.unwrap_or(picture.layout);
    if layout != picture.layout && !picture.layout_guessed {
        return Err(card
            .error(format!(
                "input.layout contradicts the model's input {}",
                facts
                    .inputs
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ))
            .into());
    }
    let shown = match layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
    };
    let (reason, guessed) = match (card.layout, picture.layout_guessed) {
        (Some(_), _) => ("the card says so", false),
        (None, true) => ("most detectors do; the dims of the input do not tell", true),
        (None, false) => ("of the input's dims", false),
    };
    decisions.push(Decision::new(topic::LAYOUT, shown, reason, guessed));
    Ok((picture.name.clone(), layout))
}

/// The sides that a model fixes, and the rule for those it leaves free.
struct Sides {
    width: Option<u32>,
    height: Option<u32>,
    /// A free side must be a multiple of this.
    stride: u32,
}

impl Sides {
    fn fit(&self, size: Size) -> bool {
        let fits = |fixed: Option<u32>, side: u32| {
            fixed.map_or(side.is_multiple_of(self.stride), |f| f == side)
        };
        fits(self.width, size.width) && fits(self.height, size.height)
    }

    /// Returns `size` with the sides that the model fixes.
    fn complete(&self, size: Size) -> Size {
        Size::new(
            self.width.unwrap_or(size.width),
            self.height.unwrap_or(size.height),
        )
    }

    fn fixed(&self) -> Option<Size> {
        Some(Size::new(self.width?, self.height?))
    }

    fn takes(&self) -> String {
        takes(self.width, self.height, self.stride)
    }

    /// # Errors
    /// [`OnnxError::InputSize`] for a size that neither fits nor can be followed.
    fn check_asked(&self, size: Size) -> Result<(), ModelError> {
        // Whether a graph exported for one size can take another is seen when it is prepared.
        let mut sides = [size.width, size.height].into_iter();
        let may_follow = sides.all(|side| side.is_multiple_of(self.stride));
        if self.fit(size) || may_follow {
            return Ok(());
        }
        let takes = match self.fixed() {
            Some(fixed) => format!(
                "{fixed} or, if its graph can follow, sides that are multiples of {}",
                self.stride
            ),
            None => self.takes(),
        };
        Err(OnnxError::InputSize { asked: size, takes }.into())
    }

    /// The size that a card states, if it states a side.
    ///
    /// # Errors
    /// [`ModelError::Card`] if the model does not take it.
    fn of_card(&self, card: &Card) -> Result<Option<Size>, ModelError> {
        if card.width.is_none() && card.height.is_none() {
            return Ok(None);
        }
        let square = input_size::usual(None, self.stride);
        let side = |own: Option<u32>, fixed: Option<u32>, usual| own.or(fixed).unwrap_or(usual);
        let size = Size::new(
            side(card.width, self.width, square.width),
            side(card.height, self.height, square.height),
        );
        if !self.fit(size) {
            let takes = self.takes();
            return Err(card
                .error(format!("input size is {size}, but the model takes {takes}"))
                .into());
        }
        Ok(Some(size))
    }
}

fn size(
    facts: &Facts,
    reading: &Reading,
    card: &Card,
    asked: Asked,
    decisions: &mut Vec<Decision>,
) -> Result<Size, ModelError> {
    let (width, height) = sides(facts, card.layout.unwrap_or(facts.picture.layout));
    let sides = Sides {
        width,
        height,
        stride: stride(facts, reading),
    };
    let (size, reason, guessed) = if let InputSize::Fixed(size) = asked.size {
        sides.check_asked(size)?;
        (size, "asked for", false)
    } else if let Some(size) = sides.of_card(card)? {
        (size, "the card says so", false)
    } else if let Some(size) = sides.fixed() {
        (size, "the model was exported so", false)
    } else {
        auto_size(facts, &sides, asked.picture)
    };
    decisions.push(Decision::new(topic::INPUT_SIZE, size, reason, guessed));
    Ok(size)
}

/// The size for which dims that the file leaves open are worked out before the family is known: as exported, or else
/// that of the card, of the metadata, or the usual one.
pub fn likely_size(facts: &Facts, card: &Card) -> Size {
    let (width, height) = sides(facts, card.layout.unwrap_or(facts.picture.layout));
    let usual = trained_size(facts).unwrap_or(input_size::usual(None, 1));
    Size::new(
        width.or(card.width).unwrap_or(usual.width),
        height.or(card.height).unwrap_or(usual.height),
    )
}

/// The size of an input of which a side is free and nobody says anything; why, and whether it is a guess.
fn auto_size(facts: &Facts, sides: &Sides, picture: Option<Size>) -> (Size, &'static str, bool) {
    let trained = trained_size(facts).map(|size| sides.complete(size));
    if let Some(size) = trained.filter(|size| sides.fit(*size)) {
        return (size, "of the metadata's imgsz", false);
    }
    let reason = match picture {
        Some(_) => {
            "the usual one, in the shape of the picture; the model takes any and does not say what it was trained at"
        }
        None => "the usual one; the model takes any and does not say what it was trained at",
    };
    let usual = input_size::usual(picture, sides.stride);
    (sides.complete(usual), reason, true)
}

/// The stride of sides that `auto` chooses in the shape of the pictures: nobody says anything about either.
pub fn follows_picture(
    facts: &Facts,
    reading: &Reading,
    card: &Card,
    asked: InputSize,
) -> Option<u32> {
    let layout = card.layout.unwrap_or(facts.picture.layout);
    let nobody_says = asked == InputSize::Auto
        && sides(facts, layout) == (None, None)
        && (card.width, card.height) == (None, None);
    let stride = stride(facts, reading);
    let trained = trained_size(facts)
        .filter(|size| size.width.is_multiple_of(stride) && size.height.is_multiple_of(stride));
    (nobody_says && trained.is_none()).then_some(stride)
}

/// The size that the export fixes; where it leaves a side free, that of `input`.
pub fn exported(facts: &Facts, input: &InputSpec) -> Size {
    let (width, height) = sides(facts, input.layout);
    Size::new(
        width.unwrap_or(input.size.width),
        height.unwrap_or(input.size.height),
    )
}

/// Width and height as exported; where the dims left the layout open, they are read as the card wants.
fn sides(facts: &Facts, layout: Layout) -> (Option<u32>, Option<u32>) {
    let picture = &facts.picture;
    if layout == picture.layout {
        return (picture.width, picture.height);
    }
    let side = |index: usize| {
        let own = |input: &&Port| input.name == picture.name;
        let dims = facts.inputs.iter().find(own).map(|input| input.dims())?;
        u32::try_from((*dims.get(index)?)?).ok()
    };
    match layout {
        Layout::Nchw => (side(3), side(2)),
        Layout::Nhwc => (side(2), side(1)),
    }
}

/// Ultralytics' `imgsz`: "[height, width]", or one number.
fn trained_size(facts: &Facts) -> Option<Size> {
    let side = |n: i64| u32::try_from(n).ok().filter(|n| (1..=MAX_SIDE).contains(n));
    match python_literal::integers(facts.metadata("imgsz")?)?[..] {
        [both] => Some(Size::new(side(both)?, side(both)?)),
        [height, width] => Some(Size::new(side(width)?, side(height)?)),
        _ => None,
    }
}

/// Ultralytics' metadata know strides that no dim of a model of free size shows.
fn stride(facts: &Facts, reading: &Reading) -> u32 {
    let told = facts.metadata("stride").and_then(python_literal::integers);
    let told = told
        .and_then(|strides| strides.into_iter().max())
        .and_then(|n| u32::try_from(n).ok());
    told.filter(|n| (1..=1024).contains(n))
        .unwrap_or(1)
        .max(reading.stride)
}

fn takes(width: Option<u32>, height: Option<u32>, stride: u32) -> String {
    match (width, height) {
        (Some(width), Some(height)) => format!("{} only", Size::new(width, height)),
        (Some(width), None) => {
            format!("a width of {width} and any height that is a multiple of {stride}")
        }
        (None, Some(height)) => {
            format!("a height of {height} and any width that is a multiple of {stride}")
        }
        (None, None) => format!("sides that are multiples of {stride}"),
    }
}
