//! `cargo bench --bench micro`: what each step of a prediction costs alone, without a server.
//!
//! Its own because a load test says that something is slow, and this says what: one figure for each step of the walk in
//! `src/lib.rs`. Passes count samples, so `thrpt` is samples a second and a batch's gain stands beside one alone.
//! `cargo bench --bench micro -- predict/glass` runs a part; a second run is compared with the first.
//!
//! criterion and not divan, which has had no release since April 2025 and leaves its issues unanswered.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use candle_core::Device;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use mcvn::domain::{Basis, Composition, Element, RawComposition, RawSample, Sample, parse_formula};
use mcvn::featurize::{Features, descriptors, featurize, pixels};
use mcvn::model::{Bundle, probe_features, probe_samples};
use mcvn::registry::{active_bundles, load_bundle};

/// As in the program: features and tensors are allocated all the time, and another allocator is another program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A low-alloy steel like AISI 4140: nine elements, the usual size of a certificate.
const STEEL: [(&str, f64); 9] = [
    ("C", 0.4),
    ("Si", 0.25),
    ("Mn", 0.8),
    ("P", 0.02),
    ("S", 0.02),
    ("Ni", 0.05),
    ("Cr", 1.0),
    ("Cu", 0.1),
    ("Mo", 0.2),
];

const BATCHES: [usize; 4] = [1, 8, 64, 1024];

fn steel() -> Composition {
    let amounts = STEEL.map(|(symbol, amount)| (symbol.parse::<Element>().unwrap(), amount));
    Composition::new(Basis::WeightPercent, amounts).unwrap()
}

/// From text to a composition.
fn domain(criterion: &mut Criterion) {
    for formula in ["Cu60Zr40", "Zr41.2Ti13.8Cu12.5Ni10Be22.5", "((Fe0.5Co0.5)0.75B0.2Si0.05)96Nb4"] {
        let id = format!("formula/{formula}");
        criterion.bench_function(&id, |bencher| bencher.iter(|| parse_formula(black_box(formula))));
    }
    criterion.bench_function("composition/9 amounts", |bencher| bencher.iter(steel));
}

/// From a composition to what a model reads of it.
fn descriptor_image(criterion: &mut Criterion) {
    let steel = steel();
    criterion.bench_function("descriptors/9 elements", |bencher| bencher.iter(|| descriptors(black_box(&steel))));
    let values = descriptors(&steel);
    criterion.bench_function("image layout", |bencher| bencher.iter(|| pixels(black_box(&values))));
}

/// What belongs to a model: checking its samples, making their features, scaling them.
fn features(criterion: &mut Criterion, bundle: &Bundle) {
    let manifest = bundle.manifest();
    let (schema, name) = (&manifest.schema, &manifest.name);
    // Certificates give every element and parameter; a formula names two to five.
    let raw: RawSample = probe_samples(schema, 1, 1).remove(0);
    let given = match &raw.composition {
        Some(RawComposition::Amounts(amounts)) => format!("{} amounts", amounts.len()),
        _ => "formula".to_owned(),
    };
    let id = BenchmarkId::new(format!("sample/{name}"), given);
    criterion.bench_with_input(id, &raw, |bencher, raw| bencher.iter(|| Sample::parse(black_box(raw), schema, "")));
    let sample = Sample::parse(&raw, schema, "").unwrap();
    let one = || featurize(black_box(&sample), schema, &manifest.features);
    criterion.bench_function(&format!("featurize/{name}"), |bencher| bencher.iter(one));
    let made = one();
    let mut scaled = Vec::new();
    criterion.bench_function(&format!("scaling/{name}"), |bencher| {
        bencher.iter(|| {
            scaled.clear();
            manifest.scaling.row.extend(black_box(&made.row), &mut scaled);
            if let (Some(scaler), Some(pixels)) = (&manifest.scaling.pixels, &made.pixels) {
                scaler.extend(black_box(&**pixels), &mut scaled);
            }
            scaled.len()
        });
    });
}

/// The pass itself, scaling included, as the device thread runs it.
fn passes(criterion: &mut Criterion, bundle: &Bundle) {
    let probes = probe_features(bundle.manifest(), 1024);
    let mut group = criterion.benchmark_group(format!("predict/{}", bundle.manifest().name));
    for batch in BATCHES {
        let samples: Vec<&Features> = probes.iter().cycle().take(batch).collect();
        // A long pass runs equally often in each sample; criterion's rising counts would take it minutes.
        group.sampling_mode(if batch < 1000 { SamplingMode::Auto } else { SamplingMode::Flat });
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &samples, |bencher, samples| {
            bencher.iter(|| bundle.predict(black_box(samples)).unwrap());
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    domain(&mut criterion);
    descriptor_image(&mut criterion);
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    for folder in active_bundles(&[models]).unwrap().values() {
        let bundle = load_bundle(folder, &Device::Cpu).unwrap();
        features(&mut criterion, &bundle);
        passes(&mut criterion, &bundle);
    }
    criterion.final_summary();
}
