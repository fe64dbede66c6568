//! `cargo bench --bench serve`: what a prediction costs over HTTP, beside a route that only reads and writes JSON.
//!
//! Starts the server on a free port of this machine, drives it with wrk (which must be installed) and prints ratios. The
//! routes take turns, so that a machine whose speed drifts is the same for all; medians of the rounds are compared.
//!
//! With `--peer` the same question goes to a server in Python too (`benches/peer`, two workers), twice: once with its
//! network as PyTorch modules, as most would write it, once traced and frozen, as fast as it gets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

mod load;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load::figures::{head, median, row, short};
use load::samples::steel;
use load::server::Server;
use load::wrk::{Load, Script};

const ROUNDS: usize = 3;
const SECONDS: f64 = 4.0;

fn main() {
    let server = Server::start(&["--debug-routes"]);
    let asked = std::env::args().any(|argument| argument == "--peer");
    let peers: Vec<Peer> = PEERS.into_iter().filter(|_| asked).map(Peer::start).collect();
    let script = Script::post(&steel(0).to_string());
    let ours = ["/debug/echo", "/predict/steel"].map(|route| (route.to_owned(), server.url(route)));
    let theirs = peers.iter().map(|peer| (format!("peer in Python, {}", peer.network), peer.url("/predict/steel")));
    let routes: Vec<(String, String)> = ours.into_iter().chain(theirs).collect();
    println!("{}", head(&["connections", "route", "requests/s", "p50, µs", "p99, µs"]));
    let mut ratios = Vec::new();
    for connections in [1, 64] {
        let mut loads = vec![Vec::new(); routes.len()];
        for _ in 0..ROUNDS {
            for ((_, url), loads) in routes.iter().zip(&mut loads) {
                loads.push(script.run(url, connections, SECONDS));
            }
        }
        let figures = |loads: Vec<Load>| {
            [|load: &Load| load.rate, |load: &Load| load.p50, |load: &Load| load.p99]
                .map(|pick| median(&loads.iter().map(pick).collect::<Vec<_>>()))
        };
        let figures: Vec<[f64; 3]> = loads.into_iter().map(figures).collect();
        for ((route, _), figures) in routes.iter().zip(&figures) {
            let [rate, p50, p99] = figures.map(short);
            println!("{}", row(&[connections.to_string(), route.clone(), rate, p50, p99]));
        }
        let (echo, predict) = (figures[0], figures[1]);
        let mut ratio = format!(
            "{connections} connections: {:.2} × the echo's rate, {:.2} × its p50, {:.2} × its p99",
            predict[0] / echo[0],
            predict[1] / echo[1],
            predict[2] / echo[2]
        );
        for (Peer { network, .. }, peer) in peers.iter().zip(&figures[2..]) {
            let (rate, p50) = (predict[0] / peer[0], peer[1] / predict[1]);
            ratio += &format!("; {rate:.0} × the {network} peer's rate, its p50 over ours {p50:.0}");
        }
        ratios.push(ratio);
    }
    println!("\n{}", ratios.join("\n"));
}

/// How the peer runs its network.
const PEERS: [&str; 2] = ["plain", "traced"];

/// The same in Python.
struct Peer {
    network: &'static str,
    child: Child,
    port: u16,
}

impl Peer {
    /// The first start installs its packages, which takes minutes.
    fn start(network: &'static str) -> Self {
        // Free at this moment; the peer cannot tell which port it has got.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("benches/peer/serve.sh");
        command.args([&port.to_string(), "2"]).current_dir(env!("CARGO_MANIFEST_DIR")).stdout(Stdio::null());
        command.env("PEER_NETWORK", network);
        let mut peer = Self { network, child: command.spawn().unwrap(), port };
        while ureq::get(peer.url("/readyz")).call().is_err() {
            assert!(peer.child.try_wait().unwrap().is_none(), "the peer has ended");
            std::thread::sleep(Duration::from_millis(200));
        }
        peer
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its workers are its children: they end when they are asked to, not when their parent is killed.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
