//! Retraining jobs from outside: uploads, refusals, progress, cancelling, repeating.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Lab, Server, lab_recipe, lab_rows, pointers};

fn form(options: &Value, rows: &str) -> Form {
    let part = Part::bytes(rows.as_bytes().to_vec()).file_name("rows.csv");
    Form::new().text("options", options.to_string()).part("data", part)
}

/// Makes the example's model.
pub(crate) async fn create_model(server: &Server, key: &str, recipe: String) {
    let request = server.admin(Method::POST, "/admin/models", key).header("content-type", "application/toml");
    let response = request.body(recipe).send().await.unwrap();
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 201, "{body}");
}

/// Starts a job that must be accepted.
pub(crate) async fn start(server: &Server, key: &str, options: Value, rows: &str) -> Value {
    let request = server.admin(Method::POST, "/admin/jobs", key).multipart(form(&options, rows));
    let response = request.send().await.unwrap();
    let status = response.status();
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    let job: Value = response.json().await.unwrap();
    assert_eq!(status, 202, "{job:#}");
    // Relative to the address that was asked: so it holds behind a path prefix, too.
    assert_eq!(location.unwrap(), format!("jobs/{}", job["id"]));
    job
}

pub(crate) async fn job(server: &Server, key: &str, id: &Value) -> Value {
    let response = server.admin(Method::GET, &format!("/admin/jobs/{id}"), key).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// Waits for a state.
pub(crate) async fn until(server: &Server, key: &str, id: &Value, state: &str) -> Value {
    let start = Instant::now();
    loop {
        let job = job(server, key, id).await;
        if job["state"] == state {
            return job;
        }
        let ended = !["queued", "running"].contains(&job["state"].as_str().unwrap());
        assert!(!ended && start.elapsed() < Duration::from_secs(120), "waiting for {state}: {job:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bad_requests_name_what_is_wrong() {
    let mut lab = Lab::new();
    lab.config.admin.upload_bytes = 100_000;
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe()).await;
    let model = json!({"model": "steel-lab42"});
    let post = || server.admin(Method::POST, "/admin/jobs", &lab.key);
    let problem = async |request: reqwest::RequestBuilder| Server::problem(request.send().await.unwrap()).await;

    // Cells by line and column.
    let rows = lab_rows().replacen(",VIM,", ",BOF,", 1).replacen(",547,", ",n/a,", 1);
    let bad = problem(post().multipart(form(&model, &rows))).await;
    assert_eq!((&bad["status"], &bad["code"]), (&json!(422), &json!("invalid_request")));
    assert_eq!(pointers(&bad)[0], "/data/2/melting");
    assert!(bad["errors"][0]["detail"].as_str().unwrap().starts_with("line 2, column"), "{bad:#}");
    // Columns, rows, options.
    let missing = problem(post().multipart(form(&model, &lab_rows().replacen("UTS_MPa", "Rm", 1)))).await;
    assert!(missing["detail"].as_str().unwrap().contains("UTS_MPa"), "{missing:#}");
    let few: String = lab_rows().lines().take(5).map(|line| line.to_owned() + "\n").collect();
    assert_eq!(problem(post().multipart(form(&model, &few))).await["status"], 422);
    for (options, pointer) in [
        (json!({"model": "steel-lab42", "folds": 1}), "/folds"),
        (json!({"model": "steel-lab42", "folds": "x"}), "/options/folds"),
        (json!({"model": "steel-lab42", "colour": 1}), "/options/colour"),
        (json!({"seed": 1}), "/options"),
    ] {
        let refused = problem(post().multipart(form(&options, &lab_rows()))).await;
        assert_eq!(pointers(&refused), [pointer], "{refused:#}");
    }
    for model in ["no-such", "../glass"] {
        let unknown = problem(post().multipart(form(&json!({"model": model}), &lab_rows()))).await;
        assert_eq!(unknown["code"], "not_found", "{unknown:#}");
    }
    assert_eq!(pointers(&problem(post().multipart(Form::new().text("data", "x"))).await), ["/options"]);
    assert_eq!(pointers(&problem(post().multipart(Form::new().text("rows", "x"))).await), ["/rows"]);
    let twice = form(&model, &lab_rows()).text("data", "x");
    assert_eq!(pointers(&problem(post().multipart(twice)).await), ["/data"]);
    // Too large, wrong types, files that are not there.
    assert_eq!(problem(post().multipart(form(&model, &"x".repeat(200_000)))).await["code"], "body_too_large");
    assert_eq!(problem(post().body("x")).await["code"], "unsupported_media_type");
    assert_eq!(problem(post().header("content-type", "application/json").body("{")).await["code"], "malformed_body");
    let unbounded = post().header("content-type", "multipart/form-data").body("x");
    assert_eq!(problem(unbounded).await["code"], "malformed_body");
    for data in ["rows.csv", "../keys.toml", "/etc/passwd"] {
        let named = problem(post().json(&json!({"model": "steel-lab42", "data": data}))).await;
        assert_eq!(pointers(&named), ["/data"]);
    }
    // None of it has left a job, or a file.
    let list: Value = server.admin(Method::GET, "/admin/jobs", &lab.key).send().await.unwrap().json().await.unwrap();
    assert_eq!(list, json!({"jobs": []}));
    for folder in ["jobs", "uploads"] {
        assert_eq!(std::fs::read_dir(lab.config.jobs.state_dir.join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[tokio::test]
async fn bad_recipes_are_refused() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let post = async |recipe: String| {
        let request = server.admin(Method::POST, "/admin/models", &lab.key).header("content-type", "application/toml");
        request.body(recipe).send().await.unwrap()
    };
    for (from, to) in [
        ("steps = 120", "steps = 0"),
        ("name = \"steel-lab42\"", "name = \"../x\""),
        ("route = \"/predict/steel\"", "route = \"/classify/glass\""),
        ("[network]", "[nets]"),
    ] {
        let problem = Server::problem(post(lab_recipe().replacen(from, to, 1)).await).await;
        assert_eq!((&problem["status"], &problem["code"]), (&json!(422), &json!("invalid_request")), "{to}");
    }
    let taken = Server::problem(post(lab_recipe().replace("steel-lab42", "glass")).await).await;
    assert_eq!(taken["code"], "conflict");
    let default = lab_recipe().replacen("group =", "default = true\ngroup =", 1);
    assert_eq!(Server::problem(post(default).await).await["code"], "conflict");
    assert_eq!(post(lab_recipe()).await.status(), 201);
    assert_eq!(post(lab_recipe()).await.status(), 409);
    // The same as JSON.
    let recipe: Value = toml::from_str(&lab_recipe().replace("steel-lab42", "steel-lab43")).unwrap();
    let json = server.admin(Method::POST, "/admin/models", &lab.key).json(&recipe).send().await.unwrap();
    assert_eq!(json.status(), 201);
    let made: Value = json.json().await.unwrap();
    assert!(made["columns"].as_array().unwrap().contains(&json!("melting")));
}

#[tokio::test]
async fn a_repeated_request_starts_nothing_new() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe().replace("steps = 120", "steps = 100000")).await;
    let send = async |options: Value| {
        let request = server.admin(Method::POST, "/admin/jobs", &lab.key).header("idempotency-key", "run 7");
        request.multipart(form(&options, &lab_rows())).send().await.unwrap()
    };
    let options = json!({"model": "steel-lab42"});
    let first = send(options.clone()).await;
    assert!(first.headers().get("idempotency-replayed").is_none());
    let second = send(options).await;
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    let (first, second): (Value, Value) = (first.json().await.unwrap(), second.json().await.unwrap());
    assert_eq!(first["id"], second["id"]);
    let other = Server::problem(send(json!({"model": "steel-lab42", "seed": 8})).await).await;
    assert_eq!(pointers(&other), ["/Idempotency-Key"]);
}

#[tokio::test]
async fn jobs_wait_their_turn_and_end_within_a_second_of_being_cancelled() {
    let mut lab = Lab::new();
    lab.config.jobs.queue = 1;
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe().replace("steps = 120", "steps = 100000")).await;
    let options = json!({"model": "steel-lab42"});
    let first = start(&server, &lab.key, options.clone(), &lab_rows()).await;
    let running = until(&server, &lab.key, &first["id"], "running").await;
    assert!(running["started"].is_string());
    let second = start(&server, &lab.key, options.clone(), &lab_rows()).await;
    assert_eq!(job(&server, &lab.key, &second["id"]).await["state"], "queued");
    let full = server.admin(Method::POST, "/admin/jobs", &lab.key).multipart(form(&options, &lab_rows()));
    let full = full.send().await.unwrap();
    assert_eq!((full.status().as_u16(), full.headers().contains_key("retry-after")), (429, true));
    // Progress comes.
    let start = Instant::now();
    let progress = loop {
        let job = job(&server, &lab.key, &first["id"]).await;
        if job["progress"]["step"].as_u64().is_some_and(|step| step > 0) {
            break job;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{job:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(progress["progress"]["eta_seconds"].as_f64().unwrap() > 0.0);
    assert!(!progress["losses"].as_array().unwrap().is_empty());
    let cancel = async |id: &Value| {
        let address = format!("/admin/jobs/{id}/cancel");
        server.admin(Method::POST, &address, &lab.key).send().await.unwrap()
    };
    let cancelled: Value = cancel(&second["id"]).await.json().await.unwrap();
    assert_eq!(cancelled["state"], "cancelled");
    let start = Instant::now();
    let cancelled: Value = cancel(&first["id"]).await.json().await.unwrap();
    assert_eq!(cancelled["state"], "cancelled");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(Server::problem(cancel(&first["id"]).await).await["code"], "conflict");
    assert_eq!(Server::problem(cancel(&json!(77)).await).await["code"], "not_found");
    // Nothing of either is among the versions.
    let versions = server.admin(Method::GET, "/admin/models/steel-lab42/versions", &lab.key).send().await.unwrap();
    assert_eq!(versions.json::<Value>().await.unwrap()["versions"], json!([]));
}

#[tokio::test]
async fn a_stop_interrupts_the_job_and_keeps_its_data() {
    let lab = Lab::new();
    let mut server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe().replace("steps = 120", "steps = 100000")).await;
    let first = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await;
    until(&server, &lab.key, &first["id"], "running").await;
    // Whoever watches a job does not hold the server up.
    let events = server.admin(Method::GET, &format!("/admin/jobs/{}/events", first["id"]), &lab.key);
    let mut events = events.send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert!(events.chunk().await.unwrap().unwrap().starts_with(b"event: running"));
    let begin = Instant::now();
    server.signal_stop();
    server.ended().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

    let server = Server::start_with(lab.config.clone()).await;
    let listed = job(&server, &lab.key, &first["id"]).await;
    assert_eq!(listed["state"], "interrupted");
    // Its data can be used again, by number.
    let again = json!({"model": "steel-lab42", "data_of_job": first["id"]});
    let again = server.admin(Method::POST, "/admin/jobs", &lab.key).json(&again).send().await.unwrap();
    assert_eq!(again.status(), 202);
    let again: Value = again.json().await.unwrap();
    assert_eq!(again["data"]["sha256"], first["data"]["sha256"]);
}

#[tokio::test]
async fn a_training_that_fails_says_why() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let recipe = lab_recipe().replace("learning_rate = 5e-3", "learning_rate = 1e30");
    create_model(&server, &lab.key, recipe.replace("clip_norm = 5.0", "clip_norm = 1e30")).await;
    let job = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await;
    let failed = until(&server, &lab.key, &job["id"], "failed").await;
    assert!(failed["error"].as_str().unwrap().contains("diverged"), "{failed:#}");
    assert!(failed["log_tail"].as_str().unwrap().contains("diverged"));
    let counts = server.get("/metrics").await.text().await.unwrap();
    assert!(counts.contains("mcvn_jobs{state=\"failed\"} 1"), "{counts}");
}

#[tokio::test]
async fn a_job_may_name_a_file_of_the_configured_folder() {
    let mut lab = Lab::new();
    let folder = lab.folder.path().join("data");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rows.csv"), lab_rows()).unwrap();
    std::os::unix::fs::symlink(lab.folder.path().join("keys.toml"), folder.join("link.csv")).unwrap();
    lab.config.jobs.data_dir = Some(folder);
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe()).await;
    let post = async |data: &str| {
        let body = json!({"model": "steel-lab42", "data": data, "folds": 2});
        server.admin(Method::POST, "/admin/jobs", &lab.key).json(&body).send().await.unwrap()
    };
    for outside in ["link.csv", "../keys.toml", "no-such.csv", ""] {
        assert_eq!(pointers(&Server::problem(post(outside).await).await), ["/data"], "{outside}");
    }
    let accepted = post("rows.csv").await;
    assert_eq!(accepted.status(), 202);
    let job: Value = accepted.json().await.unwrap();
    until(&server, &lab.key, &job["id"], "succeeded").await;
}
