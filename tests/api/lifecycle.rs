//! Starting, overload, deadlines, stopping.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcvn::app::AppError;
use mcvn::model::DeviceChoice;
use mcvn::serving::ServingError;
use serde_json::{Value, json};

use crate::support::{Server, config, shipped_models, steel_4140};

pub(crate) fn many_glasses(count: usize) -> Value {
    let samples: Vec<Value> =
        (0..count).map(|i| json!({"composition": format!("Fe{}B{}", 45 + i % 30, 10 + i % 17)})).collect();
    json!({ "samples": samples })
}

#[tokio::test]
async fn ready_within_two_seconds() {
    let start = Instant::now();
    let _server = Server::start().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_refused_at_once_with_retry_after() {
    let mut config = config();
    config.http.max_samples = 500;
    config.batcher.queue_samples = 500;
    let server = Arc::new(Server::start_with(config).await);
    let body = Arc::new(many_glasses(500));
    // On a busy machine requests may come one at a time: then another round tells.
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..50 {
        let tasks: Vec<_> = (0..30)
            .map(|_| {
                let (server, body) = (Arc::clone(&server), Arc::clone(&body));
                tokio::spawn(async move {
                    let response = server.post("/classify/glass", &body).await;
                    let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
                    (response.status().as_u16(), retry)
                })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                (200, None) => answered += 1,
                (429, Some(seconds)) if seconds == "1" => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    // What was refused has left nothing behind.
    assert_eq!(server.post("/classify/glass", &body).await.status(), 200);
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_504() {
    let mut config = config();
    config.http.deadline_seconds = 0.005;
    let server = Server::start_with(config).await;
    let problem = Server::problem(server.post("/classify/glass", &many_glasses(10_000)).await).await;
    assert_eq!((&problem["status"], &problem["code"]), (&json!(504), &json!("deadline_exceeded")));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_was_accepted() {
    let mut server = Server::start().await;
    let (url, client) = (server.url.clone(), server.client.clone());
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let request = client.post(format!("{url}/classify/glass")).json(&many_glasses(4_000));
            tokio::spawn(async move { request.send().await.unwrap().json::<Value>().await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal_stop();
    for request in requests {
        assert_eq!(request.await.unwrap()["predictions"].as_array().unwrap().len(), 4_000);
    }
    server.ended().await.unwrap();
    assert!(client.get(format!("{url}/livez")).send().await.is_err(), "nothing is accepted after the stop");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &target) } else { assert!(std::fs::copy(&entry, &target).is_ok()) }
    }
}

#[tokio::test]
async fn a_missing_gpu_or_folder_stops_the_start() {
    let no_gpu = mcvn::config::Config { device: DeviceChoice::Cuda(7), ..config() };
    assert!(matches!(
        Server::start_loading(no_gpu).await.ended().await,
        Err(AppError::Serving(ServingError::Device(_)))
    ));
    let nothing = mcvn::config::Config { models_dirs: vec!["no/such/folder".into()], ..config() };
    assert!(matches!(
        Server::start_loading(nothing).await.ended().await,
        Err(AppError::Serving(ServingError::Catalogue(_)))
    ));
}

#[tokio::test]
async fn a_later_folder_shadows_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    copy(&shipped_models().join("steel-fatigue"), &folder.path().join("steel-fatigue"));
    let version = std::fs::read_to_string(folder.path().join("steel-fatigue/active")).unwrap();
    let manifest = folder.path().join("steel-fatigue").join(version.trim()).join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let renamed = text.replace(&format!("\"version\": \"{}\"", version.trim()), "\"version\": \"ours\"");
    assert_ne!(renamed, text);
    std::fs::write(&manifest, renamed).unwrap();
    let config = mcvn::config::Config { models_dirs: vec![shipped_models(), folder.path().to_owned()], ..config() };
    let server = Server::start_with(config).await;
    assert_eq!(server.answer("/predict/steel", &steel_4140()).await["model"]["version"], "ours");
}
