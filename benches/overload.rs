//! `cargo bench --bench overload`: four times as much as the server can do, from clients that do not slow down. What it
//! accepts must be answered in time, the rest refused at once, and accepting must not suffer from refusing.
//!
//! Its own because an overloaded server must be asked in an open loop (see `load::pace`), which no capacity test does.
//! Each request is a list, so that the server has a hundred times the work of the load generator beside it on the same
//! cores; the table says what the generator took all the same. Flags: `--seconds 10`, `--samples 250` in a request,
//! `--deadline 5` seconds for an answer, `--factor 4`.
//!
//! How long a refusal took is the server's own account, from the request's head to its answer: at the client it would be
//! mostly the time that the client waits for a core. It is read from the access log, for refusals have no other record of
//! one by one. Ends with 1 where a goal is not met.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

mod load;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use load::figures::{head, quantile, row, short};
use load::machine::{Others, Pauses, processor_seconds};
use load::pace::{Offered, closed, open};
use load::samples::steels;
use load::server::Server;
use reqwest::{Client, Method, Request};

/// Connections at most, as many as under a gateway's limit.
const MOST_UNDER_WAY: usize = 2000;
/// Clients with which capacity is sought.
const CLIENTS: [usize; 3] = [4, 16, 32];
/// Different bodies, so that nothing is remembered from request to request.
const BODIES: usize = 16;
/// What the queue does in the first part of the time, while it fills, is not what it does later.
const FILLING: f64 = 0.2;
const MOST_MILLISECONDS_TO_REFUSE: f64 = 10.0;
const LEAST_SHARE_OF_PEAK: f64 = 0.9;

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Accepted,
    /// With `Retry-After` or without.
    Refused(bool),
    Failed(String),
}

/// What became of one request.
#[derive(Clone, Debug)]
struct Outcome {
    kind: Kind,
    milliseconds: f64,
    /// When it was answered.
    at: Instant,
}

/// The same lists again and again.
struct Lists {
    client: Client,
    requests: Vec<Request>,
}

impl Lists {
    fn new(url: &str, samples: usize, patience: Duration) -> Self {
        let request = |index: usize| {
            let mut request = Request::new(Method::POST, url.parse().unwrap());
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = Some(steels(index * samples, samples).to_string().into());
            request
        };
        let client = Client::builder().pool_max_idle_per_host(usize::MAX).timeout(patience).build().unwrap();
        Self { client, requests: (0..BODIES).map(request).collect() }
    }

    async fn ask(&self, number: usize) -> Outcome {
        let request = self.requests[number % BODIES].try_clone().unwrap();
        let start = Instant::now();
        let answered = async {
            let response = self.client.execute(request).await?;
            let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
            let body = response.bytes().await?;
            Ok(match status {
                200 => Kind::Accepted,
                429 | 503 => Kind::Refused(retry),
                _ => Kind::Failed(format!("{status} {}", String::from_utf8_lossy(&body[..body.len().min(300)]))),
            })
        };
        let kind = answered.await.unwrap_or_else(|error: reqwest::Error| Kind::Failed(format!("{error:?}")));
        let at = Instant::now();
        Outcome { kind, milliseconds: (at - start).as_secs_f64() * 1e3, at }
    }
}

fn main() -> ExitCode {
    let seconds = load::option("--seconds", 10.0);
    let samples = load::option("--samples", 250.0) as usize;
    let deadline = load::option("--deadline", 5.0);
    let factor = load::option("--factor", 4.0);
    let pauses = Pauses::watch();
    let server = Server::start(&["--deadline-seconds", &deadline.to_string()]);
    // Longer than the server may take: what breaks the deadline must be seen to do so.
    let patience = Duration::from_secs_f64(deadline * 2.0 + 5.0);
    let lists = Arc::new(Lists::new(&server.url("/predict/steel"), samples, patience));
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let runtime = load::runtime();
    let capacity = runtime.block_on(capacity(&lists, (seconds / 4.0).max(1.0)));
    pauses.longest();
    let before = (processor_seconds("self"), server.log().len());
    let mut others = Others::new(vec![server.process(), "self".to_owned()]);
    let start = Instant::now();
    let offered =
        runtime.block_on(open(capacity * factor, Duration::from_secs_f64(seconds), MOST_UNDER_WAY, |number| {
            let (lists, outcomes) = (Arc::clone(&lists), Arc::clone(&outcomes));
            async move {
                let outcome = lists.ask(number).await;
                outcomes.lock().unwrap().push(outcome);
            }
        }));
    let report = Report {
        samples: samples as f64,
        deadline: deadline * 1e3,
        capacity,
        offered,
        outcomes: std::mem::take(&mut *outcomes.lock().unwrap()),
        at_server: answers_in(&server.log()[before.1..]),
        others: others.lap(),
        pause: pauses.longest().as_secs_f64(),
        generator: (processor_seconds("self") - before.0) / start.elapsed().as_secs_f64(),
        start,
    };
    drop(server);
    ExitCode::from(u8::from(!report.print()))
}

/// Requests a second in a closed loop: the best of several numbers of clients.
async fn capacity(lists: &Arc<Lists>, seconds: f64) -> f64 {
    let mut best = 0.0f64;
    for clients in CLIENTS {
        let lists = Arc::clone(lists);
        let ask = move |number| {
            let lists = Arc::clone(&lists);
            async move {
                // Said and not fatal: a machine that stands still for a while is no reason to measure nothing.
                let outcome = lists.ask(number).await;
                if outcome.kind != Kind::Accepted {
                    println!("while capacity was sought, after {:.0} ms: {:?}", outcome.milliseconds, outcome.kind);
                }
            }
        };
        best = best.max(closed(clients, Duration::from_secs_f64(seconds), ask).await);
    }
    best
}

/// The access log: milliseconds of each answer, by its status.
fn answers_in(log: &str) -> BTreeMap<u16, Vec<f64>> {
    let field = |line: &str, name: &str| line.split_once(name)?.1.split_whitespace().next()?.parse::<f64>().ok();
    let mut answers: BTreeMap<u16, Vec<f64>> = BTreeMap::new();
    for line in log.lines() {
        if let (Some(status), Some(microseconds)) = (field(line, " status="), field(line, " duration_us=")) {
            answers.entry(status as u16).or_default().push(microseconds / 1e3);
        }
    }
    answers
}

/// Everything that was seen.
struct Report {
    /// In one request.
    samples: f64,
    /// In milliseconds.
    deadline: f64,
    /// Requests a second.
    capacity: f64,
    offered: Offered,
    outcomes: Vec<Outcome>,
    /// Milliseconds by status.
    at_server: BTreeMap<u16, Vec<f64>>,
    others: f64,
    /// Seconds for which the machine stood still.
    pause: f64,
    /// Cores.
    generator: f64,
    start: Instant,
}

impl Report {
    fn milliseconds(&self, of: impl Fn(&Kind) -> bool) -> Vec<f64> {
        self.outcomes.iter().filter(|outcome| of(&outcome.kind)).map(|outcome| outcome.milliseconds).collect()
    }

    /// Accepted requests a second, between the filling of the queue and the end of what was offered.
    fn accepted_rate(&self) -> f64 {
        let (from, to) = (self.offered.seconds * FILLING, self.offered.seconds);
        let within = |outcome: &&Outcome| (from..to).contains(&(outcome.at - self.start).as_secs_f64());
        let accepted = self.outcomes.iter().filter(|outcome| outcome.kind == Kind::Accepted);
        accepted.filter(within).count() as f64 / (to - from)
    }

    /// Prints all of it; whether every goal is met.
    fn print(&self) -> bool {
        let accepted = self.milliseconds(|kind| *kind == Kind::Accepted);
        let refused = self.milliseconds(|kind| matches!(kind, Kind::Refused(_)));
        let silent = self.milliseconds(|kind| *kind == Kind::Refused(false)).len();
        let failed = self.milliseconds(|kind| matches!(kind, Kind::Failed(_))).len();
        let all = self.outcomes.len().max(1) as f64;
        let sent = (self.offered.requests - self.offered.withheld.len()) as f64 / self.offered.seconds;
        let rate = self.accepted_rate();
        let per_second = |rate: f64| format!("{} requests/s, {} samples/s", short(rate), short(rate * self.samples));
        let quantiles = |milliseconds: &[f64]| {
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| short(quantile(milliseconds, share)));
            format!("{p50} / {p99} / {max}")
        };
        let at_server = |statuses: &[u16]| {
            let of = |status| self.at_server.get(status).into_iter().flatten().copied();
            statuses.iter().flat_map(of).collect::<Vec<f64>>()
        };
        let refused_at_server = at_server(&[429, 503]);
        let statuses = self.at_server.iter().map(|(status, all)| format!("{status} × {}", all.len()));
        let share = |count: usize| format!("{count} ({} %)", short(count as f64 / all * 100.0));
        println!("{}", head(&["overload", ""]));
        for (name, value) in [
            ("peak, closed loop", per_second(self.capacity)),
            ("sent", format!("{}, {} × the peak", per_second(sent), short(sent / self.capacity))),
            ("withheld, as 2,000 were under way", self.offered.withheld.len().to_string()),
            ("accepted", share(accepted.len())),
            ("refused", share(refused.len())),
            ("failed", share(failed)),
            ("accepted, once the queue is full", per_second(rate)),
            ("accepted, p50 / p99 / max, ms, at the client", quantiles(&accepted)),
            ("accepted, p50 / p99 / max, ms, at the server", quantiles(&at_server(&[200]))),
            ("refused, p50 / p99 / max, ms, at the client", quantiles(&refused)),
            ("refused, p50 / p99 / max, ms, at the server", quantiles(&refused_at_server)),
            ("answers in the server's log", statuses.collect::<Vec<_>>().join(", ")),
            ("the generator took, cores", short(self.generator)),
            ("others took of the machine, %", short(self.others * 100.0)),
            ("the machine stood still, s (if above 1: start again)", short(self.pause)),
        ] {
            println!("{}", row(&[name.to_owned(), value]));
        }
        let most = quantile(&accepted, 1.0);
        let refusal = quantile(&refused_at_server, 0.99);
        let goals = [
            ("accepted answers keep their deadline", !accepted.is_empty() && most <= self.deadline),
            ("refused within 10 ms (p99, at the server)", refusal <= MOST_MILLISECONDS_TO_REFUSE),
            ("every refusal has Retry-After", silent == 0),
            ("nothing else fails", failed == 0),
            ("accepted samples/s are 90 % of the peak", rate >= LEAST_SHARE_OF_PEAK * self.capacity),
        ];
        println!("\n{}", head(&["goal", "met"]));
        for (goal, met) in goals {
            println!("{}", row(&[goal.to_owned(), if met { "yes" } else { "NO" }.to_owned()]));
        }
        let mut failures: Vec<&Kind> = self.outcomes.iter().map(|outcome| &outcome.kind).collect();
        failures.retain(|kind| matches!(kind, Kind::Failed(_)));
        failures.iter().take(5).for_each(|failure| println!("{failure:?}"));
        goals.iter().all(|(_, met)| *met)
    }
}
