//! `mcvn models`: the versions in models folders, without a server.

use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::Device;
use clap::{Args, Subcommand};

use super::UnreadableInput;
use super::whole::write_whole;
use crate::model::{Bundle, DeviceChoice};
use crate::registry::{self, Version, VersionState, Writer, try_bundle};
use crate::serving::objections;

/// Largest number of entries in a tar file; a bundle has fewer.
const MOST_ENTRIES: usize = 1_000;
/// Depth of a bundle's deepest entry: model/version/plots/file.
const DEEPEST: usize = 4;
/// Largest size of an unpacked bundle, in bytes.
const MOST_BUNDLE_BYTES: u64 = 1_000_000_000;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Folder of models; repeat it (or separate with commas) for more. The last one is written to.
    #[arg(
        long = "models-dir",
        env = "MCVN_MODELS_DIR",
        value_delimiter = ',',
        default_value = "models",
        global = true
    )]
    models_dirs: Vec<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// All versions of all models.
    List,
    /// Show a version's manifest, without scalers and fingerprints of rows.
    Show(Named),
    /// Make a version the active one.
    Promote {
        #[command(flatten)]
        named: Named,
        /// Promote even if a check refuses it.
        #[arg(long)]
        force: bool,
        /// Lines of doubted training rows that are right all the same, separated by commas.
        #[arg(long, value_name = "LINES", value_delimiter = ',')]
        confirm: Vec<u64>,
    },
    /// Reactivate the previous version.
    Rollback {
        /// The model.
        model: String,
    },
    /// Remove a version that is not active, or a whole model; this cannot be undone.
    Remove {
        /// The model.
        model: String,
        /// Its version.
        #[arg(required_unless_present = "whole")]
        version: Option<String>,
        /// Remove the whole model: all its versions, the active one too, and its recipe.
        #[arg(long, conflicts_with = "version")]
        whole: bool,
    },
    /// Check hashes, sizes and real passes of every version, or of one model's versions.
    Verify {
        /// The model.
        model: Option<String>,
    },
    /// Pack a version into a tar file.
    Export {
        #[command(flatten)]
        named: Named,
        /// The file to write.
        #[arg(long)]
        output: PathBuf,
    },
    /// Check and unpack a tar file of `export`: the version becomes a candidate.
    Import {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Args)]
struct Named {
    /// The model.
    model: String,
    /// Its version.
    version: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let folders = arguments.models_dirs.as_slice();
    let mut out = std::io::stdout().lock();
    match &arguments.command {
        Command::List => list(folders, &mut out)?,
        Command::Show(named) => {
            let mut manifest = registry::read_manifest(&named.find(folders)?)?;
            manifest.data.row_digests.clear();
            let mut shown = serde_json::to_value(&manifest)?;
            if let Some(fields) = shown.as_object_mut() {
                fields.remove("scaling");
            }
            writeln!(out, "{shown:#}")?;
        }
        Command::Promote { named, force, confirm } => {
            let writer = Writer::open(folders)?;
            let folder = named.find(folders)?;
            tried(&folder)?;
            // A version that does not answer cannot be compared with. A version that answers in its place can.
            let in_use = registry::answering(folders, &named.model, &cpu()?, true).found;
            let in_use = in_use.filter(|found| found.version != named.version);
            let (manifest, report) = (registry::read_manifest(&folder)?, registry::report(&folder)?);
            let in_use = in_use.as_ref().map(|found| found.bundle.manifest());
            let against = objections(in_use, &manifest, report.as_deref(), confirm)
                .map_err(|error| UnreadableInput(format!("--confirm: {error}")))?;
            if !against.is_empty() && !force {
                bail!("{}; --force overrules", against.join("; "));
            }
            writer.promote(&named.model, &named.version)?;
            writeln!(out, "{} {} is in use", named.model, named.version)?;
        }
        Command::Rollback { model } => {
            let writer = Writer::open(folders)?;
            let history = registry::history(folders, model)?;
            if let Some(before) = history.get(1).and_then(|version| registry::find(folders, model, version)) {
                tried(&before)?;
            }
            let version = writer.rollback(model)?;
            writeln!(out, "{model} {version} is in use")?;
        }
        Command::Remove { model, version: None, .. } => {
            Writer::open(folders)?.remove_model(model)?;
            writeln!(out, "{model} is gone, with all its versions")?;
        }
        Command::Remove { model, version: Some(version), .. } => {
            let writer = Writer::open(folders)?;
            // It may answer in place of the active version.
            let answers = registry::answering(folders, model, &cpu()?, true).found;
            if answers.is_some_and(|found| found.version == *version) {
                bail!("{model} {version} answers: promote another version first");
            }
            writer.remove(model, version)?;
            writeln!(out, "{model} {version} is gone")?;
        }
        Command::Verify { model } => verify(folders, model.as_deref(), &mut out)?,
        Command::Export { named, output } => {
            let folder = named.find(folders)?;
            write_whole(output, |file| {
                let mut archive = tar::Builder::new(file);
                archive.append_dir_all(format!("{}/{}", named.model, named.version), &folder)?;
                Ok(archive.finish()?)
            })?;
        }
        Command::Import { file } => {
            let (model, version) = import(folders, file)?;
            writeln!(out, "{model} {version} is a candidate")?;
        }
    }
    Ok(())
}

impl Named {
    fn find(&self, folders: &[PathBuf]) -> Result<PathBuf> {
        let missing = || format!("{} has no version {}", self.model, self.version);
        registry::find(folders, &self.model, &self.version).with_context(missing)
    }
}

fn list(folders: &[PathBuf], out: &mut dyn Write) -> Result<()> {
    for model in registry::models(folders)? {
        for version in registry::versions(folders, &model)? {
            write!(out, "{model}\t{}\t{}\t", version.name, state(&version))?;
            match registry::read_manifest(&version.folder) {
                Ok(manifest) => {
                    writeln!(out, "{} rows\t{}", manifest.data.rows, manifest.created.unwrap_or_default())?;
                }
                Err(error) => writeln!(out, "BAD: {}", error.reason())?,
            }
        }
    }
    Ok(())
}

fn state(version: &Version) -> &'static str {
    match version.state {
        VersionState::Active => "active",
        VersionState::Previous => "previous",
        VersionState::Candidate => "candidate",
    }
}

fn verify(folders: &[PathBuf], model: Option<&str>, out: &mut dyn Write) -> Result<()> {
    let models = match model {
        Some(model) => vec![model.to_owned()],
        None => registry::models(folders)?,
    };
    let (mut seen, mut bad) = (0, 0);
    for model in models {
        for version in registry::versions(folders, &model)? {
            seen += 1;
            match tried(&version.folder) {
                Ok(_) => writeln!(out, "{model}\t{}\tok", version.name)?,
                Err(error) => {
                    bad += 1;
                    writeln!(out, "{model}\t{}\tBAD: {error:#}", version.name)?;
                }
            }
        }
    }
    match (seen, bad) {
        (0, _) => bail!("there is no version to verify"),
        (_, 0) => Ok(()),
        (seen, bad) => bail!("{bad} of {seen} versions are bad"),
    }
}

/// Loads a bundle that is undamaged (its hash matches) and answers.
fn tried(folder: &Path) -> Result<Bundle> {
    Ok(try_bundle(folder, &cpu()?)?)
}

fn cpu() -> Result<Device> {
    Ok(DeviceChoice::Cpu.open()?.device)
}

fn import(folders: &[PathBuf], file: &Path) -> Result<(String, String)> {
    let writer = Writer::open(folders)?;
    let staging = tempfile::tempdir()?;
    let place = || file.display().to_string();
    let size = std::fs::metadata(file).with_context(place)?.len();
    if size > MOST_BUNDLE_BYTES {
        bail!("{}: {size} bytes are more than any bundle has", place());
    }
    let mut archive = tar::Archive::new(File::open(file).with_context(place)?);
    for (count, entry) in archive.entries().with_context(place)?.enumerate() {
        let mut entry = entry.with_context(place)?;
        if count == MOST_ENTRIES {
            bail!("{}: holds more than {MOST_ENTRIES} files and folders, more than any bundle has", place());
        }
        let named = |part: &Component| matches!(part, Component::Normal(_));
        let depth = entry.path().with_context(place)?.components().filter(named).count();
        if depth > DEEPEST {
            bail!("{}: holds folders {depth} deep; those of a bundle are {DEEPEST}: model/version/plots/file", place());
        }
        let kind = entry.header().entry_type();
        // Links are refused, because they could point anywhere; a bundle has none.
        if !(kind.is_file() || kind.is_dir()) || entry.size() > MOST_BUNDLE_BYTES {
            bail!("{}: holds something that is no part of a bundle", place());
        }
        // A path that leads out of the folder is not unpacked.
        if !entry.unpack_in(staging.path()).with_context(place)? {
            bail!("{}: holds a path that leads elsewhere", place());
        }
    }
    let found = std::slice::from_ref(&staging.path().to_owned()).to_vec();
    let models = registry::models(&found)?;
    let [model] = models.as_slice() else { bail!("{}: should hold one model", place()) };
    let versions = registry::versions(&found, model)?;
    let [version] = versions.as_slice() else { bail!("{}: should hold one version", place()) };
    let bundle = tried(&version.folder).with_context(place)?;
    let manifest = bundle.manifest();
    if manifest.name != *model || manifest.version != version.name {
        bail!("{}: {model} {} says that it is {} {}", place(), version.name, manifest.name, manifest.version);
    }
    if !writer.install(&version.folder, model, &version.name)? {
        eprintln!("{model} {} was there already, and is kept as it was", version.name);
    }
    Ok((model.clone(), version.name.clone()))
}
