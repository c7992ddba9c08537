//! Attention on maps, as exporters write it around convolutions, against the interpreter.

use super::*;

fn conv(graph: &mut Graph, random: &mut Random, x: TensorId, to: usize, groups: usize) -> TensorId {
    let from = graph.shape(x).c;
    let (kernel, pad) = if groups > 1 { (3, 1) } else { (1, 0) };
    let conv = random_conv(random, from, to, groups, Window::square(kernel, 1, pad));
    graph.conv(x, conv).unwrap()
}

/// One convolution makes the queries, keys and values of all heads, head by head; the values are also convolved, so that
/// their map has a border.
fn psa(
    random: &mut Random,
    size: [usize; 2],
    [heads, areas]: [usize; 2],
    [key, value]: [usize; 2],
) -> Graph {
    let mut graph = Graph::new();
    let x = graph
        .input(Shape::new(heads * value, size[0], size[1]))
        .unwrap();
    let each = 2 * key + value;
    let joint = conv(&mut graph, random, x, heads * each, 1);
    let mut part = |first: usize, count: usize| {
        let picks = (0..heads).flat_map(|h| h * each + first..h * each + first + count);
        let picks = picks.map(|c| c as u32).collect();
        graph.channels(joint, picks).unwrap()
    };
    let operands = [part(0, key), part(key, key), part(2 * key, value)];
    let scale = (key as f32).sqrt().recip();
    let attention = Attention {
        heads,
        areas,
        scale,
    };
    let taken = graph.attention(operands, attention).unwrap();
    let placed = conv(
        &mut graph,
        random,
        operands[2],
        heads * value,
        heads * value,
    );
    let sum = graph.add(taken, placed).unwrap();
    let y = conv(&mut graph, random, sum, heads * value, 1);
    graph.output(y, Layout::Planar).unwrap();
    graph.output(taken, Layout::Rows).unwrap();
    graph
}

#[test]
fn random_attention_of_odd_sizes_equals_the_interpreter() {
    let random = &mut Random::new(11);
    for (size, [heads, areas], [key, value]) in [
        ([1, 1], [1, 1], [4, 4]),
        ([3, 5], [2, 3], [3, 7]),
        ([10, 10], [2, 1], [32, 64]),
        ([1, 37], [3, 1], [16, 16]),
        ([7, 9], [1, 1], [33, 17]),
        ([4, 16], [4, 2], [8, 40]),
        ([1, 36], [2, 4], [16, 20]),
        ([8, 5], [2, 4], [32, 32]),
    ] {
        let graph = psa(random, size, [heads, areas], [key, value]);
        let values = random.values(heads * value * size[0] * size[1]);
        let inputs = [Input::F32(&values)];
        let wanted = reference::run(&graph, &inputs).unwrap();
        let name = format!("{size:?}, {heads} heads of {key} and {value}, {areas} areas");
        for variant in variants() {
            check(
                &graph,
                &variant,
                &[Data::F32(values.clone())],
                &wanted,
                &name,
            );
        }
    }
}

#[test]
fn nan_in_attention_goes_where_the_definition_says() {
    let random = &mut Random::new(5);
    for channel in [1, 6, 13] {
        let mut graph = Graph::new();
        let x = graph.input(Shape::new(15, 3, 7)).unwrap();
        let operands = [0, 5, 10].map(|first| graph.slice(x, first, 5).unwrap());
        let attention = Attention {
            heads: 1,
            areas: 1,
            scale: 0.5,
        };
        let y = graph.attention(operands, attention).unwrap();
        graph.output(y, Layout::Planar).unwrap();
        let mut values = random.values(15 * 21);
        values[channel * 21 + 18] = f32::NAN;
        let inputs = [Input::F32(&values)];
        let wanted = reference::run(&graph, &inputs).unwrap();
        let expected: Vec<bool> = wanted[0].iter().map(|v| v.is_nan()).collect();
        assert!(expected.contains(&true));
        for variant in variants() {
            let places: Vec<bool> = run(&graph, &variant, &inputs)[0]
                .iter()
                .map(|v| v.is_nan())
                .collect();
            assert_eq!(places, expected, "channel {channel}, {variant:?}");
        }
    }
}

#[test]
fn attention_of_operands_that_do_not_fit_is_refused() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::new(12, 2, 3)).unwrap();
    let large = graph.input(Shape::new(12, 3, 3)).unwrap();
    let part = graph.slice(x, 0, 6).unwrap();
    let mut refused = |operands, [heads, areas]: [usize; 2], scale| {
        let error = graph
            .attention(
                operands,
                Attention {
                    heads,
                    areas,
                    scale,
                },
            )
            .unwrap_err();
        error.to_string()
    };
    for text in [
        refused([x, part, x], [2, 1], 1.),
        refused([x, x, large], [2, 1], 1.),
        refused([x, x, x], [5, 1], 1.),
        refused([x, x, x], [0, 1], 1.),
        refused([x, x, x], [2, 3], 1.),
        refused([x, x, x], [2, 0], 1.),
    ] {
        assert!(text.contains("do not fit"), "{text}");
    }
    let long = Shape::new(12, 1 << 16, 1);
    let text = {
        let mut graph = Graph::new();
        let x = graph.input(long).unwrap();
        let attention = Attention {
            heads: 1,
            areas: 1 << 16,
            scale: 1.,
        };
        graph.attention([x; 3], attention).unwrap_err().to_string()
    };
    assert!(text.contains("are allowed"), "{text}");
    assert!(refused([x, x, x], [2, 1], f32::NAN).contains("scale is NaN"));
    let attention = Attention {
        heads: 3,
        areas: 1,
        scale: 1.,
    };
    let y = graph.attention([x, large, large], attention).unwrap();
    assert_eq!(graph.shape(y), Shape::new(12, 2, 3));
}

#[test]
fn what_attention_packs_counts_as_activations() {
    let graph = psa(&mut Random::new(3), [1, 3000], [1, 1], [4, 4]);
    let plan = |activations: usize| {
        let budget = Budget {
            activations,
            ..Budget::default()
        };
        let options = Options {
            budget,
            ..Options::default()
        };
        Plan::new(&graph, &options)
    };
    let needed = plan(1 << 30).unwrap().activation_bytes();
    assert!(plan(needed).is_ok());
    let error = plan(needed - 1).unwrap_err().to_string();
    assert!(error.contains("bytes of activations"), "{error}");
}
