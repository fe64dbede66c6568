//! `MCVN_*` variables: which ones are set, and which ones are unknown.
//!
//! The environment is written by others (compose files, Kubernetes, shells). So an empty variable counts as not set,
//! and a misspelt one gets a warning, because it would be ignored silently.

use std::ffi::OsStr;

use clap::Command;
use clap::builder::Resettable;

const PREFIX: &str = "MCVN_";
/// Least similarity (1 for equal names) at which a known name is suggested.
const LIKE: f64 = 0.6;

/// A command whose arguments, and those of its subcommands, ignore empty variables.
pub(super) fn without_empty(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        if argument.get_env().is_some_and(empty) {
            argument.env(Resettable::<clap::builder::OsStr>::Reset)
        } else {
            argument
        }
    });
    command.mut_subcommands(without_empty)
}

/// Warnings about variables that are not settings of a command.
pub(super) fn strangers(command: &Command) -> Vec<String> {
    let known = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    let known: Vec<&str> = known.collect();
    let mut names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort();
    names.iter().filter_map(|name| complaint(name, &known)).collect()
}

fn complaint(name: &str, known: &[&str]) -> Option<String> {
    let rest = name.strip_prefix(PREFIX).filter(|_| !known.contains(&name) && !is_of_kubernetes(name))?;
    let likeness =
        |known: &str| strsim::normalized_damerau_levenshtein(rest, known.strip_prefix(PREFIX).unwrap_or(known));
    let nearest = known.iter().map(|known| (likeness(known), known)).max_by(|one, other| one.0.total_cmp(&other.0));
    let meant = nearest.filter(|(likeness, _)| *likeness >= LIKE).map(|(_, known)| format!("; is {known} meant?"));
    Some(format!("the variable {name} means nothing to mcvn{}", meant.unwrap_or_else(|| ": see --help".to_owned())))
}

/// Whether Kubernetes sets this variable, for Services whose names begin with `mcvn`: `MCVN_PORT`,
/// `MCVN_SERVICE_HOST`, `MCVN_ADMIN_PORT_9090_TCP_ADDR` …
fn is_of_kubernetes(name: &str) -> bool {
    name.contains("_SERVICE_") || name.contains("_PORT_") || name.ends_with("_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_with_the_one_that_is_meant() {
        let known = ["MCVN_LISTEN", "MCVN_MAX_SAMPLES", "MCVN_LOG_LEVEL"];
        for (name, meant) in [("MCVN_LISTEM", "MCVN_LISTEN"), ("MCVN_MAX_SAMPLE", "MCVN_MAX_SAMPLES")] {
            let told = complaint(name, &known).unwrap();
            assert!(told.contains(name) && told.contains(&format!("is {meant} meant?")), "{told}");
        }
        assert!(complaint("MCVN_COLOUR_OF_THE_SKY", &known).unwrap().ends_with("see --help"));
        for name in ["MCVN_LISTEN", "PATH", "MCVN_PORT", "MCVN_SERVICE_HOST", "MCVN_PORT_8080_TCP_ADDR"] {
            assert_eq!(complaint(name, &known), None, "{name}");
        }
    }
}
