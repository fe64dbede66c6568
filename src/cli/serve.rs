//! `mcvn serve`: the server.

use anyhow::{Context, Result};
use clap::{Args, Parser};
use tokio::net::TcpListener;
use tracing::info;

use crate::config::{Config, ServeFlags};
use crate::{app, telemetry};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: ServeFlags,
}

/// The same knobs without a subcommand: from variables alone.
#[derive(Parser)]
#[command(name = "mcvn")]
struct Bare {
    #[command(flatten)]
    flags: ServeFlags,
}

/// `mcvn` without a subcommand.
pub(super) fn run_with_defaults() -> Result<()> {
    serve(Bare::parse_from(["mcvn"]).flags)
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    serve(arguments.flags.clone())
}

fn serve(flags: ServeFlags) -> Result<()> {
    let config = Config::assemble(flags)?;
    telemetry::start(config.log_format, &config.log_level).map_err(|error| anyhow::anyhow!("log: {error}"))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(&config.listen).await.with_context(|| config.listen.clone())?;
        info!("listening on http://{}", listener.local_addr()?);
        Ok(app::run(&config, listener, stop_signal()).await?)
    })
}

/// Ctrl-C, or the SIGTERM of a scheduler.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
