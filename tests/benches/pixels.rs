//! Pixels to tensor, round by round on demand, so that another program can take turns with it: tests/bench_pixels.sh.
//!
//! `cargo bench --bench pixels -- PICTURE.i420 TENSOR.f32` reads a picture of 1920x1080, I420 of BT.601 in limited
//! range, writes the tensor of 416x416, letterboxed, RGB, -1 to 1, for comparison, and prints for every line on standard
//! input the median microseconds of as many runs as the line says. Without arguments it says so.

use gstdetect::base::geometry::Size;
use gstdetect::base::image::{ImageView, PictureInfo, PixelFormat, Plane};
use gstdetect::base::tensor::{ColourOrder, Element, InputSpec, Interpolation, Layout, ResizeMode};
use gstdetect::vision::preprocess::Preprocessor;
use std::error::Error;
use std::io::{Write, stdin, stdout};
use std::time::Instant;

const PICTURE: Size = Size {
    width: 1920,
    height: 1080,
};
const SIDE: u32 = 416;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let files: Vec<&String> = words.iter().filter(|word| *word != "--bench").collect();
    match files[..] {
        [picture, tensor] => serve(&std::fs::read(picture)?, tensor),
        _ => {
            println!(
                "pixels: nothing is measured, since no picture is named: cargo bench --bench pixels -- PICTURE.i420 TENSOR.f32"
            );
            Ok(())
        }
    }
}

fn serve(memory: &[u8], tensor_path: &str) -> Result<(), Box<dyn Error>> {
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
            times.push(began.elapsed());
        }
        times.sort();
        let median = times.get(runs / 2).ok_or("no run was asked for")?;
        println!("{:.1}", median.as_secs_f64() * 1e6);
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
