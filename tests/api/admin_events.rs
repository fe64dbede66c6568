//! A job's events: taken up again where they broke off, ended with the job and with the key, passed on by proxies.

use std::time::{Duration, Instant};

use mcvn::keys::Scope;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::admin_jobs::{create_model, start};
use crate::support::{Lab, Server, lab_recipe, lab_rows};

async fn events(server: &Server, key: &str, id: &Value, seen: Option<&str>) -> Response {
    let mut request = server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), key);
    if let Some(seen) = seen {
        request = request.header("last-event-id", seen);
    }
    request.send().await.unwrap()
}

/// The value of a field of the first event in a text.
fn field<'a>(event: &'a str, name: &str) -> &'a str {
    event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

#[tokio::test]
async fn events_are_taken_up_again_and_end_with_the_job() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe().replace("steps = 120", "steps = 100000")).await;
    // The first trains on and on; the second waits, and changes only when it is cancelled.
    start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await;
    let id = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();

    let mut first = events(&server, &lab.key, &id, None).await;
    assert_eq!(first.headers()["x-accel-buffering"], "no");
    let first = String::from_utf8(first.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert_eq!(field(&first, "event"), "queued");
    let seen = field(&first, "id").to_owned();
    // Who has seen that waits for what comes next.
    let later = events(&server, &lab.key, &id, Some(&seen)).await;
    let cancel = server.admin(Method::POST, &format!("/admin/jobs/{id}/cancel"), &lab.key).send().await.unwrap();
    assert_eq!(cancel.status(), 200);
    let later = later.text().await.unwrap();
    assert_eq!(field(&later, "event"), "cancelled");
    assert_eq!(later.matches("event:").count(), 1, "what was seen is not sent again: {later}");
    // An ended job has one event, for whoever has not seen it.
    let ended = events(&server, &lab.key, &id, None).await;
    assert_eq!(ended.status(), 200);
    assert_eq!(ended.text().await.unwrap(), later);
    let over = events(&server, &lab.key, &id, Some(field(&later, "id"))).await;
    assert_eq!((over.status().as_u16(), over.text().await.unwrap()), (204, String::new()));
}

#[tokio::test]
async fn events_end_when_their_key_is_revoked() {
    let lab = Lab::new();
    let guest = lab.key_for("guest", &[Scope::Read]);
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe().replace("steps = 120", "steps = 100000")).await;
    let id = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();
    let (mut own, other) = (events(&server, &lab.key, &id, None).await, events(&server, &guest, &id, None).await);
    mcvn::keys::revoke(&lab.folder.path().join("keys.toml"), "guest").unwrap();
    let begin = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(20), other.text()).await;
    assert!(ended.is_ok(), "it goes on {:?} after its key was revoked", begin.elapsed());
    assert!(own.chunk().await.unwrap().is_some(), "that of another key goes on");
}
