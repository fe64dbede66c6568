//! The metrics of a server: counters and histograms for operators.
//!
//! Names, units and labels are a contract with dashboards and alerts, so all of them are defined here. Each server has
//! its own `Metrics`; nothing is global to the process. Labels have a bounded number of values: matched routes,
//! standard methods, statuses, problem codes, and names of served models; never text from a client.

mod scrape;

use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use scrape::{ModelDegraded, ModelInUse, Now, TextFormat};

/// Histogram buckets of durations, in seconds: from a pass of one sample on a GPU to the request deadline.
const SECONDS: [f64; 18] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
];
/// Methods with their own label. All others share `other`, because a client can invent any number of them.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PredictionLabels {
    model: String,
    in_domain: bool,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    started: SystemTime,
    requests: Family<RequestLabels, Counter>,
    request_duration: Durations<RouteLabel>,
    refused: Family<ReasonLabel, Counter>,
    predictions: Family<PredictionLabels, Counter>,
    queue_wait: Histogram,
    batch: Histogram,
    pass_duration: Durations<ModelLabel>,
    pass_failures: Counter,
    /// Returns the number of dropped log lines of the process.
    dropped_log_lines: fn() -> u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics at zero, for a server that starts now.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            started: SystemTime::now(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(durations),
            refused: Family::default(),
            predictions: Family::default(),
            queue_wait: durations(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            pass_duration: Family::new_with_constructor(durations),
            pass_failures: Counter::default(),
            dropped_log_lines: || 0,
        };
        metrics.register();
        metrics
    }

    /// Sets the function that returns the number of dropped log lines.
    #[must_use]
    pub fn dropping(self, dropped_log_lines: fn() -> u64) -> Self {
        Self { dropped_log_lines, ..self }
    }

    /// Registers names, help texts and units. The encoder appends the unit to a name, `_total` to a counter, and a full
    /// stop to a help text.
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "mcvn_http_requests",
            "Requests answered, by matched route (none where none matched)",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "mcvn_http_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register(
            "mcvn_requests_refused",
            "Requests answered with a problem, by its code; health checks and scrapes are not counted",
            self.refused.clone(),
        );
        registry.register(
            "mcvn_predictions",
            "Samples predicted, by whether they lie within what the model was trained on",
            self.predictions.clone(),
        );
        registry.register_with_unit(
            "mcvn_queue_wait",
            "Time between the submission of samples and the start of their pass",
            Unit::Seconds,
            self.queue_wait.clone(),
        );
        registry.register_with_unit(
            "mcvn_batch",
            "Samples in one pass of the device, self-tests included",
            Unit::Other("samples".to_owned()),
            self.batch.clone(),
        );
        registry.register_with_unit(
            "mcvn_pass_duration",
            "Time of one pass of the device, transfers and self-tests included",
            Unit::Seconds,
            self.pass_duration.clone(),
        );
        registry.register("mcvn_pass_failures", "Passes of the device that failed", self.pass_failures.clone());
    }

    /// Counts an answered request. `route` is the matched pattern, not the path.
    pub fn answered(&self, method: &str, route: &str, status: u16, duration: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        self.requests.get_or_create(&RequestLabels { method, route: route.to_owned(), status }).inc();
        self.request_duration.get_or_create(&RouteLabel { route: route.to_owned() }).observe(duration.as_secs_f64());
    }

    /// Counts a request answered with a problem; `reason` is the problem code.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts samples predicted by a served model; `in_domain` of them were in its domain.
    pub fn predicted(&self, model: &str, samples: usize, in_domain: usize) {
        for (label, count) in [(true, in_domain), (false, samples.saturating_sub(in_domain))] {
            // Also add zero, so that both series of a model exist after its first answer.
            let labels = PredictionLabels { model: model.to_owned(), in_domain: label };
            self.predictions.get_or_create(&labels).inc_by(count as u64);
        }
    }

    /// Records how long samples waited in the queue before their pass.
    pub fn waited(&self, wait: Duration) {
        self.queue_wait.observe(wait.as_secs_f64());
    }

    /// Records a finished pass of a served model on the device.
    pub fn passed(&self, model: &str, samples: usize, duration: Duration, succeeded: bool) {
        self.batch.observe(samples as f64);
        self.pass_duration.get_or_create(&ModelLabel { model: model.to_owned() }).observe(duration.as_secs_f64());
        self.pass_failures.inc_by(u64::from(!succeeded));
    }
}

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}
