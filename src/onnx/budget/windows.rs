//! Kernels, strides, pads and dilations, against the maps that they slide over.

use super::name_of;
use crate::onnx::infer::Attributes;
use tract_onnx::pb::NodeProto;

/// Largest kernel, stride, dilation or pad along an axis; the largest of known detectors is 31.
const MAX_EXTENT: i64 = 4096;

/// Refuses the window of a convolution or a pool. `map` are the sides of the map, if they are known; `kernel` those of a
/// convolution's weights.
pub fn check(
    node: &NodeProto,
    map: Option<&[usize]>,
    kernel: Option<&[usize]>,
) -> Result<(), String> {
    let attributes = Attributes::new(node);
    check_numbers(node, attributes)?;
    let stated = attributes.integers("kernel_shape").unwrap_or_default();
    let kernel: Vec<i64> = match kernel {
        Some(kernel) => kernel.iter().map(|&side| bounded(side)).collect(),
        None => stated.to_vec(),
    };
    match map {
        Some(map) if map.len() == kernel.len() && node.op_type != "ConvTranspose" => {
            check_room(node, attributes, map, &kernel)
        }
        _ => Ok(()),
    }
}

/// Returns a side as a number that can be added to others.
fn bounded(side: usize) -> i64 {
    side.min(1 << 32) as i64
}

/// Refuses numbers that no window has, whatever the map.
fn check_numbers(node: &NodeProto, attributes: Attributes) -> Result<(), String> {
    for (name, least) in [
        ("kernel_shape", 1),
        ("strides", 1),
        ("dilations", 1),
        // a pad below 0 cuts
        ("pads", -MAX_EXTENT),
        ("output_padding", 0),
    ] {
        let mut numbers = attributes.integers(name).unwrap_or_default().iter();
        if let Some(wrong) = numbers.find(|n| !(least..=MAX_EXTENT).contains(*n)) {
            return Err(format!(
                "{} has {wrong} among its {name}, expected {least} to {MAX_EXTENT}",
                name_of(node)
            ));
        }
    }
    Ok(())
}

/// Refuses a window that is larger than its map with pads, and pads that are larger than map and window.
fn check_room(
    node: &NodeProto,
    attributes: Attributes,
    map: &[usize],
    kernel: &[i64],
) -> Result<(), String> {
    let list = |name: &str| attributes.integers(name).unwrap_or_default();
    let (pads, dilations) = (list("pads"), list("dilations"));
    let mode = attributes.text("auto_pad");
    let padded_itself = mode.is_some_and(|mode| mode.starts_with(b"SAME"));
    for (axis, (&side, &kernel)) in map.iter().zip(kernel).enumerate() {
        let pad = |at: usize| pads.get(at).copied().unwrap_or(0);
        let (before, after) = (pad(axis), pad(map.len().saturating_add(axis)));
        let room = bounded(side).saturating_add(before).saturating_add(after);
        let dilation = dilations.get(axis).copied().unwrap_or(1);
        let reach = kernel
            .saturating_sub(1)
            .saturating_mul(dilation)
            .saturating_add(1);
        if reach > room && !padded_itself {
            return Err(format!(
                "{} has a window of {reach} on a side of {side} with pads to {room}",
                name_of(node)
            ));
        }
        if before.max(after) > bounded(side).saturating_add(reach) {
            return Err(format!(
                "{} has pads {pads:?} around a side of {side} for a window of {reach}",
                name_of(node)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{node, with};

    fn pool(attributes: &[(&str, &[i64])]) -> NodeProto {
        with(node("MaxPool", &["x"], &["y"]), attributes)
    }

    fn refused(attributes: &[(&str, &[i64])], map: &[usize]) -> bool {
        check(&pool(attributes), Some(map), None).is_err()
    }

    #[test]
    fn windows_that_fit_pass() {
        assert!(!refused(
            &[("kernel_shape", &[3, 3]), ("pads", &[1; 4])],
            &[40, 40]
        ));
        assert!(!refused(
            &[("kernel_shape", &[13, 13]), ("pads", &[6; 4])],
            &[7, 7]
        ));
        assert!(!refused(&[("kernel_shape", &[20, 20])], &[20, 20]));
        assert!(!refused(
            &[("kernel_shape", &[1, 1]), ("pads", &[0, 0, -1, -1])],
            &[5, 5]
        ));
    }

    #[test]
    fn windows_beyond_the_map_and_numbers_out_of_range_are_refused() {
        assert!(refused(&[("kernel_shape", &[1_000_000_000, 1])], &[40, 40]));
        assert!(refused(&[("kernel_shape", &[41, 3])], &[40, 40]));
        assert!(refused(
            &[("kernel_shape", &[3, 3]), ("dilations", &[20, 20])],
            &[40, 40]
        ));
        assert!(refused(
            &[("kernel_shape", &[3, 3]), ("strides", &[0, 1])],
            &[40, 40]
        ));
        assert!(refused(
            &[("kernel_shape", &[3, 3]), ("pads", &[i64::MAX, 0, 0, 0])],
            &[40, 40]
        ));
        assert!(refused(
            &[("kernel_shape", &[3, 3]), ("pads", &[0, 100, 0, 0])],
            &[40, 40]
        ));
        assert!(refused(&[("kernel_shape", &[0, 3])], &[40, 40]));
    }

    #[test]
    fn numbers_are_checked_where_the_map_is_not_known() {
        let huge = pool(&[("kernel_shape", &[20_001, 20_001])]);
        let refusal = check(&huge, None, None).expect_err("refused");
        assert!(
            refusal.contains("20001 among its kernel_shape"),
            "{refusal}"
        );
        assert!(check(&pool(&[("kernel_shape", &[5, 5])]), None, None).is_ok());
    }
}
