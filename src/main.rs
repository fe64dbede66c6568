//! The program `mcvn`: sets the thread counts that candle reads, then runs the command line.

use std::process::ExitCode;

/// Training allocates and frees megabytes at every step; the system's allocator returns such blocks to the kernel
/// each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    set_thread_counts();
    mcvn::cli::run()
}

/// Sets the variables that candle reads on every matrix product. Unset, candle asks the operating system each time
/// and is several times slower. One thread per product is enough: concurrency comes from batching and from members
/// trained side by side.
#[allow(unsafe_code, reason = "the environment can only be set through unsafe; see the proof below")]
fn set_thread_counts() {
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        if std::env::var_os(name).is_none() {
            // SAFETY: this is the first statement of `main`; no other thread exists that could read or
            // write the environment at the same time.
            unsafe { std::env::set_var(name, "1") };
        }
    }
}
