//! The program itself as a child process: what a check and a training have in common.
//!
//! Its own because both must be bounded alike: the lowest priority, memory of their own, and an end with the server, for
//! their standard input closes then, however the server ended.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::record::JobOptions;
use super::{DATA_FILE, JobsConfig, RECIPE_FILE};

/// What a process says that asked for more memory than it may have: an allocation that failed, a read, or a thread's stack.
const WANTED_MEMORY: [&str; 4] =
    ["memory allocation of", "out of memory", "Cannot allocate memory", "failed to spawn thread"];
/// Priority of a child: it takes what serving leaves.
const NICENESS: &str = "19";
/// The running program, as Linux has it: also after its file was replaced by a new version, or removed.
const RUNNING: &str = "/proc/self/exe";

/// The command `name` on the data and the recipe in a folder; killed when what waits for it is gone. `memory` bounds the
/// bytes of its address space; 0 for no bound.
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
    // Else a list of processes would call it "exe".
    command.arg0("mcvn").arg(name);
    command.args(["--end-with-stdin", "--nice", NICENESS, "--memory-bytes", &memory.to_string()]);
    command.arg("--recipe").arg(folder.join(RECIPE_FILE)).arg("--data").arg(folder.join(DATA_FILE));
    for (flag, text) in [("--encoding", &options.encoding), ("--sheet", &options.sheet)] {
        command.args(text.iter().map(|text| format!("{flag}={text}")));
    }
    command.args(options.map.iter().map(|pair| format!("--map={pair}")));
    if memory > 0 {
        // The allocator takes address space in advance, a gigabyte at a time: what it has before the bound holds would
        // be beyond it.
        command.env("MIMALLOC_ARENA_RESERVE", "64MiB");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// Whether a child ended for want of memory, by what it said.
pub(super) fn wanted_memory(said: &str) -> bool {
    WANTED_MEMORY.iter().any(|words| said.contains(words))
}

/// The program that runs. Elsewhere than on Linux it is the file that it was started from, whatever is there now.
fn running() -> io::Result<PathBuf> {
    let running = Path::new(RUNNING);
    // Its text may name a file that is gone; opened, it is the program all the same.
    if running.metadata().is_ok() { Ok(running.to_owned()) } else { std::env::current_exe() }
}
