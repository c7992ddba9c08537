//! Change of size: where output pixels lie in the source.

/// How [`Resize`] reads between source pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest pixel; `x.5` goes down, as ONNX's `round_prefer_floor`.
    NearestRoundDown,
    /// The nearest pixel; `x.5` goes up, as ONNX's `round_prefer_ceil`.
    NearestRoundUp,
    /// The pixel at or before the position, as ONNX's `floor`.
    NearestFloor,
    /// The pixel at or after the position, as ONNX's `ceil`.
    NearestCeil,
    Linear,
}

/// Where an output pixel of [`Resize`] lies in the source, as ONNX names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    HalfPixel,
    /// Half-pixel, but an output of one pixel reads position 0.
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// Change of size. Pairs read `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resize {
    pub interpolation: Interpolation,
    pub coordinates: Coordinates,
    /// Output height and width.
    pub size: [usize; 2],
    /// Output pixels per source pixel. Usually `size / source size`; a model may state a slightly different factor.
    pub scale: [f64; 2],
}

/// Source of one output row or column: `(first, second, weight of the second)`.
pub type Tap = (usize, usize, f32);

impl Resize {
    /// Computes where every output row (`axis` 0) or column (`axis` 1) comes from. `from` is the source's length.
    pub fn taps(&self, axis: usize, from: usize) -> Vec<Tap> {
        let (to, scale) = (self.size[axis], self.scale[axis]);
        let last = (from - 1) as f64;
        (0..to)
            .map(|i| {
                let x = self.position(i, from, to, scale);
                let nearest = match self.interpolation {
                    Interpolation::Linear => {
                        let x = x.clamp(0., last);
                        let first = x.floor();
                        let second = (first + 1.).min(last);
                        return (first as usize, second as usize, (x - first) as f32);
                    }
                    Interpolation::NearestRoundDown => (x - 0.5).ceil(),
                    Interpolation::NearestRoundUp => (x + 0.5).floor(),
                    Interpolation::NearestFloor => x.floor(),
                    Interpolation::NearestCeil => x.ceil(),
                };
                let at = nearest.clamp(0., last) as usize;
                (at, at, 0.)
            })
            .collect()
    }

    fn position(&self, i: usize, from: usize, to: usize, scale: f64) -> f64 {
        let i = i as f64;
        match self.coordinates {
            Coordinates::PytorchHalfPixel if to == 1 => 0.,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if to == 1 => 0.,
            Coordinates::AlignCorners => i * (from - 1) as f64 / (to - 1) as f64,
            Coordinates::Asymmetric => i / scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_follow_onnx() {
        let resize = |interpolation, coordinates, to: usize, from: usize| {
            Resize {
                interpolation,
                coordinates,
                size: [to, to],
                scale: [to as f64 / from as f64; 2],
            }
            .taps(0, from)
        };
        let nearest = resize(Interpolation::NearestFloor, Coordinates::Asymmetric, 6, 3);
        assert_eq!(
            nearest.iter().map(|t| t.0).collect::<Vec<_>>(),
            [0, 0, 1, 1, 2, 2]
        );
        let linear = resize(Interpolation::Linear, Coordinates::HalfPixel, 4, 2);
        assert_eq!(linear, [(0, 1, 0.), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.)]);
        let corners = resize(Interpolation::Linear, Coordinates::AlignCorners, 3, 2);
        assert_eq!(corners, [(0, 1, 0.), (0, 1, 0.5), (1, 1, 0.)]);
    }
}
