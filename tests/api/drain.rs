//! Stopping under load: whatever was sent is answered, whole.

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Version;
use hyper_util::client::legacy::Error;
use mcvn::app::AppError;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lifecycle::many_glasses;
use crate::support::{Plain, Server, config, steel_4140};

const CLIENTS: usize = 32;

/// Whether nothing was done for a request: no connection could be had, or HTTP/2 said goodbye while the client began it, which
/// says that it was not looked at and may be sent elsewhere.
fn never_sent(error: &Error) -> bool {
    if format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)") {
        return true;
    }
    let causes = std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    error.is_connect() && causes.any(|cause| cause.kind() == ErrorKind::ConnectionRefused)
}

/// Clients that ask on connections of their own until they are refused.
async fn stop_under_load(version: Version) {
    let mut server = Server::start().await;
    let expected = Arc::new(server.answer("/predict/steel", &steel_4140()).await);
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, expected) = (Plain::new(&server, version), Arc::clone(&expected));
            tokio::spawn(async move {
                let mut answered = 0;
                loop {
                    match client.post("/predict/steel", &steel_4140()).await {
                        Ok(answer) => {
                            assert_eq!(answer, (200, version, Value::clone(&expected)));
                            answered += 1;
                        }
                        Err(error) if never_sent(&error) => return answered,
                        Err(error) => panic!("after {answered} answers: {error:?}"),
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    server.signal_stop();
    server.ended().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_under_load_is_answered_or_never_sent() {
    stop_under_load(Version::HTTP_11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_too() {
    stop_under_load(Version::HTTP_2).await;
}

#[tokio::test]
async fn the_last_answer_of_a_connection_says_so_and_others_are_closed() {
    let mut server = Server::start().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    };
    let (mut active, mut resting) =
        (TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap());
    for stream in [&mut active, &mut resting] {
        let answer = ask(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");
    }
    server.signal_stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(&address).await.is_err(), "nothing is accepted any more");
    // It was on the wire before its client could know: answered, and by its text the server is stopping.
    let answer = ask(&mut active).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close"), "{answer}");
    for stream in [&mut active, &mut resting] {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed");
    }
    server.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_deadline_what_is_left_is_cut() {
    let mut config = config();
    config.drain_seconds = 0.3;
    let mut server = Server::start_with(config).await;
    let mut slow = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /predict/steel HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
    slow.write_all(format!("{head}content-length: 1000\r\n\r\n{{").as_bytes()).await.unwrap();
    let body = many_glasses(10).to_string();
    assert_eq!(server.post_raw("/classify/glass", "application/json", body).await.status(), 200);
    let start = Instant::now();
    server.signal_stop();
    assert!(matches!(server.ended().await, Err(AppError::DrainDeadline(_))));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let end = tokio::time::timeout(Duration::from_secs(1), slow.read(&mut [0])).await.expect("cut");
    assert!(!matches!(end, Ok(1..)), "{end:?}");
}
