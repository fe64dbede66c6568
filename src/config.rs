//! The server's configuration. Each setting comes from a flag, else an `MCVN_*` variable, else the TOML file, else
//! the default.
//!
//! The modules define their own `Config`; this module only combines them, so that precedence is one rule.

use std::path::{Path, PathBuf};

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};
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
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on [default: 127.0.0.1:8080].
    #[arg(long, env = "MCVN_LISTEN")]
    pub listen: String,
    /// Folder of models; repeat it (or separate with commas) for more, later ones shadow earlier ones [default: models].
    #[arg(long = "models-dir", env = "MCVN_MODELS_DIR", value_delimiter = ',')]
    pub models_dirs: Vec<PathBuf>,
    /// auto, cpu or cuda:N [default: auto].
    #[arg(long, env = "MCVN_DEVICE")]
    pub device: DeviceChoice,
    /// Serve models whose answers depend on the batch [default: false].
    #[arg(long, env = "MCVN_ALLOW_BATCH_DEPENDENT", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub allow_batch_dependent: bool,
    /// Versions of models that stay loaded besides those in use, once somebody asked for them [default: 4].
    #[arg(long, env = "MCVN_KEPT_VERSIONS")]
    pub kept_versions: u64,
    /// Longest time for finishing what was accepted, after a stop signal [default: 20].
    #[arg(long, env = "MCVN_DRAIN_SECONDS")]
    pub drain_seconds: f64,
    /// How log lines are written [default: text].
    #[arg(long, env = "MCVN_LOG_FORMAT", value_enum)]
    pub log_format: LogFormat,
    /// Least level that is logged, or a filter such as info,mcvn=debug [default: info].
    #[arg(long, env = "MCVN_LOG_LEVEL")]
    pub log_level: String,
    /// Log lines that may wait to be written; more are dropped and counted [default: 16384].
    #[arg(long, env = "MCVN_LOG_QUEUE_LINES")]
    pub log_queue_lines: usize,
    /// The HTTP surface.
    #[command(flatten, next_help_heading = "HTTP")]
    pub http: HttpConfig,
    /// The queue.
    #[command(flatten, next_help_heading = "Passes")]
    pub batcher: BatcherConfig,
    /// Tables and lines.
    #[command(flatten, next_help_heading = "Tables and lines")]
    pub bulk: BulkConfig,
    /// Administration.
    #[command(flatten, next_help_heading = "Administration")]
    pub admin: AdminConfig,
    /// Retraining.
    #[command(flatten, next_help_heading = "Jobs")]
    pub jobs: JobsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            models_dirs: vec![PathBuf::from("models")],
            device: DeviceChoice::Auto,
            allow_batch_dependent: false,
            kept_versions: 4,
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

/// The flags and variables: the path of the file, and the settings given.
#[derive(Args, Clone, Debug)]
pub struct ServeFlags {
    /// TOML file with any of these knobs (`[http]`, `[batcher]`, `[bulk]`, `[admin]` and `[jobs]` are tables).
    #[arg(long, env = "MCVN_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

/// The settings of [`Config`] that were given. They are kept as clap parsed them until the file is read, because a
/// setting that was not given must not override the file's value.
#[derive(Clone, Debug)]
struct Given(ArgMatches);

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        Config::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Config::augment_args_for_update(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file is not valid.
    #[error("{0}: {1}")]
    Syntax(PathBuf, toml::de::Error),
    /// Values that are invalid or contradict each other.
    #[error("{0}")]
    Value(String),
    /// A flag that cannot be read back from clap.
    #[error(transparent)]
    Flag(#[from] clap::Error),
}

impl Config {
    /// Puts flags and variables over the file, and the file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, an unknown setting or an invalid value.
    pub fn assemble(flags: ServeFlags) -> Result<Self, ConfigError> {
        let mut config = flags.config.as_deref().map_or_else(|| Ok(Self::default()), Self::read)?;
        config.update_from_arg_matches(&flags.given.0)?;
        config.check()?;
        Ok(config)
    }

    /// The part for `serving`.
    pub fn serving(&self) -> ServingConfig {
        ServingConfig {
            models_dirs: self.models_dirs.clone(),
            device: self.device,
            allow_batch_dependent: self.allow_batch_dependent,
            kept_versions: self.kept_versions,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use std::io::Write;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: ServeFlags,
    }

    fn assembled(flags: &[&str]) -> Result<Config, ConfigError> {
        let line = ["mcvn"].iter().chain(flags);
        Config::assemble(Line::try_parse_from(line).unwrap().flags)
    }

    fn file(text: &str) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{text}").unwrap();
        file.into_temp_path()
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = file("device = \"cpu\"\nlisten = \"127.0.0.1:1\"\n[http]\nmax_samples = 5\n[bulk]\nthreads = 3");
        let file = file.to_str().unwrap();
        let config = assembled(&["--config", file, "--listen", "127.0.0.1:2", "--bulk-streams", "7"]).unwrap();
        assert_eq!((config.listen.as_str(), config.device), ("127.0.0.1:2", DeviceChoice::Cpu));
        assert_eq!((config.http.max_samples, config.http.json_body_bytes), (5, 2_000_000));
        assert_eq!((config.bulk.streams, config.bulk.threads), (7, 3));
    }

    #[test]
    fn nothing_that_was_not_given_differs_from_the_defaults() {
        assert_eq!(assembled(&[]).unwrap(), Config::default());
    }

    #[test]
    fn lists_and_switches_of_the_file_give_way_as_a_whole() {
        let file = file("models_dirs = [\"a\", \"b\"]\nallow_batch_dependent = true\n[http]\ndebug_routes = true");
        let file = file.to_str().unwrap();
        let kept = assembled(&["--config", file]).unwrap();
        assert_eq!((kept.models_dirs.len(), kept.allow_batch_dependent, kept.http.debug_routes), (2, true, true));
        let flags = ["--config", file, "--models-dir", "c", "--allow-batch-dependent", "false", "--debug-routes"];
        let given = assembled(&flags).unwrap();
        assert_eq!(given.models_dirs, [PathBuf::from("c")]);
        assert_eq!((given.allow_batch_dependent, given.http.debug_routes), (false, true));
    }

    #[test]
    fn the_defaults_that_help_tells_are_those_that_hold() {
        let told = |argument: &clap::Arg| {
            let help = argument.get_help()?.to_string();
            let value = help.split_once("[default: ")?.1.trim_end_matches(']').to_owned();
            (value != "none").then(|| format!("--{}={value}", argument.get_long().unwrap()))
        };
        let flags: Vec<String> = Line::command().get_arguments().filter_map(told).collect();
        assert!(flags.len() > 25, "{flags:?}");
        for flag in flags {
            assert_eq!(assembled(&[&flag]).unwrap(), Config::default(), "{flag}");
        }
    }

    #[test]
    fn nothing_is_removed_by_itself_unless_it_is_configured() {
        assert_eq!((AdminConfig::default().keep_jobs, AdminConfig::default().keep_candidates), (0, 0));
        let file = file("[admin]\nkeep_jobs = 20\nkeep_candidates = 5\n[jobs]\nmemory_bytes = 7");
        let config = assembled(&["--config", file.to_str().unwrap(), "--keep-jobs", "3"]).unwrap();
        assert_eq!((config.admin.keep_jobs, config.admin.keep_candidates, config.jobs.memory_bytes), (3, 5, 7));
    }

    #[test]
    fn unknown_knobs_and_senseless_values_are_refused() {
        let unknown = file("colour = 3");
        assert!(matches!(assembled(&["--config", unknown.to_str().unwrap()]), Err(ConfigError::Syntax(..))));
        for flags in [
            ["--queue-samples", "1"],
            ["--connections", "0"],
            ["--failures-until-unready", "0"],
            ["--log-level", "warning"],
            ["--log-level", ""],
            ["--log-queue-lines", "0"],
            ["--cors-origins", "lab.example"],
            ["--header-seconds", "0"],
            ["--keep-alive-seconds", "nan"],
        ] {
            assert!(matches!(assembled(&flags), Err(ConfigError::Value(_))), "{flags:?}");
        }
    }
}
