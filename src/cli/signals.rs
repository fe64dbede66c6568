//! Stop signals: Ctrl-C and the SIGTERM of a scheduler. The first one stops the server cleanly, the third one at
//! once.

use std::future::{Future, pending};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// The process ends at once at this many signals.
const AT_ONCE: u32 = 3;

/// Resolves at the first signal. At the third one the process exits with 128 plus the signal's number, as a shell
/// reports it.
pub(super) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    let (first, stopped) = oneshot::channel();
    let [mut terminate, mut interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(listen);
    tokio::spawn(async move {
        let mut first = Some(first);
        for count in 1.. {
            let kind = tokio::select! {
                () = received(&mut terminate) => SignalKind::terminate(),
                () = received(&mut interrupt) => SignalKind::interrupt(),
            };
            match first.take() {
                // An error means that the server has already ended.
                Some(first) => drop(first.send(())),
                None => info!("asked to stop {count} times; the process ends at once at {AT_ONCE}"),
            }
            if count == AT_ONCE {
                std::process::exit(128 + kind.as_raw_value());
            }
        }
    });
    async {
        if stopped.await.is_err() {
            pending().await
        }
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| warn!(%error, signal = kind.as_raw_value(), "cannot listen for a signal")).ok()
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}
