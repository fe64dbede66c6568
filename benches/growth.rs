//! `cargo bench --bench growth`: how time and memory grow with what is asked: samples in a request, samples in a pass,
//! connections. Three tables; `--seconds 1` is the time for each row.
//!
//! Its own because a server that is quick for one sample may still be slow, or greedy, for ten thousand: what should stay
//! flat here is the time for each sample and the memory when all is over. `wrk` must be installed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

mod load;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use load::figures::{head, median, quantile, row, short};
use load::machine::{Memory, memory};
use load::samples::{steel, steels};
use load::server::{QUIET, Server};
use load::wrk::Script;
use mcvn::featurize::Features;
use mcvn::model::{Bundle, probe_features};
use mcvn::registry::{active_bundles, load_bundle};

/// As in the program: what passes cost, in time and in memory, depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUEST_SAMPLES: [usize; 5] = [1, 10, 100, 1000, 10_000];
const BATCHES: [usize; 6] = [1, 10, 100, 1000, 10_000, 100_000];
const CONNECTIONS: [usize; 6] = [1, 4, 16, 64, 256, 1000];
/// Different samples; a longer batch repeats them.
const DIFFERENT: usize = 1000;
/// What a server that is left alone does to its memory is seen after so long.
const REST: Duration = Duration::from_secs(10);
/// Parts of an answer that the server measures.
const PARTS: [&str; 6] = ["read", "parse", "featurize", "queue", "pass", "render"];

fn main() {
    let seconds = load::option("--seconds", 1.0);
    // Ten thousand certificates in JSON are more than the limit of a server that is not told otherwise.
    let server =
        Server::start(&[&QUIET[..], &["--json-body-bytes", "10000000", "--waiting-bytes", "10000000"]].concat());
    let mut memories = vec![("idle".to_owned(), server.memory())];
    load::runtime().block_on(requests(&server, seconds, &mut memories));
    connections(&server, seconds, &mut memories);
    std::thread::sleep(REST);
    memories.push((format!("{} s later", REST.as_secs()), server.memory()));
    println!("\nThe server's memory\n\n{}", head(&["after", "resident, MB", "peak so far, MB"]));
    for (what, memory) in memories {
        println!("{}", row(&[what, short(memory.now), short(memory.peak)]));
    }
    drop(server);
    batches(seconds);
}

/// One request at a time, with more and more samples.
async fn requests(server: &Server, seconds: f64, memories: &mut Vec<(String, Memory)>) {
    println!("\nOne JSON request at a time; the last six columns are µs a sample by the server's own account\n");
    println!("{}", head(&[&["samples", "p50, ms", "p99, ms", "µs a sample"], &PARTS[..]].concat()));
    let client = reqwest::Client::new();
    for count in REQUEST_SAMPLES {
        let body = if count == 1 { steel(0) } else { steels(0, count) }.to_string();
        let (mut took, mut parts) = (Vec::new(), PARTS.map(|_| Vec::new()));
        let start = Instant::now();
        while took.len() < 5 || start.elapsed().as_secs_f64() < seconds {
            let request = client.post(server.url("/predict/steel")).header("content-type", "application/json");
            let asked = Instant::now();
            let response = request.body(body.clone()).send().await.unwrap();
            assert_eq!(response.status(), 200);
            let timing = response.headers()["server-timing"].to_str().unwrap().to_owned();
            response.bytes().await.unwrap();
            took.push(asked.elapsed().as_secs_f64() * 1e3);
            for (part, times) in PARTS.iter().zip(&mut parts) {
                times.push(duration_of(&timing, part));
            }
        }
        let each = |milliseconds: f64| short(milliseconds * 1e3 / count as f64);
        let p50 = median(&took);
        let mut cells = vec![count.to_string(), short(p50), short(quantile(&took, 0.99)), each(p50)];
        cells.extend(parts.iter().map(|times| each(median(times))));
        println!("{}", row(&cells));
        memories.push((format!("requests of {count}"), server.memory()));
    }
}

/// Milliseconds of a part in a `Server-Timing` header.
fn duration_of(timing: &str, part: &str) -> f64 {
    let entry = timing.split(", ").find_map(|entry| entry.strip_prefix(part)?.strip_prefix(";dur="));
    entry.map_or(0.0, |duration| duration.parse().unwrap())
}

/// One sample a request, over more and more connections.
fn connections(server: &Server, seconds: f64, memories: &mut Vec<(String, Memory)>) {
    println!("\nSingle samples over several connections (wrk)\n");
    println!("{}", head(&["connections", "requests/s", "p50, ms", "p99, ms"]));
    let script = Script::post(&steel(0).to_string());
    for count in CONNECTIONS {
        let load = script.run(&server.url("/predict/steel"), count, seconds.max(2.0));
        println!("{}", row(&[count.to_string(), short(load.rate), short(load.p50 / 1e3), short(load.p99 / 1e3)]));
        memories.push((format!("{count} connections"), server.memory()));
    }
}

/// The pass alone, in this process, with more and more samples.
fn batches(seconds: f64) {
    println!("\nOne pass in process; the memory is that of this process, with its samples\n");
    println!("{}", head(&["model", "batch", "ms", "µs a sample", "resident, MB", "peak so far, MB"]));
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    for folder in active_bundles(&[models]).unwrap().values() {
        let bundle = load_bundle(folder, &Device::Cpu).unwrap();
        let different = probe_features(bundle.manifest(), DIFFERENT);
        for batch in BATCHES {
            let samples: Vec<&Features> = different.iter().cycle().take(batch).collect();
            let milliseconds = pass(&bundle, &samples, seconds);
            let memory = memory("self");
            let name = bundle.manifest().name.clone();
            let each = short(milliseconds * 1e3 / batch as f64);
            println!(
                "{}",
                row(&[name, batch.to_string(), short(milliseconds), each, short(memory.now), short(memory.peak)])
            );
        }
    }
}

/// The median of several passes, in milliseconds, after one that does not count.
fn pass(bundle: &Bundle, samples: &[&Features], seconds: f64) -> f64 {
    bundle.predict(samples).unwrap();
    let (mut took, start) = (Vec::new(), Instant::now());
    while took.len() < 3 || start.elapsed().as_secs_f64() < seconds {
        let asked = Instant::now();
        std::hint::black_box(bundle.predict(samples).unwrap());
        took.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    median(&took)
}
