//! Kill -9 at any moment: the next start serves whole versions, and says what became of the job.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::lifecycle::copy;
use crate::support::{Lab, lab_recipe, lab_rows, shipped_models};

const KILLS: usize = 10;

/// The program itself, in a process of its own.
pub(crate) struct Program {
    pub(crate) process: Child,
    pub(crate) url: String,
    client: Client,
    key: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    async fn start(lab: &Lab) -> Self {
        Self::start_as(env!("CARGO_BIN_EXE_mcvn").as_ref(), lab, &[]).await
    }

    /// From a file of its own, with more flags.
    pub(crate) async fn start_as(file: &Path, lab: &Lab, flags: &[&str]) -> Self {
        let mut command = Command::new(file);
        command.args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu"]).args(flags);
        for folder in &lab.config.models_dirs {
            command.arg("--models-dir").arg(folder);
        }
        command.arg("--admin-keys-file").arg(lab.config.admin.keys_file.as_ref().unwrap());
        command.arg("--state-dir").arg(&lab.config.jobs.state_dir);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        // Read to the end, or the program would wait for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
        let url = loop {
            let line = receive.recv_timeout(Duration::from_secs(60)).unwrap();
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.split_whitespace().next().unwrap().to_owned();
            }
        };
        let program = Self { process, url, client: Client::new(), key: lab.key.clone() };
        let start = Instant::now();
        while program.client.get(format!("{}/readyz", program.url)).send().await.is_ok_and(|r| r.status() != 200) {
            assert!(start.elapsed() < Duration::from_secs(60), "never ready");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        program
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path).send().await.unwrap().json().await.unwrap()
    }
}

/// Trainings of this lab that still run.
fn trainings(lab: &Lab) -> usize {
    let folder = lab.folder.path().to_str().unwrap().to_owned();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(" train ") && line.contains(&folder)).count()
}

/// Files and folders that a killed process left among models and jobs.
fn unfinished(lab: &Lab) -> Vec<String> {
    let state = lab.config.jobs.state_dir.join("jobs");
    let folders = [lab.folder.path().join("models"), state].into_iter().filter_map(|folder| folder.read_dir().ok());
    let inner = folders.flatten().filter_map(|entry| entry.unwrap().path().read_dir().ok()).flatten();
    let names = inner.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') || name == "bundle" || name == "unlisted").collect()
}

#[test]
fn a_killed_prediction_leaves_one_file_and_the_next_takes_it_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("in.csv"), format!("formula\n{}", "Fe80B20\n".repeat(500_000))).unwrap();
    std::fs::write(at("short.csv"), "formula\nFe80B20\n").unwrap();
    let predict = |input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
        command.args(["predict", "--model", "glass", "--device", "cpu", "--models-dir"]).arg(shipped_models());
        command.arg("--input").arg(at(input)).arg("--output").arg(at("out.csv")).stderr(Stdio::null());
        command
    };
    for _ in 0..3 {
        let mut killed = predict("in.csv").spawn().unwrap();
        let (begin, unfinished) = (Instant::now(), at(".out.csv.unfinished"));
        let _ = std::fs::write(&unfinished, "");
        while std::fs::metadata(&unfinished).unwrap().len() == 0 {
            assert!(begin.elapsed() < Duration::from_secs(60) && killed.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(5));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "both inputs, and what is unfinished");
    }
    assert!(predict("short.csv").status().unwrap().success());
    assert_eq!(std::fs::read_to_string(at("out.csv")).unwrap().lines().count(), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "the output, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_moment_it_is_killed_at() {
    let lab = Lab::new();
    let version = std::fs::read_to_string(shipped_models().join("glass/active")).unwrap().trim().to_owned();
    let place = lab.folder.path().join("models/glass/copy");
    copy(&shipped_models().join("glass").join(&version), &place);
    let manifest = std::fs::read_to_string(place.join("manifest.json")).unwrap();
    let renamed = manifest.replace(&format!("\"version\": \"{version}\""), "\"version\": \"copy\"");
    std::fs::write(place.join("manifest.json"), renamed).unwrap();

    let mut rng = SmallRng::seed_from_u64(9);
    let mut cut_off: Option<u64> = None;
    for round in 0..=KILLS {
        let mut program = Program::start(&lab).await;
        let left = unfinished(&lab);
        assert!(left.is_empty(), "round {round}: {left:?}");
        // A whole version answers, one of the two.
        let glass = json!({"composition": "Fe80B20"});
        let answer = program.ask(Method::POST, "/classify/glass").json(&glass).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        assert!([version.as_str(), "copy"].contains(&answer["model"]["version"].as_str().unwrap()), "{answer:#}");
        for model in mcvn::registry::models(&lab.config.models_dirs).unwrap() {
            for version in mcvn::registry::versions(&lab.config.models_dirs, &model).unwrap() {
                let device = mcvn::model::DeviceChoice::Cpu.open().unwrap().device;
                mcvn::registry::load_bundle(&version.folder, &device).unwrap();
            }
        }
        // The job that was cut off is listed as such, its training is gone, its data is there.
        let mut options = json!({"model": "steel-lab42"});
        if let Some(id) = cut_off {
            let job = program.get(&format!("/admin/jobs/{id}")).await;
            assert!(["interrupted", "succeeded"].contains(&job["state"].as_str().unwrap()), "{job:#}");
            assert!(lab.config.jobs.state_dir.join(format!("jobs/{id}/data.csv")).is_file());
            options["data_of_job"] = json!(id);
        } else {
            let request = program.ask(Method::POST, "/admin/models").header("content-type", "application/toml");
            // Rounds differ in what they cut off: most a training, some its end.
            assert_eq!(
                request.body(lab_recipe().replace("steps = 120", "steps = 30")).send().await.unwrap().status(),
                201
            );
        }
        let start = Instant::now();
        while trainings(&lab) > 0 {
            assert!(start.elapsed() < Duration::from_secs(5), "a training outlived its server");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if round == KILLS {
            break;
        }
        // A job runs, versions are swapped, and at some moment the server is gone.
        let request = program.ask(Method::POST, "/admin/jobs");
        let request = match cut_off {
            Some(_) => request.json(&options),
            None => {
                let rows = reqwest::multipart::Part::bytes(lab_rows().into_bytes()).file_name("rows.csv");
                request
                    .multipart(reqwest::multipart::Form::new().text("options", options.to_string()).part("data", rows))
            }
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        let job: Value = response.json().await.unwrap();
        cut_off = job["id"].as_u64();
        let (client, url, key) = (program.client.clone(), program.url.clone(), program.key.clone());
        let swapping = tokio::spawn(async move {
            let force = json!({"force": true, "reason": "test"});
            loop {
                for path in ["versions/copy/promote", "rollback"] {
                    let request = client.post(format!("{url}/admin/models/glass/{path}")).bearer_auth(&key);
                    let body = if path == "rollback" { json!({}) } else { force.clone() };
                    if request.json(&body).send().await.is_err() {
                        return;
                    }
                }
            }
        });
        let moment = rng.random_range(20..1500);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        program.process.kill().unwrap();
        program.process.wait().unwrap();
        swapping.await.unwrap();
    }
}
