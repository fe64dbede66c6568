//! What the load tests share: a server of their own, what is asked of it, who asks, and how figures are made.
//!
//! Its own so that each load test is only its plan and its table. Not every test uses all of it. It knows the program as
//! a client does, over HTTP; how the program is built inside is none of its business.

#![allow(dead_code, reason = "each benchmark compiles its own copy and uses a part")]

pub(crate) mod figures;
pub(crate) mod machine;
pub(crate) mod pace;
pub(crate) mod questions;
pub(crate) mod samples;
pub(crate) mod server;
pub(crate) mod wrk;

/// The number after a flag of the command line. Cargo adds `--bench`, which is passed over like everything unknown.
pub(crate) fn option(flag: &str, default: f64) -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(value)) => value.parse().unwrap_or_else(|_| panic!("{flag} {value}: not a number")),
        (Some(_), None) => panic!("{flag} wants a number"),
        (None, _) => default,
    }
}

/// A runtime for those who ask, with as many threads as there are cores.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}
