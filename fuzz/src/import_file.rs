//! Files of usage records: every record is accounted for, however the file is broken, delivered or
//! repeated.

use crate::draw::{json, quoted, text};
use crate::ledger::Ledger;
use arbitrary::{Result, Unstructured};
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::import::{
    Format, ImportError, ImportOptions, ImportReport, Mapping, Reason, Verdict, import,
};
use goldenpath_runtime::usage::{Tenant, TimestampStyle, Usd};
use std::io::Read;
use std::sync::{Arc, LazyLock};
use tokio::runtime::{Builder, Runtime};

/// A larger file shows nothing that a smaller one does not.
const FILE_BYTES: usize = 16 * 1024;

const MAPPINGS: &[&str] = &[
    "",
    "",
    "ts=when,input_tokens=in",
    "cost=Amount (USD)",
    "ts=date,cost=x",
    "model=ts",
    "id=id,ts=ts",
];

static PRICES: LazyLock<Arc<PriceTable>> = LazyLock::new(|| Arc::new(PriceTable::bundled()));

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

/// A file and how it is to be read.
struct Case {
    options: ImportOptions,
    file: Vec<u8>,
    /// The sizes of the pieces in which a slow sender delivers it.
    piece: usize,
    /// How many records were written, when that is known.
    records: Option<u64>,
}

/// Three bytes say how to import; the rest is the file, or draws one.
pub fn import_file(data: &[u8]) {
    let [flags, format, delivery, rest @ ..] = data else { return };
    let options = ImportOptions {
        id: Some("import".into()),
        name: "file".into(),
        format: match format % 8 {
            0 => Some(Format::Litellm),
            1 => Some(Format::OpenaiUsage),
            2 => Some(Format::Csv),
            3 => Some(Format::AzureTrace),
            _ => None,
        },
        mapping: Mapping::parse(MAPPINGS[usize::from(delivery >> 4) % MAPPINGS.len()])
            .expect("these are mappings"),
        model: (flags & 1 != 0).then(|| "gpt-4o".into()),
        timestamps: if flags & 2 != 0 {
            TimestampStyle::DayFirst
        } else {
            TimestampStyle::MonthFirst
        },
        skip_bad: flags & 4 != 0,
        now_us: 1,
        ..ImportOptions::default()
    };
    let piece = usize::from(delivery & 15) + 1;
    let mut case = Case { options, file: Vec::new(), piece, records: None };
    if flags & 8 != 0 {
        if case.draw(&mut Unstructured::new(rest)).is_err() {
            return;
        }
    } else {
        case.file = rest.to_vec();
    }
    case.file.truncate(FILE_BYTES);
    case.check();
}

impl Case {
    fn check(&self) {
        let ledger = Ledger::default();
        let first = self.run(&ledger, &self.options, self.file.len().max(1));
        self.is_the_same_in_pieces(&first);
        let Ok(report) = first else {
            assert!(ledger.rows().is_empty());
            return;
        };
        self.adds_up(&report, &ledger);
        self.changes_nothing_when_repeated(&report, &ledger);
        self.can_be_tried(&report);
        self.skips_exactly_what_is_bad(&report);
    }

    fn run(
        &self,
        ledger: &Ledger,
        options: &ImportOptions,
        piece: usize,
    ) -> core::result::Result<ImportReport, ImportError> {
        let input = Box::new(Delivery { file: self.file.clone(), at: 0, piece });
        let (tenant, prices) = (Tenant::at_the_machine("ada"), PRICES.clone());
        let mut read = 0;
        let result = RUNTIME.block_on(import(
            ledger,
            &tenant,
            prices,
            input,
            options.clone(),
            &mut |so_far| {
                assert!(
                    so_far.read >= read && so_far.rejected <= so_far.read,
                    "progress goes forward"
                );
                read = so_far.read;
            },
        ));
        // The file can be read to its end, so this is the reading thread's panic.
        assert!(!matches!(result, Err(ImportError::Read(_) | ImportError::Store(_))), "{result:?}");
        result
    }

    /// The identity behind every report: `read = imported + duplicates + Σ rejected`.
    fn adds_up(&self, report: &ImportReport, ledger: &Ledger) {
        let rows = ledger.rows();
        assert!(report.adds_up(), "{report:?}");
        assert_eq!(report.imported, rows.len() as u64, "{report:?}");
        assert!(report.bytes <= self.file.len() as u64);
        let bad: u64 = report.rejected.values().sum();
        let told = report.problems.len() as u64;
        assert!(told <= bad && (told > 0) == (bad > 0), "{report:?}");
        let lines = self.file.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let carriage = self.file.iter().filter(|byte| **byte == b'\r').count() as u64;
        for problem in &report.problems {
            assert!((1..=lines + carriage).contains(&problem.line), "{problem:?} of {lines}");
        }
        if report.verdict == Verdict::Refused {
            assert!(bad > 0 && !self.options.skip_bad && rows.is_empty());
        } else {
            assert_eq!(report.verdict, Verdict::Imported);
            assert!(bad == 0 || self.options.skip_bad);
            assert_eq!(report.costs.values().sum::<u64>(), report.imported + report.duplicates);
            if report.duplicates == 0 {
                let total: Usd = rows.iter().map(|row| row.costing.effective()).sum();
                assert_eq!(total, report.cost, "the report's cost is that of its rows");
            }
        }
        if let Some(records) = self.records {
            assert_eq!(
                report.read,
                records,
                "{report:?} of {}",
                String::from_utf8_lossy(&self.file)
            );
        }
        assert!(report.to_text().contains("read"));
        assert!(serde_json::to_string(report).is_ok());
    }

    fn changes_nothing_when_repeated(&self, report: &ImportReport, ledger: &Ledger) {
        let rows = ledger.rows();
        let again = self.run(ledger, &self.options, self.file.len().max(1)).expect("as before");
        assert_eq!(again.imported, 0);
        assert_eq!(again.duplicates, report.imported + report.duplicates);
        assert_eq!((again.read, &again.rejected), (report.read, &report.rejected));
        assert_eq!(ledger.rows(), rows);
    }

    fn can_be_tried(&self, report: &ImportReport) {
        let ledger = Ledger::default();
        let options = ImportOptions { dry_run: true, ..self.options.clone() };
        let tried = self.run(&ledger, &options, self.file.len().max(1)).expect("as before");
        assert!(ledger.rows().is_empty(), "a dry run stores nothing");
        let verdict = match report.verdict {
            Verdict::Imported | Verdict::Tried => Verdict::Tried,
            Verdict::Refused => Verdict::Refused,
        };
        assert_eq!(tried, ImportReport { verdict, ..report.clone() });
    }

    fn skips_exactly_what_is_bad(&self, report: &ImportReport) {
        let ledger = Ledger::default();
        let options = ImportOptions { skip_bad: !self.options.skip_bad, ..self.options.clone() };
        let other = self.run(&ledger, &options, self.file.len().max(1)).expect("as before");
        if report.is_clean() {
            assert_eq!(&other, report, "there is nothing to skip");
            return;
        }
        let (refused, skipping) =
            if self.options.skip_bad { (&other, report) } else { (report, &other) };
        let mut bad = refused.rejected.clone();
        let withheld = bad.remove(&Reason::Withheld).unwrap_or(0);
        assert_eq!(bad, skipping.rejected);
        assert_eq!(withheld, skipping.imported + skipping.duplicates);
        assert_eq!(refused.problems, skipping.problems);
    }

    /// A file is the same file whether a disk or a slow network delivers it.
    fn is_the_same_in_pieces(&self, whole: &core::result::Result<ImportReport, ImportError>) {
        let in_pieces = self.run(&Ledger::default(), &self.options, self.piece);
        assert_eq!(&in_pieces, whole, "in pieces of {}", self.piece);
    }

    fn draw(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let records = u.int_in_range(0..=6)?;
        let kind = self.options.format.unwrap_or(*u.choose(&Format::ALL)?);
        let file = match kind {
            Format::Csv | Format::AzureTrace => self.table(u, kind, records)?,
            Format::Litellm => {
                let mut logs = Vec::new();
                for _ in 0..records {
                    logs.push(litellm(u)?);
                }
                if self.options.format.is_some() || records > 0 {
                    self.records = Some(records);
                }
                wrapped(u, &logs)?
            }
            Format::OpenaiUsage => {
                let mut buckets = Vec::new();
                let mut results = 0;
                for _ in 0..records {
                    let (bucket, count) = openai(u)?;
                    buckets.push(bucket);
                    results += count;
                }
                if self.options.format.is_some() || records > 0 {
                    self.records = Some(results);
                }
                wrapped(u, &buckets)?
            }
        };
        if file.len() > FILE_BYTES {
            self.records = None;
        }
        self.file = file.into_bytes();
        // One byte of damage, anywhere; then nobody knows how many records there are.
        if u.ratio(1, 4)? && !self.file.is_empty() {
            let at = u.int_in_range(0..=self.file.len() - 1)?;
            self.file[at] = *u.choose(b"\"{}[],:\n\r\0\xff 9-")?;
            self.records = None;
        }
        Ok(())
    }

    fn table(&mut self, u: &mut Unstructured<'_>, kind: Format, records: u64) -> Result<String> {
        let separator = *u.choose(&[",", ";", "\t"])?;
        let mut columns: Vec<&str> = vec!["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
        let separator = if kind == Format::AzureTrace { "," } else { separator };
        if kind == Format::Csv {
            columns.push("id");
            for _ in 0..u.int_in_range(0..=4)? {
                columns.push(*u.choose(&[
                    "when",
                    "in",
                    "cost",
                    "Amount (USD)",
                    "model",
                    "provider",
                    "currency",
                    "requests",
                    "cached_tokens",
                    "reasoning_tokens",
                    "status",
                    "team",
                    "batch",
                    "service_tier",
                    "id",
                    "cache_write_1h_tokens",
                    "date",
                    "é",
                ])?);
            }
        }
        let end = *u.choose(&["\n", "\r\n"])?;
        let mut file = columns.join(separator) + end;
        for _ in 0..records {
            let mut cells = Vec::new();
            for column in &columns {
                cells.push(format!("\"{}\"", cell(u, column)?.replace('"', "\"\"")));
            }
            file.push_str(&cells.join(separator));
            file.push_str(end);
        }
        // A mapping may name a column that is not there; then there is no report.
        self.records = Some(records);
        Ok(file)
    }
}

fn cell(u: &mut Unstructured<'_>, column: &str) -> Result<String> {
    if u.ratio(1, 10)? {
        return text(u);
    }
    Ok(match column {
        "TIMESTAMP" | "when" | "date" => moment(u)?,
        "id" => format!("r{}", u.int_in_range(0..=4)?),
        "cost" | "Amount (USD)" => {
            (*u.choose(&["0.5", "$1,234.50", "1e-9", "-1", "9000000", "1e13", "NaN", ""])?).into()
        }
        "model" => {
            (*u.choose(&["gpt-4o", "gemini-2.5-pro", "claude-sonnet-4-5", "unknown", ""])?).into()
        }
        "provider" => (*u.choose(&["openai", "Anthropic", "google", ""])?).into(),
        "currency" => (*u.choose(&["usd", "USD", "EUR", ""])?).into(),
        "status" => (*u.choose(&["ok", "429", "timeout", "false", ""])?).into(),
        "team" | "é" => text(u)?,
        "batch" => (*u.choose(&["1", "no"])?).into(),
        "service_tier" => (*u.choose(&["flex", "priority", ""])?).into(),
        _ => number(u)?,
    })
}

fn moment(u: &mut Unstructured<'_>) -> Result<String> {
    Ok((*u.choose(&[
        "2026-10-14T12:00:00Z",
        "2026-10-14 12:00:00.1234567",
        "1791979200",
        "1791979200000",
        "10/14/2026",
        "14/10/2026 12:00",
        "2026-10-14T23:59:60+18:00",
        "1970-01-01",
        "9999-12-31T23:59:59Z",
        "0",
        "",
        "9999999999999999",
        "99999999999.999999999999",
    ])?)
    .into())
}

fn number(u: &mut Unstructured<'_>) -> Result<String> {
    Ok((*u.choose(&[
        "0",
        "1",
        "12",
        "374",
        "1,234",
        "12.0",
        "1.5",
        "-1",
        "1000000000000",
        "1000000000001",
        "9223372036854775807",
        "9223372036854775808",
        "4611686018427387904",
        "1e3",
        "",
    ])?)
    .into())
}

/// A number as a JSON writer would put it.
fn json_number(u: &mut Unstructured<'_>) -> Result<String> {
    let number = number(u)?;
    Ok(match serde_json::from_str::<serde_json::Value>(&number) {
        Ok(_) if u.ratio(7, 8)? => number,
        _ => quoted(&number),
    })
}

fn litellm(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 16)? {
        return Ok("{\"other\":1}".into());
    }
    let mut fields = vec![
        ("request_id", quoted(&format!("r{}", u.int_in_range(0..=4)?))),
        ("startTime", quoted("2026-10-14T12:00:00Z")),
        ("spend", "0.5".into()),
    ];
    for _ in 0..u.int_in_range(0..=6)? {
        let name = *u.choose(&[
            "request_id",
            "startTime",
            "endTime",
            "completionStartTime",
            "spend",
            "prompt_tokens",
            "model",
            "completion_tokens",
            "status",
            "call_type",
            "cache_hit",
            "request_tags",
            "metadata",
            "request_duration_ms",
            "custom_llm_provider",
            "response",
        ])?;
        let value = match name {
            "startTime" | "endTime" | "completionStartTime" => quoted(&moment(u)?),
            "prompt_tokens" | "completion_tokens" | "spend" | "request_duration_ms" => {
                json_number(u)?
            }
            "metadata" => metadata(u)?,
            "request_tags" => {
                (*u.choose(&["[\"batch\",\"feature:search\"]", "\"[\\\"a\\\"]\"", "7"])?).into()
            }
            "model" => quoted(&cell(u, "model")?),
            _ => match u.int_in_range(0..=3)? {
                0 => json(u, 2)?,
                _ => quoted(u.choose(&["failure", "success", "True", "abatch", "openai", "r9"])?),
            },
        };
        // What serde_json refuses to read, for a depth of 128 or a number too large, breaks the file.
        if serde_json::from_str::<serde_json::Value>(&value).is_ok() && !value.contains("[[[") {
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
    }
    Ok(object(&fields))
}

fn metadata(u: &mut Unstructured<'_>) -> Result<String> {
    let usage = object(&[
        ("cache_read_input_tokens", json_number(u)?),
        ("cache_creation_input_tokens", json_number(u)?),
        ("reasoning_tokens", json_number(u)?),
    ]);
    let error = object(&[("error_code", "408".into()), ("error_class", quoted("Timeout"))]);
    let object = object(&[
        ("additional_usage_values", usage),
        ("error_information", error),
        ("billed_retry_attempt", json_number(u)?),
        ("max_tokens", json_number(u)?),
    ]);
    Ok(if u.arbitrary()? { quoted(&object) } else { object })
}

/// A bucket, and how many records it makes: its results, or one problem.
fn openai(u: &mut Unstructured<'_>) -> Result<(String, u64)> {
    let count = u.int_in_range(0..=3)?;
    let mut results = Vec::new();
    for _ in 0..count {
        results.push(object(&[
            ("object", quoted("organization.usage.completions.result")),
            ("input_tokens", json_number(u)?),
            ("input_cached_tokens", json_number(u)?),
            ("output_tokens", json_number(u)?),
            ("num_model_requests", json_number(u)?),
            ("model", quoted(&cell(u, "model")?)),
            ("batch", (*u.choose(&["true", "false", "null"])?).into()),
        ]));
    }
    let start =
        (*u.choose(&["1791979200", "0", "\"soon\"", "null", "9223372036854775807"])?).to_owned();
    let broken = start.starts_with(['"', 'n']);
    let results = format!("[{}]", results.join(","));
    let bucket =
        object(&[("object", quoted("bucket")), ("start_time", start), ("results", results)]);
    Ok((bucket, if broken { 1 } else { count }))
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// Records in one of the shapes a JSON file has.
fn wrapped(u: &mut Unstructured<'_>, records: &[String]) -> Result<String> {
    Ok(match u.int_in_range(0..=4)? {
        0 => records.join("\n"),
        1 => format!("\u{feff}{}\n", records.join("\r\n")),
        2 => format!("[{}]", records.join(",\n")),
        3 => {
            format!("{{\"object\":\"page\",\"data\":[{}],\"has_more\":false}}", records.join(", "))
        }
        _ => format!(" \n[ {} ]\n", records.join("\n,")),
    })
}

/// A file that comes in pieces.
struct Delivery {
    file: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Delivery {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.file[self.at..];
        let length = rest.len().min(self.piece).min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}
