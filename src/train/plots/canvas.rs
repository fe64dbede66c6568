//! Shared parts of plots: colours, ranges, labels, and the charts of both kinds of report.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::data::TargetRecipe;
use crate::domain::{Scale, most_probable};

/// Blue and orange that people with colour blindness can distinguish (Okabe and Ito).
pub(in crate::train) const GROUPED: RGBColor = RGBColor(0, 114, 178);
pub(in crate::train) const RANDOM: RGBColor = RGBColor(213, 94, 0);
/// The drawing library failed.
#[derive(Debug, thiserror::Error)]
#[error("plot: {0}")]
pub struct PlotError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

pub(in crate::train) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(in crate::train) fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&Canvas) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        canvas.fill(&WHITE)?;
        paint(&canvas)?;
        canvas.present()?;
    }
    Ok(svg)
}

/// A target's name and unit; for a logarithmic scale, of its decimal logarithm.
pub(in crate::train) fn label(target: &TargetRecipe) -> String {
    let name = match target.scale {
        Scale::Linear => target.name.clone(),
        Scale::Log => format!("log10 {}", target.name),
    };
    if target.unit.is_empty() { name } else { format!("{name} in {}", target.unit) }
}

/// A value as plotted.
pub(in crate::train) fn drawn(target: &TargetRecipe, value: f64) -> f64 {
    match target.scale {
        Scale::Linear => value,
        Scale::Log => target.scale.learned(value) / std::f64::consts::LN_10,
    }
}

pub(in crate::train) fn confusion(
    area: &Canvas,
    classes: &[String],
    actual: &[usize],
    predicted: &[Vec<f64>],
    title: &str,
) -> Result<(), PlotError> {
    // A segmented range has one segment for each whole number, including both ends.
    let (count, last) = (classes.len(), classes.len().saturating_sub(1));
    let mut cells = vec![vec![0usize; count]; count];
    actual.iter().zip(predicted).for_each(|(actual, row)| cells[*actual][most_probable(row)] += 1);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(88)
        .caption(title, ("sans-serif", 18))
        .build_cartesian_2d((0..last).into_segmented(), (0..last).into_segmented())?;
    // The first class is at the top, as in a table.
    let name = |at: &SegmentValue<usize>, flipped: bool| match at {
        SegmentValue::CenterOf(class) if *class < count => {
            classes[if flipped { count - 1 - class } else { *class }].clone()
        }
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc("predicted")
        .y_desc("actual")
        .x_labels(count)
        .y_labels(count)
        .x_label_formatter(&|at| name(at, false))
        .y_label_formatter(&|at| name(at, true))
        .draw()?;
    let most = cells.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
    for (row, line) in cells.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let (x, y, share) = (column, count - 1 - row, *cell as f64 / most);
            let corners = [
                (SegmentValue::Exact(x), SegmentValue::Exact(y)),
                (SegmentValue::Exact(x + 1), SegmentValue::Exact(y + 1)),
            ];
            chart.draw_series([Rectangle::new(corners, GROUPED.mix(share).filled())])?;
            let ink = if share > 0.5 { &WHITE } else { &BLACK };
            let style = ("sans-serif", 16).into_font().color(ink).pos(centred());
            let centre = (SegmentValue::CenterOf(x), SegmentValue::CenterOf(y));
            chart.draw_series([Text::new(cell.to_string(), centre, style)])?;
        }
    }
    Ok(())
}

pub(in crate::train) fn loss(canvas: &Canvas, curves: &[Vec<(usize, f64)>]) -> Result<(), PlotError> {
    let points = || curves.iter().flatten();
    let steps = points().map(|(step, _)| *step).max().unwrap_or(1).max(2);
    // Plot decimal logarithms on a linear axis, because plotters' logarithmic axis labels only its top decade. A loss
    // may be 0.
    let power = |loss: f64| loss.max(1e-9).log10();
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(68)
        .caption("training loss, one line a network", ("sans-serif", 18))
        .build_cartesian_2d(1..steps, padded(points().map(|(_, loss)| power(*loss))))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("step")
        .y_desc("loss")
        .y_labels(8)
        .y_label_formatter(&|power| format!("{:.1e}", 10f64.powf(*power)))
        .draw()?;
    for (index, curve) in curves.iter().enumerate() {
        let colour = Palette99::pick(index).mix(0.8);
        let points: Vec<(usize, f64)> = curve.iter().map(|(step, loss)| (*step, power(*loss))).collect();
        chart.draw_series([PathElement::new(points, colour.stroke_width(1))])?;
    }
    Ok(())
}

fn centred() -> plotters::style::text_anchor::Pos {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    Pos::new(HPos::Center, VPos::Center)
}

/// A range with a margin at both ends. It is never empty.
pub(in crate::train) fn padded(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return 0.0..1.0;
    }
    let room = if high > low { 0.04 * (high - low) } else { 1.0 };
    (low - room)..(high + room)
}

/// A target's name as part of a file name.
pub(in crate::train) fn file_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}
