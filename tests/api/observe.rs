//! What operators see: metrics, health through a whole life, what runs here, timings, trace ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use mcvn::http::{AppState, HttpConfig, Surface, router};
use mcvn::metrics::Metrics;
use mcvn::serving::Live;
use reqwest::Method;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Server, bulk_pool, config, steel_4140};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A scrape, checked against the format: series by name and labels.
async fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let request = server.client.get(format!("{}/metrics", server.url));
    let response = request.header("accept", "application/openmetrics-text;version=1.0.0,*/*;q=0.1").send();
    let response = response.await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &OPEN_METRICS.parse().unwrap())
    );
    let text = response.text().await.unwrap();
    parse(text.strip_suffix("# EOF\n").unwrap())
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut series, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut help, mut family, mut kind) = ("", "", "");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let fields: Vec<&str> = comment.splitn(3, ' ').collect();
            match fields[..] {
                ["HELP", name, text] => {
                    assert!(families.insert(name) && text.len() > 10, "{line}");
                    help = name;
                }
                ["TYPE", name, of] => {
                    assert_eq!(name, help, "every family has a help");
                    (family, kind) = (name, of);
                }
                ["UNIT", name, unit] => assert!(name == family && name.ends_with(&format!("_{unit}"))),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
        match kind {
            "counter" => assert_eq!(suffix, "_total"),
            "gauge" => assert_eq!(suffix, ""),
            "histogram" => assert!(["_sum", "_count", "_bucket"].contains(&suffix), "{line}"),
            _ => panic!("{line}"),
        }
        assert!(name.starts_with("mcvn_") || name.starts_with("process_"), "{name}");
        let timed = ["duration", "wait", "time"].iter().any(|word| family.contains(word));
        assert!(!timed || family.ends_with("_seconds"), "{family} names its unit");
        for label in labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once("=\"").unwrap();
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && value.ends_with('"'));
        }
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0 && series.insert(key.to_owned(), value).is_none(), "{line}");
    }
    series
}

fn requests(method: &str, route: &str, status: u16) -> String {
    format!("mcvn_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")
}

#[tokio::test]
async fn a_scrape_tells_what_was_asked() {
    let server = Server::start().await;
    let fresh = scrape(&server).await;
    assert_eq!(fresh["mcvn_ready"], 1.0);
    assert_eq!(fresh["mcvn_queue_samples"], 0.0);
    assert_eq!(fresh["mcvn_queue_limit_samples"], 16_384.0);
    assert!(!fresh.keys().any(|key| key.starts_with("mcvn_predictions")), "self-tests are no predictions");
    let passes = |series: &BTreeMap<String, f64>| series["mcvn_batch_samples_count"];
    assert_eq!(passes(&fresh), 6.0, "two passes of self-test for each model");
    let models: Value = server.get("/models").await.json().await.unwrap();
    for model in models["models"].as_array().unwrap() {
        let [name, version, route] = ["name", "version", "route"].map(|field| model[field].as_str().unwrap());
        let key = format!("mcvn_model_info{{model=\"{name}\",version=\"{version}\",route=\"{route}\"}}");
        assert_eq!(fresh[&key], 1.0);
    }
    let build = format!("mcvn_build_info{{version=\"{}\",device=\"cpu\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(fresh[&build], 1.0);

    server.answer("/predict/steel", &steel_4140()).await;
    let mut strange = steel_4140();
    strange["composition"]["Cr"] = json!(40);
    let list = json!({"samples": [steel_4140(), strange, steel_4140()]});
    let answer = server.answer("/predict/steel", &list).await;
    assert_eq!(answer["predictions"][1]["in_domain"], false);
    let table = "formula\nZr41.2Ti13.8Cu12.5Ni10Be22.5\nnonsense\nFe80B20\n";
    let table = server.post_raw("/classify/glass", "text/csv", table).await;
    assert_eq!(table.text().await.unwrap().lines().count(), 4);
    assert_eq!(server.post("/predict/steel", &json!({"composition": {"Xx": 1}})).await.status(), 422);
    assert_eq!(server.get("/models/no-such-model").await.status(), 404);

    let series = scrape(&server).await;
    assert_eq!(series[&requests("POST", "/predict/steel", 200)], 2.0);
    assert_eq!(series[&requests("POST", "/predict/steel", 422)], 1.0);
    assert_eq!(series[&requests("POST", "/classify/glass", 200)], 1.0);
    assert_eq!(series[&requests("GET", "/models/{name}", 404)], 1.0);
    assert_eq!(series["mcvn_http_request_duration_seconds_count{route=\"/predict/steel\"}"], 3.0);
    assert_eq!(series["mcvn_requests_refused_total{reason=\"invalid_sample\"}"], 1.0);
    assert_eq!(series["mcvn_requests_refused_total{reason=\"not_found\"}"], 1.0);
    assert!(!series.contains_key("mcvn_requests_refused_total{reason=\"not_ready\"}"), "probes are not refused");
    let predictions = |model: &str, in_domain: bool| {
        series[&format!("mcvn_predictions_total{{model=\"{model}\",in_domain=\"{in_domain}\"}}")]
    };
    assert_eq!((predictions("steel-fatigue", true), predictions("steel-fatigue", false)), (3.0, 1.0));
    assert_eq!(predictions("glass", true) + predictions("glass", false), 2.0, "a bad row is no prediction");
    assert_eq!(passes(&series), 9.0);
    assert_eq!(series["mcvn_queue_wait_seconds_count"], 8.0, "on a CPU a table does not wait in the queue");
    assert_eq!(series["mcvn_pass_duration_seconds_count{model=\"glass\"}"], 3.0);
    assert_eq!(series["mcvn_pass_failures_total"], 0.0);
    for (buckets, count) in [
        ("mcvn_queue_wait_seconds_bucket{", "mcvn_queue_wait_seconds_count"),
        ("mcvn_batch_samples_bucket{", "mcvn_batch_samples_count"),
    ] {
        let largest = series.iter().filter(|(key, _)| key.starts_with(buckets)).map(|(_, value)| *value);
        assert_eq!(largest.fold(0.0, f64::max), series[count]);
    }
    #[cfg(target_os = "linux")]
    assert!(series["process_resident_memory_bytes"] > 1e6);
}

#[tokio::test]
async fn nothing_that_a_client_writes_becomes_a_label() {
    let server = Server::start().await;
    let mut seen = BTreeSet::new();
    for round in 0..4 {
        for path in ["/no/such/route", "/models/../%22%7D", "/predict/steel/", "/wp-login.php"] {
            for method in ["GET", "BREW", "PROPFIND"] {
                let method = Method::from_bytes(format!("{method}{}", "X".repeat(round)).as_bytes()).unwrap();
                let request = server.client.request(method, format!("{}{path}{round}", server.url));
                assert!(request.send().await.unwrap().status().is_client_error());
            }
        }
        let model = json!({"model": format!("model-{round}"), "composition": "Fe80B20"});
        assert_eq!(server.post("/classify/glass", &model).await.status(), 404);
        let put = server.client.put(format!("{}/predict/steel", server.url)).send().await.unwrap();
        assert_eq!(put.status(), 405);
        let now: BTreeSet<String> = scrape(&server).await.into_keys().collect();
        if round > 1 {
            assert_eq!(now, seen, "no new series");
        }
        seen = now;
    }
    assert!(seen.contains(&requests("other", "none", 404)) && seen.contains(&requests("PUT", "/predict/steel", 405)));
    let all = seen.into_iter().collect::<String>();
    assert!(!all.contains("BREW") && !all.contains("wp-login") && !all.contains("model-"));
}

#[tokio::test]
async fn who_does_not_ask_gets_the_older_format() {
    let server = Server::start().await;
    let response = server.get("/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.contains("# TYPE mcvn_http_requests_total counter\nmcvn_http_requests_total{"), "{text}");
    assert!(!text.contains("# EOF"));
}

async fn call(service: &Router, request: Request<Body>) -> (u16, Value) {
    let response = service.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1_000_000).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn health_from_start_to_drain() {
    let metrics = Arc::new(Metrics::new());
    let state = AppState::new(HttpConfig::default(), bulk_pool(), Arc::clone(&metrics), None);
    let service = router(state.clone(), Surface::Public);
    let health = async || {
        let mut all = Vec::new();
        for path in ["/livez", "/startupz", "/readyz", "/metrics", "/info"] {
            all.push(call(&service, get(path)).await);
        }
        let info = all.pop().unwrap().1;
        (all.iter().map(|(status, _)| *status).collect::<Vec<_>>(), info)
    };
    let (statuses, info) = health().await;
    assert_eq!(statuses, [200, 503, 503, 200]);
    assert_eq!((&info["status"], &info["device"], &info["models"]), (&json!("starting"), &Value::Null, &json!([])));

    let (live, _thread) = Live::load(config().serving(), metrics).await.unwrap();
    state.set_ready(live);
    let (statuses, info) = health().await;
    assert_eq!(statuses, [200; 4]);
    assert_eq!(info["status"], "ready");

    state.start_draining();
    let (statuses, info) = health().await;
    assert_eq!(statuses, [200, 200, 503, 200]);
    assert_eq!(info["status"], "draining");
}

#[tokio::test]
async fn info_says_what_runs_here() {
    let mut config = config();
    config.http.max_samples = 77;
    let server = Server::start_with(config).await;
    let info: Value = server.get("/info").await.json().await.unwrap();
    assert_eq!((&info["name"], &info["version"]), (&json!("mcvn"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(info["device"], json!({"name": "cpu", "how": "asked for"}));
    assert!(info["build"]["profile"].is_string() && info["build"]["features"].is_array());
    assert!(info["uptime_seconds"].as_f64().unwrap() > 0.0);
    let limits = json!({"max_samples": 77, "json_body_bytes": 2_000_000, "waiting_bytes": 4_000_000,
        "bulk_streams": 4, "row_bytes": 1_048_576,
        "deadline_seconds": 30.0, "queue_samples": 16_384, "max_batch": 256});
    assert_eq!(info["limits"], limits);
    let models: Value = server.get("/models").await.json().await.unwrap();
    assert_eq!(info["models"], models["models"]);
}

#[tokio::test]
async fn server_timing_adds_up_to_no_more_than_the_whole() {
    let server = Server::start().await;
    let list = json!({ "samples": vec![steel_4140(); 600] }).to_string();
    for body in [steel_4140().to_string(), list] {
        let start = Instant::now();
        let response = server.post_raw("/predict/steel", "application/json", body).await;
        assert_eq!(response.status(), 200);
        let whole = start.elapsed().as_secs_f64() * 1e3;
        let header = response.headers()["server-timing"].to_str().unwrap().to_owned();
        let parts: Vec<(&str, f64)> = header
            .split(", ")
            .map(|part| part.split_once(";dur=").map(|(name, ms)| (name, ms.parse().unwrap())).unwrap())
            .collect();
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["read", "parse", "featurize", "queue", "pass", "render"]);
        let sum: f64 = parts.iter().map(|(_, ms)| ms).sum();
        // Each part is rounded to a microsecond.
        assert!(sum <= whole + 0.003, "{header} is more than {whole} ms");
        assert!(parts[4].1 > 0.0 && parts[1].1 > 0.0, "{header}");
    }
}
