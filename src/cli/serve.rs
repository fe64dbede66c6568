//! `mcvn serve`: the server.

use std::io::Write;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser};
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::signals::stop_signal;
use super::{environment, parsed};
use crate::config::{Config, ServeFlags};
use crate::{app, memory, telemetry};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: ServeFlags,
    /// Print the assembled configuration as TOML, and do nothing else.
    #[arg(long)]
    print_config: bool,
}

/// The same settings without a subcommand, from variables only.
#[derive(Parser)]
#[command(name = "mcvn")]
struct Bare {
    #[command(flatten)]
    flags: ServeFlags,
}

/// The settings from the environment alone.
pub(super) fn flags_from_environment() -> ServeFlags {
    parsed::<Bare>(["mcvn"]).flags
}

/// `mcvn` without a subcommand.
pub(super) fn run_with_defaults() -> Result<()> {
    serve(&Config::assemble(flags_from_environment())?)
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let config = Config::assemble(arguments.flags.clone())?;
    if arguments.print_config {
        strangers().iter().for_each(|stranger| eprintln!("mcvn: {stranger}"));
        return Ok(std::io::stdout().write_all(toml::to_string(&config)?.as_bytes())?);
    }
    serve(&config)
}

/// Warnings about variables that look like settings but are unknown.
fn strangers() -> Vec<String> {
    environment::strangers(&Bare::command())
}

fn serve(config: &Config) -> Result<()> {
    memory::goes_back_soon();
    let log = telemetry::start(config.log_format, &config.log_level, config.log_queue_lines);
    let _log = log.map_err(|error| anyhow::anyhow!("log: {error}"))?;
    strangers().iter().for_each(|stranger| warn!("{stranger}"));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(&config.listen).await.with_context(|| config.listen.clone())?;
        info!("listening on http://{}", listener.local_addr()?);
        let admin = match config.admin.listen.as_deref() {
            Some(address) => Some(TcpListener::bind(address).await.with_context(|| address.to_owned())?),
            None => None,
        };
        if let Some(admin) = &admin {
            info!("administration on http://{}", admin.local_addr()?);
        }
        Ok(app::run(config, listener, admin, stop_signal()).await?)
    })
}
