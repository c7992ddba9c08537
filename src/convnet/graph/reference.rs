//! Naive interpreter in double precision: the definition of every operator, and the twin that plans are tested against.

use super::*;

/// Values of one tensor, `[c, h, w]`.
#[derive(Clone)]
struct Map {
    shape: Shape,
    values: Vec<f64>,
}

impl Map {
    fn build(shape: Shape, f: impl Fn(usize, usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(shape.len());
        for c in 0..shape.c {
            for y in 0..shape.h {
                for x in 0..shape.w {
                    values.push(f(c, y, x));
                }
            }
        }
        Map { shape, values }
    }

    fn get(&self, c: usize, y: usize, x: usize) -> f64 {
        self.values[(c * self.shape.h + y) * self.shape.w + x]
    }
}

/// Runs `graph` and returns its outputs, each in its own layout.
///
/// # Errors
/// [`Error::Data`](crate::convnet::Error::Data) if the inputs do not fit the graph.
pub fn run(graph: &Graph, inputs: &[Input]) -> Result<Vec<Vec<f64>>> {
    run_rounded(graph, inputs, |x| x)
}

/// Runs `graph` with `round` applied to every value of every tensor, which shows how rounding spreads.
///
/// # Errors
/// As for [`run`].
pub fn run_rounded(
    graph: &Graph,
    inputs: &[Input],
    mut round: impl FnMut(f64) -> f64,
) -> Result<Vec<Vec<f64>>> {
    let mut maps: Vec<Map> = Vec::with_capacity(graph.nodes.len());
    let mut inputs = inputs.iter();
    for node in &graph.nodes {
        let mut map = match &node.op {
            Op::Input(format) => load(node.shape, format, inputs.next())?,
            _ => {
                let operands: Vec<&Map> = node.inputs.iter().map(|t| &maps[t.index()]).collect();
                compute(node, &operands)
            }
        };
        map.values
            .iter_mut()
            .for_each(|value| *value = round(*value));
        maps.push(map);
    }
    Ok(graph.outputs.iter().map(|o| collect(o, &maps)).collect())
}

fn load(shape: Shape, format: &InputFormat, input: Option<&Input>) -> Result<Map> {
    let wrong = || {
        crate::convnet::Error::Data(format!(
            "input of shape {shape} expects {} values as {format:?}",
            shape.len()
        ))
    };
    let at = |c: usize, y: usize, x: usize| (y * shape.w + x) * shape.c + c;
    match (format, input) {
        (InputFormat::Planar, Some(Input::F32(v))) if v.len() == shape.len() => Ok(Map {
            shape,
            values: v.iter().map(|&v| v.into()).collect(),
        }),
        (InputFormat::Interleaved, Some(Input::F32(v))) if v.len() == shape.len() => {
            Ok(Map::build(shape, |c, y, x| v[at(c, y, x)].into()))
        }
        (InputFormat::Pixels { scale, bias, order }, Some(Input::U8(v)))
            if v.len() == shape.len() =>
        {
            Ok(Map::build(shape, |c, y, x| {
                let byte = order.iter().position(|&o| usize::from(o) == c).unwrap_or(c);
                f64::from(v[at(byte, y, x)]) * f64::from(scale[c]) + f64::from(bias[c])
            }))
        }
        _ => Err(wrong()),
    }
}

fn collect(output: &Output, maps: &[Map]) -> Vec<f64> {
    let parts: Vec<&Map> = output.parts.iter().map(|t| &maps[t.index()]).collect();
    let channels = parts[0].shape.c;
    let mut values = Vec::new();
    match output.layout {
        Layout::Planar => {
            for c in 0..channels {
                for part in &parts {
                    let n = part.shape.pixels();
                    values.extend_from_slice(&part.values[c * n..(c + 1) * n]);
                }
            }
        }
        Layout::Rows => {
            for part in &parts {
                let n = part.shape.pixels();
                for pixel in 0..n {
                    values.extend((0..channels).map(|c| part.values[c * n + pixel]));
                }
            }
        }
    }
    values
}

fn compute(node: &Node, x: &[&Map]) -> Map {
    let shape = node.shape;
    match &node.op {
        Op::Input(_) => unreachable!("inputs are loaded, not computed"),
        Op::Constant(values) => Map {
            shape,
            values: values.iter().map(|&v| v.into()).collect(),
        },
        Op::Conv(conv) => convolve(conv, x[0], shape),
        Op::TransposedConv { conv, .. } => spread(conv, x[0], shape),
        Op::Pool(kind, window) => pool(*kind, window, x[0], shape),
        Op::Global(reduce) => Map::build(shape, |c, _, _| {
            let n = x[0].shape.pixels();
            fold(*reduce, x[0].values[c * n..(c + 1) * n].iter().copied())
        }),
        Op::OverChannels(reduce) => Map::build(shape, |_, y, px| {
            fold(*reduce, (0..x[0].shape.c).map(|c| x[0].get(c, y, px)))
        }),
        Op::Resize(resize) => resized(resize, x[0], shape),
        Op::Binary(binary) => Map::build(shape, |c, y, px| {
            let s = x[1].shape;
            let other = x[1].get(c.min(s.c - 1), y.min(s.h - 1), px.min(s.w - 1));
            binary.apply(x[0].get(c, y, px), other)
        }),
        Op::Affine { scale, bias } => Map::build(shape, |c, y, px| {
            x[0].get(c, y, px) * f64::from(scale[c]) + f64::from(bias[c])
        }),
        Op::Activate(f) => Map::build(shape, |c, y, px| f.apply(x[0].get(c, y, px))),
        Op::PRelu { slopes } => Map::build(shape, |c, y, px| {
            let slope = slopes[c];
            Activation::LeakyRelu { slope }.apply(x[0].get(c, y, px))
        }),
        Op::Softmax { group } => softmax(*group, x[0]),
        Op::Attention(attention) => attend(attention, x, shape),
        _ => moved(node, x),
    }
}

/// Operators that move values without changing them.
fn moved(node: &Node, x: &[&Map]) -> Map {
    let shape = node.shape;
    match &node.op {
        Op::Concat => Map {
            shape,
            values: x.iter().flat_map(|m| m.values.iter().copied()).collect(),
        },
        Op::Channels { picks } => Map::build(shape, |c, y, px| x[0].get(picks[c] as usize, y, px)),
        Op::Crop(crop) => Map::build(shape, |c, y, px| {
            x[0].get(
                c,
                crop.top + y * crop.step[0],
                crop.left + px * crop.step[1],
            )
        }),
        Op::Pad(pads, value) => Map::build(shape, |c, y, px| {
            padded(
                x[0],
                c,
                y as isize - pads.top as isize,
                px as isize - pads.left as isize,
            )
            .unwrap_or((*value).into())
        }),
        Op::Reshape => Map {
            shape,
            values: x[0].values.clone(),
        },
        Op::DepthToSpace {
            block,
            channels_first,
        } => Map::build(shape, |c, y, px| {
            let (b, i, j) = (*block, y % block, px % block);
            let from = match channels_first {
                true => c * b * b + i * b + j,
                false => (i * b + j) * shape.c + c,
            };
            x[0].get(from, y / b, px / b)
        }),
        op => unreachable!("{} is computed elsewhere", op.name()),
    }
}

/// Value at a position that may lie outside.
fn padded(x: &Map, c: usize, y: isize, px: isize) -> Option<f64> {
    let inside = |v: isize, n: usize| usize::try_from(v).ok().filter(|&v| v < n);
    Some(x.get(c, inside(y, x.shape.h)?, inside(px, x.shape.w)?))
}

/// Values of one window, `None` where it lies outside.
fn window_at<'a>(
    window: &'a Window,
    x: &'a Map,
    c: usize,
    oy: usize,
    ox: usize,
) -> impl Iterator<Item = (usize, Option<f64>)> + 'a {
    let [kh, kw] = window.kernel;
    (0..kh * kw).map(move |tap| {
        let (ky, kx) = (tap / kw, tap % kw);
        let y = (oy * window.stride[0] + ky * window.dilation[0]) as isize;
        let px = (ox * window.stride[1] + kx * window.dilation[1]) as isize;
        let value = padded(
            x,
            c,
            y - window.pads.top as isize,
            px - window.pads.left as isize,
        );
        (tap, value)
    })
}

fn convolve(conv: &Conv, x: &Map, shape: Shape) -> Map {
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let each_in = x.shape.c / conv.groups;
    let each_out = shape.c / conv.groups;
    Map::build(shape, |o, oy, ox| {
        let mut sum = conv.bias.as_ref().map_or(0., |b| f64::from(b[o]));
        for i in 0..each_in {
            let weights = &conv.weights[(o * each_in + i) * taps..][..taps];
            let c = o / each_out * each_in + i;
            for (tap, value) in window_at(&conv.window, x, c, oy, ox) {
                sum += value.unwrap_or(0.) * f64::from(weights[tap]);
            }
        }
        sum
    })
}

fn spread(conv: &Conv, x: &Map, shape: Shape) -> Map {
    let window = &conv.window;
    let [kh, kw] = window.kernel;
    let (each_in, each_out) = (x.shape.c / conv.groups, shape.c / conv.groups);
    let mut out = Map::build(shape, |c, _, _| {
        conv.bias.as_ref().map_or(0., |b| f64::from(b[c]))
    });
    for i in 0..x.shape.c {
        for o in 0..each_out {
            let weights = &conv.weights[(i * each_out + o) * kh * kw..][..kh * kw];
            let c = i / each_in * each_out + o;
            for y in 0..x.shape.h {
                for px in 0..x.shape.w {
                    for (tap, weight) in weights.iter().enumerate() {
                        let oy = y * window.stride[0] + tap / kw * window.dilation[0];
                        let ox = px * window.stride[1] + tap % kw * window.dilation[1];
                        let (Some(oy), Some(ox)) = (
                            oy.checked_sub(window.pads.top).filter(|&v| v < shape.h),
                            ox.checked_sub(window.pads.left).filter(|&v| v < shape.w),
                        ) else {
                            continue;
                        };
                        out.values[(c * shape.h + oy) * shape.w + ox] +=
                            x.get(i, y, px) * f64::from(*weight);
                    }
                }
            }
        }
    }
    out
}

fn pool(kind: Pool, window: &Window, x: &Map, shape: Shape) -> Map {
    Map::build(shape, |c, oy, ox| {
        let values = window_at(window, x, c, oy, ox);
        match kind {
            Pool::Max => values
                .filter_map(|(_, v)| v)
                .fold(f64::NEG_INFINITY, f64::max),
            Pool::Average { count_padding } => {
                let (mut sum, mut n) = (0., 0);
                for (_, value) in values {
                    sum += value.unwrap_or(0.);
                    n += usize::from(count_padding || value.is_some());
                }
                sum / n as f64
            }
        }
    })
}

fn fold(reduce: Reduce, values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    match reduce {
        Reduce::Mean => values.sum::<f64>() / n,
        Reduce::Sum => values.sum(),
        Reduce::Max => values.fold(f64::NEG_INFINITY, f64::max),
    }
}

fn resized(resize: &Resize, x: &Map, shape: Shape) -> Map {
    let (rows, columns) = (resize.taps(0, x.shape.h), resize.taps(1, x.shape.w));
    Map::build(shape, |c, oy, ox| {
        let ((y0, y1, fy), (x0, x1, fx)) = (rows[oy], columns[ox]);
        let mix = |a: f64, b: f64, f: f32| a + (b - a) * f64::from(f);
        mix(
            mix(x.get(c, y0, x0), x.get(c, y1, x0), fy),
            mix(x.get(c, y0, x1), x.get(c, y1, x1), fy),
            fx,
        )
    })
}

fn softmax(group: usize, x: &Map) -> Map {
    Map::build(x.shape, |c, y, px| {
        let first = c - c % group;
        let values = || (first..first + group).map(|c| x.get(c, y, px));
        let max = values().fold(f64::NEG_INFINITY, f64::max);
        (x.get(c, y, px) - max).exp() / values().map(|v| (v - max).exp()).sum::<f64>()
    })
}

fn attend(attention: &Attention, x: &[&Map], shape: Shape) -> Map {
    let [q, k, v] = [x[0], x[1], x[2]];
    let each = q.shape.c / attention.heads;
    let each_value = v.shape.c / attention.heads;
    let at = |map: &Map, c: usize, pixel: usize| map.values[c * map.shape.pixels() + pixel];
    let mut out = Map::build(shape, |_, _, _| 0.);
    let [from, to] = [q, k].map(|map| map.shape.pixels() / attention.areas);
    for head in 0..attention.heads {
        for query in 0..q.shape.pixels() {
            let first = query / from * to;
            let product = |key: usize| -> f64 {
                let channels = head * each..(head + 1) * each;
                let sum: f64 = channels.map(|c| at(q, c, query) * at(k, c, key)).sum();
                sum * f64::from(attention.scale)
            };
            let products: Vec<f64> = (first..first + to).map(product).collect();
            let max = products.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = products.iter().map(|p| (p - max).exp()).collect();
            let sum: f64 = shares.iter().sum();
            for c in head * each_value..(head + 1) * each_value {
                let values = shares.iter().enumerate();
                let weighed = values.map(|(key, share)| share * at(v, c, first + key));
                out.values[c * shape.pixels() + query] = weighed.sum::<f64>() / sum;
            }
        }
    }
    out
}
