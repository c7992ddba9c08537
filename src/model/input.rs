//! The [`InputSpec`] of a model, out of the file, its reading, the card and what the user asked for.

use super::input_size::{self, InputSize, MAX_SIDE};
use super::{Decision, topic};
use crate::base::geometry::Size;
use crate::base::tensor::{Element, InputSpec, Layout};
use crate::families::card::Card;
use crate::families::recognise::Reading;
use crate::onnx::error::ModelError;
use crate::onnx::facts::{Facts, Port};
use crate::onnx::parse::check_budget;
use crate::onnx::python_literal;

/// What the user wants of the size, and the pictures that are to come, if they are known.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub size: InputSize,
    pub picture: Option<Size>,
}

/// # Errors
/// [`ModelError::InputSize`] for a size that the model does not take, [`ModelError::Card`] for a card that
/// contradicts the file, [`ModelError::TooLarge`].
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
        return Err(card.error(format!(
            "input.name is \"{name}\", but the model's input is \"{}\"",
            picture.name
        )));
    }
    let layout = card.layout.unwrap_or(picture.layout);
    if layout != picture.layout && !picture.layout_guessed {
        return Err(card.error(format!(
            "input.layout contradicts the model's input {}",
            facts
                .inputs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        )));
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

fn size(
    facts: &Facts,
    reading: &Reading,
    card: &Card,
    asked: Asked,
    decisions: &mut Vec<Decision>,
) -> Result<Size, ModelError> {
    let (width, height) = sides(facts, card.layout.unwrap_or(facts.picture.layout));
    let stride = stride(facts, reading);
    let takes = takes(width, height, stride);
    let fits = |size: Size| {
        let side = |fixed: Option<u32>, side: u32| {
            fixed.map_or(side.is_multiple_of(stride), |f| f == side)
        };
        side(width, size.width) && side(height, size.height)
    };
    let mut decide = |size: Size, reason: &str, guessed| {
        decisions.push(Decision::new(topic::INPUT_SIZE, size, reason, guessed));
        Ok(size)
    };
    if let InputSize::Fixed(size) = asked.size {
        // Whether a graph exported for one size can take another is seen when it is prepared.
        let may_follow = [size.width, size.height]
            .iter()
            .all(|side| side.is_multiple_of(stride));
        if !(fits(size) || may_follow) {
            let takes = match (width, height) {
                (Some(width), Some(height)) => {
                    format!(
                        "{} or, if its graph can follow, sides that are multiples of {stride}",
                        Size::new(width, height)
                    )
                }
                _ => takes,
            };
            return Err(ModelError::InputSize { asked: size, takes });
        }
        return decide(size, "asked for", false);
    }
    let usual = input_size::usual(asked.picture, stride);
    if card.width.is_some() || card.height.is_some() {
        let square = input_size::usual(None, stride);
        let side = |own: Option<u32>, fixed: Option<u32>, usual| own.or(fixed).unwrap_or(usual);
        let size = Size::new(
            side(card.width, width, square.width),
            side(card.height, height, square.height),
        );
        if !fits(size) {
            return Err(card.error(format!("input size is {size}, but the model takes {takes}")));
        }
        return decide(size, "the card says so", false);
    }
    if let (Some(width), Some(height)) = (width, height) {
        return decide(Size::new(width, height), "the model was exported so", false);
    }
    let complete =
        |size: Size| Size::new(width.unwrap_or(size.width), height.unwrap_or(size.height));
    match trained_size(facts).map(complete).filter(|size| fits(*size)) {
        Some(size) => decide(size, "of the metadata's imgsz", false),
        None => {
            let reason = match asked.picture {
                Some(_) => {
                    "the usual one, in the shape of the picture; the model takes any and does not say what it was trained at"
                }
                None => {
                    "the usual one; the model takes any and does not say what it was trained at"
                }
            };
            decide(complete(usual), reason, true)
        }
    }
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
