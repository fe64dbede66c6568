//! Strangers at the door: clients that take room and give nothing, and refusals that must reach whoever still sends.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioExecutor;
use mcvn::config::Config;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::lifecycle::many_glasses;
use crate::support::{Plain, Server, config, steel_4140};

/// Whatever is expected to happen has happened by then.
const SOON: Duration = Duration::from_secs(8);
const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";

fn with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    change(&mut config);
    config
}

fn address(server: &Server) -> &str {
    server.url.trim_start_matches("http://")
}

async fn send(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address(server)).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// A head that announces more than follows.
fn head(path: &str, kind: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
}

async fn read_all(mut stream: TcpStream) -> std::io::Result<String> {
    let mut seen = Vec::new();
    timeout(SOON, stream.read_to_end(&mut seen)).await.unwrap()?;
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

/// The first bytes of an answer.
async fn read_some(stream: &mut TcpStream) -> String {
    let mut seen = vec![0; 4096];
    let read = timeout(SOON, stream.read(&mut seen)).await.unwrap().unwrap();
    String::from_utf8_lossy(&seen[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_keep_nobody_out() {
    let server = Server::start().await;
    let text = head("/predict/steel", "application/json", 2_000_000) + &" ".repeat(1_999_999);
    let (mut first, mut second) = (send(&server, &text).await, send(&server, &text).await);
    assert!(read_some(&mut second).await.contains("overloaded"), "what is kept for small ones is not for the second");
    for _ in 0..50 {
        assert_eq!(server.post("/predict/steel", &steel_4140()).await.status(), 200);
    }
    // When the first one is late it yields to another large one.
    sleep(Duration::from_millis(2200)).await;
    let large = " ".repeat(1_500_000) + &steel_4140().to_string();
    assert_eq!(server.post_raw("/predict/steel", "application/json", large).await.status(), 200);
    assert!(read_some(&mut first).await.contains("body_too_slow"));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_drip_yield_their_places() {
    let server = Server::start_with(with(|config| config.bulk.streams = 2)).await;
    let mut drips = Vec::new();
    for _ in 0..2 {
        drips.push(send(&server, &(head("/classify/glass", "text/csv", 1 << 30) + "formula\n")).await);
    }
    let text = "formula\n".to_owned() + &"Cu60Zr40\n".repeat(10_000);
    let ask = || server.post_raw("/classify/glass", "text/csv", text.clone());
    let first = ask().await;
    assert!([200, 429].contains(&first.status().as_u16()), "at first nobody is slow");
    for _ in 0..25 {
        for drip in &mut drips {
            let _ = drip.write_all(b"C").await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..2 {
        let answer = ask().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap().lines().count(), 10_001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_bounded() {
    const ANSWER_BYTES: usize = 6_000_000;
    let server = Server::start_with(with(|config| config.http.answer_bytes = ANSWER_BYTES)).await;
    let body = many_glasses(10_000).to_string();
    let mut lazy = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address(&server).parse().unwrap()).await.unwrap();
        let head = head("/classify/glass", "application/json\r\nconnection: close", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let first = read_some(&mut stream).await;
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        lazy.push(stream);
    }
    assert_eq!(server.post("/predict/steel", &steel_4140()).await.status(), 200, "others are answered");
    let mut cut = 0;
    for stream in lazy {
        cut += usize::from(read_all(stream).await.is_err());
    }
    assert!(cut >= 5, "{cut} of 8 were cut: at most {ANSWER_BYTES} bytes may wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_stays_shut_ends_with_its_connection() {
    let server = Server::start_with(with(|config| config.http.keep_alive_seconds = 0.8)).await;
    let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    builder.http2_only(true).http2_initial_stream_window_size(1000);
    let client = builder.build_http::<Full<Bytes>>();
    let body = many_glasses(2000).to_string();
    let request = Request::post(format!("{}/classify/glass", server.url)).header("content-type", "application/json");
    let unread = client.request(request.body(Full::from(body)).unwrap()).await.unwrap();
    // Others of the connection go on meanwhile; that saves nobody who does not read.
    for _ in 0..20 {
        let livez = Request::get(format!("{}/livez", server.url)).body(Full::default()).unwrap();
        let _ = client.request(livez).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert!(timeout(SOON, unread.into_body().collect()).await.unwrap().is_err(), "its answer was kept for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_come_through_where_all_connections_are_taken() {
    let server = Server::start_with(with(|config| config.http.connections = 3)).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(send(&server, LIVEZ).await);
        read_some(idle.last_mut().unwrap()).await;
    }
    for probe in ["/livez", "/readyz", "/metrics"] {
        let answer = read_all(send(&server, &LIVEZ.replace("/livez", probe)).await).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    }
    let models = LIVEZ.replace("/livez", "/models");
    let refused = read_all(send(&server, &models).await).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("overloaded"), "{refused}");
    let mut waiting = send(&server, &models).await;
    sleep(Duration::from_millis(200)).await;
    drop(idle);
    assert!(read_some(&mut waiting).await.starts_with("HTTP/1.1 200"), "a place became free");
}

/// Sends everything before it reads anything, as Python's `http.client` does.
async fn sends_first(server: &Server, text: String) -> String {
    let stream = TcpStream::connect(address(server)).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(text.as_bytes()).await.unwrap();
    let mut seen = vec![0; 4096];
    let count = timeout(SOON, read.read(&mut seen)).await.unwrap().unwrap();
    String::from_utf8_lossy(&seen[..count]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_still_sends() {
    const BYTES: usize = 5_000_000;
    let server = Server::start().await;
    let body = " ".repeat(BYTES);
    for (path, kind, status) in [
        ("/predict/steel", "application/json", "413"),
        ("/predict/steel", "image/png", "415"),
        ("/nothing/here", "application/json", "404"),
        ("/livez", "application/json", "405"),
        ("/predict/steel?model=none", "text/csv", "404"),
        ("/predict/steel", "text/csv", "413"),
    ] {
        let answer = sends_first(&server, head(path, kind, BYTES) + &body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {kind}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_closes_his_half_is_answered() {
    let server = Server::start().await;
    let body = steel_4140().to_string();
    let mut stream = send(&server, &(head("/predict/steel", "application/json", body.len()) + &body)).await;
    stream.shutdown().await.unwrap();
    let answer = read_all(stream).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("fatigue_strength"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_table_never_looks_whole() {
    let mut server = Server::start_with(with(|config| config.drain_seconds = 0.3)).await;
    let head = "POST /classify/glass HTTP/1.0\r\ncontent-type: text/csv\r\ncontent-length: 1000000000\r\n\r\n";
    let mut stream = send(&server, head).await;
    stream.write_all(("formula\n".to_owned() + &"Cu60Zr40\n".repeat(20_000)).as_bytes()).await.unwrap();
    let begun = read_some(&mut stream).await;
    assert!(begun.starts_with("HTTP/1.0 200") || begun.starts_with("HTTP/1.1 200"), "{begun}");
    // A client that has read all there is has nothing by which to tell, but the end itself.
    let mut seen = vec![0; 1 << 20];
    while timeout(Duration::from_millis(300), stream.read(&mut seen)).await.is_ok_and(|read| read.unwrap() > 0) {}
    server.signal_stop();
    assert!(read_all(stream).await.is_err(), "it ended like a whole one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_how_many_rows_it_had() {
    let server = Server::start().await;
    let table = "formula\n".to_owned() + &"Cu60Zr40\n".repeat(4321);
    let head =
        "POST /classify/glass HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close\r\ncontent-type: text/csv\r\n";
    let text = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{table}\r\n0\r\n\r\n", table.len());
    let answer = read_all(send(&server, &text).await).await.unwrap();
    assert!(
        answer.ends_with("\r\n\r\n") && answer.contains("\r\nmcvn-rows: 4321\r\n"),
        "{}",
        &answer[answer.len() - 200..]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_over_http2_is_no_error_of_the_stream() {
    let server = Server::start().await;
    let client = Plain::new(&server, Version::HTTP_2);
    let body = Value::from("x".repeat(5_000_000));
    let (status, version, problem) = client.post("/predict/steel", &body).await.unwrap();
    assert_eq!((status, version, problem["code"].as_str()), (413, Version::HTTP_2, Some("body_too_large")));
}
