use super::reference::run;
use super::*;

fn error(result: Result<TensorId>) -> String {
    result.unwrap_err().to_string()
}

fn conv(out_channels: usize, in_channels: usize, window: Window) -> Conv {
    let n = out_channels * in_channels * window.kernel[0] * window.kernel[1];
    Conv {
        out_channels,
        groups: 1,
        window,
        weights: (0..n).map(|i| i as f32).collect(),
        bias: None,
    }
}

#[test]
fn wrong_operands_are_refused_with_both_numbers() {
    let mut g = Graph::new();
    let x = g.input(Shape::new(4, 8, 8)).unwrap();
    let y = g.input(Shape::new(4, 4, 8)).unwrap();
    assert!(error(g.concat(&[x, y])).contains("[4, 4, 8] and [4, 8, 8]"));
    assert!(error(g.add(x, y)).contains("cannot be repeated"));
    assert!(
        error(g.conv(x, conv(8, 3, Window::square(1, 1, 0)))).contains("expected [8, 4, 1, 1]")
    );
    assert!(error(g.conv(x, conv(8, 4, Window::square(9, 1, 0)))).contains("spans [9, 9]"));
    assert!(error(g.slice(x, 2, 3)).contains("channel 4 of 4"));
    assert!(error(g.pool(x, Pool::Max, Window::square(2, 2, 2))).contains("in the padding alone"));
    assert!(error(g.softmax(x, 3)).contains("groups of 3"));
    let big = Shape::new(1 << 20, 1 << 20, 1 << 30);
    assert!(error(g.input(big)).contains("1 to"));
    assert!(error(g.activate(TensorId(99), Activation::Relu)).contains("does not exist"));
    assert!(g.output_joined(&[], Layout::Rows).is_err());
}

#[test]
fn a_convolution_by_hand() {
    let mut g = Graph::new();
    let x = g.input(Shape::new(1, 2, 2)).unwrap();
    let y = g.conv(x, conv(1, 1, Window::square(3, 1, 1))).unwrap();
    g.output(y, Layout::Planar).unwrap();
    let out = run(&g, &[Input::F32(&[1., 2., 3., 4.])]).unwrap();
    assert_eq!(
        out[0],
        [
            4. + 10. + 21. + 32.,
            3. + 8. + 18. + 28.,
            1. + 4. + 12. + 20.,
            0. + 2. + 9. + 16.
        ]
    );
}

#[test]
fn a_transposed_convolution_by_hand() {
    let mut g = Graph::new();
    let x = g.input(Shape::new(1, 1, 2)).unwrap();
    let mut c = conv(1, 1, Window::square(2, 2, 0));
    c.bias = Some(vec![0.5].into());
    let y = g.transposed_conv(x, c, [0, 0]).unwrap();
    assert_eq!(g.shape(y), Shape::new(1, 2, 4));
    g.output(y, Layout::Planar).unwrap();
    let out = run(&g, &[Input::F32(&[1., 10.])]).unwrap();
    assert_eq!(out[0], [0.5, 1.5, 0.5, 10.5, 2.5, 3.5, 20.5, 30.5]);
}

#[test]
fn outputs_join_pixels_in_their_layout() {
    let mut g = Graph::new();
    let a = g.input(Shape::new(2, 1, 2)).unwrap();
    let b = g.input(Shape::new(2, 1, 1)).unwrap();
    g.output_joined(&[a, b], Layout::Planar).unwrap();
    g.output_joined(&[a, b], Layout::Rows).unwrap();
    let out = run(&g, &[Input::F32(&[1., 2., 3., 4.]), Input::F32(&[5., 6.])]).unwrap();
    assert_eq!(out[0], [1., 2., 5., 3., 4., 6.]);
    assert_eq!(out[1], [1., 3., 2., 4., 5., 6.]);
}

#[test]
fn pixels_are_normalised_and_reordered() {
    let mut g = Graph::new();
    let format = InputFormat::Pixels {
        scale: vec![1., 2., 3.].into(),
        bias: vec![0.5, 0., 0.].into(),
        order: vec![2, 1, 0].into(),
    };
    let x = g.input_as(Shape::new(3, 1, 1), format).unwrap();
    g.output(x, Layout::Planar).unwrap();
    let out = run(&g, &[Input::U8(&[10, 20, 30])]).unwrap();
    assert_eq!(out[0], [30.5, 40., 30.]);
}

#[test]
fn shuffle_and_depth_to_space_by_hand() {
    let mut g = Graph::new();
    let x = g.input(Shape::new(4, 1, 1)).unwrap();
    let s = g.shuffle(x, 2).unwrap();
    g.output(s, Layout::Planar).unwrap();
    let d = g.depth_to_space(x, 2, true).unwrap();
    g.output(d, Layout::Planar).unwrap();
    let out = run(&g, &[Input::F32(&[1., 2., 3., 4.])]).unwrap();
    assert_eq!(out[0], [1., 3., 2., 4.]);
    assert_eq!(out[1], [1., 2., 3., 4.]);
    assert_eq!(g.shape(d), Shape::new(1, 2, 2));
}

#[test]
fn an_average_counts_padding_only_on_request() {
    let mut g = Graph::new();
    let x = g.input(Shape::new(1, 1, 2)).unwrap();
    for count_padding in [false, true] {
        let window = Window {
            kernel: [1, 3],
            ..Window::square(1, 1, 0)
        };
        let window = Window {
            pads: Pads {
                left: 1,
                right: 1,
                ..Pads::default()
            },
            ..window
        };
        let y = g.pool(x, Pool::Average { count_padding }, window).unwrap();
        g.output(y, Layout::Planar).unwrap();
    }
    let out = run(&g, &[Input::F32(&[3., 6.])]).unwrap();
    assert_eq!(out[0], [4.5, 4.5]);
    assert_eq!(out[1], [3., 3.]);
}
