//! Plots for a report, as SVG: actual against predicted, confusion, loss. It returns names and texts; the caller writes
//! the files.

use plotters::prelude::*;

use crate::data::{Actual, Recipe, Report, TargetRecipe};
use crate::train::plots::canvas::{
    Canvas, GROUPED, PlotError, RANDOM, confusion, draw, drawn, file_part, label, loss, padded,
};
use crate::train::progress::LossCurves;

/// All plots of a report: path within the bundle's folder, and the SVG.
///
/// # Errors
/// The drawing library failed.
pub fn plots(recipe: &Recipe, report: &Report, losses: &LossCurves) -> Result<Vec<(String, String)>, PlotError> {
    let mut pictures = Vec::new();
    match &report.predictions.actual {
        Actual::Values(actual) => {
            for (index, target) in recipe.targets.iter().enumerate() {
                let svg = draw((560, 560), |canvas| parity(canvas, report, actual, index, target))?;
                pictures.push((format!("plots/parity_{}.svg", file_part(&target.name)), svg));
            }
        }
        Actual::Classes(actual) => {
            let answers = answers(report);
            let size = (460 * answers.len() as u32, 480);
            let svg = draw(size, |canvas| {
                for (area, (name, _, predicted)) in canvas.split_evenly((1, answers.len())).iter().zip(&answers) {
                    confusion(
                        area,
                        &report.predictions.outputs,
                        actual,
                        predicted,
                        &format!("out of fold, {name} folds"),
                    )?;
                }
                Ok(())
            })?;
            pictures.push(("plots/confusion.svg".to_owned(), svg));
        }
    }
    pictures.push(("plots/loss.svg".to_owned(), draw((640, 420), |canvas| loss(canvas, &losses.curves()))?));
    Ok(pictures)
}

/// The candidate's predictions under each protocol. Grouped ones come last, so that they are drawn on top.
fn answers(report: &Report) -> Vec<(&'static str, RGBColor, &Vec<Vec<f64>>)> {
    let predictions = &report.predictions;
    let random = predictions.random.as_ref().map(|answers| ("random", RANDOM, answers));
    let grouped = predictions.grouped.as_ref().map(|answers| ("grouped", GROUPED, answers));
    random.into_iter().chain(grouped).collect()
}

/// Points of one colour: name, colour, positions.
type Cloud<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

fn parity(
    canvas: &Canvas,
    report: &Report,
    actual: &[Vec<Option<f64>>],
    index: usize,
    target: &TargetRecipe,
) -> Result<(), PlotError> {
    let answers: Vec<Cloud> = answers(report)
        .into_iter()
        .map(|(name, colour, rows)| {
            let measured = actual.iter().zip(rows).filter_map(|(actual, row)| Some((actual[index]?, row[index])));
            (name, colour, measured.map(|(actual, row)| (drawn(target, actual), drawn(target, row))).collect())
        })
        .collect();
    let range = padded(answers.iter().flat_map(|(_, _, points)| points).flat_map(|(x, y)| [*x, *y]));
    let label = &label(target);
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(68)
        .caption(label, ("sans-serif", 18))
        .build_cartesian_2d(range.clone(), range.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(format!("measured {label}"))
        .y_desc(format!("predicted {label}, out of fold"))
        .x_labels(6)
        .y_labels(6)
        .draw()?;
    let diagonal = [(range.start, range.start), (range.end, range.end)];
    chart.draw_series([PathElement::new(diagonal, BLACK.stroke_width(1))])?;
    for (name, colour, points) in answers {
        let protocol = report.protocols.iter().find(|protocol| protocol.protocol.name() == name);
        let r2 = protocol.and_then(|found| found.candidate.get(&target.name)?.get("r2"));
        let r2 = r2.map_or_else(String::new, |spread| format!(", R² {:.3} ± {:.3}", spread.mean, spread.std));
        chart
            .draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.mix(0.55).filled())))?
            .label(format!("{name} folds{r2}"))
            .legend(move |at| Circle::new(at, 4, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
