//! `mcvn predict`: predicts the rows of a file, with the same answers as a server.
//!
//! The file is read and answered piece by piece, so it may be larger than memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Cursor, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::oneshot;

use super::table_flags::{SetFlags, TableFlags};
use super::whole::write_whole;
use super::{UnreadableInput, device, in_words};
use crate::bulk::{BulkConfig, Pool, Priority};
use crate::domain::Specification;
use crate::featurize::Features;
use crate::model::{Bundle, Confidence, ConfidenceError, DeviceChoice, TrustOptions};
use crate::registry::{self, load_bundle};
use crate::tables::{
    Charset, Chunk, Decide, Feed, FeedError, Limits, ReadOptions, TableError, is_workbook, text_to_workbook,
    workbook_to_text,
};
use crate::wire::{Answered, Bulk, Columns, Lines, Table, paired_limits};

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
    /// Rows to predict. A table (.csv, .tsv, .txt, .xlsx, .xls, .ods): columns named as in the API or as in the recipe's
    /// data; others are copied. Or lines of JSON (.ndjson, .jsonl): a sample each, as in the API, and an `id` if you
    /// like.
    #[arg(long)]
    input: PathBuf,
    /// A table (.csv, .xlsx) holds the input's columns with the predictions behind them; lines of JSON (.ndjson,
    /// .jsonl) are answered by lines.
    #[arg(long)]
    output: PathBuf,
    #[command(flatten)]
    table: TableFlags,
    #[command(flatten)]
    set: SetFlags,
    /// Repeat each composition as it was understood, on both bases.
    #[arg(long)]
    echo: bool,
    /// Put an apostrophe before text in a CSV that a spreadsheet would run as a formula.
    #[arg(long)]
    safe_cells: bool,
    /// How often intervals should hold what is measured, as a share from 0.5 to 0.99; 0.9 where none is given.
    #[arg(long, value_parser = confidence)]
    confidence: Option<Confidence>,
    /// Least value of a property that a test should reach, PROPERTY=NUMBER such as "fatigue_strength=600"; the answers
    /// then give the chance, for each property and for all limits together; may be repeated.
    #[arg(long, value_name = "PROPERTY=NUMBER")]
    min: Vec<String>,
    /// Largest value of a property, PROPERTY=NUMBER; may be repeated.
    #[arg(long, value_name = "PROPERTY=NUMBER")]
    max: Vec<String>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
    /// Threads; 0 for as many as there are cores.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// The format of a file, by its extension.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Workbook,
    Ndjson,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let format = Format::of(&arguments.input)?;
    // An output without a known extension (standard output, for example) gets the format of the input.
    let output = Format::of(&arguments.output).unwrap_or(if format == Format::Ndjson { format } else { Format::Table });
    if (output == Format::Ndjson) != (format == Format::Ndjson) {
        bail!("--output: lines of JSON are answered by lines of JSON, a table by a table");
    }
    let bundle = Arc::new(load_bundle(&folder(arguments)?, &arguments.device.open()?.device)?);
    if bundle.manifest().batch_dependent() {
        eprintln!("mcvn: answers of this model depend on what shares a pass (some hundred rows)");
    }
    if arguments.confidence.is_some() && !bundle.manifest().has_intervals() {
        bail!("--confidence: {} gives no intervals", bundle.manifest().name);
    }
    let place = || arguments.input.display().to_string();
    let mut input = Input::open(&arguments.input, format, &arguments.table.options()).with_context(place)?;
    let options = trust_options(arguments, &bundle)?;
    let mut notes = std::mem::take(&mut input.notes);
    let first = input.chunk().with_context(place)?;
    let rows: Arc<dyn Bulk> = match input.feed.head() {
        None => Arc::new(Lines::new(Arc::clone(&bundle), options, arguments.echo)),
        Some(head) => {
            let mapping = arguments.table.mapping(&arguments.set);
            let table = Table::new(Arc::clone(head), Arc::clone(&bundle), options, Columns::All, &mapping);
            let table = table.map(|table| {
                // In a workbook no text can become a formula.
                table.echoing(arguments.echo).guarding(arguments.safe_cells && output != Format::Workbook)
            });
            let checked = table.and_then(|table| {
                first.as_ref().map_or(Ok(()), |first| table.check_first(first, usize::MAX))?;
                Ok(table)
            });
            let table = checked.map_err(|violations| {
                // The notes may explain the error: the way the bytes were read may be wrong.
                notes.iter().chain(&head.notes).for_each(|note| eprintln!("mcvn: {note}"));
                UnreadableInput(in_words(&violations))
            });
            let table = table.with_context(place)?;
            notes.extend(table.notes());
            Arc::new(table)
        }
    };
    let pool = Pool::start(BulkConfig { threads: arguments.threads, ..BulkConfig::default() }, Priority::Usual)?;
    let mut total = Answered::default();
    let answer = |out: &mut dyn Write, total: &mut Answered| {
        out.write_all(&rows.head())?;
        let (mut under_way, mut next) = (VecDeque::new(), first);
        while let Some(chunk) = next {
            under_way.push_back(begin(&pool, &rows, &bundle, chunk));
            if under_way.len() > pool.chunks_under_way() {
                finish(under_way.pop_front(), total, out)?;
            }
            next = input.chunk().with_context(place)?;
        }
        under_way.into_iter().try_for_each(|answered| finish(Some(answered), total, out))
    };
    if output == Format::Workbook {
        let mut text = Vec::new();
        answer(&mut text, &mut total)?;
        let said: Vec<String> = notes.iter().cloned().chain(total.notes()).collect();
        let workbook = text_to_workbook(&text, &said)?;
        write_whole(&arguments.output, |out| Ok(out.write_all(&workbook)?))?;
    } else {
        write_whole(&arguments.output, |out| answer(out, &mut total))?;
    }
    input.bar.finish_and_clear();
    notes.extend(total.tally.notes());
    notes.iter().for_each(|note| eprintln!("mcvn: {note}"));
    let whose = if format == Format::Ndjson { "their errors" } else { "the error column" };
    if total.rows == 0 {
        return Err(UnreadableInput("there are no rows".to_owned())).with_context(place);
    }
    if total.bad_rows == total.rows {
        return Err(UnreadableInput(format!("none of {} rows could be answered; see {whose}", total.rows)))
            .with_context(place);
    }
    if total.bad_rows > 0 {
        eprintln!("mcvn: {} of {} rows have an error; see {whose}", total.bad_rows, total.rows);
    }
    Ok(())
}

fn begin(pool: &Pool, rows: &Arc<dyn Bulk>, bundle: &Arc<Bundle>, chunk: Chunk) -> oneshot::Receiver<Answered> {
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
    out.write_all(&answered.bytes)?;
    total.add(answered);
    Ok(())
}

/// How many bytes of a table are examined before its header is read.
const SAMPLE_BYTES: usize = 64 << 10;

/// A file as chunks of rows, with a progress bar of how much was read.
struct Input {
    source: Box<dyn Read>,
    feed: Feed,
    bar: ProgressBar,
    bytes: Vec<u8>,
    ended: bool,
    /// Notes on how a workbook was read.
    notes: Vec<String>,
}

impl Input {
    fn open(path: &Path, format: Format, options: &ReadOptions) -> Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata().map_or(0, |known| known.len());
        let bar = if std::io::stderr().is_terminal() && length > 0 {
            let style = "{bar:40} {bytes} of {total_bytes}, {eta} left";
            ProgressBar::new(length).with_style(ProgressStyle::with_template(style).context("the bar's template")?)
        } else {
            ProgressBar::hidden()
        };
        let mut magic = Vec::new();
        Read::by_ref(&mut file).take(8).read_to_end(&mut magic)?;
        let (mut notes, mut options) = (Vec::new(), options.clone());
        let source: Box<dyn Read> = if format != Format::Ndjson && is_workbook(&magic) {
            file.read_to_end(&mut magic)?;
            bar.inc(length);
            let (text, said) =
                workbook_to_text(&magic, options.sheet.as_deref(), Limits::default()).map_err(unreadable)?;
            (notes, options.encoding) = (said, Some(Charset::UTF_8));
            Box::new(Cursor::new(text))
        } else {
            Box::new(Cursor::new(magic).chain(file))
        };
        let feed = match format {
            Format::Ndjson => Feed::lines(),
            _ => Feed::table(&options, Decide::AtBytes(SAMPLE_BYTES)),
        };
        Ok(Self { source, feed, bar, bytes: vec![0; 1 << 16], ended: false, notes })
    }

    fn more(&mut self) -> Result<()> {
        let count = self.source.read(&mut self.bytes)?;
        self.bar.inc(count as u64);
        self.ended = count == 0;
        let fed = if self.ended { self.feed.end() } else { self.feed.push(&self.bytes[..count]) };
        fed.map_err(|error| match error {
            FeedError::Row(error) => error.into(),
            FeedError::Table(error) => unreadable(error),
        })
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            let chunk = self.feed.chunk();
            if chunk.is_some() || self.ended {
                return Ok(chunk);
            }
            self.more()?;
        }
    }
}

fn unreadable(error: TableError) -> anyhow::Error {
    UnreadableInput(error.to_string()).into()
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("csv" | "tsv" | "txt" | "tab") => Ok(Self::Table),
            Some("xlsx" | "xlsm" | "xlsb" | "xls" | "ods") => Ok(Self::Workbook),
            Some("ndjson" | "jsonl") => Ok(Self::Ndjson),
            _ => bail!("{}: must end in .csv, .tsv, .txt, .xlsx, .xls, .ods, .ndjson or .jsonl", path.display()),
        }
    }
}

/// The confidence and the limits that were asked for.
fn trust_options(arguments: &Arguments, bundle: &Bundle) -> Result<TrustOptions> {
    let (manifest, mut violations) = (bundle.manifest(), Vec::new());
    let limits = paired_limits(&arguments.min, &arguments.max, &mut violations);
    let specification = Specification::parse(&limits, &manifest.schema.outputs, &mut violations);
    if !violations.is_empty() {
        bail!("{}", in_words(&violations));
    }
    if !specification.is_empty() && !manifest.has_chances() {
        bail!(
            "--min, --max: this version of {} was calibrated without what chances need; train it again",
            manifest.name
        );
    }
    Ok(TrustOptions { confidence: arguments.confidence.unwrap_or_default(), specification })
}

/// Folder of the bundle.
fn folder(arguments: &Arguments) -> Result<PathBuf> {
    let Some(name) = &arguments.model else { return arguments.bundle.clone().context("name a --model or a --bundle") };
    // Only this model is looked up, so that trouble with another one does not matter.
    if let Some(folder) = registry::active_bundle(&arguments.models_dirs, name)? {
        return Ok(folder);
    }
    bail!("no model {name}; there are: {}", registry::models(&arguments.models_dirs)?.join(", "))
}

fn confidence(text: &str) -> Result<Confidence, ConfidenceError> {
    text.parse()
}
