//! `mcvn healthcheck`: whether the server of this container is ready.
//!
//! An image without a shell or curl needs it for its scheduler: exit status 0 for ready, 1 for everything else.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::serve;
use crate::config::Config;

#[derive(Args)]
pub(super) struct Arguments {
    /// What to ask [default: /readyz where a server with the same MCVN_* variables listens].
    #[arg(long)]
    url: Option<String>,
    /// Longest time for the answer.
    #[arg(long, default_value_t = 2.0)]
    timeout_seconds: f64,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let url = match &arguments.url {
        Some(url) => url.clone(),
        // Assembled as in the server, so that both use the same address.
        None => readiness_url(&Config::assemble(serve::flags_from_environment())?.listen),
    };
    let timeout = Duration::try_from_secs_f64(arguments.timeout_seconds).context("--timeout-seconds")?;
    // No redirect and no proxy from the environment: only this very server is asked.
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(timeout)).max_redirects(0).proxy(None).build().into();
    let status = agent.get(&url).call().with_context(|| url.clone())?.status();
    if status != 200 {
        bail!("{url}: status {status}");
    }
    Ok(())
}

/// The URL of `/readyz`. A server that listens on every address is asked on loopback.
fn readiness_url(listen: &str) -> String {
    let address = match listen.rsplit_once(':') {
        Some(("0.0.0.0" | "", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => listen.to_owned(),
    };
    format!("http://{address}/readyz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/readyz"),
            ("[::]:81", "http://[::1]:81/readyz"),
            ("10.0.0.7:80", "http://10.0.0.7:80/readyz"),
            ("localhost:8080", "http://localhost:8080/readyz"),
        ] {
            assert_eq!(readiness_url(listen), url);
        }
    }
}
