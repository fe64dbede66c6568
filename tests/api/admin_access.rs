//! Keys, scopes, the audit log, and where the admin routes are.

use mcvn::keys::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Lab, Server};

const ROUTES: [(&str, &str); 10] = [
    ("GET", "/admin/jobs"),
    ("POST", "/admin/jobs"),
    ("GET", "/admin/jobs/1"),
    ("GET", "/admin/jobs/1/events"),
    ("DELETE", "/admin/jobs/1"),
    ("POST", "/admin/models"),
    ("GET", "/admin/models/glass/versions"),
    ("POST", "/admin/models/glass/versions/x/promote"),
    ("POST", "/admin/models/glass/rollback"),
    ("GET", "/admin/audit"),
];

fn method(name: &str) -> Method {
    name.parse().unwrap()
}

#[tokio::test]
async fn there_is_no_administration_without_keys() {
    let server = Server::start().await;
    for (name, path) in ROUTES {
        let response = server.admin(method(name), path, "mcvn_x").send().await.unwrap();
        assert_eq!(Server::problem(response).await["status"], 404, "{name} {path}");
    }
}

#[tokio::test]
async fn every_admin_route_wants_a_key_that_is_for_it() {
    let lab = Lab::new();
    let reader = lab.key_for("reader", &[Scope::Read]);
    let promoter = lab.key_for("promoter", &[Scope::Promote]);
    let server = Server::start_with(lab.config.clone()).await;
    for (name, path) in ROUTES {
        let bare = server.client.request(method(name), format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(bare.headers()["www-authenticate"], "Bearer realm=\"mcvn admin\"", "{name} {path}");
        assert_eq!(Server::problem(bare).await["code"], "unauthorized");
        let wrong = server.admin(method(name), path, "mcvn_0000").send().await.unwrap();
        assert_eq!(Server::problem(wrong).await["status"], 401);
        let other = if name == "GET" { &promoter } else { &reader };
        let refused = Server::problem(server.admin(method(name), path, other).send().await.unwrap()).await;
        assert_eq!((&refused["status"], &refused["code"]), (&json!(403), &json!("forbidden")), "{name} {path}");
    }
    // Who was refused with a real key stands in the log; who had none cannot fill it.
    let log: Value = server.admin(Method::GET, "/admin/audit", &lab.key).send().await.unwrap().json().await.unwrap();
    let records = log["records"].as_array().unwrap();
    assert_eq!(records.len(), ROUTES.len());
    assert!(records.iter().all(|record| record["outcome"] == "forbidden" && record["request_id"] != ""));
    assert_eq!(records[0]["number"], ROUTES.len());
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let lab = Lab::new();
    let key = lab.key_for("guest", &[Scope::Read]);
    let server = Server::start_with(lab.config.clone()).await;
    assert_eq!(server.admin(Method::GET, "/admin/jobs", &key).send().await.unwrap().status(), 200);
    mcvn::keys::revoke(&lab.folder.path().join("keys.toml"), "guest").unwrap();
    assert_eq!(server.admin(Method::GET, "/admin/jobs", &key).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn administration_can_listen_elsewhere() {
    let lab = Lab::new();
    let server = Server::start_apart(lab.config.clone()).await;
    let public = server.admin(Method::GET, "/admin/jobs", &lab.key).send().await.unwrap();
    assert_eq!(public.status(), 404);
    let admin = server.admin_url.clone().unwrap();
    let list = server.client.get(format!("{admin}/admin/jobs")).bearer_auth(&lab.key).send().await.unwrap();
    assert_eq!(list.status(), 200);
    assert_eq!(server.client.get(format!("{admin}/models")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn broken_keys_or_a_second_writer_stop_the_start() {
    let lab = Lab::new();
    let _first = Server::start_with(lab.config.clone()).await;
    let second = Server::start_loading(lab.config.clone()).await.ended().await.unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    let other = Lab::new();
    std::fs::write(other.folder.path().join("keys.toml"), "what").unwrap();
    let broken = Server::start_loading(other.config.clone()).await.ended().await.unwrap_err();
    assert!(broken.to_string().contains("keys.toml"), "{broken}");
}

#[tokio::test]
async fn a_key_file_that_has_gone_is_told() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let ready = async || server.get("/readyz").await.json::<Value>().await.unwrap();
    let metric = async || {
        let text = server.get("/metrics").await.text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix("mcvn_admin_working ").map(str::to_owned)).unwrap()
    };
    assert_eq!((ready().await, metric().await), (json!({"status": "ready"}), "1".to_owned()));
    let (keys, away) = (lab.folder.path().join("keys.toml"), lab.folder.path().join("away"));
    std::fs::rename(&keys, &away).unwrap();
    let told = ready().await;
    assert!(told["administration"][0].as_str().unwrap().contains("keys.toml"), "{told}");
    assert!(!told.to_string().contains(lab.folder.path().to_str().unwrap()), "no folders: {told}");
    assert_eq!(metric().await, "0");
    std::fs::rename(&away, &keys).unwrap();
    assert_eq!((ready().await, metric().await), (json!({"status": "ready"}), "1".to_owned()));
}
