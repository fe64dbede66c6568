//! `mcvn admin-key`: the keys of the admin routes.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::keys::{self, Scope};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key: it is printed once, its hash is added to the file.
    Create {
        /// File of the keys' hashes; made where it is missing.
        #[arg(long, env = "MCVN_ADMIN_KEYS_FILE")]
        keys_file: PathBuf,
        /// Whose key it is: stands in the audit log.
        #[arg(long)]
        name: String,
        /// What it is for.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<ScopeName>,
    },
    /// List the keys: names and scopes.
    List {
        /// File of the keys' hashes.
        #[arg(long, env = "MCVN_ADMIN_KEYS_FILE")]
        keys_file: PathBuf,
    },
    /// Take a key away: a running server refuses it from then on.
    Revoke {
        /// File of the keys' hashes.
        #[arg(long, env = "MCVN_ADMIN_KEYS_FILE")]
        keys_file: PathBuf,
        /// Whose key.
        #[arg(long)]
        name: String,
    },
}

/// What a key is for.
#[derive(Clone, Copy, ValueEnum)]
enum ScopeName {
    /// See jobs, versions and the audit log.
    Read,
    /// Start and cancel jobs, create models.
    Train,
    /// Promote versions and roll back.
    Promote,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match &arguments.command {
        Command::Create { keys_file, name, scopes } => {
            let scope = |name: &ScopeName| match name {
                ScopeName::Read => Scope::Read,
                ScopeName::Train => Scope::Train,
                ScopeName::Promote => Scope::Promote,
            };
            let scopes: Vec<Scope> = scopes.iter().map(scope).collect();
            writeln!(out, "{}", keys::create(keys_file, name, &scopes)?)?;
        }
        Command::List { keys_file } => {
            for key in keys::list(keys_file)? {
                let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
                writeln!(out, "{}\t{}", key.name, scopes.join(","))?;
            }
        }
        Command::Revoke { keys_file, name } => keys::revoke(keys_file, name)?,
    }
    Ok(())
}
