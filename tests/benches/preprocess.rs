//! Camera pictures to input tensors, on one thread. Each result is checked with plain arithmetic before it is timed.

use divan::Bencher;
use gstdetect::base::geometry::Size;
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane, YuvRange};
use gstdetect::base::tensor::{ColourOrder, Element, InputSpec, Interpolation, Layout, ResizeMode};
use gstdetect::vision::preprocess::Preprocessor;

const FORMATS: [PixelFormat; 4] = [
    PixelFormat::I420,
    PixelFormat::Nv12,
    PixelFormat::Rgb,
    PixelFormat::Yuy2,
];

fn main() {
    divan::main();
}

#[divan::bench(args = FORMATS)]
fn full_hd_to_416_letterbox_nchw(bencher: Bencher, format: PixelFormat) {
    measure(
        bencher,
        format,
        Size::new(1920, 1080),
        &input(416, Layout::Nchw),
    );
}

#[divan::bench(args = FORMATS)]
fn hd_to_256_letterbox_nhwc(bencher: Bencher, format: PixelFormat) {
    measure(
        bencher,
        format,
        Size::new(1280, 720),
        &input(256, Layout::Nhwc),
    );
}

#[divan::bench(args = FORMATS)]
fn vga_to_416_letterbox_nchw(bencher: Bencher, format: PixelFormat) {
    measure(
        bencher,
        format,
        Size::new(640, 480),
        &input(416, Layout::Nchw),
    );
}

fn input(side: u32, layout: Layout) -> InputSpec {
    InputSpec {
        name: "images".into(),
        size: Size::new(side, side),
        layout,
        element: Element::F32,
        colour: ColourOrder::Rgb,
        mean: [127.5; 3],
        std: [127.5; 3],
        resize: ResizeMode::LetterboxCentre,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}

fn measure(bencher: Bencher, format: PixelFormat, size: Size, spec: &InputSpec) {
    let info = PictureInfo {
        range: YuvRange::Full,
        ..PictureInfo::new(format, size)
    };
    let memory = ramp(&info);
    let planes: Vec<_> = memory
        .iter()
        .map(|(data, stride)| Plane {
            data,
            stride: *stride,
        })
        .collect();
    let image = ImageView::new(info, &planes).expect("the planes are those of the format");
    let mut preprocessor = Preprocessor::new(info, spec).expect("the spec is one we can serve");
    preprocessor
        .run(&image)
        .expect("the picture is the one announced");
    check(&preprocessor, spec, size);
    bencher.bench_local(|| preprocessor.run(&image).is_ok());
}

/// Makes a grey picture that rises from 0 at the left to 255 at the right in whole levels, with an odd stride.
fn ramp(info: &PictureInfo) -> Vec<(Vec<u8>, usize)> {
    let width = info.size.width as usize;
    let level = |x: usize| (x * 255 / (width - 1)) as u8;
    let byte = |plane: usize, at: usize| match info.format {
        PixelFormat::Rgb => level(at / 3),
        PixelFormat::Yuy2 if at.is_multiple_of(2) => level(at / 2),
        PixelFormat::I420 | PixelFormat::Nv12 if plane == 0 => level(at),
        _ => 128,
    };
    let planes = info.format.planes(info.size).into_iter().enumerate();
    planes
        .map(|(plane, (row, rows))| {
            let mut line: Vec<u8> = (0..row).map(|at| byte(plane, at)).collect();
            line.resize(row + 13, 77);
            (line.repeat(rows), row + 13)
        })
        .collect()
}

/// Checks that the ramp is still a ramp in all three colours, and that the padding is padding.
fn check(preprocessor: &Preprocessor, spec: &InputSpec, size: Size) {
    let numbers = preprocessor
        .tensor()
        .as_f32()
        .expect("an f32 tensor was asked for");
    let (letterbox, side) = (preprocessor.letterbox(), spec.size.width as usize);
    let number = |c: usize, x: usize, y: usize| match spec.layout {
        Layout::Nchw => numbers[(c * side + y) * side + x],
        Layout::Nhwc => numbers[(y * side + x) * 3 + c],
    };
    let normal = |level: f32| (level - spec.mean[0]) / spec.std[0];
    for c in 0..3 {
        for y in 0..side {
            let inside = (y as u32).wrapping_sub(letterbox.pad_y) < letterbox.picture.height;
            for x in 0..side {
                let (source, _) = letterbox.to_source((x as f32 + 0.5, 0.0));
                let ramp = (source - 0.5) * 255.0 / (size.width - 1) as f32;
                let expected = if inside { ramp } else { spec.pad_value };
                let found = number(c, x, y);
                // The levels of the ramp are rounded down, and those of RGB once more: nearly 2 of 255.
                assert!(
                    (found - normal(expected)).abs() < 1.8 / spec.std[0],
                    "channel {c} at ({x}, {y}): {found}, expected {}",
                    normal(expected)
                );
            }
        }
    }
}
