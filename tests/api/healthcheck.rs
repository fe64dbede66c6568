//! `mcvn healthcheck` as a container's engine runs it: the exit status is the answer.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::Server;

/// Whether the program says ready, with nothing in its environment but where the server listens.
fn ready(listen: &str, arguments: &[&str]) -> bool {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    program.env_clear().env("MCVN_LISTEN", listen).arg("healthcheck").args(arguments);
    let output = tokio::task::block_in_place(|| program.output().unwrap());
    // 2 would be a wrong use of the command line.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert_eq!(output.status.success(), output.stderr.is_empty(), "{output:?}");
    output.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_tells_ready_from_everything_else() {
    let mut server = Server::start().await;
    let url = server.url.clone();
    let address = url.trim_start_matches("http://");
    let port = address.rsplit_once(':').unwrap().1;
    assert!(ready(address, &[]));
    assert!(ready(&format!("0.0.0.0:{port}"), &[]), "every address is asked on loopback");
    assert!(ready("127.0.0.1:1", &["--url", &format!("{url}/readyz")]), "--url wins");
    assert!(!ready(address, &["--url", &format!("{url}/nothing/here")]), "a 404 is not ready");
    server.signal_stop();
    server.ended().await.unwrap();
    assert!(!ready(address, &[]), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_does_not_wait_for_a_server_that_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    assert!(!ready(&silent.local_addr().unwrap().to_string(), &["--timeout-seconds", "0.2"]));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
