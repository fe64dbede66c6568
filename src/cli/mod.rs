//! The command line: one file a subcommand. Arguments, exit codes and terminal output are handled here, not in the
//! library.

mod admin_key;
mod check;
mod child;
mod environment;
mod evaluate;
mod featurize;
mod fit_flags;
mod healthcheck;
mod models;
mod openapi;
mod predict;
mod progress;
mod recipe;
mod report;
mod sanity;
mod selftest;
mod serve;
mod signals;
mod sweeps;
mod table_flags;
mod train;
mod whole;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::AppError;
use crate::domain::Violation;
use crate::model::DeviceChoice;
use crate::telemetry;

/// Alloy property prediction over HTTP.
#[derive(Parser)]
#[command(name = "mcvn", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve predictions over HTTP (what happens without a subcommand).
    Serve(Box<serve::Arguments>),
    /// Train a bundle from a recipe and a table.
    Train(train::Arguments),
    /// Say how a table is understood with a recipe, before anything is trained on it.
    Check(check::Arguments),
    /// Write a first recipe for a table.
    Recipe(recipe::Arguments),
    /// Measure a recipe over splits of a table.
    Evaluate(evaluate::Arguments),
    /// Predict the rows of a table or of lines of JSON.
    Predict(predict::Arguments),
    /// Show the descriptors of compositions.
    Featurize(featurize::Arguments),
    /// Check every bundle on a device against the CPU.
    Selftest(selftest::Arguments),
    /// Show as Markdown how the answers of the steel models change with one input, compared with metallurgy.
    Sanity(sanity::Arguments),
    /// Versions in models folders: list, show, promote, roll back, verify, export, import.
    Models(models::Arguments),
    /// Keys of the admin routes: create, list, revoke.
    AdminKey(admin_key::Arguments),
    /// Ask a running server whether it is ready (exit status 0 or 1).
    Healthcheck(healthcheck::Arguments),
    /// Print the OpenAPI document of a server with the models of a folder.
    Openapi(openapi::Arguments),
}

/// How long an error message waits for its reader.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Parses arguments and variables that are not empty. Ends the process if they are invalid.
fn parsed<A: CommandFactory + FromArgMatches>(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> A {
    let command = environment::without_empty(A::command());
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| A::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.exit())
}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    let result = match parsed::<Arguments>(std::env::args_os()).command {
        None => serve::run_with_defaults(),
        Some(Command::Serve(arguments)) => serve::run(&arguments),
        Some(Command::Train(arguments)) => train::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Recipe(arguments)) => recipe::run(&arguments),
        Some(Command::Evaluate(arguments)) => evaluate::run(&arguments),
        Some(Command::Predict(arguments)) => predict::run(&arguments),
        Some(Command::Featurize(arguments)) => featurize::run(&arguments),
        Some(Command::Selftest(arguments)) => selftest::run(&arguments),
        Some(Command::Sanity(arguments)) => sanity::run(&arguments),
        Some(Command::Models(arguments)) => models::run(&arguments),
        Some(Command::AdminKey(arguments)) => admin_key::run(&arguments),
        Some(Command::Healthcheck(arguments)) => healthcheck::run(&arguments),
        Some(Command::Openapi(arguments)) => openapi::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed our output, so it needs no more.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let (status, said) = (exit_status(&error), format!("mcvn: {}", in_full(&error)));
            // If nobody reads standard error, a plain write would never return.
            telemetry::within(LAST_WORDS, move || drop(writeln!(std::io::stderr(), "{said}")));
            ExitCode::from(status)
        }
    }
}

/// The error with its causes. Some errors include their cause in their text; it is not repeated.
fn in_full(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    causes
        .reduce(|told, cause| if told.ends_with(&cause) { told } else { format!("{told}: {cause}") })
        .unwrap_or_default()
}

/// Exit status of a server whose device is lost; a new process may work. It is `EX_TEMPFAIL` of sysexits.h.
const TRY_AGAIN: u8 = 75;

/// A file that cannot be parsed, with the reason in words. Nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UnreadableInput(String);

fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::in_words).collect::<Vec<_>>().join("; ")
}

/// Exit status for invalid input, the same as clap's for invalid arguments.
const BAD_INPUT: u8 = 2;

fn exit_status(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<UnreadableInput>().is_some() {
        return BAD_INPUT;
    }
    match error.downcast_ref() {
        Some(AppError::DeviceLost(_)) => TRY_AGAIN,
        _ => 1,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn device(text: &str) -> Result<DeviceChoice, String> {
    text.parse().map_err(|error: crate::model::DeviceError| error.to_string())
}

/// A file's name without its folder, because folders of one machine mean nothing on another.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}: {1}")]
        struct Place(&'static str, #[source] std::io::Error);
        let error = Place("models/glass", std::io::Error::other("Permission denied"));
        let error = anyhow::Error::from(error).context("models");
        assert_eq!(in_full(&error), "models: models/glass: Permission denied");
        assert_eq!(in_full(&anyhow::anyhow!("alone")), "alone");
    }

    #[test]
    fn a_lost_device_is_told_from_other_failures() {
        let lost = AppError::DeviceLost("CUDA_ERROR_ILLEGAL_ADDRESS".to_owned());
        assert_eq!(exit_status(&lost.into()), 75);
        assert_eq!(exit_status(&AppError::DrainDeadline(std::time::Duration::ZERO).into()), 1);
        assert_eq!(exit_status(&anyhow::anyhow!("CUDA_ERROR_ILLEGAL_ADDRESS")), 1);
        let input = anyhow::Error::from(UnreadableInput("no header".to_owned()));
        assert_eq!(exit_status(&input.context("rows.csv")), 2);
    }
}
