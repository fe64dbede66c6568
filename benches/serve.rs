//! `cargo bench --bench serve`: what a prediction costs over HTTP, beside a route that only reads and writes JSON.
//!
//! Starts the server on a free port of this machine, drives it with wrk (which must be installed) and prints ratios. The
//! two routes take turns, so that a machine whose speed drifts is the same for both; medians of the rounds are compared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const ROUNDS: usize = 3;
const SECONDS: &str = "4s";

/// A well-known steel (4140), rounded.
const BODY: &str = r#"{"composition": {"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.05, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2}, "processing": {"normalizing_temperature": 870, "quenching_temperature": 855, "tempering_temperature": 600, "reduction_ratio": 825, "inclusions_da": 0.05, "inclusions_db": 0, "inclusions_dc": 0}}"#;

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--debug-routes"]).current_dir(root);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some(at) = line.find("listening on ") {
                break line[at + 13..].split_whitespace().next().unwrap().to_owned();
            }
        };
        // The rest of the log must go somewhere, or the server waits for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        for _ in 0..100 {
            let ready = Command::new("curl").args(["-sf", &format!("{url}/readyz")]).stdout(Stdio::null()).status();
            if ready.unwrap().success() {
                return Self { child, url };
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the server does not get ready");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What wrk measured: requests a second, and latencies in microseconds.
#[derive(Clone, Copy, Default)]
struct Load {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn wrk(url: &str, connections: usize, script: &str) -> Load {
    let threads = if connections == 1 { "1" } else { "2" };
    let output = Command::new("wrk")
        .args(["-t", threads, "-c", &connections.to_string(), "-d", SECONDS, "--latency", "-s", script, url])
        .output()
        .unwrap_or_else(|error| panic!("wrk: {error}; install it (apt install wrk)"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("Non-2xx"), "{text}");
    let after = |word: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(word));
        line.unwrap_or_else(|| panic!("{text}")).split_whitespace().nth(1).unwrap().to_owned()
    };
    Load { rate: after("Requests/sec:").parse().unwrap(), p50: micros(&after("50%")), p99: micros(&after("99%")) }
}

fn micros(text: &str) -> f64 {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (&text[..text.len() - 2], 1.0),
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1e3),
        _ => (text.trim_end_matches('s'), 1e6),
    };
    number.parse::<f64>().unwrap() * factor
}

fn median(loads: &[Load], pick: fn(&Load) -> f64) -> f64 {
    let mut values: Vec<f64> = loads.iter().map(pick).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder = std::env::temp_dir().join(format!("mcvn-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let script = folder.join("post.lua");
    let lua =
        format!("wrk.method = \"POST\"\nwrk.headers[\"content-type\"] = \"application/json\"\nwrk.body = [[{BODY}]]\n");
    std::fs::write(&script, lua).unwrap();
    let script = script.to_str().unwrap();
    let server = Server::start();
    println!("| connections | route | requests/s | p50, µs | p99, µs |\n|---|---|---|---|---|");
    let mut ratios = Vec::new();
    for connections in [1, 64] {
        let routes = ["/debug/echo", "/predict/steel"];
        let mut loads = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (route, loads) in routes.iter().zip(&mut loads) {
                loads.push(wrk(&format!("{}{route}", server.url), connections, script));
            }
        }
        let figures =
            loads.map(|loads| [|l: &Load| l.rate, |l: &Load| l.p50, |l: &Load| l.p99].map(|pick| median(&loads, pick)));
        for (route, [rate, p50, p99]) in routes.iter().zip(figures) {
            println!("| {connections} | {route} | {rate:.0} | {p50:.0} | {p99:.0} |");
        }
        let [echo, predict] = figures;
        ratios.push(format!(
            "{connections} connections: {:.2} × the echo's rate, {:.2} × its p50, {:.2} × its p99",
            predict[0] / echo[0],
            predict[1] / echo[1],
            predict[2] / echo[2]
        ));
    }
    println!("\n{}", ratios.join("\n"));
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}
