//! Twenty boxes with labels on 1280x720: time to lay out, to paint, and to pixelate.

use divan::Bencher;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::base::image::{PictureInfo, PixelFormat};
use gstdetect::vision::draw::{Artist, Drawing, Mark, PictureMut, PlaneMut, Rect, Style};

const SIZE: Size = Size::new(1280, 720);
const BOXES: usize = 20;
const FORMATS: [PixelFormat; 4] = [
    PixelFormat::I420,
    PixelFormat::Nv12,
    PixelFormat::Yuy2,
    PixelFormat::Rgba,
];

fn main() {
    divan::main();
}

/// Returns labels of the usual lengths, with scores that stay.
fn texts() -> Vec<(String, String)> {
    let labels = ["person", "car", "traffic light", "dog", "bicycle"];
    let text = |index: usize| {
        let label = labels[index % labels.len()];
        (label.to_owned(), format!("{label} 0.{}", 40 + index * 2))
    };
    (0..BOXES).map(text).collect()
}

/// Returns boxes of 60 to 320 pixels; `step` moves them.
fn marks(texts: &[(String, String)], step: usize) -> Vec<Mark<'_>> {
    let place =
        |index: usize, factor: usize, range: usize| ((index * factor + 3 * step) % range) as f32;
    texts
        .iter()
        .enumerate()
        .map(|(index, (class, text))| {
            let side = 60.0 + 13.0 * index as f32;
            let (x, y) = (place(index, 7919, 1000), place(index, 104_729, 500));
            Mark {
                bbox: BBox::new(x, y, x + side, y + side),
                class,
                text,
                tail: "",
            }
        })
        .collect()
}

fn cell(format: PixelFormat) -> (u32, u32) {
    match format {
        PixelFormat::Rgba => (1, 1),
        PixelFormat::Yuy2 => (2, 1),
        _ => (2, 2),
    }
}

/// Returns the planes of a grey picture.
fn planes(format: PixelFormat) -> Vec<(usize, Vec<u8>)> {
    let planes = format.planes(SIZE).into_iter();
    planes
        .map(|(row, rows)| (row, vec![128; row * rows]))
        .collect()
}

fn picture(format: PixelFormat, planes: &mut [(usize, Vec<u8>)]) -> PictureMut<'_> {
    let planes = planes.iter_mut().map(|(stride, data)| PlaneMut {
        data,
        stride: *stride,
    });
    PictureMut::new(PictureInfo::new(format, SIZE), planes.collect()).expect("planes of this size")
}

fn check(drawing: &Drawing) {
    assert_eq!(drawing.frames.len(), BOXES, "every box is in the picture");
    assert!(drawing.tags.len() > BOXES * 3 / 4, "and labels have room");
}

/// Draws a frame in which only the positions have changed.
#[divan::bench(args = FORMATS)]
fn draw_20_boxes(bencher: Bencher, format: PixelFormat) {
    let texts = texts();
    let style = Style::new(0, 0, SIZE);
    let mut artist = Artist::default();
    check(&artist.draw(&marks(&texts, 0), None, style, SIZE, cell(format)));
    let mut data = planes(format);
    let mut picture = picture(format, &mut data);
    let mut step = 0;
    bencher.bench_local(|| {
        step += 1;
        let drawing = artist.draw(&marks(&texts, step), None, style, SIZE, cell(format));
        drawing.paint(&mut picture);
    });
}

/// Draws a frame in which every score has changed too.
#[divan::bench(args = FORMATS)]
fn draw_20_boxes_of_new_scores(bencher: Bencher, format: PixelFormat) {
    let mut texts = texts();
    let style = Style::new(0, 0, SIZE);
    let mut artist = Artist::default();
    let mut data = planes(format);
    let mut picture = picture(format, &mut data);
    let mut step = 0;
    bencher.bench_local(|| {
        step += 1;
        for (index, (class, text)) in texts.iter_mut().enumerate() {
            *text = format!("{class} 0.{:02}", (index * 7 + step) % 100);
        }
        let drawing = artist.draw(&marks(&texts, step), None, style, SIZE, cell(format));
        drawing.paint(&mut picture);
    });
}

#[divan::bench]
fn lay_out_20_boxes(bencher: Bencher) {
    let texts = texts();
    let style = Style::new(0, 0, SIZE);
    let mut artist = Artist::default();
    let mut step = 0;
    bencher.bench_local(|| {
        step += 1;
        artist.draw(&marks(&texts, step), None, style, SIZE, (2, 2))
    });
}

#[divan::bench(args = FORMATS)]
fn pixelate_a_face_of_200_pixels(bencher: Bencher, format: PixelFormat) {
    let mut data = planes(format);
    let mut picture = picture(format, &mut data);
    bencher.bench_local(|| picture.pixelate(Rect::new(300, 200, 500, 400)));
}
