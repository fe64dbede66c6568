//! `cargo bench --bench soak -- --seconds 600`: hours in minutes. A mixed load at four fifths of what the server can do,
//! every answer checked, memory and latency watched for drift. Without the flag, 30 seconds.
//!
//! Its own because some faults need time and company: a leak, a queue that grows, an answer that is another client's. It
//! ends with 1 where an answer was wrong, or where memory or latency drifted.
//!
//! The rules for drift are made for two cores that load generator, server and whatever else runs share:
//! - At most as many requests are under way as there were clients when capacity was measured: what memory their buffers
//!   take is there before the first tenth begins, and a pause of the machine does not make it more.
//! - Memory is the least of a tenth's measurements: what remains when the buffers of a moment are given back. Growth
//!   counts from the second tenth, after caches have come to be, to the last one, or to the rest after it if less is held
//!   then: a leak is still there when the load is over, the buffers of a crowd are not. A tenth of it and 8 MB are free,
//!   since an allocator keeps pages in steps of that size.
//! - Latency is the median of three tenths' p99, early (2 to 4) and late (8 to 10), without those in which others took
//!   more than a tenth of the machine: they say nothing about the server. With fewer than two left, it is not judged. Late
//!   may be twice early and 10 ms, about two turns of the scheduler, which hit single requests at random.
//! - Where the pace was kept early and not late, that is drift, too; one request in twenty may be withheld.
//! - Latency and pace are judged where a tenth lasts 20 seconds. In half a minute three seconds stand against three, and a
//!   machine that is shared gives less for that long now and then: such a run shows wrong answers, errors and leaks only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::zombie_processes, reason = "the server is waited for when it is dropped")]

mod load;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use load::figures::{head, median, quantile, row, short};
use load::machine::{Others, Pauses};
use load::pace::{closed, open};
use load::questions::{Mix, Outcome};
use load::server::{QUIET, Server};

const TENTHS: usize = 10;
/// Seconds that a tenth must last for its latency and pace to be compared with another's.
const LEAST_TENTH: f64 = 20.0;
/// Connections: all of them are used to measure capacity, and as many as it takes by the paced load.
const CONNECTIONS: usize = 256;
/// Where the machine stands still for longer, deadlines pass that would not have: the soak begins again.
const MOST_PAUSE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;
const SHARE_OF_CAPACITY: f64 = 0.8;
/// A tenth in which others took more of the machine does not count.
const MOST_FOR_OTHERS: f64 = 0.1;
/// Between the last request and the last look at memory.
const REST: Duration = Duration::from_secs(3);
/// How many wrong answers are shown.
const SHOWN: usize = 10;

/// What was seen in a tenth of the time.
#[derive(Default)]
struct Tenth {
    /// Milliseconds.
    latencies: Vec<f64>,
    /// Megabytes.
    memory: Vec<f64>,
    withheld: usize,
    /// The share of the machine that others took.
    others: f64,
}

impl Tenth {
    fn p99(&self) -> f64 {
        quantile(&self.latencies, 0.99)
    }

    fn least_memory(&self) -> f64 {
        quantile(&self.memory, 0.0)
    }

    fn kept_pace(&self) -> bool {
        self.withheld * 20 <= self.latencies.len()
    }
}

#[derive(Default)]
struct Seen {
    /// Megabytes, some seconds after the last request.
    rested: f64,
    tenths: [Tenth; TENTHS],
    by_kind: BTreeMap<&'static str, Vec<f64>>,
    wrong: usize,
    shown: Vec<String>,
}

impl Seen {
    fn note(&mut self, tenth: usize, outcome: Outcome) {
        let milliseconds = outcome.took.as_secs_f64() * 1e3;
        self.tenths[tenth].latencies.push(milliseconds);
        self.by_kind.entry(outcome.kind).or_default().push(milliseconds);
        outcome.wrong.into_iter().for_each(|wrong| self.note_wrong(wrong));
    }

    fn note_wrong(&mut self, wrong: String) {
        self.wrong += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(wrong);
        }
    }
}

fn main() -> ExitCode {
    let seconds = load::option("--seconds", 30.0).max(5.0);
    let pauses = Pauses::watch();
    for _ in 0..ATTEMPTS {
        let troubles = soak(seconds);
        let pause = pauses.longest();
        if pause > MOST_PAUSE {
            println!("the machine stood still for {:.1} s, so nothing is judged; once more\n", pause.as_secs_f64());
            continue;
        }
        troubles.iter().for_each(|trouble| println!("FAILED: {trouble}"));
        return ExitCode::from(u8::from(!troubles.is_empty()));
    }
    println!("FAILED: the machine stands still too often");
    ExitCode::FAILURE
}

/// One soak from start to end; what went wrong.
fn soak(seconds: f64) -> Vec<String> {
    let server = Server::start(&QUIET);
    let idle = server.memory().now;
    let mix = Arc::new(Mix::new(&server.url("")));
    let seen = Arc::new(Mutex::new(Seen::default()));
    load::runtime().block_on(async {
        mix.learn().await;
        let capacity = capacity(&mix, &seen).await;
        let rate = capacity * SHARE_OF_CAPACITY;
        println!("capacity {capacity:.0} requests/s; {rate:.0} requests/s for {seconds} s; idle {idle:.0} MB");
        run(&server, &mix, &seen, rate, seconds).await;
    });
    let seen = seen.lock().unwrap();
    print(&seen, seconds / TENTHS as f64);
    let troubles = judge(&seen, &server.log(), seconds);
    if troubles.is_empty() {
        let count: usize = seen.tenths.iter().map(|tenth| tenth.latencies.len()).sum();
        println!("{count} answers as expected, no drift found");
    }
    troubles
}

/// Requests a second that the server can answer, each client waiting for its answer: the smaller of two measurements,
/// after one that warms up. Too high a guess would make the load an overload.
async fn capacity(mix: &Arc<Mix>, seen: &Arc<Mutex<Seen>>) -> f64 {
    let mut rates = Vec::new();
    for seconds in [1, 2, 2] {
        let (mix, seen) = (Arc::clone(mix), Arc::clone(seen));
        let ask = move |number| {
            let (mix, seen) = (Arc::clone(&mix), Arc::clone(&seen));
            async move {
                if let Some(wrong) = mix.ask(number).await.wrong {
                    seen.lock().unwrap().note_wrong(wrong);
                }
            }
        };
        rates.push(closed(CONNECTIONS, Duration::from_secs(seconds), ask).await);
    }
    rates[1].min(rates[2])
}

/// The load itself.
async fn run(server: &Server, mix: &Arc<Mix>, seen: &Arc<Mutex<Seen>>, rate: f64, seconds: f64) {
    let duration = Duration::from_secs_f64(seconds);
    let start = Instant::now();
    let watch = async {
        let mut others = Others::new(vec![server.process(), "self".to_owned()]);
        for index in 0..TENTHS {
            while start.elapsed() < duration * (index as u32 + 1) / TENTHS as u32 {
                tokio::time::sleep(duration / 200).await;
                seen.lock().unwrap().tenths[index].memory.push(server.memory().now);
            }
            seen.lock().unwrap().tenths[index].others = others.lap();
        }
    };
    // A request belongs to the tenth in which it was due.
    let tenth_of = move |number: usize| tenth(number as f64 / rate, seconds);
    let ask = open(rate, duration, CONNECTIONS, |number| {
        let (mix, seen) = (Arc::clone(mix), Arc::clone(seen));
        async move {
            let outcome = mix.ask(number).await;
            seen.lock().unwrap().note(tenth_of(number), outcome);
        }
    });
    let (offered, ()) = tokio::join!(ask, watch);
    tokio::time::sleep(REST).await;
    seen.lock().unwrap().rested = server.memory().now;
    for number in offered.withheld {
        seen.lock().unwrap().tenths[tenth_of(number)].withheld += 1;
    }
}

fn tenth(at: f64, seconds: f64) -> usize {
    ((at / seconds * TENTHS as f64) as usize).min(TENTHS - 1)
}

/// What is wrong, in words.
fn judge(seen: &Seen, log: &str, seconds: f64) -> Vec<String> {
    let mut troubles = seen.shown.clone();
    if seen.wrong > seen.shown.len() {
        troubles.push(format!("{} wrong answers in all", seen.wrong));
    }
    troubles.extend(log.lines().filter(|line| line.contains(" ERROR ")).take(SHOWN).map(str::to_owned));
    let [early, late] = [&seen.tenths[1], &seen.tenths[TENTHS - 1]].map(Tenth::least_memory);
    let late = late.min(seen.rested);
    if late > early * 1.1 + 8.0 {
        troubles.push(format!("memory grew from {early:.0} MB to {late:.0} MB"));
    }
    if seconds < LEAST_TENTH * TENTHS as f64 {
        println!("a tenth is shorter than {LEAST_TENTH} s: latency and pace are not judged");
        return troubles;
    }
    let [early, late] = [&seen.tenths[1..4], &seen.tenths[TENTHS - 3..]]
        .map(|tenths| tenths.iter().filter(|tenth| tenth.others <= MOST_FOR_OTHERS).collect::<Vec<_>>());
    if early.len() < 2 || late.len() < 2 {
        println!("others took too much of the machine: latency is not judged");
        return troubles;
    }
    let kept = |tenths: &[&Tenth]| tenths.iter().filter(|tenth| tenth.kept_pace()).count() * 2 > tenths.len();
    if kept(&early) && !kept(&late) {
        troubles.push("the pace was kept at first and not later".to_owned());
    }
    let p99 = |tenths: &[&Tenth]| median(&tenths.iter().map(|tenth| tenth.p99()).collect::<Vec<_>>());
    let (early, late) = (p99(&early), p99(&late));
    if late > 2.0 * early + 10.0 {
        troubles.push(format!("p99 went from {early:.1} ms to {late:.1} ms"));
    }
    troubles
}

fn print(seen: &Seen, seconds: f64) {
    let names = ["tenth", "answers/s", "p50, ms", "p99, ms", "least memory, MB", "withheld", "others, %"];
    println!("\n{}", head(&names));
    for (index, tenth) in seen.tenths.iter().enumerate() {
        let figures = [
            tenth.latencies.len() as f64 / seconds,
            quantile(&tenth.latencies, 0.5),
            tenth.p99(),
            tenth.least_memory(),
            tenth.withheld as f64,
            tenth.others * 100.0,
        ];
        let mut cells = vec![(index + 1).to_string()];
        cells.extend(figures.map(short));
        println!("{}", row(&cells));
    }
    println!("\n{} s after the last request: {:.1} MB", REST.as_secs(), seen.rested);
    println!("\n{}", head(&["kind", "answers", "p50, ms", "p99, ms"]));
    for (kind, latencies) in &seen.by_kind {
        let count = latencies.len().to_string();
        println!(
            "{}",
            row(&[(*kind).to_owned(), count, short(quantile(latencies, 0.5)), short(quantile(latencies, 0.99))])
        );
    }
    println!();
}
