//! Configuration of the HTTP limits, with their defaults.

use std::time::Duration;

use clap::{ArgAction, Args};
use serde::{Deserialize, Serialize};

use super::connection::activity::Times;

/// Limits of the HTTP server.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Largest JSON body, in bytes [default: 2000000].
    #[arg(long, env = "MCVN_JSON_BODY_BYTES")]
    pub json_body_bytes: usize,
    /// Largest total size of queued and running JSON requests and short tables, in bytes; more are refused [default:
    /// 4000000].
    #[arg(long, env = "MCVN_WAITING_BYTES")]
    pub waiting_bytes: usize,
    /// Largest total size of unread responses of a listener, in bytes; beyond it the slowest client is cut [default:
    /// 32000000].
    #[arg(long, env = "MCVN_ANSWER_BYTES")]
    pub answer_bytes: usize,
    /// Least bytes per second of a body or stream; when capacity runs out, slower ones are ended [default: 10000].
    #[arg(long, env = "MCVN_LEAST_BYTES_PER_SECOND")]
    pub least_bytes_per_second: f64,
    /// Largest number of samples in one JSON request; tables and NDJSON may have any length [default: 10000].
    #[arg(long, env = "MCVN_MAX_SAMPLES")]
    pub max_samples: usize,
    /// Longest time for one response, in seconds [default: 30].
    #[arg(long, env = "MCVN_DEADLINE_SECONDS")]
    pub deadline_seconds: f64,
    /// Largest number of open connections of a listener; on a few more only probes are answered [default: 4096].
    #[arg(long, env = "MCVN_CONNECTIONS")]
    pub connections: usize,
    /// Longest time for the head of a request, in seconds [default: 10].
    #[arg(long, env = "MCVN_HEADER_SECONDS")]
    pub header_seconds: f64,
    /// Longest idle time of a connection, between requests or while a response is not read, in seconds [default: 75].
    #[arg(long, env = "MCVN_KEEP_ALIVE_SECONDS")]
    pub keep_alive_seconds: f64,
    /// Serve POST /debug/echo, which answers like a prediction without running a model, for load tests [default:
    /// false].
    #[arg(long, env = "MCVN_DEBUG_ROUTES", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub debug_routes: bool,
    /// Number of trusted proxies whose X-Forwarded-For gives the client's address for the log; 0 trusts none [default:
    /// 0].
    #[arg(long, env = "MCVN_TRUSTED_PROXIES")]
    pub trusted_proxies: usize,
    /// Origin whose pages may call the API from a browser, such as http://localhost:8888, or * for all; repeat it (or
    /// separate with commas) for more [default: none].
    #[arg(long, env = "MCVN_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            json_body_bytes: 2_000_000,
            max_samples: 10_000,
            deadline_seconds: 30.0,
            waiting_bytes: 4_000_000,
            answer_bytes: 32_000_000,
            least_bytes_per_second: 10_000.0,
            connections: 4096,
            header_seconds: 10.0,
            keep_alive_seconds: 75.0,
            debug_routes: false,
            trusted_proxies: 0,
            cors_origins: Vec::new(),
        }
    }
}

impl HttpConfig {
    pub(super) fn deadline(&self) -> Duration {
        Duration::try_from_secs_f64(self.deadline_seconds).unwrap_or(Duration::MAX)
    }

    pub(super) fn times(&self) -> Times {
        // The longest possible duration would overflow when added to an instant, so it is limited to a year.
        let year = Duration::from_secs(31_536_000);
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).map_or(year, |time| time.min(year));
        Times { header: time(self.header_seconds), keep_alive: time(self.keep_alive_seconds) }
    }
}
