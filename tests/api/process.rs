//! The program in a process of its own: what it writes, who reads that, and how it ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::support::shipped_models;

pub(crate) struct Program {
    pub(crate) process: Child,
    address: String,
    /// Read as far as the line that says where it listens; what comes later waits in the pipe.
    log: BufReader<ChildStderr>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu"]).args(arguments);
    command.arg("--models-dir").arg(shipped_models());
    command
}

impl Program {
    /// Listening; the models may still be loading.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it has ended");
            if let Some((_, address)) = line.split_once("http://") {
                break address.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
            }
        };
        let address = address.split('"').next().unwrap().to_owned();
        Self { process, address, log }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let (mut stream, mut answer) = (self.connect(), String::new());
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Fills the pipe to whoever reads the log, and more: nobody reads.
    fn flood(&self) {
        let path = format!("/{}", "x".repeat(400));
        let answers = (0..500).map(|_| self.get(&path));
        answers.for_each(|answer| assert!(answer.starts_with("HTTP/1.1 404"), "{answer}"));
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    fn ended(&mut self, within: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < within, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends the head of a request whose body never comes.
fn begin(program: &Program) -> TcpStream {
    let mut stream = program.connect();
    let head =
        "POST /predict/steel HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    // What was sent before is read before.
    program.get("/livez");
    stream
}

pub(crate) fn wait_until_ready(program: &Program) {
    while !program.get("/readyz").starts_with("HTTP/1.1 200") {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nobody_reads_the_log_and_everybody_is_answered() {
    let mut program = Program::start(&["--log-queue-lines", "32"]);
    wait_until_ready(&program);
    program.flood();
    assert!(program.get("/livez").starts_with("HTTP/1.1 200"));
    let metrics = program.get("/metrics");
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("mcvn_log_lines_dropped_total ")).unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 10, "{dropped}");
    program.signal("-TERM");
    assert_eq!(program.ended(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn an_error_that_nobody_reads_keeps_no_process_alive() {
    let mut program = Program::start(&["--log-queue-lines", "32", "--drain-seconds", "0.3"]);
    wait_until_ready(&program);
    program.flood();
    let _unfinished = begin(&program);
    program.signal("-TERM");
    assert_eq!(program.ended(Duration::from_secs(10)).code(), Some(1), "the drain deadline has passed");
}

#[test]
fn three_signals_end_it_at_once() {
    let mut program = Program::start(&[]);
    wait_until_ready(&program);
    let _unfinished = begin(&program);
    for (signal, code) in [("-INT", None), ("-TERM", None), ("-INT", Some(130))] {
        program.signal(signal);
        std::thread::sleep(Duration::from_millis(200));
        match code {
            None => assert_eq!(program.process.try_wait().unwrap(), None, "it waits for the rest of the body"),
            code => assert_eq!(program.ended(Duration::from_secs(2)).code(), code),
        }
    }
}

/// An object whose keys are each there once, at every depth.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut seen = BTreeSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "span" {
                        map.next_value::<Unique>()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                    assert!(seen.insert(key.clone()), "{key} is there twice");
                }
                Ok(Unique)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[test]
fn lines_have_each_key_once_and_say_who_asked_for_what() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = mcvn::keys::create(at("keys.toml").as_ref(), "lab", &[mcvn::keys::Scope::Read]).unwrap();
    std::fs::create_dir(at("models")).unwrap();
    let (keys, state, models) = (at("keys.toml"), at("state"), at("models"));
    let mut program = Program::start(&[
        "--log-format",
        "json",
        "--admin-keys-file",
        &keys,
        "--state-dir",
        &state,
        "--models-dir",
        &models,
        "--trusted-proxies",
        "1",
    ]);
    wait_until_ready(&program);
    program.get("//models/");
    let ask = |method: &str, path: &str, more: &str| {
        let mut stream = program.connect();
        let body = "{}";
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{more}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    ask("GET", "/models", "x-forwarded-for: 6.6.6.6, 192.0.2.7");
    // Without the scope, so that the audit log has a line of it.
    let refused = ask("POST", "/admin/models/glass/rollback", &format!("authorization: Bearer {key}"));
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    program.signal("-TERM");
    assert_eq!(program.ended(Duration::from_secs(10)).code(), Some(0));
    let mut text = String::new();
    program.log.read_to_string(&mut text).unwrap();
    let mut lines = Vec::<Value>::new();
    for line in text.lines() {
        let checked: Result<Unique, _> = serde_json::from_str(line);
        checked.unwrap_or_else(|error| panic!("{error}: {line}"));
        lines.push(serde_json::from_str(line).unwrap());
    }
    let find = |what: &dyn Fn(&Value) -> bool| lines.iter().find(|line| what(line)).unwrap_or_else(|| panic!("{text}"));
    let missed = find(&|line| line["status"] == 404);
    assert_eq!((&missed["path"], &missed["span"]["client"]), (&"//models/".into(), &"127.0.0.1".into()));
    let listed = find(&|line| line["span"]["route"] == "/models");
    assert_eq!(listed["span"]["client"], "192.0.2.7");
    let audited = find(&|line| line["target"] == "mcvn::audit");
    assert_eq!((&audited["outcome"], &audited["by"]), (&"forbidden".into(), &"lab".into()));
    assert!(audited["object"].is_string());
}

#[test]
fn variables_that_mean_nothing_are_told_and_empty_ones_are_not_given() {
    let mut print = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    print.args(["serve", "--print-config"]);
    for empty in
        ["MCVN_LISTEN", "MCVN_DATA_DIR", "MCVN_ADMIN_LISTEN", "MCVN_CONFIG", "MCVN_LOG_LEVEL", "MCVN_MAX_SAMPLES"]
    {
        print.env(empty, "");
    }
    print.env("MCVN_LISTEM", "0.0.0.0:9").env("MCVN_PORT", "tcp://10.0.0.1:80").env("MCVN_DRAIN_SECONDS", "7");
    let output = print.output().unwrap();
    let (config, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}");
    for line in ["listen = \"127.0.0.1:8080\"", "drain_seconds = 7.0", "log_level = \"info\"", "max_samples = 10000"] {
        assert!(config.lines().any(|written| written == line), "{line} is not in\n{config}");
    }
    assert_eq!(said, "mcvn: the variable MCVN_LISTEM means nothing to mcvn; is MCVN_LISTEN meant?\n");
}

#[test]
fn a_level_that_is_none_stops_the_start() {
    for level in ["warning", "critical", "30", " "] {
        let output = command(&["--log-level", level]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{level}: {said}");
        assert!(said.contains("log-level: ") && said.contains("use off, error, warn"), "{said}");
    }
}
