//! Plots of an evaluation over splits, as SVG: parity with intervals, the relative error of each test point (the
//! paper's Figs. 8 and 9), the training loss of the first split (Figs. 10 and 11), a reliability diagram.

use plotters::prelude::*;

use crate::data::{Dataset, Label, Recipe, TargetRecipe};
use crate::train::evaluation::evaluate::SplitReport;
use crate::train::metrics::{Bin, reliability_bins};
use crate::train::plots::canvas::{
    Canvas, GROUPED, PlotError, RANDOM, confusion, draw, drawn, file_part, label, loss, padded,
};

/// All plots of an evaluation: file name and SVG.
///
/// # Errors
/// The drawing library failed.
pub fn split_plots(
    recipe: &Recipe,
    data: &Dataset,
    reports: &[SplitReport],
) -> Result<Vec<(String, String)>, PlotError> {
    let mut pictures = Vec::new();
    for (index, target) in recipe.targets.iter().enumerate() {
        let points: Vec<Vec<Point>> = reports.iter().map(|report| points(data, report, index, target)).collect();
        let label = label(target);
        let file = |kind: &str| format!("{kind}_{}.svg", file_part(&target.name));
        pictures.push((file("parity"), draw((560, 560), |canvas| parity(canvas, &points, &label))?));
        if let Some(first) = points.first() {
            pictures.push((file("error"), draw((900, 320), |canvas| errors(canvas, first, &label))?));
        }
    }
    if let Some(first) = reports.first() {
        pictures.push(("loss.svg".to_owned(), draw((640, 420), |canvas| loss(canvas, &first.losses))?));
    }
    if let Some(class) = &recipe.class {
        let answers: Vec<(usize, &Vec<f64>)> = reports.iter().flat_map(|report| classes(data, report)).collect();
        pictures.push(("reliability.svg".to_owned(), draw((560, 560), |canvas| reliability(canvas, &answers))?));
        let (actual, predicted): (Vec<usize>, Vec<Vec<f64>>) =
            answers.iter().map(|(class, answer)| (*class, (*answer).clone())).unzip();
        let svg = draw((480, 480), |canvas| confusion(canvas, &class.levels, &actual, &predicted, "all splits"))?;
        pictures.push(("confusion.svg".to_owned(), svg));
    }
    Ok(pictures)
}

/// A row as plotted.
struct Point {
    actual: f64,
    predicted: f64,
    /// Ends of the interval, if there is one.
    interval: Option<[f64; 2]>,
    /// In percent.
    relative_error: f64,
}

fn points(data: &Dataset, report: &SplitReport, index: usize, target: &TargetRecipe) -> Vec<Point> {
    let point = |(place, row): (usize, &usize)| {
        let (actual, predicted) = (data.labels[*row].value(index)?, report.predicted[place][index]);
        let end = |ends: &[Vec<Option<f64>>]| Some(drawn(target, (*ends.get(place)?.get(index)?)?));
        Some(Point {
            actual: drawn(target, actual),
            predicted: drawn(target, predicted),
            interval: end(&report.lower).zip(end(&report.upper)).map(|(low, high)| [low, high]),
            relative_error: 100.0 * (predicted - actual) / actual.abs().max(1e-9),
        })
    };
    report.rows.iter().enumerate().filter_map(point).collect()
}

fn classes<'a>(data: &'a Dataset, report: &'a SplitReport) -> impl Iterator<Item = (usize, &'a Vec<f64>)> {
    report.rows.iter().zip(&report.predicted).filter_map(|(row, answer)| match data.labels[*row] {
        Label::Class(class) => Some((class, answer)),
        Label::Values(_) | Label::AnyOf { .. } => None,
    })
}

fn parity(canvas: &Canvas, splits: &[Vec<Point>], label: &str) -> Result<(), PlotError> {
    let all = || splits.iter().flatten();
    let range = padded(all().flat_map(|p| [p.actual, p.predicted].into_iter().chain(p.interval.into_iter().flatten())));
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(68)
        .caption(format!("{label}, 90 % intervals"), ("sans-serif", 18))
        .build_cartesian_2d(range.clone(), range.clone())?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT).x_desc(format!("measured {label}")).y_desc(format!("predicted {label}"));
    mesh.x_labels(6).y_labels(6).draw()?;
    let interval =
        |p: &Point| Some(PathElement::new(p.interval?.map(|end| (p.actual, end)), GROUPED.mix(0.12).stroke_width(1)));
    chart.draw_series(all().filter_map(interval))?;
    let diagonal = [(range.start, range.start), (range.end, range.end)];
    chart.draw_series([PathElement::new(diagonal, BLACK.stroke_width(1))])?;
    chart.draw_series(all().map(|p| Circle::new((p.actual, p.predicted), 2, GROUPED.mix(0.6).filled())))?;
    Ok(())
}

fn errors(canvas: &Canvas, points: &[Point], label: &str) -> Result<(), PlotError> {
    let relative = |p: &Point| p.relative_error;
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(68)
        .caption(format!("{label}: relative error of each test row of the first split"), ("sans-serif", 18))
        .build_cartesian_2d(0..points.len().max(1), padded(points.iter().map(relative)))?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT).x_desc("test row").y_desc("error in %").draw()?;
    chart.draw_series([PathElement::new([(0, 0.0), (points.len().max(1), 0.0)], BLACK.stroke_width(1))])?;
    let line: Vec<(usize, f64)> = points.iter().enumerate().map(|(at, p)| (at, relative(p))).collect();
    chart.draw_series([PathElement::new(line, RANDOM.stroke_width(1))])?;
    Ok(())
}

/// The fraction of correct classes by predicted probability, in ten bins.
fn reliability(canvas: &Canvas, answers: &[(usize, &Vec<f64>)]) -> Result<(), PlotError> {
    let bins = reliability_bins(answers.iter().map(|(class, answer)| (*class, answer.as_slice())));
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(68)
        .caption("reliability, all splits", ("sans-serif", 18))
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .x_desc("probability of the chosen class")
        .y_desc("share that was right")
        .draw()?;
    chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], BLACK.stroke_width(1))])?;
    let filled = bins.iter().filter(|bin| bin.count > 0.0);
    let place = |bin: &Bin| (bin.promised / bin.count, bin.kept / bin.count);
    let largest = bins.iter().map(|bin| bin.count).fold(1.0, f64::max);
    let circle = |bin: &Bin| {
        let size = 3.0 + 9.0 * (bin.count / largest).sqrt();
        Circle::new(place(bin), size as i32, GROUPED.mix(0.7).filled())
    };
    chart.draw_series(filled.map(circle))?;
    Ok(())
}
