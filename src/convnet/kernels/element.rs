//! Types of a map's values in memory.

/// Type of the values of a map, of the weights that meet it, and of the arithmetic between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    #[default]
    F32,
    F16,
}

impl Element {
    /// Bytes of one value.
    pub const fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F16 => 2,
        }
    }

    /// Values of this type that take as much memory as one f32.
    pub const fn per_float(self) -> usize {
        size_of::<f32>() / self.size()
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Element::F32 => "f32",
            Element::F16 => "f16",
        })
    }
}

/// A value in memory.
pub trait Number: Copy + Send + Sync + 'static {
    const ELEMENT: Element;

    /// Converts from f32, rounding to the nearest value, to the even one if there are two.
    fn from_f32(x: f32) -> Self;

    fn to_f32(self) -> f32;
}

impl Number for f32 {
    const ELEMENT: Element = Element::F32;

    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

/// A number of IEEE 754 binary16, as its bits: Rust's own type of that format is not stable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Half(u16);

impl Half {
    /// Largest finite value.
    pub const MAX: f32 = 65_504.;

    /// Smallest positive value that has all eleven bits.
    pub const LEAST_NORMAL: f32 = 1. / 16_384.;
}

impl Number for Half {
    const ELEMENT: Element = Element::F16;

    #[inline]
    fn from_f32(x: f32) -> Self {
        let bits = x.to_bits();
        let sign = (bits >> 16 & 0x8000) as u16;
        let magnitude = f32::from_bits(bits & 0x7fff_ffff);
        let rest = if magnitude.is_nan() {
            0x7e00
        } else if magnitude >= 65_520. {
            // the middle between the largest value and the next power of two rounds to infinity
            0x7c00
        } else if magnitude < Self::LEAST_NORMAL {
            // The sum with 0.5 has the spacing of subnormal numbers, and the processor rounds it.
            ((magnitude + 0.5).to_bits() - 0.5f32.to_bits()) as u16
        } else {
            let bits = magnitude.to_bits();
            // half of the last place that stays, less one unless that place is odd
            let rounded = bits + 0xfff + (bits >> 13 & 1);
            ((rounded >> 13) - (112 << 10)) as u16
        };
        Half(sign | rest)
    }

    #[inline]
    fn to_f32(self) -> f32 {
        let sign = u32::from(self.0 & 0x8000) << 16;
        let rest = u32::from(self.0 & 0x7fff);
        let magnitude = match rest >> 10 {
            0 => (f32::from_bits(rest | 0.5f32.to_bits()) - 0.5).to_bits(),
            31 => 0x7f80_0000 | (rest & 0x3ff) << 13,
            _ => (rest << 13) + (112 << 23),
        };
        f32::from_bits(sign | magnitude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_f32() {
        for bits in 0..=u16::MAX {
            let half = Half(bits);
            let x = half.to_f32();
            if x.is_nan() {
                assert!(Half::from_f32(x).to_f32().is_nan());
            } else {
                assert_eq!(Half::from_f32(x), half, "{x}");
            }
        }
    }

    #[test]
    fn f32_rounds_to_the_nearest_half_and_to_the_even_one_between_two() {
        for bits in 0..0x7c00u16 {
            let (low, high) = (Half(bits), Half(bits + 1));
            let x = low.to_f32();
            let next = match bits {
                0x7bff => 65_536.,
                _ => high.to_f32(),
            };
            let middle = x + (next - x) / 2.;
            let even = if bits % 2 == 0 { low } else { high };
            for (value, wanted) in [
                (middle, even),
                (middle.next_down(), low),
                (middle.next_up(), high),
            ] {
                assert_eq!(Half::from_f32(value), wanted, "{value}");
                let negative = Half::from_f32(-value);
                assert_eq!(negative.0, wanted.0 | 0x8000, "-{value}");
            }
        }
        assert_eq!(Half::from_f32(f32::MAX), Half(0x7c00));
        assert_eq!(Half::from_f32(1e-30), Half(0));
    }
}
