//! Operators on maps, of which only the dims are followed: convolutions, pools, resizing, products of matrices.

use super::{Call, Problem, Value};

type Dims = Result<Vec<usize>, Problem>;

pub fn outputs(call: &Call) -> Option<Result<Vec<Value>, Problem>> {
    let dims = match call.node.op_type.as_str() {
        "Conv" | "ConvInteger" if !super::arithmetic::is_mean_of_bins(call) => convolution(call, 1),
        "QLinearConv" => convolution(call, 3),
        "ConvTranspose" => transposed_convolution(call),
        "MaxPool" | "AveragePool" => pool(call),
        "GlobalAveragePool" | "GlobalMaxPool" => global_pool(call),
        "Resize" | "Upsample" => resize(call),
        "MatMul" => product(call),
        "Gemm" => gemm(call),
        "DepthToSpace" => blocks(call, false),
        "SpaceToDepth" => blocks(call, true),
        _ => return None,
    };
    Some(dims.and_then(|dims| call.output(dims, || None)))
}

/// A window that moves along one axis.
struct Window {
    size: usize,
    step: usize,
    dilation: usize,
    before: i64,
    after: i64,
    /// `auto_pad` is SAME: only the step counts.
    same: bool,
    ceil: bool,
}

impl Window {
    fn positions(&self, side: usize) -> Option<usize> {
        if self.same {
            return Some(side.div_ceil(self.step));
        }
        let reach = self
            .dilation
            .checked_mul(self.size.checked_sub(1)?)?
            .checked_add(1)?;
        let padded = i64::try_from(side)
            .ok()?
            .checked_add(self.before)?
            .checked_add(self.after)?;
        let room = usize::try_from(padded).ok()?.checked_sub(reach)?;
        let last = if self.ceil {
            room.div_ceil(self.step)
        } else {
            room.checked_div(self.step)?
        };
        // A last window that begins in the padding behind the map is none.
        let begin = i64::try_from(last.checked_mul(self.step)?).ok()?;
        let end = i64::try_from(side).ok()?.checked_add(self.before)?;
        if self.ceil && begin >= end {
            return Some(last);
        }
        last.checked_add(1)
    }
}

fn windows(call: &Call, kernel: &[usize]) -> Result<Vec<Window>, Problem> {
    let axes = kernel.len();
    let list = |name, default: i64, length: usize| -> Result<Vec<i64>, Problem> {
        let list = call
            .attributes
            .integers(name)
            .map_or(vec![default; length], <[_]>::to_vec);
        (list.len() == length)
            .then_some(list)
            .ok_or_else(|| call.misfit(name))
    };
    let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
    let pads = list("pads", 0, axes.saturating_mul(2))?;
    let same = call
        .attributes
        .text("auto_pad")
        .is_some_and(|mode| mode.starts_with(b"SAME"));
    let positive = |n: i64| {
        usize::try_from(n)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| call.misfit("a step of 0"))
    };
    (0..axes)
        .map(|axis| {
            Ok(Window {
                size: kernel[axis],
                step: positive(strides[axis])?,
                dilation: positive(dilations[axis])?,
                before: pads[axis],
                after: pads[axes.saturating_add(axis)],
                same,
                ceil: call.attributes.integer("ceil_mode", 0) != 0,
            })
        })
        .collect()
}

fn slide(call: &Call, map: &[usize], kernel: &[usize]) -> Dims {
    let windows = windows(call, kernel)?;
    let sides = map
        .iter()
        .zip(&windows)
        .map(|(side, window)| window.positions(*side));
    let sides: Option<Vec<usize>> = sides.collect();
    sides
        .filter(|sides| sides.iter().all(|side| *side > 0))
        .ok_or_else(|| call.misfit("the map is smaller than the window"))
}

/// Batch, channels and the axes of the map.
fn map<'a>(call: &Call<'a>) -> Result<(usize, usize, &'a [usize]), Problem> {
    match &call.input(0)?.dims[..] {
        [batch, channels, map @ ..] if !map.is_empty() => Ok((*batch, *channels, map)),
        _ => Err(call.misfit("expected [n, c, ...]")),
    }
}

fn convolution(call: &Call, weights: usize) -> Dims {
    let (batch, channels, map) = map(call)?;
    let weights = &call.input(weights)?.dims;
    let group = usize::try_from(call.attributes.integer("group", 1)).unwrap_or(0);
    match &weights[..] {
        [out, per_group, kernel @ ..]
            if kernel.len() == map.len() && per_group.checked_mul(group) == Some(channels) =>
        {
            Ok([vec![batch, *out], slide(call, map, kernel)?].concat())
        }
        _ => Err(call.misfit("the weights do not fit")),
    }
}

fn transposed_convolution(call: &Call) -> Dims {
    let (batch, channels, map) = map(call)?;
    let weights = &call.input(1)?.dims;
    let group = usize::try_from(call.attributes.integer("group", 1)).unwrap_or(0);
    let [into, per_group, kernel @ ..] = &weights[..] else {
        return Err(call.misfit("the weights do not fit"));
    };
    let explicit = ["output_shape", "auto_pad"];
    if explicit.iter().any(|name| {
        call.attributes.integers(name).is_some()
            || call.attributes.text(name).is_some_and(|t| t != b"NOTSET")
    }) {
        return Err(call.unknown("with a stated output shape"));
    }
    if *into != channels || kernel.len() != map.len() {
        return Err(call.misfit("the weights do not fit"));
    }
    let more = call.attributes.integers("output_padding");
    let windows = windows(call, kernel)?;
    let sides = map
        .iter()
        .zip(&windows)
        .enumerate()
        .map(|(axis, (side, window))| {
            let more = more.map_or(Some(0), |more| more.get(axis).copied())?;
            let reach = window
                .dilation
                .checked_mul(window.size.checked_sub(1)?)?
                .checked_add(1)?;
            let spread = side
                .checked_sub(1)?
                .checked_mul(window.step)?
                .checked_add(reach)?;
            let side = i64::try_from(spread)
                .ok()?
                .checked_add(more)?
                .checked_sub(window.before)?;
            usize::try_from(side.checked_sub(window.after)?).ok()
        });
    let sides: Vec<usize> = sides
        .collect::<Option<_>>()
        .ok_or_else(|| call.misfit("no size"))?;
    let out = per_group
        .checked_mul(group)
        .ok_or_else(|| call.misfit("too large"))?;
    Ok([vec![batch, out], sides].concat())
}

fn pool(call: &Call) -> Dims {
    let (batch, channels, map) = map(call)?;
    let kernel = call.attributes.integers("kernel_shape").unwrap_or_default();
    let kernel: Option<Vec<usize>> = kernel.iter().map(|k| usize::try_from(*k).ok()).collect();
    let kernel = kernel.filter(|kernel| kernel.len() == map.len());
    let kernel = kernel.ok_or_else(|| call.misfit("kernel_shape"))?;
    Ok([vec![batch, channels], slide(call, map, &kernel)?].concat())
}

fn global_pool(call: &Call) -> Dims {
    let (batch, channels, map) = map(call)?;
    Ok([vec![batch, channels], vec![1; map.len()]].concat())
}

fn resize(call: &Call) -> Dims {
    let dims = &call.input(0)?.dims;
    let upsample = call.node.op_type == "Upsample" || call.opset < 11;
    let full = |index: usize| call.optional(index).filter(|value| value.dims != [0]);
    if call.attributes.integers("axes").is_some() {
        return Err(call.unknown("of some axes"));
    }
    if !upsample && full(3).is_some() {
        let sizes = call
            .integers(3)?
            .iter()
            .map(|size| usize::try_from(*size).ok());
        let sizes = sizes
            .collect::<Option<Vec<_>>>()
            .filter(|sizes| sizes.len() == dims.len());
        return sizes.ok_or_else(|| call.misfit("sizes"));
    }
    let scales = match call.attributes.floats("scales") {
        Some(scales) => Some(scales),
        None => full(if upsample { 1 } else { 2 }).and_then(Value::floats),
    };
    let scales = scales.ok_or_else(|| call.unknown("with computed scales"))?;
    if scales.len() != dims.len() || scales.iter().any(|scale| !(*scale > 0.0 && *scale < 1e4)) {
        return Err(call.misfit("scales"));
    }
    let scaled = |(dim, scale): (&usize, &f32)| (*dim as f32 * scale).floor() as usize;
    Ok(dims.iter().zip(scales).map(scaled).collect())
}

fn product(call: &Call) -> Dims {
    let (a, b) = (&call.input(0)?.dims, &call.input(1)?.dims);
    match (&a[..], &b[..]) {
        ([left @ .., rows, inner], [right @ .., same, columns]) if inner == same => {
            let mut dims = super::arithmetic::broadcast(left, right)
                .ok_or_else(|| call.misfit("they do not go together"))?;
            dims.extend([*rows, *columns]);
            Ok(dims)
        }
        ([left @ .., inner], [same]) if inner == same => Ok(left.to_vec()),
        _ => Err(call.misfit("they do not go together")),
    }
}

fn gemm(call: &Call) -> Dims {
    let side = |index: usize, name: &str| match (
        &call.input(index)?.dims[..],
        call.attributes.integer(name, 0),
    ) {
        (&[rows, columns], 0) => Ok((rows, columns)),
        (&[rows, columns], _) => Ok((columns, rows)),
        _ => Err(call.misfit("expected two dims")),
    };
    let ((rows, inner), (same, columns)) = (side(0, "transA")?, side(1, "transB")?);
    match inner == same {
        true => Ok(vec![rows, columns]),
        false => Err(call.misfit("they do not go together")),
    }
}

fn blocks(call: &Call, to_depth: bool) -> Dims {
    let block = usize::try_from(call.attributes.integer("blocksize", 0)).unwrap_or(0);
    let square = block
        .checked_mul(block)
        .filter(|n| (1..1 << 20).contains(n));
    let (&[n, c, h, w], Some(square)) = (&call.input(0)?.dims[..], square) else {
        return Err(call.misfit("expected [n, c, h, w]"));
    };
    let too_large = || call.misfit("too large");
    if to_depth && h.is_multiple_of(block) && w.is_multiple_of(block) {
        Ok(vec![
            n,
            c.checked_mul(square).ok_or_else(too_large)?,
            h / block,
            w / block,
        ])
    } else if !to_depth && c.is_multiple_of(square) {
        let side = |side: usize| side.checked_mul(block).ok_or_else(too_large);
        Ok(vec![n, c / square, side(h)?, side(w)?])
    } else {
        Err(call.misfit("it is no multiple of the block"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dims_of, refused, with};
    use super::*;
    use crate::onnx::testing::node;

    #[test]
    fn windows_slide_as_onnx_says() {
        let conv = with(
            node("Conv", &["x", "w"], &["y"]),
            &[("strides", &[2, 2]), ("pads", &[1, 1, 1, 1])],
        );
        assert_eq!(
            dims_of(&conv, &[&[1, 3, 32, 48], &[16, 3, 3, 3]]),
            [1, 16, 16, 24]
        );
        let by_group = with(conv.clone(), &[]);
        let by_group = super::super::testing::with_integer(by_group, "group", 16);
        assert_eq!(
            dims_of(&by_group, &[&[1, 16, 5, 5], &[16, 1, 3, 3]]),
            [1, 16, 3, 3]
        );
        assert!(matches!(
            refused(&conv, &[&[1, 4, 32, 48], &[16, 3, 3, 3]]),
            Problem::Misfit(_)
        ));
        assert!(matches!(
            refused(&conv, &[&[1, 3, 0, 0], &[16, 3, 3, 3]]),
            Problem::Misfit(_)
        ));
        let pool = with(
            node("MaxPool", &["x"], &["y"]),
            &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])],
        );
        assert_eq!(dims_of(&pool, &[&[1, 8, 5, 4]]), [1, 8, 2, 2]);
        let ceil = super::super::testing::with_integer(pool, "ceil_mode", 1);
        assert_eq!(dims_of(&ceil, &[&[1, 8, 5, 4]]), [1, 8, 3, 2]);
    }

    #[test]
    fn products_and_blocks() {
        let product = node("MatMul", &["a", "b"], &["y"]);
        assert_eq!(dims_of(&product, &[&[1, 4, 5, 6], &[6, 7]]), [1, 4, 5, 7]);
        assert!(matches!(
            refused(&product, &[&[1, 5, 6], &[5, 7]]),
            Problem::Misfit(_)
        ));
        let depth = super::super::testing::with_integer(
            node("SpaceToDepth", &["x"], &["y"]),
            "blocksize",
            2,
        );
        assert_eq!(dims_of(&depth, &[&[1, 3, 8, 6]]), [1, 12, 4, 3]);
        let back = super::super::testing::with_integer(
            node("ConvTranspose", &["x", "w"], &["y"]),
            "group",
            1,
        );
        let back = with(back, &[("strides", &[2, 2])]);
        assert_eq!(
            dims_of(&back, &[&[1, 8, 5, 4], &[8, 4, 2, 2]]),
            [1, 4, 10, 8]
        );
    }
}
