//! How exporters of several families prepare pictures.

use crate::base::tensor::{ColourOrder, Interpolation, ResizeMode};
use crate::families::reading::Convention;
use crate::onnx::facts::Facts;
use crate::onnx::side_input::Side;

/// Levels 0..255, BGR, at the top left: YOLOX.
pub fn yolox() -> Convention {
    Convention {
        colour: ColourOrder::Bgr,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: ResizeMode::LetterboxTopLeft,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}

/// Pixels from 0 to 1, RGB, in the middle of the input: Ultralytics, and most YOLO models since YOLOv5.
pub fn ultralytics() -> Convention {
    Convention {
        colour: ColourOrder::Rgb,
        std: [255.0; 3],
        resize: ResizeMode::LetterboxCentre,
        ..yolox()
    }
}

/// Pixels from 0 to 1, RGB, stretched over the input.
pub fn stretched() -> Convention {
    Convention {
        colour: ColourOrder::Rgb,
        mean: [0.0; 3],
        std: [255.0; 3],
        resize: ResizeMode::Stretch,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}

/// [`stretched`], with ImageNet's mean and deviation.
pub fn imagenet() -> Convention {
    Convention {
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
        ..stretched()
    }
}

/// PaddleDetection. RT-DETR and PP-YOLOE+ take pixels from 0 to 1; PicoDet, PP-YOLOE and others ImageNet's mean and deviation. Only
/// the former want the shape of the input.
pub fn paddle(facts: &Facts) -> Convention {
    let plain = facts.sides.contains(&Side::InputShape);
    Convention {
        interpolation: Interpolation::Cubic,
        ..if plain { stretched() } else { imagenet() }
    }
}
