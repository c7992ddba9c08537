//! Pixels to tensor, a round at a time on demand, so that `tests/bench_pixels.sh` can let OpenCV and this take turns.
//!
//! `cargo bench --bench pixels -- PICTURE.i420 TENSOR.f32`
//!
//! Reads a picture of 1920x1080, I420, BT.601 in limited range, and writes its tensor of 416x416 (letterboxed, RGB, -1 to
//! 1) for comparison. Then, for every line on standard input, a number of runs, it prints the median in microseconds.

mod support;

use gstdetect::base::geometry::Size;
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::base::tensor::{ColourOrder, Element, InputSpec, Interpolation, Layout, ResizeMode};
use gstdetect::vision::preprocess::Preprocessor;
use std::error::Error;
use std::io::{Write, stdin, stdout};
use std::path::Path;
use std::time::Instant;
use support::Spread;
use support::arguments::Arguments;

const PICTURE: Size = Size {
    width: 1920,
    height: 1080,
};
const SIDE: u32 = 416;

const USAGE: &str = "cargo bench --bench pixels -- PICTURE.i420 TENSOR.f32";

fn main() -> Result<(), Box<dyn Error>> {
    let Some(arguments) = Arguments::from_command_line(".i420", &[], USAGE)? else {
        return Ok(());
    };
    match &arguments.files[..] {
        [picture, tensor] => serve(&std::fs::read(picture)?, tensor),
        others => Err(format!("{} files, expected two. Usage: {USAGE}", others.len()).into()),
    }
}

fn serve(memory: &[u8], tensor_path: &Path) -> Result<(), Box<dyn Error>> {
    let info = PictureInfo::new(PixelFormat::I420, PICTURE);
    let mut rest = memory;
    let mut planes = Vec::new();
    for (row, rows) in info.format.planes(PICTURE) {
        let (data, after) = rest
            .split_at_checked(row * rows)
            .ok_or_else(|| format!("{} bytes are no I420 picture of {PICTURE}", memory.len()))?;
        planes.push(Plane { data, stride: row });
        rest = after;
    }
    let image = ImageView::new(info, &planes)?;
    let mut preprocessor = Preprocessor::new(info, &input())?;
    let tensor = preprocessor.run(&image)?;
    let numbers = tensor.as_f32().ok_or("an f32 tensor was asked for")?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
    std::fs::write(tensor_path, bytes)?;
    for line in stdin().lines() {
        let runs: usize = line?.trim().parse()?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let began = Instant::now();
            preprocessor.run(&image)?;
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        let spread = Spread::measure(&times).ok_or("0 runs were asked for, expected at least 1")?;
        println!("{:.1}", spread.median);
        stdout().flush()?;
    }
    Ok(())
}

fn input() -> InputSpec {
    InputSpec {
        name: "images".into(),
        size: Size::new(SIDE, SIDE),
        layout: Layout::Nchw,
        element: Element::F32,
        colour: ColourOrder::Rgb,
        mean: [127.5; 3],
        std: [127.5; 3],
        resize: ResizeMode::LetterboxCentre,
        pad_value: 114.0,
        interpolation: Interpolation::Linear,
    }
}
