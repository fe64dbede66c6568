//! Flags for commands that run as a child process: priority, memory, and when to end.

use std::io::Read;

use anyhow::{Context, Result};
use clap::Args;
use rustix::process::{Resource, Rlimit};

/// Exit code of a process that ended because its standard input was closed.
pub(super) const ENDED_WITH_STDIN: i32 = 3;

#[derive(Args)]
pub(super) struct ChildFlags {
    /// Lower the process's own priority by this much (0 to 19), so that a server beside it stays quick, and be the
    /// first process to be killed when memory runs out.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=19))]
    nice: i32,
    /// End with exit code 3 when standard input is closed. The parent process holds it open, so this process ends
    /// with its parent, even if the parent is killed.
    #[arg(long)]
    end_with_stdin: bool,
    /// Most bytes of memory (address space) that the process may take; 0 for no bound. A request for more ends it.
    /// Not for work on a GPU, whose driver reserves hundreds of gigabytes of address space.
    #[arg(long, default_value_t = 0)]
    memory_bytes: u64,
}

impl ChildFlags {
    /// Must be called before any other thread is started, because threads inherit the priority.
    pub(super) fn apply(&self) -> Result<()> {
        if self.nice > 0 {
            rustix::process::nice(self.nice).context("--nice")?;
            // If memory runs out, the system kills this process and not the server beside it. Only Linux has this
            // file.
            let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        }
        if self.end_with_stdin {
            let (runs, running) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                // The receiver waits below, so this cannot fail.
                let _ = runs.send(());
                // The input is ignored; a read error counts as its end.
                let _ = std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut std::io::sink());
                std::process::exit(ENDED_WITH_STDIN);
            });
            // Waits until the thread runs, because its start takes memory. An error means that the thread has ended,
            // and the process with it.
            let _ = running.recv();
        }
        // Set last, because the thread above needs a stack.
        if self.memory_bytes > 0 {
            let outer = rustix::process::getrlimit(Resource::As).maximum;
            let most = Some(outer.map_or(self.memory_bytes, |outer| outer.min(self.memory_bytes)));
            let limit = Rlimit { current: most, maximum: most };
            rustix::process::setrlimit(Resource::As, limit).context("--memory-bytes")?;
        }
        Ok(())
    }
}
