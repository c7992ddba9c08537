//! Draws plots as SVG, with `plotters`.
//!
//! Colours here are placeholders: `style.css` replaces each, found by its `fill` or `stroke`, with one for a light or dark
//! page.

use crate::report::Times;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

/// Placeholder colours; `style.css` has the same numbers.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const SERIES: [RGBColor; 2] = [RGBColor(3, 3, 3), RGBColor(4, 4, 4)];
const FAINT: RGBColor = RGBColor(5, 5, 5);
/// Font of names and numbers.
const FONT: &str = "sans-serif";
const LETTERS: i32 = 15;
/// Approximate width of a letter of that size.
const LETTER: i32 = 8;

/// Width of the window that a plot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Narrow,
    Wide,
}

impl Shape {
    fn size(self) -> (u32, u32) {
        match self {
            Self::Narrow => (340, 220),
            Self::Wide => (560, 240),
        }
    }

    /// Returns how many numbers have room along the x axis.
    fn ticks(self) -> usize {
        match self {
            Self::Narrow => 4,
            Self::Wide => 6,
        }
    }
}

/// Values over time in seconds.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws an SVG that scales with its place on the page. Drawing fails only if there is no room at all.
fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area) -> Result<(), Box<dyn std::error::Error>>,
) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        if draw(&area).and_then(|()| Ok(area.present()?)).is_err() {
            return String::new();
        }
    }
    let (width, height) = size;
    text.replacen(
        &format!("width=\"{width}\" height=\"{height}\" "),
        "role=\"img\" ",
        1,
    )
}

fn letters() -> TextStyle<'static> {
    (FONT, LETTERS).into_font().color(&INK)
}

/// Returns a little more than the largest value, so that nothing touches the frame; never 0.
fn ceiling(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.fold(0.0, f64::max);
    if largest > 0.0 { largest * 1.1 } else { 1.0 }
}

fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Writes a number of an axis, without zeros at its end.
fn tick(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws the axes of a chart; values go from 0 to `top`, and `write` formats a number of the x axis.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    along: Range<f64>,
    top: f64,
    shape: Shape,
    write: &dyn Fn(&f64) -> String,
) -> Result<Chart<'a, 'b>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(14)
        .x_label_area_size(26)
        .y_label_area_size(50)
        .build_cartesian_2d(along, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(letters())
        .y_labels(5)
        .x_labels(shape.ticks())
        .x_label_formatter(write)
        .y_label_formatter(&|v| tick(*v))
        .draw()?;
    Ok(chart)
}

/// Plots values over time; below the first line the area is filled.
pub fn lines(lines: &[Line], shape: Shape) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let end = all().map(|p| p.0).fold(1.0, f64::max);
    let begin = all().map(|p| p.0).fold(end, f64::min).min(end - 1e-3);
    let top = ceiling(all().map(|p| p.1));
    svg(shape.size(), |area| {
        let seconds = |v: &f64| format!("{} s", tick(*v));
        let mut chart = axes(area, begin..end, top, shape, &seconds)?;
        for (n, line) in lines.iter().enumerate() {
            let colour = SERIES[n % SERIES.len()];
            let points = line.points.iter().copied();
            if n == 0 {
                chart.draw_series(AreaSeries::new(points.clone(), 0.0, colour.mix(0.14)))?;
            }
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        }
        if lines.len() > 1 {
            legend(area, lines)?;
        }
        Ok(())
    })
}

/// Draws the names of the lines at the top right.
fn legend(area: &Area, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let (width, _) = area.dim_in_pixel();
    let mut right = width as i32 - 18;
    for (n, line) in lines.iter().enumerate().rev() {
        let left = right - line.name.chars().count() as i32 * LETTER;
        area.draw(&Text::new(line.name, (left, 8), letters()))?;
        let colour = SERIES[n % SERIES.len()];
        area.draw(&Circle::new((left - 9, 14), 4, colour.filled()))?;
        right = left - 26;
    }
    Ok(())
}

/// Plots how many frames took how long, with marks at the median and at the 95th percentile.
pub fn histogram(times: &Times, shape: Shape) -> String {
    let histogram = &times.histogram;
    let bars = histogram.counts.len();
    let at = |bar: usize| histogram.from_ms + histogram.step_ms * bar as f64;
    let top = ceiling(histogram.counts.iter().map(|count| *count as f64));
    svg(shape.size(), |area| {
        let tenths = |v: &f64| tick((*v * 10.0).round() / 10.0);
        let mut chart = axes(area, at(0)..at(bars), top, shape, &tenths)?;
        let gap = histogram.step_ms * 0.06;
        chart.draw_series(histogram.counts.iter().enumerate().map(|(bar, count)| {
            let corners = [(at(bar) + gap, 0.0), (at(bar + 1) - gap, *count as f64)];
            Rectangle::new(corners, SERIES[0].filled())
        }))?;
        for (value, name) in [(times.p50_ms, "p50"), (times.p95_ms, "p95")] {
            let value = value.clamp(at(0), at(bars));
            let mark = [(value, 0.0), (value, top)];
            chart.draw_series([PathElement::new(mark, SERIES[1].stroke_width(2))])?;
            let beside = EmptyElement::at((value, top)) + Text::new(name, (5, 0), letters());
            chart.draw_series([beside])?;
        }
        Ok(())
    })
}

/// Draws a bar for each value, its name above and its number behind; a value that was not measured has a dash.
///
/// The first `marked` bars have another colour than the rest.
pub fn bars(values: &[(String, Option<f64>)], marked: usize, unit: &str, shape: Shape) -> String {
    /// Height of a name and its bar.
    const ROW: i32 = 40;
    const BAR: i32 = 14;
    let (width, _) = shape.size();
    let height = values.len() as i32 * ROW + 10;
    let largest = values
        .iter()
        .filter_map(|(_, value)| *value)
        .fold(0.0, f64::max);
    let room = width as i32 - 12 - 12 * LETTER;
    svg((width, height as u32), |area| {
        for (n, (name, value)) in values.iter().enumerate() {
            let top = n as i32 * ROW + 6;
            let most = (width as i32 - 12) / LETTER;
            area.draw(&Text::new(
                shortened(name, most as usize),
                (6, top),
                letters(),
            ))?;
            let bar = top + 18;
            let share = value.map_or(0.0, |v| if largest > 0.0 { v / largest } else { 0.0 });
            let end = 6 + ((f64::from(room) * share) as i32).max(2);
            area.draw(&Rectangle::new(
                [(6, bar), (6 + room, bar + BAR)],
                FAINT.filled(),
            ))?;
            let colour = if n < marked { SERIES[0] } else { SERIES[1] };
            area.draw(&Rectangle::new(
                [(6, bar), (end, bar + BAR)],
                colour.filled(),
            ))?;
            let label = value.map_or_else(|| "–".to_owned(), |v| format!("{} {unit}", number(v)));
            area.draw(&Text::new(label, (6 + room + 8, bar), letters()))?;
        }
        Ok(())
    })
}

fn shortened(name: &str, most: usize) -> String {
    match name.chars().count() > most {
        true => name
            .chars()
            .take(most.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn odd_values_make_no_panic() {
        let line = |points| Line { name: "x", points };
        for points in [
            vec![],
            vec![(1.0, 0.0)],
            vec![(1.0, 5.0), (1.0, 5.0)],
            vec![(0.0, 1e12), (1e6, 0.0)],
        ] {
            assert!(lines(&[line(points)], Shape::Narrow).contains("<svg"));
        }
        assert!(bars(&[], 0, "ms", Shape::Wide).contains("<svg"));
        let none = [("a".repeat(300), None), (String::new(), Some(0.0))];
        assert!(bars(&none, 1, "ms", Shape::Narrow).contains("…"));
        let same = Times::from_values(&[Duration::from_millis(5); 3]).expect("times");
        assert!(histogram(&same, Shape::Wide).contains("<svg"));
    }

    #[test]
    fn a_plot_scales_with_its_place() {
        let plot = bars(&[("a".into(), Some(1.0))], 1, "", Shape::Wide);
        let head = &plot[..plot.find('>').expect("a tag")];
        assert!(
            head.contains("viewBox") && !head.contains(" width="),
            "{head}"
        );
    }

    #[test]
    fn names_stay_text_in_a_plot() {
        let plot = bars(&[("<a&b>".into(), Some(1.0))], 1, "", Shape::Wide);
        assert!(plot.contains("&lt;a&amp;b&gt;"), "{plot}");
    }
}
