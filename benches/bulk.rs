//! `cargo bench --bench bulk -- --rows 1000000`: what bulk work costs beside bare passes, and what it costs others.
//!
//! Its own because its figures are of two kinds. The first: rows a second of `mcvn predict`, from file to file, beside
//! passes of the same alloys that are featurized beforehand, at the batch size that suits them best, on as many threads.
//! The second: a table of so many rows through `POST /predict/steel` by curl (which must be installed), the memory that
//! the server takes, and the latency of single requests meanwhile beside that of an idle server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

mod load;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use candle_core::Device;
use load::figures::{head, median, quantile, row, short};
use load::samples::{glass_table, steel, steel_table, tensile_table};
use load::server::{QUIET, Server};
use mcvn::domain::Sample;
use mcvn::featurize::{Features, featurize};
use mcvn::model::Bundle;
use mcvn::registry::{active_bundles, load_bundle};
use mcvn::tables::{Limits, Mapping, ReadOptions, Row, TableLayout, Tally, read_table};

/// As in the program: another allocator is another program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const BATCHES: [usize; 5] = [32, 64, 128, 256, 1024];
/// Rows of a file for `mcvn predict`.
const FILE_ROWS: usize = 200_000;
/// Different alloys for bare passes: enough for trees, few enough to stay in the cache as what is just featurized does.
const DIFFERENT: usize = 1_000;
/// Single requests a second beside a table.
const SINGLE_RATE: f64 = 300.0;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    beside_bare_passes(folder.path());
    let rows = load::option("--rows", 1_000_000.0) as usize;
    beside_others(folder.path(), rows);
}

fn beside_bare_passes(folder: &Path) {
    let threads = std::thread::available_parallelism().unwrap().get();
    println!("Bulk work beside bare passes, {threads} threads each:\n");
    println!("{}", head(&["model", "bare passes, rows/s", "at batch", "`mcvn predict`, rows/s", "share"]));
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    for (name, place) in active_bundles(&[models]).unwrap() {
        let table: fn(usize, usize) -> String = match name.as_str() {
            "steel-fatigue" => steel_table,
            "steel-tensile" => tensile_table,
            _ => glass_table,
        };
        let input = folder.join(format!("{name}.csv"));
        std::fs::write(&input, table(0, FILE_ROWS)).unwrap();
        let bundle = load_bundle(&place, &Device::Cpu).unwrap();
        let features = features(&bundle, &table(0, DIFFERENT));
        let (mut bare, mut predict) = (vec![Vec::new(); BATCHES.len()], Vec::new());
        for _ in 0..ROUNDS {
            // In turns, so that a machine whose speed drifts is the same for both.
            for (batch, rates) in BATCHES.iter().zip(&mut bare) {
                rates.push(bare_rate(&bundle, &features, *batch, threads));
            }
            predict.push(predict_rate(&name, &input, &folder.join("out.csv"), threads));
        }
        let rates: Vec<f64> = bare.iter().map(|rates| median(rates)).collect();
        let best = (0..rates.len()).max_by(|a, b| rates[*a].total_cmp(&rates[*b])).unwrap();
        let predict = median(&predict);
        let share = format!("{:.2}", predict / rates[best]);
        println!("{}", row(&[name, short(rates[best]), BATCHES[best].to_string(), short(predict), share]));
    }
}

fn features(bundle: &Bundle, table: &str) -> Vec<Features> {
    let manifest = bundle.manifest();
    let (head, rows) = read_table(table.as_bytes(), &ReadOptions::default(), Limits::default()).unwrap();
    let layout = TableLayout::new(&head, &manifest.schema, &Mapping::default(), &[]).unwrap();
    let features = |row: Row| {
        let raw = layout.sample(&row, &mut Tally::default()).unwrap();
        featurize(&Sample::parse(&raw, &manifest.schema, "").unwrap(), &manifest.schema, &manifest.features)
    };
    head.rows(&rows).map(features).collect()
}

/// Samples a second of bare passes, on threads that begin in different places.
fn bare_rate(bundle: &Bundle, features: &[Features], batch: usize, threads: usize) -> f64 {
    let (start, lasting) = (Instant::now(), Duration::from_millis(700));
    let thread = |number: usize| {
        let mut done = 0;
        let from = number * features.len() / threads;
        let mut samples = features.iter().cycle().skip(from);
        while start.elapsed() < lasting {
            let pass: Vec<&Features> = samples.by_ref().take(batch).collect();
            done += std::hint::black_box(bundle.predict(&pass).unwrap()).len();
        }
        done
    };
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || thread(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    done as f64 / start.elapsed().as_secs_f64()
}

fn predict_rate(model: &str, input: &Path, output: &Path, threads: usize) -> f64 {
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    command.args(["predict", "--device", "cpu", "--model", model, "--threads", &threads.to_string(), "--input"]);
    command.arg(input).arg("--output").arg(output).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(command.status().unwrap().success());
    FILE_ROWS as f64 / start.elapsed().as_secs_f64()
}

fn beside_others(folder: &Path, rows: usize) {
    let (input, output) = (folder.join("in.csv"), folder.join("out.csv"));
    std::fs::write(&input, steel_table(0, rows)).unwrap();
    let server = Server::start(&QUIET);
    let url = server.url("/predict/steel");
    let idle_memory = server.memory();
    let idle = singles(&url, 3.0, &mut || false);
    let start = Instant::now();
    let mut curl = upload(&url, &input, &output);
    let during = singles(&url, 600.0, &mut || curl.try_wait().unwrap().is_some());
    let seconds = start.elapsed().as_secs_f64();
    assert!(curl.wait().unwrap().success(), "{}", server.log());
    let loaded = server.memory();
    check(&output, rows);
    println!("\nA table of {rows} rows over HTTP, with {SINGLE_RATE} single requests a second beside it:\n");
    println!("{}", head(&["", "idle", "during the table", "ratio"]));
    for (name, share) in [("p50 of single requests, ms", 0.5), ("p99 of single requests, ms", 0.99)] {
        let (before, meanwhile) = (quantile(&idle, share), quantile(&during, share));
        let ratio = format!("{:.2}", meanwhile / before);
        println!("{}", row(&[name.to_owned(), short(before), short(meanwhile), ratio]));
    }
    let (before, peak) = (idle_memory.now, loaded.peak);
    println!("{}", row(&["resident memory, peak, MB".to_owned(), short(before), short(peak), short(peak / before)]));
    let rate = short(rows as f64 / seconds);
    println!("\n{} s, {rate} rows/s; every row answered, in order.", short(seconds));
}

fn upload(url: &str, input: &Path, output: &Path) -> Child {
    let mut command = Command::new("curl");
    command.args(["-sf", "-X", "POST", "-H", "content-type: text/csv", "-T"]).arg(input).arg("-o").arg(output).arg(url);
    command.stdout(Stdio::null()).spawn().unwrap_or_else(|error| panic!("curl: {error}"))
}

/// Latencies in milliseconds of requests at a rate, until the time is over or there is a reason to end.
fn singles(url: &str, seconds: f64, ended: &mut dyn FnMut() -> bool) -> Vec<f64> {
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let client = reqwest::Client::new();
    let body: Arc<str> = steel(0).to_string().into();
    load::runtime().block_on(async {
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds && !ended() {
            let ask = |_| {
                let (client, url, body) = (client.clone(), url.to_owned(), Arc::clone(&body));
                let latencies = Arc::clone(&latencies);
                async move {
                    let asked = Instant::now();
                    let request = client.post(url).header("content-type", "application/json").body(body.to_string());
                    let answer = request.send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.unwrap();
                    latencies.lock().unwrap().push(asked.elapsed().as_secs_f64() * 1e3);
                }
            };
            load::pace::open(SINGLE_RATE, Duration::from_millis(500), 256, ask).await;
        }
    });
    std::mem::take(&mut latencies.lock().unwrap())
}

/// Every row must be there, in its place and without an error.
fn check(output: &Path, rows: usize) {
    let mut lines = BufReader::new(std::fs::File::open(output).unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("id,fatigue_strength,"));
    let (mut count, mut id) = (0, String::new());
    for line in lines {
        let line = line.unwrap();
        id.clear();
        write!(id, "{count},").unwrap();
        assert!(line.starts_with(&id) && line.ends_with(','), "{line}");
        count += 1;
    }
    assert_eq!(count, rows);
}
