//! Where settings come from: a file, the environment, flags; each later one wins.

use super::{Config, Finding, Findings, setting};
use core::fmt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when it is there and no other is named.
const USUAL_FILE: &str = "goldenpath.toml";
/// Names the file; the only variable with our prefix that is no setting.
const FILE_VARIABLE: &str = "GOLDENPATH_CONFIG";
/// Unknown variables with this prefix are refused.
const PREFIX: &str = "GOLDENPATH_";
/// Unknown variables that begin like these are refused if they look like a slip of the pen, and noted
/// otherwise; the rest of the environment belongs to others.
const SHARED: &[&str] =
    &["CORS_", "DEMO", "E2E_", "JWT_", "OIDC_", "TLS_", "TRUSTED_PROX", "WEBSOCKET_"];
/// What commands and test suites read themselves.
const NOT_OURS: &[&str] = &[
    "GOLDENPATH_BIN",
    "GOLDENPATH_OIDC",
    "GOLDENPATH_PASSWORD",
    "GOLDENPATH_PYTHON",
    "GOLDENPATH_SEED",
    "GOLDENPATH_SHARED_DATA",
    "GOLDENPATH_TOKEN",
];

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `goldenpath.toml`.
    File,
    /// A variable.
    Environment,
    /// A flag.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "in the file",
            Self::Environment => "in the environment",
            Self::Flag => "given as a flag",
        })
    }
}

/// Values as text, in the order in which they apply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    values: Vec<(Source, String, String)>,
    findings: Findings,
    unread: Vec<String>,
}

impl Layers {
    /// Reads the file and the environment, and puts the flags on top.
    pub(crate) fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let mut layers = Self::default();
        let named = file
            .map(Path::to_path_buf)
            .or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from));
        layers.read_file(named.as_deref());
        for (name, value) in environment {
            if setting::SETTINGS.iter().any(|s| s.name == name) {
                layers.values.push((Source::Environment, name, value));
            } else if name.starts_with(PREFIX)
                && name != FILE_VARIABLE
                && !NOT_OURS.contains(&name.as_str())
            {
                layers.unknown(Source::Environment, &name);
            } else if SHARED.iter().any(|shared| name.starts_with(shared)) {
                if nearest(&name).is_some() {
                    layers.unknown(Source::Environment, &name);
                } else {
                    layers.unread.push(name);
                }
            }
        }
        for (name, value) in flags {
            layers.values.push((Source::Flag, name, value));
        }
        layers
    }

    /// Whether any layer says something about this setting.
    pub(super) fn sets(&self, asked: &str) -> bool {
        let named = |name| setting::find(name).map(|found| found.name);
        self.values.iter().any(|(_, name, _)| named(name) == Some(asked))
    }

    /// Variables that may have been meant for us.
    pub(super) fn notes(&self) -> impl Iterator<Item = Finding> {
        let remedy = "Remove it if it was meant for this server; `check --list` names all settings";
        self.unread.iter().map(move |name| {
            Finding::new(name.as_str(), format!("{} is no setting", Source::Environment), remedy)
        })
    }

    fn read_file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(USUAL_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                return self.findings.push(Finding::new(
                    FILE_VARIABLE,
                    format!("{} cannot be read: {error}", path.display()),
                    "Name a file that can be read, or none",
                ));
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => {
                for (key, value) in table {
                    match as_text(&value) {
                        Some(text) => self.values.push((Source::File, key, text)),
                        None => self.findings.push(Finding::new(
                            key,
                            format!("{} has a value of a kind no setting has", Source::File),
                            "Write a text, a number, a switch or a list of texts",
                        )),
                    }
                }
            }
            Err(error) => self.findings.push(Finding::new(
                FILE_VARIABLE,
                // The parser quotes the line at fault, which may hold a secret: only its place is told.
                format!("{} is no TOML{}", path.display(), place(&text, error.span())),
                "Correct the line",
            )),
        }
    }

    //= specs/safety.md#safe-04
    //# A setting that does not exist or cannot be read MUST be told, and MUST NOT be told by its
    //# secret value.
    fn unknown(&mut self, source: Source, name: &str) {
        let close = nearest(name);
        let remedy = match close {
            Some(close) => {
                format!("Did you mean {close}? `goldenpath check --list` names them all")
            }
            None => "Remove it; `goldenpath check --list` names them all".into(),
        };
        self.findings.push(Finding::new(name, format!("{source} is no setting"), remedy));
    }

    /// Reads every value into the struct.
    pub(super) fn apply(&self, config: &mut Config, findings: &mut Findings) {
        let mut layers = self.clone();
        for (source, name, text) in &self.values {
            let Some(setting) = setting::find(name) else {
                layers.unknown(*source, name);
                continue;
            };
            // In place of the name of its file a key would stand in every message about that file.
            if !setting.secret && text.contains("-----BEGIN ") {
                layers.findings.push(Finding::new(
                    setting.name,
                    format!("{source} holds a key or a certificate itself"),
                    "Write it into a file, and name the file here",
                ));
                continue;
            }
            if let Err(problem) = (setting.read)(config, text) {
                let shown = if setting.secret { String::new() } else { format!(" ({text:?})") };
                layers.findings.push(Finding::new(
                    setting.name,
                    format!("{source}{shown} {problem}"),
                    setting.help.trim_end_matches('.'),
                ));
            }
        }
        for finding in layers.findings.0 {
            findings.push(finding);
        }
    }
}

fn place(text: &str, span: Option<core::ops::Range<usize>>) -> String {
    let Some(span) = span else { return String::new() };
    let line = text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
    format!(" at line {line}")
}

fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The setting whose name differs by the fewest letters, with our prefix or without it: at most by
/// three, and by half of the letters that were written.
fn nearest(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    let distances = setting::SETTINGS.iter().map(|s| {
        let short = s.name.strip_prefix(PREFIX).unwrap_or(s.name);
        (distance(&upper, s.name).min(distance(&upper, short)), s.name)
    });
    let (distance, close) = distances.min()?;
    (distance <= 3 && distance * 2 <= upper.len()).then_some(close)
}

/// Levenshtein's distance, in letters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
