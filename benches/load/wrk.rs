//! wrk as a load generator, where every request is the same and answers need not be read.
//!
//! Its own because it costs a fraction of the processor that a client in Rust would take from the server beside it. It
//! must be installed (`apt install wrk`).

use std::process::Command;

/// What wrk measured: requests a second, and latencies in microseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A request that is repeated.
pub(crate) struct Script(tempfile::TempPath);

impl Script {
    /// `POST` of a JSON text.
    pub(crate) fn post(json: &str) -> Self {
        let lua = format!(
            "wrk.method = \"POST\"\nwrk.headers[\"content-type\"] = \"application/json\"\nwrk.body = [[{json}]]\n"
        );
        let file = tempfile::NamedTempFile::with_suffix(".lua").unwrap().into_temp_path();
        std::fs::write(&file, lua).unwrap();
        Self(file)
    }

    /// Repeats it over so many connections, each with one request at a time.
    pub(crate) fn run(&self, url: &str, connections: usize, seconds: f64) -> Load {
        let threads = if connections == 1 { "1" } else { "2" };
        let (connections, seconds) = (connections.to_string(), format!("{}s", seconds.ceil()));
        let output = Command::new("wrk")
            .args(["-t", threads, "-c", &connections, "-d", &seconds, "--timeout", "10s", "--latency", "-s"])
            .args([self.0.as_os_str(), url.as_ref()])
            .output()
            .unwrap_or_else(|error| panic!("wrk: {error}; install it (apt install wrk)"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
        let after = |word: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(word));
            line.unwrap_or_else(|| panic!("{text}")).split_whitespace().nth(1).unwrap().to_owned()
        };
        Load { rate: after("Requests/sec:").parse().unwrap(), p50: micros(&after("50%")), p99: micros(&after("99%")) }
    }
}

fn micros(text: &str) -> f64 {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (&text[..text.len() - 2], 1.0),
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1e3),
        _ if text.ends_with('m') => (&text[..text.len() - 1], 60e6),
        _ => (text.trim_end_matches('s'), 1e6),
    };
    number.parse::<f64>().unwrap() * factor
}
