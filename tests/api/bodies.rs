//! Bodies as other programs send them: packed, with marks, in other encodings, with quotes and line breaks lost; answers
//! packed; pages of other origins; texts that a spreadsheet would run.

use std::io::{Read, Write};

use async_compression::tokio::bufread::{GzipDecoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Program, wait_until_ready};
use crate::support::{Server, config};

const GLASS: &str = "{\"composition\": \"Cu60Zr40\"}";

async fn bytes(mut packer: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    packer.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn packed(coding: &str, text: &[u8]) -> Vec<u8> {
    match coding {
        "deflate" => bytes(ZlibEncoder::new(text)).await,
        "zstd" => bytes(ZstdEncoder::new(text)).await,
        _ => bytes(GzipEncoder::new(text)).await,
    }
}

async fn post(server: &Server, kind: &str, coding: &str, body: Vec<u8>) -> Response {
    let request = server.client.post(format!("{}/classify/glass", server.url));
    request.header("content-type", kind).header("content-encoding", coding).body(body).send().await.unwrap()
}

#[tokio::test]
async fn packed_bodies_are_read_and_other_codings_named() {
    let server = Server::start().await;
    let plain = server.answer("/classify/glass", &json!({"composition": "Cu60Zr40"})).await;
    for coding in ["gzip", "GZIP", "x-gzip", "deflate", "zstd", "identity"] {
        let body = if coding == "identity" { GLASS.into() } else { packed(coding, GLASS.as_bytes()).await };
        let answer = post(&server, "application/json", coding, body).await;
        assert_eq!(answer.status(), 200, "{coding}");
        assert_eq!(answer.json::<Value>().await.unwrap(), plain, "{coding}");
    }
    for (kind, text) in [("text/csv", "id,formula\n1,Cu60Zr40\n2,Fe80B20\n"), ("application/x-ndjson", GLASS)] {
        let answer = post(&server, kind, "gzip", packed("gzip", text.as_bytes()).await).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(text.contains("RMG") && !text.contains("errors"), "{text}");
    }
    for coding in ["br", "gzip, gzip", "compress"] {
        let answer = post(&server, "application/json", coding, b"\x0b\x00\x80".to_vec()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["accept-encoding"]),
            (415, &"gzip, deflate, zstd".parse().unwrap())
        );
        let problem = Server::problem(answer).await;
        assert!(problem["detail"].as_str().unwrap().contains(&format!("content-encoding \"{coding}\"")), "{problem}");
    }
    let problem = Server::problem(post(&server, "application/json", "gzip", GLASS.into()).await).await;
    assert_eq!((&problem["status"], &problem["code"]), (&json!(400), &json!("malformed_body")));
    assert!(problem["detail"].as_str().unwrap().contains("cannot be unpacked as gzip"), "{problem}");
    // Packed, and nobody says so.
    let body = packed("gzip", GLASS.as_bytes()).await;
    let problem = Server::problem(server.post_raw("/classify/glass", "application/json", body).await).await;
    assert!(problem["detail"].as_str().unwrap().contains("say so with `content-encoding: gzip`"), "{problem}");
}

/// Peak memory of a process, in MB.
fn peak_mb(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() / 1024
}

#[tokio::test]
async fn a_gigabyte_in_a_small_body_is_refused_in_little_memory() {
    let program = Program::start(&[]);
    wait_until_ready(&program);
    let before = peak_mb(&program);
    let blank = vec![b' '; 16 << 20];
    for (coding, kind) in [
        ("zstd", "application/json"),
        ("zstd", "text/csv"),
        ("gzip", "application/json"),
        ("gzip", "application/x-ndjson"),
    ] {
        // Packed pieces put together unpack to all of them.
        let bomb = packed(coding, &blank).await.repeat(64);
        let mut stream = program.connect();
        let length = bomb.len();
        let head = format!(
            "POST /classify/glass HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\n\
             content-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The answer comes before all is sent: what is left may be refused.
        let mut reader = stream.try_clone().unwrap();
        let sent = std::thread::spawn(move || stream.write_all(&bomb));
        let mut answer = [0; 12];
        let seen = reader.read_exact(&mut answer);
        assert!(seen.is_ok() && &answer == b"HTTP/1.1 413", "{coding} {kind}: {}", String::from_utf8_lossy(&answer));
        drop(reader);
        drop(sent.join());
    }
    let grown = peak_mb(&program) - before;
    assert!(grown < 64, "{grown} MB");
}

#[tokio::test]
async fn answers_are_packed_where_that_is_asked_for() {
    let server = Server::start().await;
    let samples = json!({"samples": vec![json!({"composition": "Cu60Zr40"}); 50]});
    let plain = server.post("/classify/glass", &samples).await;
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.unwrap();
    let ask = |accepted: &'static str| {
        let request = server.client.post(format!("{}/classify/glass", server.url)).header("accept-encoding", accepted);
        request.json(&samples).send()
    };
    let answer = ask("gzip, deflate, br, zstd").await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-encoding"]), (200, &"gzip".parse().unwrap()));
    let small = answer.bytes().await.unwrap();
    assert!(small.len() * 5 < plain.len());
    assert_eq!(bytes(GzipDecoder::new(&small[..])).await, plain);
    for accepted in ["br", "identity", "gzip;q=0", "identity;q=0"] {
        let answer = ask(accepted).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("content-encoding")), (200, None), "{accepted}");
        assert_eq!(answer.bytes().await.unwrap(), plain);
    }
}

#[tokio::test]
async fn a_packed_stream_is_still_one() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "POST /classify/glass HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\naccept-encoding: gzip\r\n\
         transfer-encoding: chunked\r\n\r\n";
    let line = format!("{GLASS}\n");
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    socket.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let body = |seen: &[u8]| seen.windows(4).position(|window| window == b"\r\n\r\n").map(|end| seen.len() - end - 4);
    // An answer packed is some two hundred bytes; its head as gzip has ten.
    while body(&seen).is_none_or(|length| length < 100) {
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), socket.read_buf(&mut seen)).await;
        assert!(read.expect("the first answer waits for more to come").unwrap() > 0);
    }
    let text = String::from_utf8_lossy(&seen);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("content-encoding: gzip"), "{text}");
    socket.write_all(format!("{chunk}0\r\n\r\n").as_bytes()).await.unwrap();
    while !seen.ends_with(b"0\r\n\r\n") {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn marks_are_skipped_and_other_encodings_named() {
    let server = Server::start().await;
    let marked = format!("\u{feff}{GLASS}");
    let answer = server.post_raw("/classify/glass", "application/json", marked.clone()).await;
    assert_eq!(answer.status(), 200);
    let lines = format!("\u{feff}{{\"id\": 7, \"composition\": \"Cu60Zr40\"}}\n{GLASS}\n");
    let answer = server.post_raw("/classify/glass", "application/x-ndjson", lines).await.text().await.unwrap();
    let lines: Vec<Value> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[0]["class"], &lines[1]["class"]), (&json!(7), &json!("RMG"), &json!("RMG")));
    let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for kind in ["application/json", "application/x-ndjson", "application/json; charset=utf-16"] {
        let answer = server.post_raw("/classify/glass", kind, wide.clone()).await;
        assert_eq!(answer.status(), 400);
        let detail = Server::problem(answer).await["detail"].to_string();
        assert!(detail.contains("UTF-16 (little-endian): send UTF-8"), "{detail}");
    }
}

#[tokio::test]
async fn what_shells_do_is_told_with_what_to_type() {
    let server = Server::start().await;
    let mut table = "id,C,Si,Mn,P,S,Ni,Cr,Mo,Cu,V,Al,N,test_temperature".to_owned();
    table += "a,0.15,0.3,0.5,0.01,0.01,0.1,1.0,0.5,0.1,0,0.01,0.008,27b,0.15,0.3,0.5,0.01,0.01,0.1,1.0,0.5,0.1,0,0.01,0.008,500";
    for (kind, body, told) in [
        (
            "application/json",
            "'{composition:Cu60Zr40}'".to_owned(),
            ["begins with '{composition", "--data-binary @request.json"],
        ),
        ("application/json", format!("{GLASS}{GLASS}"), ["a second object follows", "--data-binary @FILE"]),
        ("text/csv", table, ["its line breaks are gone", "--data-binary @FILE"]),
    ] {
        let route = if kind == "text/csv" { "/predict/steel?model=steel-tensile" } else { "/classify/glass" };
        let problem = Server::problem(server.post_raw(route, kind, body).await).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(told.iter().all(|told| detail.contains(told)), "{detail}");
    }
    let answer = server.post_raw("/classify/glass", "application/x-ndjson", format!("{GLASS}{GLASS}")).await;
    assert!(answer.text().await.unwrap().contains("curl takes line breaks out with -d"));
}

#[tokio::test]
async fn pages_of_other_origins_ask_where_they_may() {
    const PAGE: &str = "http://localhost:8888";
    let preflight = async |server: &Server, origin: &str| {
        let request = server.client.request(Method::OPTIONS, format!("{}/classify/glass", server.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "content-type").send().await.unwrap()
    };
    let server = Server::start().await;
    let answer = preflight(&server, PAGE).await;
    assert_eq!((answer.status().as_u16(), answer.headers().get("access-control-allow-origin")), (405, None));
    let mut open = config();
    open.http.cors_origins = vec![PAGE.to_owned()];
    let server = Server::start_with(open).await;
    let answer = preflight(&server, PAGE).await;
    let allowed = |answer: &Response, what: &str| {
        let header = answer.headers().get(format!("access-control-allow-{what}"));
        header.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!((answer.status().as_u16(), allowed(&answer, "origin")), (200, PAGE.to_owned()));
    assert!(allowed(&answer, "headers").contains("content-type") && allowed(&answer, "methods").contains("POST"));
    assert!(!allowed(&answer, "headers").contains("authorization"), "no page may send an admin key");
    assert_eq!(allowed(&preflight(&server, "http://elsewhere").await, "origin"), "");
    // Problems, too, can be read by the page.
    let request = server.client.post(format!("{}/classify/glass", server.url)).header("origin", PAGE).body("x");
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), allowed(&answer, "origin")), (415, PAGE.to_owned()));
}

#[tokio::test]
async fn what_a_spreadsheet_would_run_comes_back_with_an_apostrophe() {
    let server = Server::start().await;
    let table = "id,=note,formula\n=cmd|' /C calc'!A0,-1.5,Cu60Zr40\n\"@SUM(1,2)\",+1+1,Fe80B20\n";
    let ask = async |query: &str| server.post_raw(&format!("/classify/glass{query}"), "text/csv", table).await;
    let plain = ask("").await.text().await.unwrap();
    assert!(plain.starts_with("id,=note,") && plain.contains("\n=cmd|' /C calc'!A0,-1.5,"), "{plain}");
    let safe = ask("?safe_cells=true").await.text().await.unwrap();
    assert!(safe.starts_with("id,'=note,"), "{safe}");
    assert!(safe.contains("\n'=cmd|' /C calc'!A0,-1.5,") && safe.contains("\n\"'@SUM(1,2)\",'+1+1,"), "{safe}");
    let json = server.post("/classify/glass?safe_cells=true", &json!({"composition": "Cu60Zr40"})).await;
    assert_eq!(Server::problem(json).await["detail"], "/safe_cells: is for tables only");
}
