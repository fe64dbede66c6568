//! Pictures for a report, as SVG: actual against predicted, confusion, loss.
//!
//! Its own because it is the one place that draws for training. It gives names and texts; where they go is
//! the caller's.

use std::sync::{Mutex, PoisonError};

use plotters::coord::Shift;
use plotters::prelude::*;

use super::fit::Progress;
use super::recipe::Recipe;
use super::report::{Actual, Report};
use super::source::TargetRecipe;
use crate::domain::{Scale, most_probable};

/// Blue and orange that differ for every eye (Okabe and Ito).
pub(super) const GROUPED: RGBColor = RGBColor(0, 114, 178);
pub(super) const RANDOM: RGBColor = RGBColor(213, 94, 0);
/// Points kept of each loss curve.
const LOSS_POINTS: usize = 200;

/// A failure of the drawing library.
#[derive(Debug, thiserror::Error)]
#[error("plot: {0}")]
pub struct PlotError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The losses of a training, thinned while they come.
#[derive(Debug, Default)]
pub struct LossCurves(Mutex<Vec<Vec<(usize, f64)>>>);

impl LossCurves {
    /// Notes one step of one member.
    pub fn record(&self, progress: Progress) {
        let Some(member) = progress.member else { return };
        let stride = progress.steps.div_ceil(LOSS_POINTS).max(1);
        if progress.step.is_multiple_of(stride) || progress.step == 1 || progress.step == progress.steps {
            let mut curves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if curves.len() < progress.members {
                curves.resize(progress.members, Vec::new());
            }
            curves[member].push((progress.step, progress.loss));
        }
    }

    /// Steps and losses of each network. The other members are trained on other things than a loss: a kernel on a bound of
    /// a likelihood, which may be negative; trees on nothing that is reported.
    pub(super) fn curves(&self) -> Vec<Vec<(usize, f64)>> {
        let curves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let falls = |curve: &&Vec<(usize, f64)>| curve.len() > 1 && curve.iter().all(|(_, loss)| *loss >= 0.0);
        curves.iter().filter(falls).cloned().collect()
    }
}

/// All pictures of a report: name within the bundle's folder, and the SVG.
///
/// # Errors
/// A failure of the drawing library.
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

/// The candidate's answers under each protocol; grouped ones last, so that they lie on top.
fn answers(report: &Report) -> Vec<(&'static str, RGBColor, &Vec<Vec<f64>>)> {
    let predictions = &report.predictions;
    let random = predictions.random.as_ref().map(|answers| ("random", RANDOM, answers));
    let grouped = predictions.grouped.as_ref().map(|answers| ("grouped", GROUPED, answers));
    random.into_iter().chain(grouped).collect()
}

pub(super) fn draw(
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

/// A target's name and unit; of one that is learned in logarithms those of its power of ten.
pub(super) fn label(target: &TargetRecipe) -> String {
    let name = match target.scale {
        Scale::Linear => target.name.clone(),
        Scale::Log => format!("log10 {}", target.name),
    };
    if target.unit.is_empty() { name } else { format!("{name} in {}", target.unit) }
}

/// A value as it is drawn.
pub(super) fn drawn(target: &TargetRecipe, value: f64) -> f64 {
    match target.scale {
        Scale::Linear => value,
        Scale::Log => target.scale.learned(value) / std::f64::consts::LN_10,
    }
}

/// Points of one colour: their name, and where they lie.
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

pub(super) fn confusion(
    area: &Canvas,
    classes: &[String],
    actual: &[usize],
    predicted: &[Vec<f64>],
    title: &str,
) -> Result<(), PlotError> {
    // A segmented range has one segment for each whole number from its start to its end, both included.
    let (count, last) = (classes.len(), classes.len().saturating_sub(1));
    let mut cells = vec![vec![0usize; count]; count];
    actual.iter().zip(predicted).for_each(|(actual, row)| cells[*actual][most_probable(row)] += 1);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(88)
        .caption(title, ("sans-serif", 18))
        .build_cartesian_2d((0..last).into_segmented(), (0..last).into_segmented())?;
    // The first class stands on top, as in a table.
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

pub(super) fn loss(canvas: &Canvas, curves: &[Vec<(usize, f64)>]) -> Result<(), PlotError> {
    let points = || curves.iter().flatten();
    let steps = points().map(|(step, _)| *step).max().unwrap_or(1).max(2);
    // In powers of ten, drawn as plain numbers: plotters' own logarithmic axis labels its top decade only. A loss
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

/// A range with room at both ends, never empty.
pub(super) fn padded(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return 0.0..1.0;
    }
    let room = if high > low { 0.04 * (high - low) } else { 1.0 };
    (low - room)..(high + room)
}

/// A target's name as a part of a file's name.
pub(super) fn file_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}
