//! Requests that are repeated, because their answer was lost: with an `Idempotency-Key` they do nothing twice.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::admin_jobs::start;
use crate::support::{Lab, Server, another_glass, lab_recipe, lab_rows, pointers};

async fn ask(server: &Server, lab: &Lab, method: Method, path: &str, key: &str, body: &Value) -> Response {
    server.admin(method, path, &lab.key).header("idempotency-key", key).json(body).send().await.unwrap()
}

/// Status, whether it was said to be a repetition, and the body.
async fn told(response: Response) -> (u16, bool, Value) {
    let replayed = response.headers().contains_key("idempotency-replayed");
    (response.status().as_u16(), replayed, response.json().await.unwrap())
}

/// A server with three versions of `glass` that were in use: `third` is.
async fn three_versions(lab: &Lab) -> (Server, String) {
    let server = Server::start_with(lab.config.clone()).await;
    let shipped: Value = server.get("/models/glass").await.json().await.unwrap();
    let shipped = shipped["version"].as_str().unwrap().to_owned();
    for version in ["second", "third"] {
        another_glass(lab, &shipped, version);
        let path = format!("/admin/models/glass/versions/{version}/promote");
        let force = json!({"force": true, "reason": "test"});
        let first = told(ask(&server, lab, Method::POST, &path, version, &force).await).await;
        assert_eq!((first.0, first.1), (200, false), "{first:?}");
        let again = told(ask(&server, lab, Method::POST, &path, version, &force).await).await;
        assert_eq!(again, (200, true, first.2), "not \"in use already\"");
    }
    (server, shipped)
}

async fn answers(server: &Server) -> Value {
    server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await["model"]["version"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_is_repeated_goes_back_once() {
    let lab = Lab::new();
    let (server, shipped) = three_versions(&lab).await;
    let rollback = "/admin/models/glass/rollback";
    let none = json!({});
    let asked = (0..6).map(|_| ask(&server, &lab, Method::POST, rollback, "back", &none));
    let mut told_all = Vec::new();
    for response in futures_util::future::join_all(asked).await {
        told_all.push(told(response).await);
    }
    assert!(told_all.iter().all(|(status, _, body)| *status == 200 && body["version"] == "second"), "{told_all:?}");
    assert_eq!(told_all.iter().filter(|(_, replayed, _)| !replayed).count(), 1);
    assert_eq!(answers(&server).await, "second");
    // Of its repetitions nothing was done, and nothing is in the audit log.
    let log: Value = server.admin(Method::GET, "/admin/audit", &lab.key).send().await.unwrap().json().await.unwrap();
    let lines = log["records"].as_array().unwrap().iter().filter(|line| line["action"] == "version.rollback");
    assert_eq!(lines.count(), 2);
    // The key is for this very request, of this very person.
    let other = ask(&server, &lab, Method::POST, rollback, "back", &json!({"reason": "another"})).await;
    assert_eq!(pointers(&Server::problem(other).await), ["/Idempotency-Key"]);
    for bad in ["", &"x".repeat(201)] {
        let refused = ask(&server, &lab, Method::POST, rollback, bad, &json!({})).await;
        assert_eq!(pointers(&Server::problem(refused).await), ["/Idempotency-Key"]);
    }
    // It holds over a restart.
    let mut server = server;
    server.signal_stop();
    server.ended().await.unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    let again = told(ask(&server, &lab, Method::POST, rollback, "back", &json!({})).await).await;
    assert_eq!((again.0, again.1, &again.2["version"]), (200, true, &json!("second")));
    let next = told(ask(&server, &lab, Method::POST, rollback, "further back", &json!({})).await).await;
    assert_eq!((next.0, &next.2["version"]), (200, &json!(shipped)));
    assert_eq!(answers(&server).await, json!(shipped));
}

#[tokio::test]
async fn what_failed_may_be_tried_again_with_the_same_key() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let glass: Value = server.get("/models/glass").await.json().await.unwrap();
    let promote = "/admin/models/glass/versions/late/promote";
    let force = json!({"force": true, "reason": "test"});
    let missing = told(ask(&server, &lab, Method::POST, promote, "k", &force).await).await;
    assert_eq!((missing.0, missing.1), (404, false));
    another_glass(&lab, glass["version"].as_str().unwrap(), "late");
    let done = told(ask(&server, &lab, Method::POST, promote, "k", &force).await).await;
    assert_eq!((done.0, done.1), (200, false), "{done:?}");
}

#[tokio::test]
async fn models_and_cancellations_are_repeated_too() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let recipe: Value = toml::from_str(&lab_recipe().replace("steps = 120", "steps = 100000")).unwrap();
    let first = ask(&server, &lab, Method::POST, "/admin/models", "new", &recipe).await;
    let location = first.headers()["location"].clone();
    let first = told(first).await;
    assert_eq!((first.0, first.1), (201, false), "{first:?}");
    let again = ask(&server, &lab, Method::POST, "/admin/models", "new", &recipe).await;
    assert_eq!(again.headers()["location"], location);
    assert_eq!(told(again).await, (201, true, first.2), "not \"there is a model already\"");

    let job = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await;
    let path = format!("/admin/jobs/{}/cancel", job["id"]);
    let first = told(ask(&server, &lab, Method::POST, &path, "stop", &json!({})).await).await;
    assert_eq!((first.0, first.1, &first.2["state"]), (200, false, &json!("cancelled")));
    let again = told(ask(&server, &lab, Method::POST, &path, "stop", &json!({})).await).await;
    assert_eq!(again, (200, true, first.2), "not \"it has ended\"");
}
