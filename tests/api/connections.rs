//! Clients that are slow, silent, many, or gone: what a connection may cost, and for how long.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Version;
use mcvn::config::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::lifecycle::many_glasses;
use crate::support::{Plain, Server, config, steel_4140};

/// Whatever is expected to happen has happened by then.
const SOON: Duration = Duration::from_secs(5);
const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";

fn with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    change(&mut config);
    config
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// Sends a request and reads its answer, which fits into one read.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8(buffer[..read].to_vec()).unwrap()
}

/// Reads to the end, which the server makes; how long it took.
async fn closed(stream: &mut TcpStream) -> (Duration, Vec<u8>) {
    let (start, mut rest) = (Instant::now(), Vec::new());
    // A reset is an end, too; no end in time is none.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    (start.elapsed(), rest)
}

/// Asked on a connection of its own: where connections rest for a short time only, a kept one may just be closing.
async fn series(server: &Server, name: &str) -> f64 {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let text = client.get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn beyond_the_limit_a_connection_waits_for_another_to_end() {
    let server = Server::start_with(with(|config| config.http.connections = 3)).await;
    // The client of `start` holds one.
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    assert!(ask(&mut first, LIVEZ).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut second, LIVEZ).await.starts_with("HTTP/1.1 200"));
    let mut third = connect(&server).await;
    third.write_all(b"GET /models HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(300), third.read(&mut byte)).await.is_err(), "it waits");
    assert!(ask(&mut first, LIVEZ).await.starts_with("HTTP/1.1 200"), "the others go on");
    drop(second);
    timeout(SOON, third.read_exact(&mut byte)).await.expect("its turn has come").unwrap();
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_ends_the_connection() {
    let server = Server::start_with(with(|config| {
        config.http.header_seconds = 0.4;
        config.http.keep_alive_seconds = 60.0;
    }))
    .await;
    let (short, long) = (Duration::from_millis(350), Duration::from_secs(2));
    let mut silent = connect(&server).await;
    let (took, _) = closed(&mut silent).await;
    assert!(took > short && took < long, "nothing at all: {took:?}");

    let (mut drop_by_drop, start) = (connect(&server).await, Instant::now());
    for byte in LIVEZ.iter().cycle() {
        // A letter, never a whole head.
        if drop_by_drop.write_all(&[*byte.max(&b'a')]).await.is_err() || drop_by_drop.try_read(&mut [0]).is_ok() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() > short && start.elapsed() < long, "drop by drop: {:?}", start.elapsed());

    // The time between requests is another one.
    let mut kept = connect(&server).await;
    for _ in 0..2 {
        assert!(ask(&mut kept, LIVEZ).await.starts_with("HTTP/1.1 200"));
        sleep(Duration::from_millis(600)).await;
    }
    kept.write_all(&LIVEZ[..9]).await.unwrap();
    let (took, rest) = closed(&mut kept).await;
    assert!(took > short && took < long && rest.is_empty(), "half a head later: {took:?}");
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed() {
    let server = Server::start_with(with(|config| config.http.keep_alive_seconds = 0.4)).await;
    let mut kept = connect(&server).await;
    for _ in 0..3 {
        assert!(ask(&mut kept, LIVEZ).await.starts_with("HTTP/1.1 200"));
        sleep(Duration::from_millis(200)).await;
    }
    let (took, rest) = closed(&mut kept).await;
    assert!(took > Duration::from_millis(150) && took < Duration::from_secs(2) && rest.is_empty(), "{took:?}");

    // HTTP/2 says goodbye, and a client that asks again opens another connection.
    let client = Plain::new(&server, Version::HTTP_2);
    for _ in 0..3 {
        let (status, version, _) = client.post("/predict/steel", &steel_4140()).await.unwrap();
        assert_eq!((status, version), (200, Version::HTTP_2));
        sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_a_504_and_the_end() {
    let server = Server::start_with(with(|config| config.http.deadline_seconds = 0.4)).await;
    let mut slow = connect(&server).await;
    let head = "POST /predict/steel HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
    slow.write_all(format!("{head}content-length: 1000\r\n\r\n{{").as_bytes()).await.unwrap();
    let (took, answer) = closed(&mut slow).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("deadline_exceeded"), "{answer}");
    assert!(took > Duration::from_millis(350) && took < Duration::from_secs(2), "{took:?}");
    assert_eq!(series(&server, "mcvn_queue_samples").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_gone_is_not_worked_for() {
    let server = Server::start().await;
    let gone = tokio::spawn({
        let request = reqwest::Client::new().post(format!("{}/classify/glass", server.url));
        request.json(&many_glasses(10_000)).send()
    });
    let start = Instant::now();
    while series(&server, "mcvn_queue_samples").await == 0.0 {
        assert!(!gone.is_finished() && start.elapsed() < SOON, "answered before anyone looked");
    }
    gone.abort();
    while series(&server, "mcvn_queue_samples").await > 0.0 {
        assert!(start.elapsed() < SOON);
    }
    assert_eq!(server.answer("/predict/steel", &steel_4140()).await["in_domain"], true);
    let text = server.get("/metrics").await.text().await.unwrap();
    assert!(!text.contains("mcvn_predictions_total{model=\"glass\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_read_holds_neither_the_queue_nor_the_connection_for_long() {
    // More than the system keeps for a client that does not read.
    const SAMPLES: usize = 40_000;
    let server = Server::start_with(with(|config| {
        config.http.keep_alive_seconds = 0.5;
        config.http.deadline_seconds = 120.0;
        config.http.max_samples = SAMPLES;
        config.batcher.queue_samples = SAMPLES;
    }))
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let mut lazy = socket.connect(address).await.unwrap();
    let body = many_glasses(SAMPLES).to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
    let request = format!("POST /classify/glass HTTP/1.1\r\nhost: test\r\n{head}\r\n\r\n{body}");
    lazy.write_all(request.as_bytes()).await.unwrap();
    let start = Instant::now();
    let answered = "mcvn_http_requests_total{method=\"POST\",route=\"/classify/glass\",status=\"200\"}";
    while series(&server, answered).await == 0.0 {
        assert!(start.elapsed() < SOON * 24);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(series(&server, "mcvn_queue_samples").await, 0.0);
    sleep(Duration::from_millis(1500)).await;
    let (_, read) = closed(&mut lazy).await;
    let text = String::from_utf8_lossy(&read);
    assert!(text.starts_with("HTTP/1.1 200"), "{text:.200}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(read.len() < length.parse().unwrap(), "{} of {length} bytes were sent all the same", read.len());
}

#[tokio::test]
async fn without_file_descriptors_the_server_waits_and_goes_on() {
    let mut command = Command::new("sh");
    let serve = format!("ulimit -n 48; exec {} serve --listen 127.0.0.1:0 --device cpu", env!("CARGO_BIN_EXE_mcvn"));
    command.args(["-c", &serve]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut program = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let log = BufReader::new(program.stderr.take().unwrap()).lines();
    std::thread::spawn(move || log.map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let wait_for = |words: &str| loop {
        let line = lines.recv_timeout(SOON * 2).unwrap();
        if line.contains(words) {
            break line;
        }
    };
    let url = wait_for("listening on ").split("listening on ").nth(1).unwrap().trim().to_owned();
    wait_for("ready");
    let mut many = Vec::new();
    for _ in 0..60 {
        many.push(TcpStream::connect(url.trim_start_matches("http://")).await.unwrap());
    }
    wait_for("no connection can be accepted");
    sleep(Duration::from_millis(1200)).await;
    let refusals = lines.try_iter().filter(|line| line.contains("no connection can be accepted")).count();
    assert!((1..=4).contains(&refusals), "{refusals} more refusals: neither given up nor spinning");
    drop(many);
    let client = reqwest::Client::new();
    let answer = client.post(format!("{url}/classify/glass")).json(&json!({"composition": "Fe80B20"}));
    let answer = timeout(SOON, answer.send()).await;
    let _ = program.kill();
    let _ = program.wait();
    assert_eq!(answer.unwrap().unwrap().status(), 200);
}
