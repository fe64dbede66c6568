//! `mcvn recipe`: a first recipe for a table, a recipe with all its defaults, and the page of all fields.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::table_flags::TableFlags;
use super::whole::write_whole;
use super::{UnreadableInput, read};
use crate::data::{Recipe, draft_recipe, recipe_reference};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a commented recipe for a table: what its columns probably are, each guess marked.
    New(New),
    /// Print a recipe with everything that it leaves out: the defaults of its kind.
    Show {
        /// The recipe.
        recipe: PathBuf,
    },
    /// Print the page of all fields, `docs/recipe.md`.
    Reference,
}

#[derive(Args)]
struct New {
    /// The table: CSV in any encoding, or a workbook.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    table: TableFlags,
    /// Name of the model (of the file by default).
    #[arg(long)]
    name: Option<String>,
    /// Where to write it; printed where none is given. It must not exist.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match &arguments.command {
        Command::New(arguments) => draft(arguments),
        Command::Show { recipe } => {
            let place = || recipe.display().to_string();
            let text = String::from_utf8(read(recipe)?).with_context(place)?;
            let recipe =
                Recipe::parse(&text).map_err(|error| UnreadableInput(error.to_string())).with_context(place)?;
            Ok(out.write_all(toml::to_string(&recipe)?.as_bytes())?)
        }
        Command::Reference => Ok(out.write_all(recipe_reference().as_bytes())?),
    }
}

fn draft(arguments: &New) -> Result<()> {
    if let Some(out) = arguments.out.as_ref().filter(|out| out.exists()) {
        bail!("{} exists already", out.display());
    }
    let name = arguments.name.clone().unwrap_or_else(|| name_of(&arguments.data));
    let place = || arguments.data.display().to_string();
    let drafted = draft_recipe(&read(&arguments.data)?, &arguments.table.options(), &name);
    let text = drafted.map_err(|error| UnreadableInput(error.to_string())).with_context(place)?;
    // The draft must be a valid recipe.
    Recipe::parse(&text).with_context(|| format!("the draft is no recipe (--name {name}?)"))?;
    match &arguments.out {
        Some(out) => write_whole(out, |file| Ok(file.write_all(text.as_bytes())?)),
        None => Ok(std::io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// A model name made from a file's name.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = plain.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if name.is_empty() { "my-model".to_owned() } else { name.chars().take(64).collect() }
}
