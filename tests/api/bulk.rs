//! Tables and lines as streams: both ways at once, of any length, and gone when their client is.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, config, pointers, shipped_models, steel_4140};

/// A request whose body is written piece by piece.
struct Stream(TcpStream);

impl Stream {
    async fn open(server: &Server, path: &str, content_type: &str) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        Self(socket)
    }

    async fn send(&mut self, piece: &str) {
        self.0.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
    }

    /// Reads until the text has come, or the connection ends; gives back all of it.
    async fn read_until(&mut self, wanted: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(wanted) {
            if self.0.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                break;
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    }
}

#[tokio::test]
async fn rows_are_answered_while_others_are_still_to_come() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server, "/classify/glass", "text/csv").await;
    stream.send("id,formula\n1,Cu60Zr40\n2,\"Fe80").await;
    let first = stream.read_until("\n1,").await;
    assert!(first.starts_with("HTTP/1.1 200") && first.contains("id,class,BMG,RMG,CRA,"), "{first}");
    stream.send("B20\"\n3,Qq\n").await;
    let more = stream.read_until("\n3,").await;
    assert!(more.contains("2,") && !more.contains("0\r\n\r\n"), "{more}");
    stream.send("4,Fe80B20").await;
    stream.0.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(stream.read_until("0\r\n\r\n").await.contains("4,"));
}

#[tokio::test]
async fn lines_are_answered_as_requests_are() {
    let server = Server::start().await;
    let alone = server.answer("/predict/steel", &steel_4140()).await;
    let mut with_id = steel_4140();
    with_id["id"] = json!({"heat": 7});
    let text = format!(
        "{with_id}\n\n{{\"id\": \"b\", \"composition\": {{\"Xx\": 1}}, \"colour\": 1}}\nnot JSON\n{}",
        steel_4140()
    );
    let response = server.post_raw("/predict/steel", "application/x-ndjson", text).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/x-ndjson".parse().unwrap())
    );
    let text = response.text().await.unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0].as_object_mut().unwrap().remove("id"), Some(json!({"heat": 7})));
    assert_eq!((&lines[0], &lines[3]), (&alone, &alone));
    assert_eq!((&lines[1]["id"], &lines[1]["model"]), (&json!("b"), &alone["model"]));
    let complaints = pointers(&lines[1]);
    assert!(complaints.contains(&"/composition/Xx") && complaints.contains(&"/colour"), "{complaints:?}");
    assert_eq!((pointers(&lines[2]), lines[2].get("id")), (vec![""], None));
}

#[tokio::test]
async fn what_is_wrong_with_the_whole_is_a_problem() {
    let server = Server::start().await;
    for (content_type, path, body) in [
        ("application/x-ndjson", "/predict/steel", ""),
        ("application/x-ndjson", "/predict/steel?confidence=2", "{}\n"),
        ("text/csv", "/classify/glass", "formula\n"),
        ("text/csv", "/classify/glass?other_columns=refuse", "formula,colour\nFe,red\n"),
        ("text/csv", "/classify/glass?other_columns=some", "formula\nFe\n"),
        ("text/csv", "/classify/glass?map=Fe", "formula\nFe\n"),
        ("text/csv", "/classify/glass?encoding=latin-99", "formula\nFe\n"),
        ("application/x-ndjson", "/classify/glass?map=a:Fe", "{}\n"),
    ] {
        let problem = Server::problem(server.post_raw(path, content_type, body).await).await;
        assert_eq!(problem["code"], "invalid_sample", "{path} {body}");
    }
    let problem = Server::problem(server.post_raw("/classify/glass?model=x", "text/csv", "formula\nFe\n").await).await;
    assert_eq!(problem["code"], "not_found");
    let endless = format!("formula\n\"{}", "x".repeat(1_100_000));
    let problem = Server::problem(server.post_raw("/classify/glass", "text/csv", endless).await).await;
    assert_eq!(problem["code"], "body_too_large");
}

#[tokio::test]
async fn places_are_limited_and_those_of_clients_that_left_are_free() {
    let mut config = config();
    config.bulk.streams = 1;
    let server = Server::start_with(config).await;
    let mut stream = Stream::open(&server, "/classify/glass", "text/csv").await;
    stream.send("formula\nCu60Zr40\n").await;
    stream.read_until("true,").await;
    // A short table is no bulk work: there is always a place for it.
    let short = server.post_raw("/classify/glass", "text/csv", "formula\nFe80B20\n").await;
    assert_eq!(short.status(), 200);
    let long = format!("formula\n{}", "Fe80B20\n".repeat(10_000));
    let table = || server.post_raw("/classify/glass", "text/csv", long.clone());
    let refused = table().await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(Server::problem(refused).await["code"], "overloaded");
    assert_eq!(server.post("/classify/glass", &json!({"composition": "Fe80B20"})).await.status(), 200);
    drop(stream);
    while table().await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stream_that_stands_still_is_cut_off() {
    let mut config = config();
    config.http.deadline_seconds = 0.3;
    let server = Server::start_with(config).await;
    let mut stream = Stream::open(&server, "/classify/glass", "text/csv").await;
    stream.send("formula\nCu60Zr40\n").await;
    let all = tokio::time::timeout(Duration::from_secs(20), stream.read_until("\r\n0\r\n\r\n")).await.unwrap();
    assert!(
        all.contains("true,") && !all.ends_with("0\r\n\r\n"),
        "an answer that is not whole must not look whole: {all}"
    );
    // One that does not even begin gets an answer that says so.
    let mut stream = Stream::open(&server, "/classify/glass", "text/csv").await;
    let all = stream.read_until("deadline_exceeded").await;
    assert!(all.starts_with("HTTP/1.1 504"), "{all}");
}

#[tokio::test]
async fn an_answer_may_be_larger_than_what_waits_for_its_client() {
    let server = Server::start().await;
    // Some 25 MB of answers, more than may wait: they must be taken while rows are sent.
    let piece = "Cu60Zr40\n".repeat(1000);
    let stream = Stream::open(&server, "/classify/glass", "text/csv").await;
    let (mut reader, mut writer) = stream.0.into_split();
    let sending = tokio::spawn(async move {
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        writer.write_all(chunk("formula\n").as_bytes()).await.unwrap();
        for _ in 0..120 {
            writer.write_all(chunk(&piece).as_bytes()).await.unwrap();
        }
        writer.write_all(b"0\r\n\r\n").await.unwrap();
        writer
    });
    let (mut rows, mut buffer, mut tail) = (0, vec![0; 1 << 16], Vec::new());
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let count = reader.read(&mut buffer).await.unwrap();
        assert!(count > 0, "cut off after {rows} rows");
        rows += buffer[..count].windows(6).filter(|six| six == b",glass").count();
        tail.extend_from_slice(&buffer[..count]);
        tail.drain(..tail.len().saturating_sub(16));
    }
    let _writer = sending.await.unwrap();
    // A word may be cut by a read, or by a chunk of the transfer.
    assert!((119_000..=120_000).contains(&rows), "{rows}");
}

#[tokio::test]
async fn a_file_a_stream_and_any_number_of_threads_give_the_same_rows() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let line = |index: usize| {
        let mut steel = steel_4140();
        steel["composition"]["C"] = json!(0.3 + index as f64 / 5000.0);
        steel["id"] = json!(index);
        if index.is_multiple_of(97) {
            steel["composition"]["Xx"] = json!(1);
        }
        steel.to_string() + "\n"
    };
    let text: String = (0..1000).map(line).collect();
    std::fs::write(at("in.ndjson"), &text).unwrap();
    let streamed = server.post_raw("/predict/steel", "application/x-ndjson", text).await.text().await.unwrap();
    for threads in ["1", "3"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mcvn"));
        command.args(["predict", "--model", "steel-fatigue", "--device", "cpu", "--threads", threads]);
        command.arg("--models-dir").arg(shipped_models()).arg("--input").arg(at("in.ndjson"));
        let output = command.arg("--output").arg(at("out.ndjson")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("11 of 1000 rows have an error"), "{said}");
        assert_eq!(std::fs::read_to_string(at("out.ndjson")).unwrap(), streamed);
    }
    // One by one, as single requests: the same to the last bit.
    for index in [1, 500, 999] {
        let lines: Value = serde_json::from_str(streamed.lines().nth(index).unwrap()).unwrap();
        let mut single: Value = serde_json::from_str(&line(index)).unwrap();
        single.as_object_mut().unwrap().remove("id");
        let alone = server.answer("/predict/steel", &single).await;
        assert_eq!((&lines["properties"], &lines["id"]), (&alone["properties"], &json!(index)));
    }
}

#[tokio::test]
async fn a_table_for_which_there_is_never_room_is_streamed() {
    let mut config = config();
    (config.http.json_body_bytes, config.http.waiting_bytes) = (2_000, 2_000);
    let server = Server::start_with(config).await;
    let table = format!("formula\n{}", "Fe80B20\n".repeat(1_000));
    let response = server.post_raw("/classify/glass", "text/csv", table).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap().lines().count(), 1_001);
}

#[tokio::test]
async fn requests_without_room_are_refused_before_they_are_read() {
    let mut config = config();
    (config.http.json_body_bytes, config.http.waiting_bytes) = (2_000, 2_000);
    let server = Server::start_with(config).await;
    // A request whose body does not end holds the room for what has come of it.
    let mut stream = Stream::open(&server, "/predict/steel", "application/json").await;
    stream.send(&" ".repeat(1_800)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Another one of which nobody knows how long it is does not get it; one that is whole does, and the first one yields.
    let mut other = Stream::open(&server, "/predict/steel", "application/json").await;
    other.send(&" ".repeat(400)).await;
    let refused = other.read_until("overloaded").await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 1"), "{refused}");
    assert_eq!(server.post("/predict/steel", &steel_4140()).await.status(), 200);
    assert!(stream.read_until("body_too_slow").await.starts_with("HTTP/1.1 408"));
}
