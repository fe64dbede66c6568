//! `mcvn selftest`: whether a device computes the same as the CPU, and how fast.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::device;
use crate::featurize::Features;
use crate::model::{Bundle, DeviceChoice, Predicted, probe_features};
use crate::registry::{active_bundles, load_bundle};

/// Largest allowed difference between a device and the CPU, relative to the largest answer of a column. Both compute
/// in single precision but sum in different orders.
const DEVICE_TOLERANCE: f64 = 1e-4;
/// How many samples are compared.
const SAMPLES: usize = 300;

#[derive(Args)]
pub(super) struct Arguments {
    /// The device to test: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
    /// Folder of models; may be repeated.
    #[arg(long = "models-dir", default_value = "models")]
    models_dirs: Vec<PathBuf>,
    /// Batch sizes whose latency is measured.
    #[arg(long, value_delimiter = ',', default_value = "1,32,1024")]
    batches: Vec<usize>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let opened = arguments.device.open()?;
    let cpu = DeviceChoice::Cpu.open()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "device: {} ({})", opened.name, opened.note)?;
    let mut failed = false;
    for (name, folder) in active_bundles(&arguments.models_dirs)? {
        let bundle = load_bundle(&folder, &opened.device)?;
        let reference = load_bundle(&folder, &cpu.device)?;
        let features = probe_features(bundle.manifest(), SAMPLES);
        if features.is_empty() {
            bail!("{name}: no plausible sample can be made from its schema");
        }
        let all: Vec<&Features> = features.iter().collect();
        let batch = bundle.predict(&all).with_context(|| name.clone())?;
        let on_cpu = reference.predict(&all)?;
        let mut alone = Vec::new();
        for sample in &features {
            alone.extend(bundle.predict(&[sample])?);
        }
        let device_difference = largest_difference(&batch, &on_cpu);
        let batch_difference = largest_difference(&batch, &alone);
        writeln!(out, "{name} {}: {} samples", bundle.manifest().version, features.len())?;
        writeln!(out, "  device against CPU: largest relative difference {device_difference:.2e}")?;
        writeln!(out, "  batch rows against single rows: largest relative difference {batch_difference:.2e}")?;
        failed |= device_difference > DEVICE_TOLERANCE;
        failed |= batch_difference > DEVICE_TOLERANCE && !bundle.manifest().batch_dependent();
        for size in &arguments.batches {
            let repeated: Vec<&Features> = features.iter().cycle().take((*size).max(1)).collect();
            let (best, median) = latency(&bundle, &repeated)?;
            writeln!(
                out,
                "  batch {size:>6}: best {:>10.1} µs, median {:>10.1} µs, {:>8.2} µs a sample",
                micros(best),
                micros(median),
                micros(best) / repeated.len() as f64
            )?;
        }
    }
    if failed {
        bail!("a difference is over {DEVICE_TOLERANCE:e}");
    }
    writeln!(out, "passed")?;
    Ok(())
}

/// The largest difference of any column, relative to the column's largest value.
fn largest_difference(left: &[Predicted], right: &[Predicted]) -> f64 {
    let width = left.first().map_or(0, |predicted| predicted.values.len());
    let column = |column: usize| {
        let scale = right.iter().map(|row| row.values[column].abs()).fold(f64::MIN_POSITIVE, f64::max);
        let differences =
            left.iter().zip(right).map(|(left, right)| (left.values[column] - right.values[column]).abs());
        differences.fold(0.0, f64::max) / scale
    };
    (0..width).map(column).fold(0.0, f64::max)
}

/// Best and median time of a pass, including the copy of results to memory (which waits for the device).
fn latency(bundle: &Bundle, samples: &[&Features]) -> Result<(Duration, Duration)> {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || (start.elapsed() < Duration::from_secs(1) && times.len() < 1000) {
        let begin = Instant::now();
        bundle.predict(samples)?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok((times[0], times[times.len() / 2]))
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
