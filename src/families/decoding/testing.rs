//! Helpers of the decoders' tests.

use super::Decoder;
use crate::base::detection::Detection;
use crate::base::geometry::BBox;
use crate::base::tensor::{Element, Tensor, TensorSpec};

pub fn f32_spec(name: &str, dims: &[usize]) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dims: dims.to_vec(),
        element: Element::F32,
    }
}

pub fn detection([x1, y1, x2, y2]: [f32; 4], class: u32, score: f32) -> Detection {
    Detection {
        bbox: BBox::new(x1, y1, x2, y2),
        class,
        score,
    }
}

pub fn spec(name: &str, dims: &[usize], element: Element) -> TensorSpec {
    TensorSpec {
        element,
        ..f32_spec(name, dims)
    }
}

pub fn decoded(decoder: &dyn Decoder, outputs: &[Tensor], threshold: f32) -> Vec<Detection> {
    let mut found = Vec::new();
    decoder
        .decode(outputs, threshold, &mut found)
        .expect("outputs of the layout");
    found
}
