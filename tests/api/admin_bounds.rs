//! What a key for training can cost the server: memory above all.

use std::fmt::Write as _;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::admin_jobs::create_model;
use crate::kill::Program;
use crate::support::{Lab, Server, lab_recipe, lab_rows, pointers};

const MEGABYTE: u64 = 1_000_000;

/// The most memory that a process has had, in bytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

async fn refused(request: reqwest::RequestBuilder) -> Value {
    Server::problem(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_costs_the_server_no_memory() {
    let lab = Lab::new();
    let data = lab.folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::File::create(data.join("sparse.csv")).unwrap().set_len(3_000 * MEGABYTE).unwrap();
    let flags = ["--data-dir", data.to_str().unwrap()];
    let program = Program::start_as(env!("CARGO_BIN_EXE_mcvn").as_ref(), &lab, &flags).await;
    let recipe = program.ask(Method::POST, "/admin/models").header("content-type", "application/toml");
    assert_eq!(recipe.body(lab_recipe()).send().await.unwrap().status(), 201);
    let before = peak(program.process.id());

    // A large file that is mostly holes.
    let sparse = json!({"model": "steel-lab42", "data": "sparse.csv"});
    let sparse = refused(program.ask(Method::POST, "/admin/jobs").json(&sparse)).await;
    assert_eq!(pointers(&sparse), ["/data"]);
    assert!(sparse["detail"].as_str().unwrap().contains("3000000000 bytes; at most 64000000"), "{sparse:#}");
    // Short rows, by the million.
    let mut rows = lab_rows();
    let row = rows.lines().nth(1).unwrap().to_owned() + "\n";
    while rows.len() < 60_000_000 {
        rows.write_str(&row).unwrap();
    }
    let many = Form::new().text("options", json!({"model": "steel-lab42"}).to_string());
    let many = many.part("data", Part::bytes(rows.into_bytes()).file_name("rows.csv"));
    let many = refused(program.ask(Method::POST, "/admin/jobs").multipart(many)).await;
    assert!(many["detail"].as_str().unwrap().contains("at most 100000 are read"), "{many:#}");
    // Headers of a part without an end.
    let mut stream = TcpStream::connect(program.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /admin/jobs HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ncontent-length: 300000000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\ncontent-disposition: form-data; name=\"data\"\r\n",
        lab.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let headers = "x: y\r\n".repeat(20_000);
    let (mut answer, mut sent) = (vec![0; 4096], 0);
    let answer = loop {
        tokio::select! {
            count = stream.read(&mut answer) => break String::from_utf8_lossy(&answer[..count.unwrap()]).into_owned(),
            _ = tokio::time::sleep(std::time::Duration::from_millis(5)) => {
                assert!(sent < 300_000_000, "all of it was read");
                if let Ok(count) = stream.try_write(headers.as_bytes()) {
                    sent += count;
                }
            }
        }
    };
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("more than 65536 bytes"), "{answer}");

    let grown = peak(program.process.id()) - before;
    assert!(grown < 100 * MEGABYTE, "the server grew by {grown} bytes");
    let uploads = lab.config.jobs.state_dir.join("uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn a_check_that_wants_more_memory_than_a_job_may_have_is_refused_in_words() {
    let mut lab = Lab::new();
    lab.config.jobs.memory_bytes = 20 * MEGABYTE;
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe()).await;
    let form = Form::new().text("options", json!({"model": "steel-lab42"}).to_string());
    let form = form.part("data", Part::bytes(lab_rows().repeat(2_000).into_bytes()).file_name("rows.csv"));
    let refused = refused(server.admin(Method::POST, "/admin/jobs", &lab.key).multipart(form)).await;
    assert_eq!(pointers(&refused), ["/data"], "{refused:#}");
    assert!(refused["detail"].as_str().unwrap().contains("20000000 bytes of memory (job-memory-bytes)"), "{refused:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_the_program_that_runs_whatever_its_file_is_by_now() {
    let lab = Lab::new();
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = place.path().join("mcvn");
    std::fs::hard_link(env!("CARGO_BIN_EXE_mcvn"), &file).unwrap();
    let program = Program::start_as(&file, &lab, &[]).await;
    // As a package manager does: another file takes its place.
    std::fs::write(place.path().join("new"), "not the program that runs").unwrap();
    std::fs::rename(place.path().join("new"), &file).unwrap();
    let recipe = program.ask(Method::POST, "/admin/models").header("content-type", "application/toml");
    assert_eq!(recipe.body(lab_recipe()).send().await.unwrap().status(), 201);
    let form = Form::new().text("options", json!({"model": "steel-lab42", "folds": 2}).to_string());
    let form = form.part("data", Part::bytes(lab_rows().into_bytes()).file_name("rows.csv"));
    let job = program.ask(Method::POST, "/admin/jobs").multipart(form).send().await.unwrap();
    let (status, job) = (job.status(), job.json::<Value>().await.unwrap());
    assert_eq!(status, 202, "{job:#}");
    loop {
        let job = program.get(&format!("/admin/jobs/{}", job["id"])).await;
        match job["state"].as_str().unwrap() {
            "queued" | "running" => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            state => break assert_eq!(state, "succeeded", "{job:#}"),
        }
    }
}
