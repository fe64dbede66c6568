//! Every knob of the server, once: flag over `MCVN_*` variable over TOML file over default.
//!
//! Its own so that precedence is one rule. The values' meanings belong to the modules whose `Config` they
//! are; here they are only put together.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::admin::AdminConfig;
use crate::batcher::BatcherConfig;
use crate::bulk::BulkConfig;
use crate::http::{HttpConfig, is_origin};
use crate::jobs::JobsConfig;
use crate::model::DeviceChoice;
use crate::serving::ServingConfig;
use crate::telemetry::{self, LogFormat};

/// The server's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: String,
    /// Folders of models; a later one shadows an earlier one by model name.
    pub models_dirs: Vec<PathBuf>,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: DeviceChoice,
    /// Serve models whose answers depend on the batch.
    pub allow_batch_dependent: bool,
    /// Longest time for finishing what was accepted, after a stop signal.
    pub drain_seconds: f64,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Least level that is logged, or a filter such as `info,mcvn=debug`.
    pub log_level: String,
    /// Log lines that may wait to be written; more are dropped and counted.
    pub log_queue_lines: usize,
    /// The HTTP surface.
    pub http: HttpConfig,
    /// The queue.
    pub batcher: BatcherConfig,
    /// Tables and lines.
    pub bulk: BulkConfig,
    /// Administration.
    pub admin: AdminConfig,
    /// Retraining.
    pub jobs: JobsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            models_dirs: vec![PathBuf::from("models")],
            device: DeviceChoice::Auto,
            allow_batch_dependent: false,
            drain_seconds: 20.0,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            log_queue_lines: 16_384,
            http: HttpConfig::default(),
            batcher: BatcherConfig::default(),
            bulk: BulkConfig::default(),
            admin: AdminConfig::default(),
            jobs: JobsConfig::default(),
        }
    }
}

/// The knobs as flags and variables.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeFlags {
    /// TOML file with any of these knobs (`[http]`, `[batcher]`, `[bulk]`, `[admin]` and `[jobs]` are tables).
    #[arg(long, env = "MCVN_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:8080].
    #[arg(long, env = "MCVN_LISTEN")]
    listen: Option<String>,
    /// Folder of models; repeat it (or separate with commas) for more, later ones shadow earlier ones [default: models].
    #[arg(long = "models-dir", env = "MCVN_MODELS_DIR", value_delimiter = ',')]
    models_dirs: Option<Vec<PathBuf>>,
    /// auto, cpu or cuda:N [default: auto].
    #[arg(long, env = "MCVN_DEVICE")]
    device: Option<DeviceChoice>,
    /// Serve models whose answers depend on the batch [default: false].
    #[arg(long, env = "MCVN_ALLOW_BATCH_DEPENDENT", num_args = 0..=1, default_missing_value = "true")]
    allow_batch_dependent: Option<bool>,
    /// Longest time for finishing what was accepted, after a stop signal [default: 20].
    #[arg(long, env = "MCVN_DRAIN_SECONDS")]
    drain_seconds: Option<f64>,
    /// How log lines are written [default: text].
    #[arg(long, env = "MCVN_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Least level that is logged, or a filter such as info,mcvn=debug [default: info].
    #[arg(long, env = "MCVN_LOG_LEVEL")]
    log_level: Option<String>,
    /// Log lines that may wait to be written; more are dropped and counted [default: 16384].
    #[arg(long, env = "MCVN_LOG_QUEUE_LINES")]
    log_queue_lines: Option<usize>,
    /// Largest JSON body, in bytes [default: 2000000].
    #[arg(long, env = "MCVN_JSON_BODY_BYTES")]
    json_body_bytes: Option<usize>,
    /// Bytes of JSON requests and short tables that may wait or be under way, all together; more are refused [default: 4000000].
    #[arg(long, env = "MCVN_WAITING_BYTES")]
    waiting_bytes: Option<usize>,
    /// Bytes of answers that may wait for the clients of a listener, all together; then the slowest is cut [default: 32000000].
    #[arg(long, env = "MCVN_ANSWER_BYTES")]
    answer_bytes: Option<usize>,
    /// Bytes a second below which a body or a stream yields to others when there is no more room or place [default: 10000].
    #[arg(long, env = "MCVN_LEAST_BYTES_PER_SECOND")]
    least_bytes_per_second: Option<f64>,
    /// Most samples in one JSON request; tables and lines may be of any length [default: 10000].
    #[arg(long, env = "MCVN_MAX_SAMPLES")]
    max_samples: Option<usize>,
    /// Longest time for one answer [default: 30].
    #[arg(long, env = "MCVN_DEADLINE_SECONDS")]
    deadline_seconds: Option<f64>,
    /// Most open connections of a listener; on a few more only probes are answered [default: 4096].
    #[arg(long, env = "MCVN_CONNECTIONS")]
    connections: Option<usize>,
    /// Longest time for the head of a request [default: 10].
    #[arg(long, env = "MCVN_HEADER_SECONDS")]
    header_seconds: Option<f64>,
    /// Longest time for which nothing moves on a connection, between requests or in an answer [default: 75].
    #[arg(long, env = "MCVN_KEEP_ALIVE_SECONDS")]
    keep_alive_seconds: Option<f64>,
    /// Serve POST /debug/echo, which answers as a prediction does and asks no model: for load tests [default: false].
    #[arg(long, env = "MCVN_DEBUG_ROUTES", num_args = 0..=1, default_missing_value = "true")]
    debug_routes: Option<bool>,
    /// Proxies before the server whose X-Forwarded-For says who asks, for the log; 0 believes none [default: 0].
    #[arg(long, env = "MCVN_TRUSTED_PROXIES")]
    trusted_proxies: Option<usize>,
    /// Origin whose pages may ask from a browser, such as http://localhost:8888, or * for all; repeat it (or separate with
    /// commas) for more [default: none].
    #[arg(long, env = "MCVN_CORS_ORIGINS", value_delimiter = ',')]
    cors_origins: Option<Vec<String>>,
    /// Samples that may wait or be under way [default: 16384].
    #[arg(long, env = "MCVN_QUEUE_SAMPLES")]
    queue_samples: Option<usize>,
    /// Samples in one pass [default: 256].
    #[arg(long, env = "MCVN_MAX_BATCH")]
    max_batch: Option<usize>,
    /// Tables and lines that are answered at the same time; more are refused [default: 4].
    #[arg(long, env = "MCVN_BULK_STREAMS")]
    bulk_streams: Option<usize>,
    /// Threads of low priority that answer them; 0 for one a core [default: 0].
    #[arg(long, env = "MCVN_BULK_THREADS")]
    bulk_threads: Option<usize>,
    /// Passes that fail in a row before /readyz says so [default: 5].
    #[arg(long, env = "MCVN_FAILURES_UNTIL_UNREADY")]
    failures_until_unready: Option<usize>,
    /// File of admin keys, made by `mcvn admin-key create`; without it there is no administration.
    #[arg(long, env = "MCVN_ADMIN_KEYS_FILE")]
    admin_keys_file: Option<PathBuf>,
    /// Address and port for the admin routes alone; without it they stand beside the others.
    #[arg(long, env = "MCVN_ADMIN_LISTEN")]
    admin_listen: Option<String>,
    /// Largest training data, uploaded or in the folder of data files, in bytes [default: 64000000].
    #[arg(long, env = "MCVN_UPLOAD_BYTES")]
    upload_bytes: Option<u64>,
    /// Jobs that are kept when they have ended, the latest; older ones are removed with their rows; 0 for all [default: 0].
    #[arg(long, env = "MCVN_KEEP_JOBS")]
    keep_jobs: Option<usize>,
    /// Candidates of each model that are kept, the newest; older ones are removed; 0 for all [default: 0].
    #[arg(long, env = "MCVN_KEEP_CANDIDATES")]
    keep_candidates: Option<usize>,
    /// Folder of the job table, the audit log and the jobs' data [default: mcvn-state].
    #[arg(long, env = "MCVN_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Folder whose CSV files a job may name instead of uploading.
    #[arg(long, env = "MCVN_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Jobs that may wait [default: 8].
    #[arg(long, env = "MCVN_JOB_QUEUE")]
    job_queue: Option<usize>,
    /// Threads of a training on a CPU; 0 for half of the cores [default: 0].
    #[arg(long, env = "MCVN_JOB_THREADS")]
    job_threads: Option<usize>,
    /// Bytes of memory (address space) that a check of data or a training on a CPU may take; 0 for no bound [default:
    /// 4294967296].
    #[arg(long, env = "MCVN_JOB_MEMORY_BYTES")]
    job_memory_bytes: Option<u64>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file is not what it should be.
    #[error("{0}: {1}")]
    Syntax(PathBuf, toml::de::Error),
    /// Values that contradict each other or make no sense.
    #[error("{0}")]
    Value(String),
}

impl Config {
    /// Puts flags and variables over the file they name, and that over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, an unknown knob or a senseless value.
    pub fn assemble(flags: ServeFlags) -> Result<Self, ConfigError> {
        let mut config = flags.config.as_deref().map_or_else(|| Ok(Self::default()), Self::read)?;
        let ServeFlags { config: _, listen, models_dirs, device, allow_batch_dependent, drain_seconds, .. } = flags;
        set(&mut config.listen, listen);
        set(&mut config.models_dirs, models_dirs);
        set(&mut config.device, device);
        set(&mut config.allow_batch_dependent, allow_batch_dependent);
        set(&mut config.drain_seconds, drain_seconds);
        set(&mut config.log_format, flags.log_format);
        set(&mut config.log_level, flags.log_level);
        set(&mut config.log_queue_lines, flags.log_queue_lines);
        set(&mut config.http.json_body_bytes, flags.json_body_bytes);
        set(&mut config.http.waiting_bytes, flags.waiting_bytes);
        set(&mut config.http.answer_bytes, flags.answer_bytes);
        set(&mut config.http.least_bytes_per_second, flags.least_bytes_per_second);
        set(&mut config.http.max_samples, flags.max_samples);
        set(&mut config.http.deadline_seconds, flags.deadline_seconds);
        set(&mut config.http.connections, flags.connections);
        set(&mut config.http.header_seconds, flags.header_seconds);
        set(&mut config.http.keep_alive_seconds, flags.keep_alive_seconds);
        set(&mut config.http.debug_routes, flags.debug_routes);
        set(&mut config.http.trusted_proxies, flags.trusted_proxies);
        set(&mut config.http.cors_origins, flags.cors_origins);
        set(&mut config.batcher.queue_samples, flags.queue_samples);
        set(&mut config.batcher.max_batch, flags.max_batch);
        set(&mut config.bulk.streams, flags.bulk_streams);
        set(&mut config.bulk.threads, flags.bulk_threads);
        set(&mut config.batcher.failures_until_unready, flags.failures_until_unready);
        set(&mut config.admin.keys_file, flags.admin_keys_file.map(Some));
        set(&mut config.admin.listen, flags.admin_listen.map(Some));
        set(&mut config.admin.upload_bytes, flags.upload_bytes);
        set(&mut config.admin.keep_jobs, flags.keep_jobs);
        set(&mut config.admin.keep_candidates, flags.keep_candidates);
        set(&mut config.jobs.state_dir, flags.state_dir);
        set(&mut config.jobs.data_dir, flags.data_dir.map(Some));
        set(&mut config.jobs.queue, flags.job_queue);
        set(&mut config.jobs.threads, flags.job_threads);
        set(&mut config.jobs.memory_bytes, flags.job_memory_bytes);
        config.check()?;
        Ok(config)
    }

    /// The part of what is served.
    pub fn serving(&self) -> ServingConfig {
        ServingConfig {
            models_dirs: self.models_dirs.clone(),
            device: self.device,
            allow_batch_dependent: self.allow_batch_dependent,
            batcher: self.batcher,
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File(path.to_owned(), error))?;
        toml::from_str(&text).map_err(|error| ConfigError::Syntax(path.to_owned(), error))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str| Err(ConfigError::Value(what.to_owned()));
        if self.models_dirs.is_empty() {
            return wrong("models-dir: name at least one folder");
        }
        if self.http.max_samples == 0 || self.batcher.max_batch == 0 {
            return wrong("max-samples and max-batch must be at least 1");
        }
        if self.bulk.streams == 0 {
            return wrong("bulk-streams must be at least 1");
        }
        if self.http.connections == 0 || self.batcher.failures_until_unready == 0 {
            return wrong("connections and failures-until-unready must be at least 1");
        }
        if self.http.waiting_bytes < self.http.json_body_bytes {
            return wrong(
                "waiting-bytes must be at least json-body-bytes, or the largest request could never be answered",
            );
        }
        if self.batcher.queue_samples < self.http.max_samples {
            return wrong("queue-samples must be at least max-samples, or the largest request could never be answered");
        }
        let times = [self.http.deadline_seconds, self.drain_seconds, self.admin.deadline_seconds];
        let times = times.into_iter().chain([self.http.header_seconds, self.http.keep_alive_seconds]);
        if !(self.http.least_bytes_per_second > 0.0 && self.http.least_bytes_per_second.is_finite()) {
            return wrong("least-bytes-per-second must be above 0");
        }
        if !times.into_iter().all(|seconds| seconds > 0.0) {
            return wrong("deadlines, drain-seconds, header-seconds and keep-alive-seconds must be above 0");
        }
        if self.log_queue_lines == 0 {
            return wrong("log-queue-lines must be at least 1");
        }
        if let Some(origin) = self.http.cors_origins.iter().find(|origin| !is_origin(origin)) {
            let wanted = "give a scheme, a host and perhaps a port, as http://localhost:8888, or * for all";
            return wrong(&format!("cors-origins: \"{origin}\" is no origin: {wanted}"));
        }
        telemetry::filter(&self.log_level).map_err(|what| ConfigError::Value(format!("log-level: {what}")))?;
        if self.admin.listen.is_some() && self.admin.keys_file.is_none() {
            return wrong("admin-listen without admin-keys-file: there would be nothing to serve there");
        }
        Ok(())
    }
}

fn set<T>(knob: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *knob = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "device = \"cpu\"\nlisten = \"127.0.0.1:1\"\n[http]\nmax_samples = 5").unwrap();
        let flags = ServeFlags {
            config: Some(file.path().to_owned()),
            listen: Some("127.0.0.1:2".into()),
            ..ServeFlags::default()
        };
        let config = Config::assemble(flags).unwrap();
        assert_eq!((config.listen.as_str(), config.device), ("127.0.0.1:2", DeviceChoice::Cpu));
        assert_eq!((config.http.max_samples, config.http.json_body_bytes), (5, 2_000_000));
    }

    #[test]
    fn nothing_is_removed_by_itself_unless_it_is_configured() {
        assert_eq!((AdminConfig::default().keep_jobs, AdminConfig::default().keep_candidates), (0, 0));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "[admin]\nkeep_jobs = 20\nkeep_candidates = 5\n[jobs]\nmemory_bytes = 7").unwrap();
        let config = Some(file.path().to_owned());
        let config = Config::assemble(ServeFlags { config, keep_jobs: Some(3), ..ServeFlags::default() }).unwrap();
        assert_eq!((config.admin.keep_jobs, config.admin.keep_candidates, config.jobs.memory_bytes), (3, 5, 7));
    }

    #[test]
    fn unknown_knobs_and_senseless_values_are_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "colour = 3").unwrap();
        let flags = ServeFlags { config: Some(file.path().to_owned()), ..ServeFlags::default() };
        assert!(matches!(Config::assemble(flags), Err(ConfigError::Syntax(..))));
        for flags in [
            ServeFlags { queue_samples: Some(1), ..ServeFlags::default() },
            ServeFlags { connections: Some(0), ..ServeFlags::default() },
            ServeFlags { failures_until_unready: Some(0), ..ServeFlags::default() },
            ServeFlags { log_level: Some("warning".to_owned()), ..ServeFlags::default() },
            ServeFlags { log_level: Some(String::new()), ..ServeFlags::default() },
            ServeFlags { log_queue_lines: Some(0), ..ServeFlags::default() },
            ServeFlags { cors_origins: Some(vec!["lab.example".to_owned()]), ..ServeFlags::default() },
            ServeFlags { header_seconds: Some(0.0), ..ServeFlags::default() },
            ServeFlags { keep_alive_seconds: Some(f64::NAN), ..ServeFlags::default() },
        ] {
            assert!(matches!(Config::assemble(flags), Err(ConfigError::Value(_))));
        }
    }
}
