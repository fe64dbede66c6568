//! Running this program as a child process, for checks and trainings.
//!
//! Both have the same bounds: the lowest priority and a memory limit. Both end with the server, however it ends,
//! because their standard input closes then.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::record::JobOptions;
use super::{DATA_FILE, EVIDENCE_FILE, JobsConfig, RECIPE_FILE};

/// What a process prints when it cannot get more memory: a failed allocation, a read, or a thread's stack.
const WANTED_MEMORY: [&str; 4] =
    ["memory allocation of", "out of memory", "Cannot allocate memory", "failed to spawn thread"];
/// Niceness of a child, so that it uses only the CPU time that serving leaves.
const NICENESS: &str = "19";
/// The running program on Linux, also after its file was replaced by a new version or removed.
const RUNNING: &str = "/proc/self/exe";

/// The command `name` on the data and the recipe in a folder. The child is killed when its handle is dropped.
/// `memory` bounds its address space in bytes; 0 for no bound.
pub(super) fn command(
    config: &JobsConfig,
    name: &str,
    folder: &Path,
    options: &JobOptions,
    memory: u64,
) -> io::Result<Command> {
    let program = match &config.program {
        Some(program) => program.clone(),
        None => running()?,
    };
    let mut command = Command::new(program);
    // Otherwise a list of processes would show it as "exe".
    command.arg0("mcvn").arg(name);
    command.args(["--end-with-stdin", "--nice", NICENESS, "--memory-bytes", &memory.to_string()]);
    command.arg("--recipe").arg(folder.join(RECIPE_FILE)).arg("--data").arg(folder.join(DATA_FILE));
    for (flag, text) in [("--encoding", &options.encoding), ("--sheet", &options.sheet)] {
        command.args(text.iter().map(|text| format!("{flag}={text}")));
    }
    let evidence = evidence_files(folder);
    if evidence.is_empty() {
        command.arg("--without-evidence");
    }
    for path in &evidence {
        command.arg("--evidence").arg(path);
    }
    command.args(options.map.iter().map(|pair| format!("--map={pair}")));
    if memory > 0 {
        // The allocator reserves address space in advance, a gigabyte at a time by default, which could exceed the
        // bound.
        command.env("MIMALLOC_ARENA_RESERVE", "64MiB");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// The files of evidence in the folder of a job, in the order of the recipe's entries.
pub(super) fn evidence_files(folder: &Path) -> Vec<PathBuf> {
    let paths = (0..).map(|number| folder.join(format!("{EVIDENCE_FILE}{number}")));
    paths.take_while(|path| path.is_file()).collect()
}

/// Whether a child ended because it could not get memory, judged by what it printed.
pub(super) fn wanted_memory(said: &str) -> bool {
    WANTED_MEMORY.iter().any(|words| said.contains(words))
}

/// Path of the running program. On other systems than Linux it is the file that it was started from, even if that was
/// replaced.
fn running() -> io::Result<PathBuf> {
    let running = Path::new(RUNNING);
    // The link may point to a file that was removed, but it can still be opened and run.
    if running.metadata().is_ok() { Ok(running.to_owned()) } else { std::env::current_exe() }
}
