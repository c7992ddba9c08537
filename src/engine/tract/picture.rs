//! [`picture`]: what a model is tried on before it sees a camera.

use crate::base::tensor::{Element, InputSpec, Layout, Tensor, TensorData};

/// Draws a scene: a sky that turns into ground, boxes and discs of several sizes and colours, and some noise. Always the same.
pub(super) fn picture(input: &InputSpec) -> Tensor {
    let (w, h) = (input.size.width as usize, input.size.height as usize);
    let mut values = vec![0f32; 3 * w * h];
    let mut noise = 1u32;
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
        let at = [y as f32 / h as f32, x as f32 / w as f32];
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 24) as f32 / 16. - 8.;
        for (c, colour) in colour(at).into_iter().enumerate() {
            let byte = (colour + grain).clamp(0., 255.).round();
            let value = match input.element {
                Element::U8 => byte,
                _ => (byte - input.mean[c]) / input.std[c],
            };
            let place = match input.layout {
                Layout::Nchw => (c * h + y) * w + x,
                Layout::Nhwc => (y * w + x) * 3 + c,
            };
            values[place] = value;
        }
    }
    let data = match input.element {
        Element::U8 => TensorData::U8(values.iter().map(|&value| value as u8).collect()),
        _ => TensorData::F32(values),
    };
    Tensor {
        data,
        ..input.blank()
    }
}

/// Colour of a place, both of whose coordinates run from 0 to 1.
fn colour([y, x]: [f32; 2]) -> [f32; 3] {
    /// Centre, half of the height and of the width, whether it is round, and colour.
    type Thing = ([f32; 2], [f32; 2], bool, [f32; 3]);
    const THINGS: [Thing; 7] = [
        ([0.30, 0.20], [0.20, 0.08], false, [120., 60., 50.]),
        ([0.62, 0.35], [0.25, 0.06], false, [40., 50., 110.]),
        ([0.42, 0.35], [0.05, 0.04], true, [220., 180., 150.]),
        ([0.72, 0.72], [0.12, 0.20], false, [190., 30., 30.]),
        ([0.84, 0.60], [0.06, 0.06], true, [20., 20., 20.]),
        ([0.84, 0.84], [0.06, 0.06], true, [20., 20., 20.]),
        ([0.18, 0.78], [0.07, 0.07], true, [250., 240., 160.]),
    ];
    let mut colour = match y < 0.55 {
        true => [90. + 120. * y, 140. + 90. * y, 230.],
        false => [150. - 60. * y, 140. - 40. * y, 100. - 50. * y],
    };
    for (centre, half, is_round, paint) in THINGS {
        let [dy, dx] = [(y - centre[0]) / half[0], (x - centre[1]) / half[1]];
        let is_inside = match is_round {
            true => dy * dy + dx * dx < 1.,
            false => dy.abs() < 1. && dx.abs() < 1.,
        };
        if is_inside {
            colour = paint.map(|part| part * (1. - 0.3 * dx));
        }
    }
    colour
}
