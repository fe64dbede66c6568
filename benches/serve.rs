//! `cargo bench --bench serve`: what a prediction costs over HTTP, beside a route that only reads and writes JSON.
//!
//! Starts the server on a free port of this machine, drives it with wrk (which must be installed) and prints ratios. The
//! two routes take turns, so that a machine whose speed drifts is the same for both; medians of the rounds are compared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

mod load;

use load::figures::{head, median, row, short};
use load::samples::steel;
use load::server::Server;
use load::wrk::{Load, Script};

const ROUNDS: usize = 3;
const SECONDS: f64 = 4.0;

fn main() {
    let server = Server::start(&["--debug-routes"]);
    let script = Script::post(&steel(0).to_string());
    println!("{}", head(&["connections", "route", "requests/s", "p50, µs", "p99, µs"]));
    let mut ratios = Vec::new();
    for connections in [1, 64] {
        let routes = ["/debug/echo", "/predict/steel"];
        let mut loads = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (route, loads) in routes.iter().zip(&mut loads) {
                loads.push(script.run(&server.url(route), connections, SECONDS));
            }
        }
        let figures = loads.map(|loads: Vec<Load>| {
            [|load: &Load| load.rate, |load: &Load| load.p50, |load: &Load| load.p99]
                .map(|pick| median(&loads.iter().map(pick).collect::<Vec<_>>()))
        });
        for (route, figures) in routes.iter().zip(figures) {
            let [rate, p50, p99] = figures.map(short);
            println!("{}", row(&[connections.to_string(), (*route).to_owned(), rate, p50, p99]));
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
}
