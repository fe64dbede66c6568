//! The audit log: every change has a line, whatever its client or the server does meanwhile.

use std::path::Path;
use std::time::Duration;

use mcvn::admin::AuditRecord;
use mcvn::jobs::store_file;
use mcvn::store::Store;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::{Lab, Server, another_glass};

async fn audit(server: &Server, lab: &Lab) -> Vec<Value> {
    let log: Value = server.admin(Method::GET, "/admin/audit", &lab.key).send().await.unwrap().json().await.unwrap();
    log["records"].as_array().unwrap().clone()
}

fn with_outcome<'a>(records: &'a [Value], action: &str, outcome: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["action"] == action && record["outcome"] == outcome).collect()
}

/// The first line of a model's `active`.
fn active(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("models/glass/active")).unwrap().lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing_half_done_and_nothing_unsaid() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let glass: Value = server.get("/models/glass").await.json().await.unwrap();
    another_glass(&lab, glass["version"].as_str().unwrap(), "copy");
    another_glass(&lab, glass["version"].as_str().unwrap(), "other");
    let body = json!({"force": true, "reason": "test"}).to_string();
    const ROUNDS: usize = 24;
    for round in 0..ROUNDS {
        let version = ["copy", "other"][round % 2];
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /admin/models/glass/versions/{version}/promote HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            lab.key,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(round as u64)).await;
        drop(stream);
    }
    let ended = |records: &[Value]| {
        let begun = with_outcome(records, "version.promote", "begun").len();
        let all = records.iter().filter(|record| record["action"] == "version.promote").count();
        (begun, all - begun)
    };
    let mut records = audit(&server, &lab).await;
    for _ in 0..200 {
        let (begun, ended) = ended(&records);
        if begun > 0 && begun == ended {
            break;
        }
        sleep(Duration::from_millis(50)).await;
        records = audit(&server, &lab).await;
    }
    let (begun, ended) = ended(&records);
    assert_eq!(begun, ended, "{records:#?}");
    assert!(begun >= ROUNDS / 2, "only {begun} requests arrived");
    // The last line that says so names what is on the disk, and that is what answers.
    let done = with_outcome(&records, "version.promote", "ok");
    let answer = server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await;
    assert_eq!(answer["model"]["version"], active(lab.folder.path()));
    assert_eq!(done[0]["target"], format!("glass {}", active(lab.folder.path())));
}

#[tokio::test]
async fn an_action_that_the_server_did_not_outlive_is_ended_at_the_next_start() {
    let lab = Lab::new();
    std::fs::create_dir_all(&lab.config.jobs.state_dir).unwrap();
    let line = |action: &str, request_id: &str, outcome: &str| AuditRecord {
        at: mcvn::jobs::now(),
        by: "lab".to_owned(),
        action: action.to_owned(),
        target: "glass copy".to_owned(),
        outcome: outcome.to_owned(),
        detail: String::new(),
        request_id: request_id.to_owned(),
    };
    let store = Store::open(&store_file(&lab.config.jobs.state_dir)).unwrap();
    store.append_audit(&line("version.promote", "r1", "begun")).unwrap();
    store.append_audit(&line("version.promote", "r1", "ok")).unwrap();
    store.append_audit(&line("version.promote", "r2", "begun")).unwrap();
    drop(store);
    for _ in 0..2 {
        let mut server = Server::start_with(lab.config.clone()).await;
        let records = audit(&server, &lab).await;
        let interrupted = with_outcome(&records, "version.promote", "interrupted");
        assert_eq!(interrupted.len(), 1, "{records:#?}");
        assert_eq!(interrupted[0]["request_id"], "r2");
        server.signal_stop();
        server.ended().await.unwrap();
    }
}
