//! `MCVN_*` variables: which ones are given, and which ones mean nothing.
//!
//! Its own because an environment is written by others (compose files, Kubernetes, shells): a variable that is set to
//! nothing is one that was left out, and a misspelt one would do nothing without a word.

use std::ffi::OsStr;

use clap::Command;
use clap::builder::Resettable;

const PREFIX: &str = "MCVN_";
/// From this likeness on a name may be meant, of 1 for the same.
const LIKE: f64 = 0.6;

/// A command, and its subcommands, to which empty variables are not given.
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

/// What is to be said of the variables that are no knob of a command.
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

/// What Kubernetes says of Services whose names begin with `mcvn`: `MCVN_PORT`, `MCVN_SERVICE_HOST`,
/// `MCVN_ADMIN_PORT_9090_TCP_ADDR` …
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
