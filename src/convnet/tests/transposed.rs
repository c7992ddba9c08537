//! Transposed convolutions of every stride and dilation, against the interpreter.

use super::*;

#[test]
fn every_stride_and_dilation_of_a_transposed_convolution_equals_the_interpreter() {
    let sides = |most: usize| 1..=most;
    for (stride, dilation) in sides(4).flat_map(|s| sides(6).map(move |d| (s, d))) {
        for kernel in sides(3) {
            let span = (kernel - 1) * dilation + 1;
            let window = Window {
                kernel: [kernel, 2],
                stride: [stride, 2],
                dilation: [dilation, 3],
                ..Window::square(1, 1, (span / 2).min(1))
            };
            let seed = (stride * 100 + dilation * 10 + kernel) as u64;
            check_one(seed, Shape::new(5, 4, 3), |graph, x| {
                let conv = random_conv(&mut Random::new(seed), 5, 6, 1, window);
                graph.transposed_conv(x, conv, [0, 0]).unwrap()
            });
        }
    }
}
