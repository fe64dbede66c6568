//! The release build of the server as a process of its own, on a free port, for as long as a test lasts.
//!
//! Its own because it must not outlive the test: it is ended when the value is dropped (so also by a panic), and by a
//! watchdog where the test itself is killed and drops nothing.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::machine::{Memory, memory};

/// No access lines: at full load they would fill the disk of whoever tests for hours.
pub(crate) const QUIET: [&str; 2] = ["--log-level", "info,mcvn::http=warn"];

pub(crate) struct Server {
    child: Child,
    watchdog: Child,
    folder: tempfile::TempDir,
    url: String,
}

impl Server {
    /// Starts a server on the CPU with the shipped models and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        raise_open_files();
        let folder = tempfile::tempdir().unwrap();
        // A file and not a pipe: nobody has to empty it, and it can be read when the test fails.
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu"]).args(arguments);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let watchdog = watch(child.id());
        let mut server = Self { child, watchdog, folder, url: String::new() };
        for _ in 0..200 {
            server.find_url();
            if !server.url.is_empty() && ureq::get(server.url("/readyz")).call().is_ok() {
                return server;
            }
            assert!(server.child.try_wait().unwrap().is_none(), "the server has ended:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not get ready:\n{}", server.log());
    }

    fn find_url(&mut self) {
        let log = self.log();
        if let Some((_, after)) = log.split_once("listening on ")
            && let Some((url, _)) = after.split_once('\n')
        {
            self.url = url.to_owned();
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Its process id, as `/proc` has it.
    pub(crate) fn process(&self) -> String {
        self.child.id().to_string()
    }

    pub(crate) fn memory(&self) -> Memory {
        memory(&self.process())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The watchdog first: afterwards the process id may belong to somebody else.
        for child in [&mut self.watchdog, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ends a process when this one has ended, however it ended: then the pipe that the shell reads from closes.
fn watch(process: u32) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "read _; kill -9 \"$0\"", &process.to_string()]).stdin(Stdio::piped());
    command.spawn().unwrap()
}

/// A thousand connections need more files than many shells allow at first; the server inherits the limit.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Some(limit.maximum.unwrap_or(20_000).min(20_000));
    if limit.current < wanted {
        let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: wanted, ..limit });
    }
}
