//! A server for one test, on a port of its own, gone when the test is.

use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcvn::app::{self, AppError};
use mcvn::bulk::{BulkConfig, Pool, Priority};
use mcvn::config::Config;
use mcvn::keys::Scope;
use mcvn::model::DeviceChoice;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Server {
    pub(crate) url: String,
    /// Where administration listens, if not there.
    pub(crate) admin_url: Option<String>,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), AppError>>,
}

pub(crate) fn shipped_models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

pub(crate) fn config() -> Config {
    Config { models_dirs: vec![shipped_models()], device: DeviceChoice::Cpu, ..Config::default() }
}

/// Threads for a router without a server.
pub(crate) fn bulk_pool() -> Pool {
    Pool::start(BulkConfig::default(), Priority::Usual).unwrap()
}

impl Server {
    /// The shipped models with default limits, ready to answer.
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let server = Self::start_loading(config).await;
        server.ready().await;
        server
    }

    /// Does not wait for readiness.
    pub(crate) async fn start_loading(config: Config) -> Self {
        Self::spawn(config, None).await
    }

    /// With administration on a port of its own.
    pub(crate) async fn start_apart(config: Config) -> Self {
        let server = Self::spawn(config, Some(TcpListener::bind("127.0.0.1:0").await.unwrap())).await;
        server.ready().await;
        server
    }

    async fn ready(&self) {
        while self.get("/readyz").await.status() != 200 {
            assert!(!self.running.is_finished(), "the server has ended");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn spawn(config: Config, admin: Option<TcpListener>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let admin_url = admin.as_ref().map(|admin| format!("http://{}", admin.local_addr().unwrap()));
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            app::run(&config, listener, admin, async {
                let _ = stopped.await;
            })
            .await
        });
        Self { url, admin_url, client: Client::new(), stop: Some(stop), running }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap()
    }

    pub(crate) async fn post_raw(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(format!("{}{path}", self.url)).header("content-type", content_type);
        request.body(body).send().await.unwrap()
    }

    /// The JSON of a 200.
    pub(crate) async fn answer(&self, path: &str, body: &Value) -> Value {
        let response = self.post(path, body).await;
        let status = response.status();
        let json = response.json().await.unwrap();
        assert_eq!(status, 200, "{json:#}");
        json
    }

    /// The problem of an error answer, checked for its form.
    pub(crate) async fn problem(response: Response) -> Value {
        let status = response.status().as_u16();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], id);
        assert_eq!(problem["type"], format!("urn:mcvn:problem:{}", problem["code"].as_str().unwrap()));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        problem
    }

    /// A request with an admin key.
    pub(crate) fn admin(&self, method: reqwest::Method, path: &str, key: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(key)
    }

    /// Asks the server to stop.
    pub(crate) fn signal_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the server's end.
    pub(crate) async fn ended(self) -> Result<(), AppError> {
        self.running.await.unwrap()
    }
}

/// A client whose connections speak one version of HTTP.
pub(crate) struct Plain {
    client: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    uri: String,
}

impl Plain {
    pub(crate) fn new(server: &Server, version: Version) -> Self {
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let client = builder.http2_only(version == Version::HTTP_2).build_http();
        Self { client, uri: server.url.clone() }
    }

    /// Status, version and body of an answer.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Version, Value), hyper_util::client::legacy::Error> {
        let request = Request::post(format!("{}{path}", self.uri)).header("content-type", "application/json");
        let answer = self.client.request(request.body(Full::new(body.to_string().into())).unwrap()).await?;
        let (status, version) = (answer.status().as_u16(), answer.version());
        // An answer that has begun is whole.
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Ok((status, version, serde_json::from_slice(&body).unwrap()))
    }
}

/// A lab: a folder of its own for keys, models and jobs, beside the shipped models.
pub(crate) struct Lab {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
    /// A key for everything.
    pub(crate) key: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let scopes = [Scope::Read, Scope::Train, Scope::Promote];
        let key = mcvn::keys::create(&at("keys.toml"), "lab", &scopes).unwrap();
        let mut config = config();
        config.models_dirs.push(at("models"));
        std::fs::create_dir_all(at("models")).unwrap();
        config.admin.keys_file = Some(at("keys.toml"));
        config.jobs.state_dir = at("state");
        config.jobs.threads = 2;
        config.jobs.program = Some(env!("CARGO_BIN_EXE_mcvn").into());
        Self { folder, config, key }
    }

    /// Another key of this lab.
    pub(crate) fn key_for(&self, name: &str, scopes: &[Scope]) -> String {
        mcvn::keys::create(&self.folder.path().join("keys.toml"), name, scopes).unwrap()
    }
}

/// A copy of the shipped glass model under another version.
pub(crate) fn another_glass(lab: &Lab, version: &str, name: &str) {
    let place = lab.folder.path().join("models/glass").join(name);
    crate::lifecycle::copy(&shipped_models().join("glass").join(version), &place);
    let manifest = std::fs::read_to_string(place.join("manifest.json")).unwrap();
    let renamed = manifest.replace(&format!("\"version\": \"{version}\""), &format!("\"version\": \"{name}\""));
    std::fs::write(place.join("manifest.json"), renamed).unwrap();
}

/// The example's recipe, quick enough for a test.
pub(crate) fn lab_recipe() -> String {
    let text = include_str!("../../examples/steel-lab42/recipe.toml");
    text.replace("members = 2", "members = 1").replace("steps = 300", "steps = 120")
}

pub(crate) fn lab_rows() -> String {
    include_str!("../../examples/steel-lab42/measurements.csv").to_owned()
}

/// Pointers of a problem's errors.
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

/// A chromium-molybdenum steel like AISI 4140, quenched and tempered; rounded numbers of our own.
pub(crate) fn steel_4140() -> Value {
    serde_json::json!({
        "composition": {"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.1, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2},
        "processing": {
            "normalizing_temperature": 870, "quenching_temperature": 855, "tempering_temperature": 600,
            "reduction_ratio": 825, "inclusions_da": 0.05, "inclusions_db": 0, "inclusions_dc": 0,
        },
    })
}

/// A low-alloy steel in a tensile test.
pub(crate) fn tensile_steel(temperature: f64) -> Value {
    serde_json::json!({
        "model": "steel-tensile",
        "composition": {"C": 0.15, "Si": 0.3, "Mn": 0.5, "P": 0.01, "S": 0.01, "Ni": 0.1, "Cr": 1.0, "Mo": 0.5,
            "Cu": 0.1, "V": 0.0, "Al": 0.01, "N": 0.008},
        "processing": {"test_temperature": temperature},
    })
}
