//! Loading usage records: LiteLLM spend logs, OpenAI's usage API, any CSV, the Azure trace.
//!
//! A file is read once, record by record, in bounded memory. Every record is checked and priced; good
//! ones are staged, and become visible in one transaction when all were good (or when skipping bad ones
//! was asked for). Importing the same file again changes nothing: a record is identified by its id in the
//! source, or by its content and how often it occurred.
//!
//! The identity behind every report: `read = imported + duplicates + Σ rejected`.

mod delimited;
mod json;
mod litellm;
mod mapping;
mod openai;
mod reader;
mod report;

use core::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use goldenpath_runtime::usage::{
    CostStatus, Finish, ImportOutcome, ImportSpec, Tenant, TimestampStyle, UsageError, UsageEvent,
    UsageStore,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use mapping::{Field, Mapping, MappingError};
pub use report::{ImportReport, Problem, Reason, Verdict};

use crate::cost::prices::PriceTable;
use reader::Metered;
use report::Tally;

/// Records handed over at once between the reading thread and the store.
const BATCH: usize = 1000;
/// Batches that may wait for the store.
const BATCHES_WAITING: usize = 4;

/// What a file contains.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The Azure LLM inference trace; it names no model, so one must be given.
    AzureTrace,
    /// Any CSV with a header.
    Csv,
    /// LiteLLM spend logs: a JSON array, JSON Lines, or an object with `data`.
    Litellm,
    /// OpenAI `organization.usage.completions` pages.
    OpenaiUsage,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Litellm, Self::OpenaiUsage, Self::Csv, Self::AzureTrace];

    /// Its name on the command line and the label of its rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AzureTrace => "azure-trace",
            Self::Csv => "csv",
            Self::Litellm => "litellm",
            Self::OpenaiUsage => "openai-usage",
        }
    }

    /// As said to people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::AzureTrace => "Azure LLM inference trace",
            Self::Csv => "CSV",
            Self::Litellm => "LiteLLM spend logs",
            Self::OpenaiUsage => "OpenAI usage",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Identifies the import; a digest of the moment and the name when absent.
    pub id: Option<String>,
    /// The file's name, for display.
    pub name: String,
    /// What it contains; found out when absent.
    pub format: Option<Format>,
    /// The label of its rows; the format's name when absent. Part of the rows' identity.
    pub source: Option<String>,
    /// Columns of a CSV.
    pub mapping: Mapping,
    /// The model of records that name none.
    pub model: Option<String>,
    /// The provider of records that name none.
    pub provider: Option<String>,
    /// The feature of records that name none.
    pub feature: Option<String>,
    /// The team of records that name none.
    pub team: Option<String>,
    /// How dates with slashes are meant.
    pub timestamps: TimestampStyle,
    /// Count, but store nothing.
    pub dry_run: bool,
    /// Import the good records of a file with bad ones.
    pub skip_bad: bool,
    /// Now, microseconds since the Unix epoch.
    pub now_us: i64,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Records read.
    pub read: u64,
    /// Records rejected.
    pub rejected: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Why there is no report at all: nothing was read, and nothing imported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ImportError {
    /// The file is empty.
    Empty,
    /// The columns do not give what is needed.
    Mapping(MappingError),
    /// The format names no model and none was given.
    ModelRequired,
    /// The file cannot be read.
    Read(String),
    /// The store failed.
    Store(UsageError),
    /// The format is not one of ours.
    UnknownFormat,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::Mapping(error) => error.fmt(f),
            Self::ModelRequired => {
                f.write_str("this format names no model; say which one to price with, for example --model gpt-4o")
            }
            Self::Read(error) => write!(f, "the file cannot be read: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::UnknownFormat => f.write_str(
                "this is neither LiteLLM spend logs, nor OpenAI usage, nor a CSV with a header; \
                 say what it is with --format litellm|openai-usage|csv|azure-trace",
            ),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<UsageError> for ImportError {
    fn from(error: UsageError) -> Self {
        Self::Store(error)
    }
}

impl From<std::io::Error> for ImportError {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error.to_string())
    }
}

/// Imports a file. Its name is used for display when the options have none.
pub async fn import_file(
    store: &dyn UsageStore,
    tenant: &Tenant,
    prices: Arc<PriceTable>,
    path: &Path,
    mut options: ImportOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport, ImportError> {
    if options.name.is_empty() {
        options.name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    }
    let file = File::open(path)?;
    import(store, tenant, prices, Box::new(file), options, progress).await
}

/// Imports what a reader gives. The reading happens on a thread that may block; dropping the future ends
/// it and imports nothing.
pub async fn import(
    store: &dyn UsageStore,
    tenant: &Tenant,
    prices: Arc<PriceTable>,
    input: Box<dyn Read + Send>,
    options: ImportOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport, ImportError> {
    let (batches, mut inbox) = mpsc::channel(BATCHES_WAITING);
    let job = Job { prices, options: options.clone(), batches };
    let reading = tokio::task::spawn_blocking(move || job.run(input));
    let mut writer = None;
    let mut label = None;
    while let Some(batch) = inbox.recv().await {
        let Batch { events, source, progress: so_far } = batch;
        progress(so_far);
        if writer.is_none() {
            let spec = spec(&options, &source);
            writer = Some(store.begin_import(tenant, spec.clone()).await?);
            label = Some(spec);
        }
        if let Some(writer) = writer.as_mut().filter(|_| !events.is_empty()) {
            writer.write(events).await?;
        }
    }
    let joined = reading.await.map_err(|error| ImportError::Read(error.to_string()))?;
    let (format, mut tally) = joined?;
    progress(Progress { read: tally.read, rejected: tally.read - tally.good, bytes: tally.bytes });
    let spec = label.unwrap_or_else(|| spec(&options, format.name()));
    let refused = !tally.rejected.is_empty() && !options.skip_bad;
    let outcome = match writer {
        Some(writer) if !refused => {
            writer.finish(if options.dry_run { Finish::DryRun } else { Finish::Commit }).await?
        }
        // Dropping the writer discards what was staged.
        _ => ImportOutcome::default(),
    };
    if refused && tally.good > 0 {
        tally.rejected.insert(Reason::Withheld, tally.good);
    }
    Ok(report(spec, format, tally, outcome, refused, options.dry_run))
}

fn spec(options: &ImportOptions, source: &str) -> ImportSpec {
    let default = || format!("imp_{:x}_{source}", options.now_us);
    ImportSpec {
        id: options.id.clone().unwrap_or_else(default),
        source: source.to_owned(),
        name: options.name.clone(),
        started_at_us: options.now_us,
    }
}

fn report(
    spec: ImportSpec,
    format: Format,
    tally: Tally,
    outcome: ImportOutcome,
    refused: bool,
    dry_run: bool,
) -> ImportReport {
    ImportReport {
        id: spec.id,
        name: spec.name,
        format,
        source: spec.source,
        verdict: match (refused, dry_run) {
            (true, _) => Verdict::Refused,
            (false, true) => Verdict::Tried,
            (false, false) => Verdict::Imported,
        },
        read: tally.read,
        imported: outcome.imported,
        duplicates: outcome.duplicates,
        rejected: tally.rejected,
        problems: tally.problems,
        costs: tally.costs,
        cost: tally.cost,
        days: tally.days.map(|(first, last)| (first.to_string(), last.to_string())),
        unpriced_models: tally.unpriced_models,
        bytes: tally.bytes,
    }
}

struct Batch {
    events: Vec<UsageEvent>,
    source: String,
    progress: Progress,
}

/// The blocking half: reads, checks, prices.
struct Job {
    prices: Arc<PriceTable>,
    options: ImportOptions,
    batches: mpsc::Sender<Batch>,
}

impl Job {
    fn run(self, input: Box<dyn Read + Send>) -> Result<(Format, Tally), ImportError> {
        let mut file = Metered::new(input)?;
        let format = match self.options.format {
            Some(format) => format,
            None => detect(file.beginning()?)?,
        };
        if format == Format::AzureTrace && self.options.model.is_none() {
            return Err(ImportError::ModelRequired);
        }
        let gauge = file.gauge();
        let source = self.options.source.clone().unwrap_or_else(|| format.name().to_owned());
        let mut intake = Intake {
            job: &self,
            source,
            tally: Tally::default(),
            pending: Vec::with_capacity(BATCH),
            listening: true,
        };
        let take = |intake: &mut Intake<'_>, line, result| {
            intake.tally.bytes = gauge.bytes();
            intake.take(line, result)
        };
        match format {
            Format::AzureTrace | Format::Csv => {
                let style = self.options.timestamps;
                delimited::read(file, &self.options.mapping, style, &mut |line, result| {
                    take(&mut intake, line, result)
                })?;
            }
            Format::Litellm => json::read(file, &mut |line, value| {
                take(&mut intake, line, value.and_then(|value| litellm::event(line, &value)))
            })?,
            Format::OpenaiUsage => json::read(file, &mut |line, value| match value {
                Ok(bucket) => openai::events(line, &bucket)
                    .into_iter()
                    .all(|event| take(&mut intake, line, event)),
                Err(problem) => take(&mut intake, line, Err(problem)),
            })?,
        }
        intake.tally.bytes = gauge.bytes();
        intake.hand_over();
        Ok((format, intake.tally))
    }
}

struct Intake<'j> {
    job: &'j Job,
    source: String,
    tally: Tally,
    pending: Vec<UsageEvent>,
    /// Whether anybody still waits for the result.
    listening: bool,
}

impl Intake<'_> {
    /// Takes one record; `false` when nobody listens any more.
    fn take(&mut self, line: u64, result: Result<UsageEvent, Problem>) -> bool {
        match result.and_then(|event| self.complete(line, event)) {
            Ok(event) => {
                self.tally.good(&event);
                if self.tally.rejected.is_empty() || self.job.options.skip_bad {
                    self.pending.push(event);
                }
            }
            Err(problem) => self.tally.bad(problem),
        }
        if self.pending.len() >= BATCH {
            self.hand_over();
        }
        self.listening
    }

    fn complete(&self, line: u64, mut event: UsageEvent) -> Result<UsageEvent, Problem> {
        let options = &self.job.options;
        let or = |own: &mut Option<String>, default: &Option<String>| {
            if own.is_none() {
                own.clone_from(default);
            }
        };
        or(&mut event.model_raw, &options.model);
        or(&mut event.provider, &options.provider);
        or(&mut event.feature, &options.feature);
        or(&mut event.team, &options.team);
        event.source.clone_from(&self.source);
        event.position = self.tally.read + 1;
        let inconsistent = |fault: goldenpath_runtime::usage::EventFault| {
            Problem::new(line, Reason::Inconsistent, fault.to_string())
        };
        event.check().map_err(inconsistent)?;
        if event.operation.as_deref() == Some(litellm::CACHE_HIT) {
            event.model = event.model_raw.clone();
            event.costing.status = CostStatus::Reported;
        } else {
            self.job.prices.price(&mut event);
        }
        event.check().map_err(inconsistent)?;
        Ok(event)
    }

    fn hand_over(&mut self) {
        let events = core::mem::take(&mut self.pending);
        let progress = Progress {
            read: self.tally.read,
            rejected: self.tally.read - self.tally.good,
            bytes: self.tally.bytes,
        };
        let batch = Batch { events, source: self.source.clone(), progress };
        self.listening = self.job.batches.blocking_send(batch).is_ok();
    }
}

/// Tells the format from the beginning of the file.
fn detect(beginning: &[u8]) -> Result<Format, ImportError> {
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start();
    if text.is_empty() {
        return Err(ImportError::Empty);
    }
    if text.starts_with(['[', '{']) {
        let has = |word: &str| text.contains(word);
        return if has("organization.usage.") || (has("\"start_time\"") && has("\"results\"")) {
            Ok(Format::OpenaiUsage)
        } else if has("\"request_id\"") || has("\"startTime\"") || has("\"spend\"") {
            Ok(Format::Litellm)
        } else {
            Err(ImportError::UnknownFormat)
        };
    }
    let header = text.lines().next().unwrap_or_default().trim();
    if header.eq_ignore_ascii_case(delimited::AZURE_HEADER) {
        return Ok(Format::AzureTrace);
    }
    if header.contains([',', ';', '\t']) {
        Ok(Format::Csv)
    } else {
        Err(ImportError::UnknownFormat)
    }
}
