//! `mcvn predict`: the rows of a file through a model, as a server would answer them.
//!
//! Its own because here the rows come from a file and go into one: read and answered piece by piece, so a file may be
//! larger than the memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::oneshot;

use super::{device, write_whole};
use crate::bulk::{BulkConfig, Pool, Priority};
use crate::domain::Violation;
use crate::featurize::Features;
use crate::model::{Bundle, Confidence, ConfidenceError, DeviceChoice};
use crate::registry::{active_bundles, load_bundle};
use crate::wire::{Answered, Bulk, Columns, Lines, Rows, Table};

#[derive(Args)]
pub(super) struct Arguments {
    /// Name of the model.
    #[arg(long, required_unless_present = "bundle", conflicts_with = "bundle")]
    model: Option<String>,
    /// Folder of models; may be repeated, later ones shadow earlier ones.
    #[arg(long = "models-dir", default_value = "models")]
    models_dirs: Vec<PathBuf>,
    /// Folder of a bundle, instead of a model's name.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Rows to predict. A table (.csv): columns named as in the API or as in the recipe's data; others are copied. Or
    /// lines of JSON (.ndjson, .jsonl): a sample each, as in the API, and an `id` if you like.
    #[arg(long)]
    input: PathBuf,
    /// Of the same format. A table holds the input's columns with the predictions behind them.
    #[arg(long)]
    output: PathBuf,
    /// How often intervals should hold what is measured, as a share from 0.5 to 0.99; 0.9 where none is given.
    #[arg(long, value_parser = confidence)]
    confidence: Option<Confidence>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
    /// Threads; 0 for as many as there are cores.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// What a file holds, by the end of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let format = Format::of(&arguments.input)?;
    // What is no file of that kind (standard output, say) gets what the input is.
    if Format::of(&arguments.output).is_ok_and(|output| output != format) {
        bail!("--output: must be of the format of --input");
    }
    let bundle = Arc::new(load_bundle(&folder(arguments)?, &arguments.device.open()?.device)?);
    if bundle.manifest().batch_dependent() {
        eprintln!("mcvn: answers of this model depend on what shares a pass (some hundred rows)");
    }
    if arguments.confidence.is_some() && !bundle.manifest().has_intervals() {
        bail!("--confidence: {} gives no intervals", bundle.manifest().name);
    }
    let place = || arguments.input.display().to_string();
    let file = File::open(&arguments.input).with_context(place)?;
    let mut input = Input::new(file, format)?;
    let confidence = arguments.confidence.unwrap_or_default();
    let rows: Arc<dyn Bulk> = match format {
        Format::Ndjson => Arc::new(Lines::new(Arc::clone(&bundle), confidence)),
        Format::Csv => {
            let header = input.first_row().with_context(place)?;
            match Table::new(&header, Arc::clone(&bundle), confidence, Columns::All) {
                Ok(table) => Arc::new(table),
                Err(violations) => bail!("{}: {}", place(), in_words(&violations)),
            }
        }
    };
    let pool = Pool::start(BulkConfig { threads: arguments.threads, ..BulkConfig::default() }, Priority::Usual)?;
    let mut total = Answered::default();
    write_whole(&arguments.output, |out| {
        out.write_all(&rows.head())?;
        let mut under_way = VecDeque::new();
        // Twice as many chunks as threads: one is answered while the next one waits.
        while let Some(chunk) = input.chunk().with_context(place)? {
            under_way.push_back(begin(&pool, &rows, &bundle, chunk));
            if under_way.len() > 2 * pool.config().threads {
                finish(under_way.pop_front(), &mut total, out)?;
            }
        }
        under_way.into_iter().try_for_each(|answered| finish(Some(answered), &mut total, out))
    })?;
    input.bar.finish_and_clear();
    if total.bad_rows > 0 {
        let whose = if format == Format::Csv { "the error column" } else { "their errors" };
        eprintln!("mcvn: {} of {} rows have an error; see {whose}", total.bad_rows, total.rows);
    }
    Ok(())
}

fn begin(pool: &Pool, rows: &Arc<dyn Bulk>, bundle: &Arc<Bundle>, chunk: Vec<u8>) -> oneshot::Receiver<Answered> {
    let (rows, bundle) = (Arc::clone(rows), Arc::clone(bundle));
    pool.run(move || {
        let answerer = |features: &[Features]| {
            bundle.predict(&features.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        rows.answer(&chunk, &answerer)
    })
}

fn finish(answered: Option<oneshot::Receiver<Answered>>, total: &mut Answered, out: &mut dyn Write) -> Result<()> {
    let Some(answered) = answered else { return Ok(()) };
    let answered = answered.blocking_recv().context("a panic while predicting")?;
    if let Some(failure) = answered.failures.first() {
        bail!("the pass failed: {failure}");
    }
    total.rows += answered.rows;
    total.bad_rows += answered.bad_rows;
    Ok(out.write_all(&answered.bytes)?)
}

/// A file as chunks of rows, with a bar of how much of it is read.
struct Input {
    file: File,
    rows: Rows,
    bar: ProgressBar,
    bytes: Vec<u8>,
    ended: bool,
}

impl Input {
    fn new(file: File, format: Format) -> Result<Self> {
        let length = file.metadata().map_or(0, |known| known.len());
        let bar = if std::io::stderr().is_terminal() && length > 0 {
            let style = "{bar:40} {bytes} of {total_bytes}, {eta} left";
            ProgressBar::new(length).with_style(ProgressStyle::with_template(style).context("the bar's template")?)
        } else {
            ProgressBar::hidden()
        };
        Ok(Self { file, rows: Rows::new(format == Format::Csv), bar, bytes: vec![0; 1 << 16], ended: false })
    }

    fn more(&mut self) -> Result<()> {
        let count = self.file.read(&mut self.bytes)?;
        self.bar.inc(count as u64);
        self.ended = count == 0;
        Ok(self.rows.push(&self.bytes[..count])?)
    }

    fn first_row(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.rows.first_row() {
                Some(row) if row.trim_ascii().is_empty() => {}
                Some(row) => return Ok(row),
                None if self.ended => return Ok(self.rows.rest().unwrap_or_default()),
                None => self.more()?,
            }
        }
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            match self.rows.chunk() {
                Some(chunk) => return Ok(Some(chunk)),
                None if self.ended => return Ok(self.rows.rest()),
                None => self.more()?,
            }
        }
    }
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("ndjson" | "jsonl") => Ok(Self::Ndjson),
            _ => bail!("{}: must end in .csv, .ndjson or .jsonl", path.display()),
        }
    }
}

/// Where the bundle lies.
fn folder(arguments: &Arguments) -> Result<PathBuf> {
    let Some(name) = &arguments.model else { return arguments.bundle.clone().context("name a --model or a --bundle") };
    let active = active_bundles(&arguments.models_dirs)?;
    let names = active.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    active.get(name).cloned().with_context(|| format!("no model {name}; there are: {names}"))
}

fn confidence(text: &str) -> Result<Confidence, ConfidenceError> {
    text.parse()
}

fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::in_words).collect::<Vec<_>>().join("; ")
}
