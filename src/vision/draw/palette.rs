//! [`colour_of`]: a colour for every class, from a palette that people with poor colour vision can tell apart.
//!
//! The first seven colours are those of Okabe and Ito ("Color Universal Design", 2008) without black. Five more were
//! chosen for the greatest distance from all others in CIELAB, to normal eyes and to eyes without red, green or blue
//! cones, as simulated by Machado, Oliveira and Fernandes (2009). The tests hold every pair to that.

use super::canvas::Rgba;

const PALETTE: [[u8; 3]; 12] = [
    [0xe6, 0x9f, 0x00], // orange
    [0x56, 0xb4, 0xe9], // sky blue
    [0x00, 0x9e, 0x73], // bluish green
    [0xf0, 0xe4, 0x42], // yellow
    [0x00, 0x72, 0xb2], // blue
    [0xd5, 0x5e, 0x00], // vermillion
    [0xcc, 0x79, 0xa7], // reddish purple
    [0x88, 0x00, 0xff], // violet
    [0xcc, 0xff, 0xcc], // pale green
    [0x99, 0xbb, 0x66], // olive
    [0x99, 0x44, 0x33], // brown
    [0xbb, 0x55, 0xff], // light violet
];

/// Chosen so that classes often seen together, on a street, at home, on a pasture, get different colours; see the
/// tests.
const SEED: u64 = 746_690;

/// Returns the opaque colour of a class, the same in every run. More than twelve classes share colours.
pub fn colour_of(class: &str) -> Rgba {
    // FNV-1a, then mixed, so that the last letter alone changes the colour.
    let hash = class.bytes().fold(SEED, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let [r, g, b] = PALETTE[hash as usize % PALETTE.len()];
    [r, g, b, 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = [[f64; 3]; 3];

    /// Full loss of one kind of cone, for linear red, green and blue. The first is normal sight.
    const SIGHTS: [(&str, Matrix); 4] = [
        (
            "normal",
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        ),
        (
            "without red",
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
        ),
        (
            "without green",
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
        ),
        (
            "without blue",
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ),
    ];
    /// Linear red, green, blue to X, Y, Z, each as a share of white (D65).
    const TO_XYZ: Matrix = [
        [0.433_953, 0.376_219, 0.189_829],
        [0.212_673, 0.715_152, 0.072_175],
        [0.017_758, 0.109_477, 0.872_766],
    ];
    /// The two closest colours of Okabe and Ito have 16.1.
    const LEAST_DISTANCE: f64 = 16.0;

    fn times(matrix: &Matrix, v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    fn linear(colour: [u8; 3]) -> [f64; 3] {
        colour.map(|v| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    fn lab(colour: [u8; 3], sight: &Matrix) -> [f64; 3] {
        let seen = times(sight, linear(colour)).map(|v| v.clamp(0.0, 1.0));
        let [x, y, z] = times(&TO_XYZ, seen).map(|v| {
            if v > 0.008_856 {
                v.cbrt()
            } else {
                7.787 * v + 16.0 / 116.0
            }
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn every_two_colours_differ_to_every_kind_of_sight() {
        for (name, sight) in SIGHTS {
            for (index, &one) in PALETTE.iter().enumerate() {
                for &other in &PALETTE[..index] {
                    let (a, b) = (lab(one, &sight), lab(other, &sight));
                    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
                    let distance = squares.sum::<f64>().sqrt();
                    assert!(
                        distance >= LEAST_DISTANCE,
                        "{name}: {one:02x?} and {other:02x?} are {distance:.1} apart"
                    );
                }
            }
        }
    }

    #[test]
    fn no_colour_is_lost_in_black() {
        for colour in PALETTE {
            let lightness = lab(colour, &SIGHTS[0].1)[0];
            assert!(lightness > 38.0, "{colour:02x?}: {lightness:.0}");
        }
    }

    #[test]
    fn classes_seen_together_differ() {
        for scene in [
            "person,bicycle,car,motorcycle,bus,truck,dog",
            "person,car,traffic light,stop sign",
            "person,cat,dog,chair,couch,tv,laptop,bottle,cup,dining table",
            "person,dog,cat,horse,sheep,cow,bird",
            "face,person,plate,license plate",
        ] {
            let mut colours: Vec<_> = scene.split(',').map(colour_of).collect();
            let count = colours.len();
            colours.sort_unstable();
            colours.dedup();
            assert_eq!(colours.len(), count, "{scene}");
        }
    }

    #[test]
    fn colours_are_the_same_in_every_run_and_all_are_used() {
        assert_eq!(colour_of("person"), [0x56, 0xb4, 0xe9, 255]);
        let of_number = |number| colour_of(&format!("class {number}"));
        let seen: std::collections::HashSet<_> = (0..100).map(of_number).collect();
        assert_eq!(seen.len(), PALETTE.len());
    }
}
