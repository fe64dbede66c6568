//! What is removed: by a person, by what is configured, and what killed processes left.

use std::path::Path;

use mcvn::keys::Scope;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::admin_jobs::{create_model, start, until};
use crate::support::{Lab, Server, another_glass, lab_recipe, lab_rows, shipped_models};

fn endless_recipe() -> String {
    lab_recipe().replace("steps = 120", "steps = 100000")
}

async fn delete(server: &Server, key: &str, path: &str) -> Response {
    server.admin(Method::DELETE, path, key).send().await.unwrap()
}

/// Status and code of a refusal.
async fn refused(response: Response) -> (u64, String) {
    let problem = Server::problem(response).await;
    (problem["status"].as_u64().unwrap(), problem["code"].as_str().unwrap().to_owned())
}

async fn get(server: &Server, lab: &Lab, path: &str) -> Value {
    let response = server.admin(Method::GET, path, &lab.key).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

/// A job that was cancelled.
async fn ended_job(server: &Server, lab: &Lab) -> Value {
    let id = start(server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();
    let cancel = server.admin(Method::POST, &format!("/admin/jobs/{id}/cancel"), &lab.key);
    let cancelled = cancel.send().await.unwrap();
    assert_eq!(cancelled.status(), 200);
    id
}

async fn promote(server: &Server, lab: &Lab, version: &str) {
    let path = format!("/admin/models/glass/versions/{version}/promote");
    let force = json!({"force": true, "reason": "test"});
    let response = server.admin(Method::POST, &path, &lab.key).json(&force).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

/// Outcomes of an action in the audit log, latest first, with whose they are.
async fn outcomes(server: &Server, lab: &Lab, action: &str) -> Vec<(String, String, String)> {
    let log = get(server, lab, "/admin/audit").await;
    let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let lines = log["records"].as_array().unwrap().iter().filter(|line| line["action"] == action);
    lines.map(|line| (text(line, "by"), text(line, "target"), text(line, "outcome"))).collect()
}

fn line(by: &str, target: &str, outcome: &str) -> (String, String, String) {
    (by.to_owned(), target.to_owned(), outcome.to_owned())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_ended_job_is_removed_and_no_other() {
    let lab = Lab::new();
    let (reader, promoter) = (lab.key_for("reader", &[Scope::Read]), lab.key_for("promoter", &[Scope::Promote]));
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, endless_recipe()).await;
    let running = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();
    until(&server, &lab.key, &running, "running").await;
    let queued = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();
    let ended = ended_job(&server, &lab).await;
    let remove = |id: &Value| format!("/admin/jobs/{id}?remove=true");
    for id in [&running, &queued] {
        assert_eq!(refused(delete(&server, &lab.key, &remove(id)).await).await, (409, "conflict".to_owned()));
    }
    assert_eq!(delete(&server, &lab.key, &remove(&json!(77))).await.status(), 404);
    // A cancellation that comes too late removes nothing; nor does whoever has not the right.
    let late = delete(&server, &lab.key, &format!("/admin/jobs/{ended}")).await;
    assert_eq!(refused(late).await, (409, "conflict".to_owned()));
    for key in [&reader, &promoter] {
        assert_eq!(delete(&server, key, &remove(&ended)).await.status(), 403);
    }
    let odd = delete(&server, &lab.key, &format!("/admin/jobs/{ended}?remove=perhaps")).await;
    assert_eq!(odd.status(), 422);
    let folder = lab.config.jobs.state_dir.join("jobs").join(ended.to_string());
    assert!(folder.join("data.csv").is_file());

    let ask = async || {
        let request = server.admin(Method::DELETE, &remove(&ended), &lab.key).header("idempotency-key", "away");
        let response = request.send().await.unwrap();
        let replayed = response.headers().contains_key("idempotency-replayed");
        (response.status().as_u16(), replayed, response.json::<Value>().await.unwrap()["id"].clone())
    };
    assert_eq!(ask().await, (200, false, ended.clone()));
    assert_eq!(ask().await, (200, true, ended.clone()), "not \"there is no such job\"");
    assert!(!folder.exists());
    assert_eq!(delete(&server, &lab.key, &remove(&ended)).await.status(), 404);
    let path = format!("/admin/jobs/{ended}");
    assert_eq!(server.admin(Method::GET, &path, &lab.key).send().await.unwrap().status(), 404);
    let target = format!("job {ended}");
    let log = outcomes(&server, &lab, "job.remove").await;
    assert!(log.contains(&line("lab", &target, "begun")) && log.contains(&line("lab", &target, "ok")), "{log:?}");
    assert!(log.contains(&line("reader", "", "forbidden")), "{log:?}");
    // It is gone over a restart, too, and its number is not given again.
    let mut server = server;
    server.signal_stop();
    server.ended().await.unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    assert_eq!(delete(&server, &lab.key, &remove(&ended)).await.status(), 404);
    let next = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();
    assert!(next.as_u64().unwrap() > ended.as_u64().unwrap(), "{next}");
}

#[tokio::test]
async fn a_version_that_does_not_answer_is_removed_and_no_other() {
    let lab = Lab::new();
    let trainer = lab.key_for("trainer", &[Scope::Read, Scope::Train]);
    let server = Server::start_with(lab.config.clone()).await;
    let shipped: Value = server.get("/models/glass").await.json().await.unwrap();
    let shipped = shipped["version"].as_str().unwrap().to_owned();
    for version in ["first", "second", "third"] {
        another_glass(&lab, &shipped, version);
    }
    promote(&server, &lab, "first").await;
    promote(&server, &lab, "second").await;
    let at = |version: &str| format!("/admin/models/glass/versions/{version}");
    for kept in ["second", &shipped] {
        assert_eq!(refused(delete(&server, &lab.key, &at(kept)).await).await, (409, "conflict".to_owned()), "{kept}");
    }
    for missing in [at("fourth"), at("..%2F..%2Fstate"), "/admin/models/..%2Fstate/versions/jobs".to_owned()] {
        assert_eq!(delete(&server, &lab.key, &missing).await.status(), 404, "{missing}");
    }
    assert_eq!(delete(&server, &trainer, &at("third")).await.status(), 403);

    let ask = async || {
        let request = server.admin(Method::DELETE, &at("third"), &lab.key).header("idempotency-key", "away");
        let response = request.send().await.unwrap();
        let replayed = response.headers().contains_key("idempotency-replayed");
        (response.status().as_u16(), replayed, response.json::<Value>().await.unwrap())
    };
    let gone = json!({"name": "glass", "version": "third"});
    assert_eq!(ask().await, (200, false, gone.clone()));
    assert_eq!(ask().await, (200, true, gone), "not \"no such version\"");
    assert_eq!(delete(&server, &lab.key, &at("third")).await.status(), 404);
    let log = outcomes(&server, &lab, "version.remove").await;
    for outcome in ["begun", "ok", "not_found"] {
        assert!(log.contains(&line("lab", "glass third", outcome)), "{log:?}");
    }
    // Of one that was in use, a rollback knows no more.
    assert_eq!(delete(&server, &lab.key, &at("first")).await.status(), 200);
    assert_eq!(names(&lab.folder.path().join("models/glass")), ["active", "second"]);
    let back = server.admin(Method::POST, "/admin/models/glass/rollback", &lab.key).send().await.unwrap();
    assert_eq!(back.json::<Value>().await.unwrap()["version"], shipped);
    assert_eq!(server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await["model"]["version"], shipped);
}

/// The shipped glass model under another name, in use.
fn our_glass(lab: &Lab) {
    let shipped = std::fs::read_to_string(shipped_models().join("glass/active")).unwrap().trim().to_owned();
    let own = lab.folder.path().join("models/our-glass");
    crate::lifecycle::copy(&shipped_models().join("glass").join(&shipped), &own.join(&shipped));
    let manifest = own.join(&shipped).join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let renamed = text.replace("\"name\": \"glass\"", "\"name\": \"our-glass\"");
    std::fs::write(manifest, renamed.replace("\"default\": true", "\"default\": false")).unwrap();
    std::fs::write(own.join("active"), shipped + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_removed_with_the_version_that_answers() {
    let lab = Lab::new();
    our_glass(&lab);
    let trainer = lab.key_for("trainer", &[Scope::Read, Scope::Train]);
    let server = Server::start_with(lab.config.clone()).await;
    let sample = json!({"composition": "Fe80B20"});
    let before = server.answer("/models/our-glass/predict", &sample).await;
    // A long answer that is under way when its model is removed.
    let url = format!("{}/models/our-glass/predict", server.url);
    let long = server.client.post(url).json(&crate::lifecycle::many_glasses(4_000));
    let long = tokio::spawn(async move { long.send().await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;

    let path = "/admin/models/our-glass";
    assert_eq!(delete(&server, &trainer, path).await.status(), 403);
    for kept in ["glass", "steel-fatigue"] {
        let kept = delete(&server, &lab.key, &format!("/admin/models/{kept}")).await;
        assert_eq!(refused(kept).await, (409, "conflict".to_owned()));
    }
    for missing in ["no-such", "..%2Fstate"] {
        let missing = delete(&server, &lab.key, &format!("/admin/models/{missing}")).await;
        assert_eq!(refused(missing).await, (404, "not_found".to_owned()));
    }
    let ask = async || {
        let request = server.admin(Method::DELETE, path, &lab.key).header("idempotency-key", "away");
        let response = request.send().await.unwrap();
        let replayed = response.headers().contains_key("idempotency-replayed");
        (response.status().as_u16(), replayed, response.json::<Value>().await.unwrap())
    };
    assert_eq!(ask().await, (200, false, json!({"name": "our-glass"})));
    assert_eq!(ask().await, (200, true, json!({"name": "our-glass"})));
    let answered = long.await.unwrap();
    assert_eq!(answered.status(), 200);
    let answered: Value = answered.json().await.unwrap();
    assert_eq!(answered["predictions"].as_array().unwrap().len(), 4_000);
    // It is gone at once, also where it is asked for by its version, and the others answer.
    let version = json!({"composition": "Fe80B20", "version": before["model"]["version"]});
    for body in [&sample, &version] {
        assert_eq!(server.post("/models/our-glass/predict", body).await.status(), 404);
    }
    let listed: Value = server.get("/models").await.json().await.unwrap();
    assert!(!listed.to_string().contains("our-glass"), "{listed:#}");
    assert_eq!(server.answer("/classify/glass", &sample).await["model"]["name"], "glass");
    assert_eq!(names(&lab.folder.path().join("models")), [".lock"]);
    let log = outcomes(&server, &lab, "model.remove").await;
    for outcome in ["begun", "ok"] {
        assert!(log.contains(&line("lab", "our-glass", outcome)), "{log:?}");
    }
    assert!(log.contains(&line("lab", "glass", "conflict")) && log.contains(&line("trainer", "", "forbidden")));
    // Its name is free.
    let mut server = server;
    server.signal_stop();
    server.ended().await.unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    assert_eq!(server.get("/models/our-glass").await.status(), 404);
}

#[tokio::test]
async fn a_model_with_a_job_is_not_removed() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, endless_recipe()).await;
    let id = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await["id"].clone();
    let busy = Server::problem(delete(&server, &lab.key, "/admin/models/steel-lab42").await).await;
    assert_eq!(busy["status"], 409);
    assert!(busy["detail"].as_str().unwrap().contains(&format!("job {id} is")), "{busy:#}");
    let cancel = format!("/admin/jobs/{id}/cancel");
    assert_eq!(server.admin(Method::POST, &cancel, &lab.key).send().await.unwrap().status(), 200);
    assert_eq!(delete(&server, &lab.key, "/admin/models/steel-lab42").await.status(), 200);
    assert_eq!(get(&server, &lab, &format!("/admin/jobs/{id}")).await["state"], "cancelled", "its job is kept");
    assert_eq!(
        server.admin(Method::GET, "/admin/models/steel-lab42/versions", &lab.key).send().await.unwrap().status(),
        404
    );
    create_model(&server, &lab.key, endless_recipe()).await;
}

#[tokio::test]
async fn what_answers_in_the_place_of_another_is_not_removed() {
    let lab = Lab::new();
    let shipped = std::fs::read_to_string(shipped_models().join("glass/active")).unwrap().trim().to_owned();
    another_glass(&lab, &shipped, "before");
    std::fs::write(lab.folder.path().join("models/glass/active"), "gone\nbefore\n").unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    let answers = async || server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await;
    assert_eq!(answers().await["model"]["version"], "before");
    let path = "/admin/models/glass/versions/before";
    assert_eq!(refused(delete(&server, &lab.key, path).await).await, (409, "conflict".to_owned()));
    promote(&server, &lab, &shipped).await;
    assert_eq!(delete(&server, &lab.key, path).await.status(), 200);
    assert_eq!(answers().await["model"]["version"], shipped);
}

#[tokio::test]
async fn so_many_jobs_and_candidates_are_kept_as_are_configured() {
    let mut lab = Lab::new();
    let shipped = std::fs::read_to_string(shipped_models().join("glass/active")).unwrap().trim().to_owned();
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, endless_recipe()).await;
    for version in ["used", "one", "two", "three"] {
        another_glass(&lab, &shipped, version);
        // Which is the newest is told by the clock of the file system.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    promote(&server, &lab, "used").await;
    promote(&server, &lab, &shipped).await;
    for _ in 0..3 {
        ended_job(&server, &lab).await;
    }
    // Nothing is removed by itself unless it is configured.
    assert_eq!(get(&server, &lab, "/admin/jobs").await["jobs"].as_array().unwrap().len(), 3);
    let mut server = server;
    server.signal_stop();
    server.ended().await.unwrap();

    (lab.config.admin.keep_jobs, lab.config.admin.keep_candidates) = (2, 1);
    let server = Server::start_with(lab.config.clone()).await;
    let kept = async |ids: Value| {
        let begin = std::time::Instant::now();
        loop {
            let jobs = get(&server, &lab, "/admin/jobs").await["jobs"].clone();
            let there: Value = jobs.as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
            if there == ids {
                return;
            }
            assert!(begin.elapsed().as_secs() < 20, "{there} and not {ids}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    kept(json!([3, 2])).await;
    ended_job(&server, &lab).await;
    kept(json!([4, 3])).await;
    // The outcome is noted last.
    let begin = std::time::Instant::now();
    loop {
        let jobs = outcomes(&server, &lab, "job.remove").await;
        if jobs.iter().filter(|line| line.0 == "(retention)" && line.2 == "ok").count() == 2 {
            break;
        }
        assert!(begin.elapsed().as_secs() < 20, "{jobs:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(names(&lab.config.jobs.state_dir.join("jobs")), ["3", "4"]);
    // The newest candidate, and what was in use; the shipped one stands elsewhere.
    assert_eq!(names(&lab.folder.path().join("models/glass")), ["active", "three", "used"]);
    let versions = outcomes(&server, &lab, "version.remove").await;
    for target in ["glass one", "glass two"] {
        assert!(versions.contains(&line("(retention)", target, "ok")), "{versions:?}");
    }
}

#[tokio::test]
async fn what_killed_processes_left_is_gone_after_the_next_start() {
    let lab = Lab::new();
    let mut server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, endless_recipe()).await;
    let id = ended_job(&server, &lab).await;
    server.signal_stop();
    server.ended().await.unwrap();

    let (models, jobs) = (lab.folder.path().join("models/steel-lab42"), lab.config.jobs.state_dir.join("jobs"));
    let job = jobs.join(id.to_string());
    for folder in
        [models.join(".staging-dead/content"), models.join(".staging-living/content"), job.join(".staging-x/plots")]
    {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::create_dir_all(job.join("bundle")).unwrap();
    for file in [models.join(".tmpAbC123"), models.join(".staging-file"), job.join(".tmpAbC123")] {
        std::fs::write(file, "half").unwrap();
    }
    // One that was killed while it made a job, and one of a job table that was lost.
    for (number, name) in [("8", "unlisted"), ("9", "data.csv")] {
        std::fs::create_dir_all(jobs.join(number)).unwrap();
        std::fs::write(jobs.join(number).join(name), "").unwrap();
    }
    // A training in another process fills a folder among the models.
    let lock = std::fs::File::create(models.join(".staging-living/.lock")).unwrap();
    lock.lock().unwrap();
    let mut server = Server::start_with(lab.config.clone()).await;
    assert_eq!(names(&models), [".staging-living", "recipe.toml"]);
    assert_eq!(names(&jobs), [id.to_string(), "9".to_owned()]);
    let left = names(&job);
    assert!(
        left.iter().all(|name| ["data-report.json", "data.csv", "log.txt", "recipe.toml"].contains(&name.as_str())),
        "{left:?}"
    );
    server.signal_stop();
    server.ended().await.unwrap();
    drop(lock);
    let _server = Server::start_with(lab.config.clone()).await;
    assert_eq!(names(&models), ["recipe.toml"]);
}
