//! Which column of a CSV file means what.

use core::fmt;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A field of the canonical record that a column can fill.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Id or alias of the API key.
    ApiKey,
    /// Attempt, from 1.
    Attempt,
    /// `true`, `batch`, `yes` or `1` for the batch API.
    Batch,
    /// Tokens written to a cache for an hour.
    CacheWrite1hTokens,
    /// Tokens written to a cache for five minutes.
    CacheWriteTokens,
    /// Input tokens read from a cache.
    CachedTokens,
    /// Dollars.
    Cost,
    /// Must be USD.
    Currency,
    /// The product's user.
    EndUser,
    /// The provider's error.
    ErrorCode,
    /// The part of the product.
    Feature,
    /// `stop`, `length`, …
    FinishReason,
    /// Identifies the record.
    Id,
    /// All input tokens.
    InputTokens,
    /// Duration in milliseconds.
    LatencyMs,
    /// The limit on the output.
    MaxTokens,
    /// The model.
    Model,
    /// `chat`, `embedding`, …
    Operation,
    /// All output tokens.
    OutputTokens,
    /// Digest of the prompt's beginning.
    PrefixHash,
    /// The project.
    Project,
    /// Digest of the prompt.
    PromptHash,
    /// The provider.
    Provider,
    /// Tokens spent on reasoning.
    ReasoningTokens,
    /// How many requests the row stands for.
    Requests,
    /// Id of the attempt this one repeats.
    RetryOf,
    /// `default`, `flex`, `priority`.
    ServiceTier,
    /// Conversation.
    Session,
    /// `ok`, `failure`, `timeout`, an HTTP status.
    Status,
    /// Who pays.
    Team,
    /// Trace.
    Trace,
    /// The moment.
    Ts,
    /// Time to the first token in milliseconds.
    TtftMs,
    /// The gateway's user.
    User,
}

/// Every field with the column names understood for it, normalised: lower case, `_` between words. The
/// first name is the one used in `--map`; earlier names win.
const ALIASES: &[(Field, &[&str])] = &[
    (
        Field::ApiKey,
        &["api_key", "api_key_name", "api_key_alias", "api_key_id", "key_name", "key_alias"],
    ),
    (Field::Attempt, &["attempt", "attempt_number", "try"]),
    (Field::Batch, &["batch", "is_batch"]),
    (Field::CacheWrite1hTokens, &["cache_write_1h_tokens", "ephemeral_1h_input_tokens"]),
    (
        Field::CacheWriteTokens,
        &[
            "cache_write_tokens",
            "cache_creation_input_tokens",
            "input_cache_write_tokens",
            "ephemeral_5m_input_tokens",
        ],
    ),
    (
        Field::CachedTokens,
        &[
            "cached_tokens",
            "input_cached_tokens",
            "cached_input_tokens",
            "cache_read_input_tokens",
            "cache_read_tokens",
        ],
    ),
    (
        Field::Cost,
        &["cost", "cost_usd", "spend", "amount", "total_cost", "usd", "cost_in_usd", "amount_usd"],
    ),
    (Field::Currency, &["currency", "billing_currency"]),
    (Field::EndUser, &["end_user", "end_user_id", "customer", "customer_id"]),
    (Field::ErrorCode, &["error_code", "error", "error_type"]),
    (Field::Feature, &["feature", "use_case", "operation_name", "workflow", "app", "application"]),
    (Field::FinishReason, &["finish_reason", "stop_reason"]),
    (Field::Id, &["id", "request_id", "response_id", "event_id", "uuid"]),
    (
        Field::InputTokens,
        &[
            "input_tokens",
            "prompt_tokens",
            "context_tokens",
            "contexttokens",
            "n_context_tokens_total",
            "tokens_in",
            "input",
            "prompt",
        ],
    ),
    (
        Field::LatencyMs,
        &[
            "latency_ms",
            "duration_ms",
            "completion_time_ms",
            "request_duration_ms",
            "response_time_ms",
        ],
    ),
    (Field::MaxTokens, &["max_tokens", "max_output_tokens", "max_completion_tokens"]),
    (Field::Model, &["model", "model_name", "model_id", "snapshot_id", "deployment", "engine"]),
    (Field::Operation, &["operation", "call_type", "endpoint"]),
    (
        Field::OutputTokens,
        &[
            "output_tokens",
            "completion_tokens",
            "generated_tokens",
            "generatedtokens",
            "n_generated_tokens_total",
            "tokens_out",
            "output",
            "completion",
        ],
    ),
    (Field::PrefixHash, &["prefix_hash"]),
    (Field::Project, &["project", "project_name", "project_id", "workspace", "workspace_id"]),
    (Field::PromptHash, &["prompt_hash", "prompt_digest"]),
    (Field::Provider, &["provider", "custom_llm_provider", "vendor", "llm_provider"]),
    (Field::ReasoningTokens, &["reasoning_tokens", "output_reasoning_tokens", "thinking_tokens"]),
    (
        Field::Requests,
        &["requests", "n_requests", "num_model_requests", "num_requests", "request_count", "count"],
    ),
    (Field::RetryOf, &["retry_of"]),
    (Field::ServiceTier, &["service_tier", "tier"]),
    (Field::Session, &["session", "session_id", "conversation_id", "thread_id"]),
    (Field::Status, &["status", "outcome", "status_code", "response_status", "success"]),
    (
        Field::Team,
        &["team", "team_alias", "team_name", "team_id", "department", "cost_center", "owner"],
    ),
    (Field::Trace, &["trace", "trace_id"]),
    (
        Field::Ts,
        &[
            "ts",
            "timestamp",
            "time",
            "datetime",
            "date",
            "starttime",
            "start_time",
            "created_at",
            "usage_date",
            "request_created_at",
            "day",
        ],
    ),
    (Field::TtftMs, &["ttft_ms", "time_to_first_token_ms"]),
    (Field::User, &["user", "user_id", "user_email", "username", "email"]),
];

impl Field {
    /// Its name in `--map`.
    pub fn name(self) -> &'static str {
        let names = ALIASES.iter().find(|(field, _)| *field == self).map(|(_, names)| *names);
        names.and_then(<[_]>::first).copied().unwrap_or("")
    }

    fn named(name: &str) -> Option<Self> {
        ALIASES.iter().map(|(field, _)| *field).find(|field| field.name() == name)
    }
}

/// Columns named by the user: they win over the known names.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Mapping(BTreeMap<Field, String>);

/// Why a mapping cannot be read or used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MappingError {
    /// Not `field=column,…`.
    Malformed(String),
    /// No field of this name.
    UnknownField(String),
    /// No column of this name in the file.
    UnknownColumn {
        /// The name that was asked for.
        column: String,
        /// The names in the file.
        columns: Vec<String>,
    },
    /// A field without which no record can be made.
    Unmapped {
        /// The field.
        field: &'static str,
        /// The names in the file.
        columns: Vec<String>,
    },
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => {
                write!(
                    f,
                    "a mapping looks like ts=date,input_tokens=prompt; this does not: {text:?}"
                )
            }
            Self::UnknownColumn { column, columns } => {
                write!(f, "the file has no column {column:?}; it has {}", columns.join(", "))
            }
            Self::UnknownField(field) => {
                let names: Vec<_> = ALIASES.iter().map(|(field, _)| field.name()).collect();
                write!(f, "no field is called {field:?}; there are {}", names.join(", "))
            }
            Self::Unmapped { field, columns } => {
                write!(
                    f,
                    "no column gives {field}; say which with --map {field}=COLUMN, one of {}",
                    columns.join(", ")
                )
            }
        }
    }
}

impl Mapping {
    /// Reads `ts=date,input_tokens=prompt`.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mut mapping = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let malformed = || MappingError::Malformed(pair.to_owned());
            let (field, column) = pair.split_once('=').ok_or_else(malformed)?;
            let known = Field::named(field.trim());
            let field = known.ok_or_else(|| MappingError::UnknownField(field.trim().to_owned()))?;
            if column.trim().is_empty() {
                return Err(malformed());
            }
            mapping.insert(field, column.trim().to_owned());
        }
        Ok(Self(mapping))
    }

    /// Where each field stands in a file with these columns.
    pub(super) fn resolve(
        &self,
        columns: &[String],
    ) -> Result<BTreeMap<Field, usize>, MappingError> {
        let normal: Vec<String> = columns.iter().map(|column| normalise(column)).collect();
        let mut places = BTreeMap::new();
        for (field, column) in &self.0 {
            let exact = columns.iter().position(|name| name == column);
            let place = exact.or_else(|| normal.iter().position(|name| *name == normalise(column)));
            let unknown = || MappingError::UnknownColumn {
                column: column.clone(),
                columns: columns.to_vec(),
            };
            places.insert(*field, place.ok_or_else(unknown)?);
        }
        for (field, names) in ALIASES {
            let place =
                names.iter().find_map(|name| normal.iter().position(|column| column == name));
            if let Some(place) = place.filter(|place| !places.values().any(|taken| taken == place))
            {
                places.entry(*field).or_insert(place);
            }
        }
        let tokens = [Field::InputTokens, Field::OutputTokens, Field::Cost];
        let missing = if !places.contains_key(&Field::Ts) {
            Some(Field::Ts)
        } else if tokens.iter().any(|field| places.contains_key(field)) {
            None
        } else {
            Some(Field::InputTokens)
        };
        match missing {
            None => Ok(places),
            Some(field) => {
                Err(MappingError::Unmapped { field: field.name(), columns: columns.to_vec() })
            }
        }
    }
}

fn normalise(column: &str) -> String {
    let mut name = String::new();
    for letter in column.trim().chars() {
        if letter.is_alphanumeric() {
            name.extend(letter.to_lowercase());
        } else if !name.ends_with('_') && !name.is_empty() {
            name.push('_');
        }
    }
    name.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn known_names_are_found_in_any_spelling() {
        let places = Mapping::default()
            .resolve(&columns(&["Usage Date", "MODEL", "Prompt-Tokens", "Amount (USD)"]))
            .unwrap();
        assert_eq!(places.get(&Field::Ts), Some(&0));
        assert_eq!(places.get(&Field::Model), Some(&1));
        assert_eq!(places.get(&Field::InputTokens), Some(&2));
        assert_eq!(places.get(&Field::Cost), Some(&3));
    }

    #[test]
    fn the_users_mapping_wins() {
        let mapping = Mapping::parse("ts=when, input_tokens=a").unwrap();
        let places =
            mapping.resolve(&columns(&["timestamp", "when", "a", "input_tokens"])).unwrap();
        assert_eq!((places.get(&Field::Ts), places.get(&Field::InputTokens)), (Some(&1), Some(&2)));
    }

    #[test]
    fn what_is_wrong_with_a_mapping_is_said() {
        assert!(Mapping::parse("ts").unwrap_err().to_string().contains("looks like"));
        assert!(
            Mapping::parse("when=date")
                .unwrap_err()
                .to_string()
                .contains("no field is called \"when\"")
        );
        let unknown = Mapping::parse("ts=nope").unwrap().resolve(&columns(&["date"])).unwrap_err();
        assert!(unknown.to_string().contains("it has date"));
        let unmapped = Mapping::default().resolve(&columns(&["date", "x"])).unwrap_err();
        assert!(unmapped.to_string().contains("--map input_tokens=COLUMN"));
    }
}
