//! What a program asks of a command that it starts as a child process.
//!
//! Its own because it concerns the process, not the work: its priority, its memory, and when it must end.

use std::io::Read;

use anyhow::{Context, Result};
use clap::Args;
use rustix::process::{Resource, Rlimit};

/// Exit code of a process that ended because its standard input did.
pub(super) const ENDED_WITH_STDIN: i32 = 3;

#[derive(Args)]
pub(super) struct ChildFlags {
    /// Lower the own priority by so much (0 to 19), so that a server beside it stays quick, and be the first to go
    /// where memory runs out.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=19))]
    nice: i32,
    /// End with exit code 3 when standard input ends: held open by whoever started this, it ends with them,
    /// even if they are killed.
    #[arg(long)]
    end_with_stdin: bool,
    /// Bytes of memory (address space) that it may take at most: whatever asks for more ends it. 0 for no bound. Not for
    /// work on a GPU, whose driver reserves address space by the hundred gigabytes.
    #[arg(long, default_value_t = 0)]
    memory_bytes: u64,
}

impl ChildFlags {
    /// To be called before any other thread is started: threads inherit the priority.
    pub(super) fn apply(&self) -> Result<()> {
        if self.nice > 0 {
            rustix::process::nice(self.nice).context("--nice")?;
            // Where memory runs out, this process is to go, not the server beside it. Elsewhere than on Linux
            // there is no such file.
            let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        }
        if self.end_with_stdin {
            let (runs, running) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                // Whoever waits for it is there.
                let _ = runs.send(());
                // What comes is nobody's business; an error is an end too.
                let _ = std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut std::io::sink());
                std::process::exit(ENDED_WITH_STDIN);
            });
            // A thread takes memory until it runs; an error means that it has ended, and the process with it.
            let _ = running.recv();
        }
        // Last: the thread above wants stacks.
        if self.memory_bytes > 0 {
            let outer = rustix::process::getrlimit(Resource::As).maximum;
            let most = Some(outer.map_or(self.memory_bytes, |outer| outer.min(self.memory_bytes)));
            let limit = Rlimit { current: most, maximum: most };
            rustix::process::setrlimit(Resource::As, limit).context("--memory-bytes")?;
        }
        Ok(())
    }
}
