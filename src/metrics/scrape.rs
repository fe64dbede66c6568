//! The metrics as text for Prometheus.
//!
//! Some values are only known at the time of a scrape. They are written from a temporary registry, so that series of
//! old model versions do not remain.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Metrics;

/// Values at the time of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now<'a> {
    /// Whether the server accepts new work.
    pub ready: bool,
    /// `cpu` or `cuda:N`; `None` if nothing is loaded.
    pub device: Option<&'a str>,
    /// Whether passes on the device succeed.
    pub device_healthy: bool,
    /// The models in use.
    pub models: &'a [ModelInUse<'a>],
    /// The models whose active version cannot be served.
    pub degraded: &'a [ModelDegraded<'a>],
    /// Samples in the queue or in a pass.
    pub queue_samples: usize,
    /// Limit of `queue_samples`; above it, samples are refused.
    pub queue_limit_samples: usize,
    /// Training jobs by state, including zeros; empty if the server runs no jobs.
    pub jobs: &'a [(&'static str, u64)],
    /// Whether admin keys can be read and the audit log can be written; `None` if administration is off.
    pub admin_working: Option<bool>,
}

/// A model in use.
#[derive(Clone, Copy, Debug)]
pub struct ModelInUse<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its active version.
    pub version: &'a str,
    /// Its route.
    pub route: &'a str,
}

/// A model whose active version cannot be served.
#[derive(Clone, Copy, Debug)]
pub struct ModelDegraded<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its active version.
    pub version: &'a str,
    /// The version served instead, if there is one.
    pub answers: Option<&'a str>,
}

/// The text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.0, which Prometheus requests.
    OpenMetrics,
    /// The older text format 0.0.4, the default.
    Plain,
}

type Labels = Vec<(&'static str, String)>;

impl TextFormat {
    /// Chooses the format for an `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        let (open, plain) = (quality(accept, "application/openmetrics-text"), quality(accept, "text/plain"));
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Plain }
    }

    /// The value of the `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The quality of a media type in an `Accept` header: its `q`, 1 if it has none, 0 if the type is not listed.
fn quality(accept: &str, media_type: &str) -> f32 {
    let named = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next().filter(|name| name.eq_ignore_ascii_case(media_type))?;
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
    });
    named.fold(0.0, f32::max)
}

impl Metrics {
    /// Renders all metrics as text.
    ///
    /// # Errors
    /// A failed write to a string, which does not occur with the standard library.
    pub fn render(&self, now: &Now, format: TextFormat) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &momentary(now, self.started, (self.dropped_log_lines)()))?;
        encode_eof(&mut text)?;
        Ok(match format {
            TextFormat::OpenMetrics => text,
            TextFormat::Plain => plain(&text),
        })
    }
}

fn momentary(now: &Now, started: SystemTime, dropped_log_lines: u64) -> Registry {
    let mut registry = Registry::default();
    let samples = || Unit::Other("samples".to_owned());
    let gauge = |value: usize| {
        let gauge = Gauge::<u64, AtomicU64>::default();
        gauge.set(value as u64);
        gauge
    };
    let help = "Samples that wait for the device or are under way";
    registry.register_with_unit("mcvn_queue", help, samples(), gauge(now.queue_samples));
    let help = "Samples that may wait or be under way; more are refused";
    registry.register_with_unit("mcvn_queue_limit", help, samples(), gauge(now.queue_limit_samples));
    let help = "1 where the models answer, passes do not keep failing and the server is not stopping";
    registry.register("mcvn_ready", help, gauge(usize::from(now.ready)));
    let help = "1 where passes of the device succeed; 0 before the first, and while too many fail in a row";
    registry.register("mcvn_device_healthy", help, gauge(usize::from(now.device_healthy)));

    let models = now.models.iter().map(|model| {
        let labels = [("model", model.name), ("version", model.version), ("route", model.route)];
        (labels.map(|(name, value)| (name, value.to_owned())).to_vec(), 1)
    });
    registry.register("mcvn_model_info", "The models in use", family(models));
    let degraded = now.degraded.iter().map(|model| {
        let labels = [("model", model.name), ("version", model.version), ("answers", model.answers.unwrap_or("none"))];
        (labels.map(|(name, value)| (name, value.to_owned())).to_vec(), 1)
    });
    let help = "Models whose version in use does not answer as it should, and the version that does";
    registry.register("mcvn_model_degraded", help, family(degraded));
    let build = [("version", env!("CARGO_PKG_VERSION")), ("device", now.device.unwrap_or("none"))];
    let build = build.map(|(name, value)| (name, value.to_owned())).to_vec();
    registry.register("mcvn_build_info", "The program and its device", family([(build, 1)].into_iter()));
    let jobs = now.jobs.iter().map(|(state, count)| (vec![("state", (*state).to_owned())], *count));
    registry.register("mcvn_jobs", "Training jobs by state", family(jobs));
    if let Some(working) = now.admin_working {
        let help = "1 where admin keys can be read and the audit log can be written";
        registry.register("mcvn_admin_working", help, gauge(usize::from(working)));
    }

    let help = "Log lines dropped because too many others waited for a reader";
    registry.register("mcvn_log_lines_dropped", help, ConstCounter::new(dropped_log_lines));

    // Standard metrics of Prometheus client libraries.
    let start = Gauge::<f64, AtomicU64>::default();
    start.set(started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    let help = "Start of the server since the Unix epoch";
    registry.register_with_unit("process_start_time", help, Unit::Seconds, start);
    if let Some(bytes) = resident_bytes() {
        let help = "Resident memory of the process";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, gauge(bytes));
    }
    registry
}

fn family(series: impl Iterator<Item = (Labels, u64)>) -> Family<Labels, Gauge<u64, AtomicU64>> {
    let family = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    for (labels, value) in series {
        family.get_or_create(&labels).set(value);
    }
    family
}

/// Resident memory in bytes, if the kernel reports it (Linux).
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib * 1024)
}

/// Converts OpenMetrics text to the older format, which has the full name of a counter in HELP and TYPE, and no UNIT or
/// EOF.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let fields = |line: &str, kind: &str| {
            line.strip_prefix(kind)?.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        };
        if let Some((name, help)) = fields(line, "# HELP ") {
            let kind = lines.next_if(|line| line.starts_with("# TYPE "));
            let kind = kind.and_then(|line| line.rsplit(' ').next()).unwrap_or("untyped");
            let suffix = if kind == "counter" { "_total" } else { "" };
            plain += &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            plain.extend([line, "\n"]);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_happened_is_what_is_written() {
        let metrics = Metrics::new().dropping(|| 9);
        metrics.answered("POST", "/predict/steel", 200, Duration::from_millis(3));
        metrics.answered("BREW", "none", 404, Duration::from_micros(70));
        metrics.refused("not_found");
        metrics.predicted("glass", 5, 3);
        metrics.waited(Duration::from_micros(40));
        metrics.passed("glass", 5, Duration::from_millis(2), true);
        metrics.passed("glass", 5, Duration::from_millis(2), false);
        let models = [ModelInUse { name: "glass", version: "ab\"c", route: "/classify/glass" }];
        let now = Now {
            ready: true,
            device: Some("cpu"),
            device_healthy: true,
            models: &models,
            degraded: &[ModelDegraded { name: "lab", version: "v2", answers: None }],
            queue_samples: 7,
            queue_limit_samples: 100,
            jobs: &[("queued", 0), ("running", 1)],
            admin_working: Some(true),
        };
        let text = metrics.render(&now, TextFormat::OpenMetrics).unwrap();
        for line in [
            "mcvn_http_requests_total{method=\"POST\",route=\"/predict/steel\",status=\"200\"} 1",
            "mcvn_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1",
            "mcvn_http_request_duration_seconds_bucket{le=\"0.0001\",route=\"none\"} 1",
            "mcvn_requests_refused_total{reason=\"not_found\"} 1",
            "mcvn_predictions_total{model=\"glass\",in_domain=\"true\"} 3",
            "mcvn_predictions_total{model=\"glass\",in_domain=\"false\"} 2",
            "mcvn_queue_wait_seconds_count 1",
            "mcvn_batch_samples_sum 10.0",
            "mcvn_batch_samples_bucket{le=\"8.0\"} 2",
            "mcvn_pass_duration_seconds_count{model=\"glass\"} 2",
            "mcvn_pass_failures_total 1",
            "mcvn_log_lines_dropped_total 9",
            "mcvn_queue_samples 7",
            "mcvn_queue_limit_samples 100",
            "mcvn_ready 1",
            "mcvn_device_healthy 1",
            "mcvn_model_info{model=\"glass\",version=\"ab\\\"c\",route=\"/classify/glass\"} 1",
            "mcvn_model_degraded{model=\"lab\",version=\"v2\",answers=\"none\"} 1",
            "mcvn_jobs{state=\"queued\"} 0",
            "mcvn_jobs{state=\"running\"} 1",
            "# TYPE mcvn_pass_failures counter",
            "# UNIT mcvn_batch_samples samples",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(text.contains(&format!("version=\"{}\",device=\"cpu\"}} 1", env!("CARGO_PKG_VERSION"))));
    }

    #[test]
    fn what_is_no_more_is_not_written() {
        let metrics = Metrics::new();
        let old = [ModelInUse { name: "glass", version: "old", route: "/classify/glass" }];
        let new = [ModelInUse { version: "new", ..old[0] }];
        let before = metrics.render(&Now { models: &old, ..Now::default() }, TextFormat::Plain).unwrap();
        let after = metrics.render(&Now { models: &new, ..Now::default() }, TextFormat::Plain).unwrap();
        assert!(before.contains("version=\"old\"") && after.contains("version=\"new\""));
        assert!(!after.contains("version=\"old\""));
        assert!(!after.contains("mcvn_jobs"), "no jobs, no family");
    }

    #[test]
    fn the_older_format_names_counters_in_full() {
        let metrics = Metrics::new();
        metrics.refused("overloaded");
        let text = metrics.render(&Now::default(), TextFormat::Plain).unwrap();
        assert!(text.contains("# TYPE mcvn_requests_refused_total counter\nmcvn_requests_refused_total{"));
        assert!(text.contains("# TYPE mcvn_queue_samples gauge\nmcvn_queue_samples 0\n"));
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
    }

    #[test]
    fn only_who_asks_gets_open_metrics() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(TextFormat::accepted(prometheus), TextFormat::OpenMetrics);
        for (accept, format) in [
            ("", TextFormat::Plain),
            ("*/*", TextFormat::Plain),
            ("Application/OpenMetrics-Text; version=1.0.0", TextFormat::OpenMetrics),
            ("application/openmetrics-text;q=0", TextFormat::Plain),
            ("application/openmetrics-text;q=0.1,text/plain", TextFormat::Plain),
            ("text/plain;q=0.5, application/openmetrics-text;version=0.0.1;q=0.75", TextFormat::OpenMetrics),
        ] {
            assert_eq!(TextFormat::accepted(accept), format, "{accept}");
        }
    }
}
