//! Checks of operands, shared by the methods that build a graph.

use super::*;

pub(super) fn per_channel(what: &str, values: usize, shape: Shape) -> Result<()> {
    if values != shape.c {
        return Err(graph_error!(
            "{what}: {values} values for {} channels",
            shape.c
        ));
    }
    Ok(())
}

/// Largest kernel, stride, dilation or padding that a window may have.
const MAX_WINDOW: usize = 4096;

pub(super) fn check_window(what: &str, window: &Window) -> Result<()> {
    let pads = window.pads;
    let positive = [window.kernel, window.stride, window.dilation];
    let all = positive.iter().flatten();
    if all.clone().any(|&n| n == 0)
        || all
            .chain(&[pads.top, pads.left, pads.bottom, pads.right])
            .any(|&n| n > MAX_WINDOW)
    {
        return Err(graph_error!(
            "{what}: {window:?}; kernel, stride and dilation must be 1 to {MAX_WINDOW}, padding at most that"
        ));
    }
    Ok(())
}

/// Number of window positions on each axis.
pub(super) fn windows(what: &str, shape: Shape, window: &Window) -> Result<[usize; 2]> {
    check_window(what, window)?;
    let (span, pads) = (window.span(), window.pads);
    let sizes = [
        shape.h + pads.top + pads.bottom,
        shape.w + pads.left + pads.right,
    ];
    if sizes[0] < span[0] || sizes[1] < span[1] {
        return Err(graph_error!(
            "{what}: the window spans {span:?} pixels, the padded tensor has {sizes:?}"
        ));
    }
    Ok([0, 1].map(|a| (sizes[a] - span[a]) / window.stride[a] + 1))
}

/// Checks channels, groups and lengths. `outer` and `inner` are the first two dimensions of the weights before grouping.
pub(super) fn check_conv(conv: &Conv, input: Shape, outer: usize, inner: usize) -> Result<()> {
    let groups = conv.groups;
    if groups == 0 || !input.c.is_multiple_of(groups) || !conv.out_channels.is_multiple_of(groups) {
        return Err(graph_error!(
            "convolution: {} input and {} output channels do not divide into {groups} groups",
            input.c,
            conv.out_channels
        ));
    }
    check_window("convolution", &conv.window)?;
    let [kh, kw] = conv.window.kernel;
    let wanted = [outer, inner / groups, kh, kw];
    let count = wanted.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if count != Some(conv.weights.len()) {
        return Err(graph_error!(
            "convolution: {} weights, expected {wanted:?}",
            conv.weights.len()
        ));
    }
    if let Some(bias) = &conv.bias
        && bias.len() != conv.out_channels
    {
        return Err(graph_error!(
            "convolution: {} bias values for {} output channels",
            bias.len(),
            conv.out_channels
        ));
    }
    Ok(())
}
