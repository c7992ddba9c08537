//! [`Side`]: an input beside the picture, by which exporters let a graph map its boxes to the picture as it was.
//!
//! | name | exported by | what makes boxes come in input pixels |
//! |---|---|---|
//! | `orig_target_sizes` `[1, 2]` | RT-DETR, D-FINE, DEIM | width and height of the input |
//! | `im_shape` `[1, 2]` | PaddleDetection | height and width of the input |
//! | `scale_factor` `[1, 2]` | PaddleDetection | 1, 1 |
//! | `pixel_mask` `[1, h, w]` | DETR of Hugging Face | 1 everywhere: no padding |

use super::facts::Port;
use crate::base::geometry::Size;
use tract_onnx::pb::tensor_proto::DataType;

/// A mask of more pixels a side is none that a detector has; a bound for what we allocate.
const MAX_MASK_SIDE: usize = 2048;

/// A known input beside the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// Width and height of the picture, `orig_target_sizes`.
    OriginalSize,
    /// Height and width of the input, `im_shape`.
    InputShape,
    /// Scale from picture to input, `scale_factor`.
    ScaleFactor,
    /// Height and width, where the file fixes them.
    PixelMask(Option<usize>, Option<usize>),
}

impl Side {
    /// For messages.
    pub const NAMES: &str = "orig_target_sizes, im_shape, scale_factor or pixel_mask";

    /// `None` for an input that is not known, by name, dims and type.
    pub fn recognise(port: &Port) -> Option<Self> {
        if !is_number(port.data_type) {
            return None;
        }
        match (port.name.as_str(), port.dims()) {
            ("orig_target_sizes", [None | Some(1), Some(2)]) => Some(Self::OriginalSize),
            ("im_shape", [None | Some(1), Some(2)]) => Some(Self::InputShape),
            ("scale_factor", [None | Some(1), Some(2)]) => Some(Self::ScaleFactor),
            ("pixel_mask", &[None | Some(1), h, w]) => {
                let fits = |side: Option<usize>| side.is_none_or(|side| side <= MAX_MASK_SIDE);
                (fits(h) && fits(w)).then_some(Self::PixelMask(h, w))
            }
            _ => None,
        }
    }

    /// Dims and numbers of the constant that takes its place, for an input of this size.
    pub fn constant(&self, input: Size) -> (Vec<usize>, Vec<u32>) {
        let (width, height) = (input.width, input.height);
        match *self {
            Self::OriginalSize => (vec![1, 2], vec![width, height]),
            Self::InputShape => (vec![1, 2], vec![height, width]),
            Self::ScaleFactor => (vec![1, 2], vec![1, 1]),
            Self::PixelMask(h, w) => {
                let (h, w) = (h.unwrap_or(height as usize), w.unwrap_or(width as usize));
                (vec![1, h, w], vec![1; h.saturating_mul(w)])
            }
        }
    }
}

/// Whether a constant of this type can be written.
fn is_number(data_type: i32) -> bool {
    matches!(
        DataType::try_from(data_type),
        Ok(DataType::Float | DataType::Double | DataType::Int64 | DataType::Int32 | DataType::Bool)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::value;

    fn side(name: &str, dims: &[i64]) -> Option<Side> {
        Side::recognise(&Port::new(&value(name, dims)).expect("a port"))
    }

    #[test]
    fn name_and_dims_make_a_side() {
        assert_eq!(
            side("orig_target_sizes", &[-1, 2]),
            Some(Side::OriginalSize)
        );
        assert_eq!(side("im_shape", &[1, 2]), Some(Side::InputShape));
        assert_eq!(side("scale_factor", &[0, 2]), Some(Side::ScaleFactor));
        assert_eq!(
            side("pixel_mask", &[1, 64, -1]),
            Some(Side::PixelMask(Some(64), None))
        );
        assert_eq!(side("pixel_mask", &[1, 64, 4096]), None);
        assert_eq!(side("scale_factor", &[1, 4]), None);
        assert_eq!(side("scale_factor", &[8, 2]), None, "several pictures");
        assert_eq!(side("image", &[1, 2]), None);
    }

    #[test]
    fn sizes_are_in_the_order_of_the_family() {
        let size = Size::new(64, 32);
        assert_eq!(
            Side::OriginalSize.constant(size),
            (vec![1, 2], vec![64, 32])
        );
        assert_eq!(Side::InputShape.constant(size), (vec![1, 2], vec![32, 64]));
        assert_eq!(Side::ScaleFactor.constant(size), (vec![1, 2], vec![1, 1]));
        let mask = Side::PixelMask(Some(2), None).constant(size);
        assert_eq!(mask, (vec![1, 2, 64], vec![1; 128]));
    }
}
