//! Usage records over HTTP: the importer behind the port of the HTTP side.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::import::{Format, ImportError, ImportOptions, Mapping, Verdict, import};
use goldenpath_core::auth::Scope;
use goldenpath_core::fault::Fault;
use goldenpath_core::wire::{ErrorCode, Json};
use goldenpath_runtime::Clock;
use goldenpath_runtime::ports::Answer;
use goldenpath_runtime::usage::{Tenant, UsageStore};
use goldenpath_warp::{ImportRequest, Imported, Usage};
use serde_json::json;
use std::io::{Read, Result as IoResult};
use std::sync::Arc;
use tokio::runtime::Handle;

/// The importer and the figures about what is there.
pub(super) struct UsageOverHttp {
    usage: Arc<dyn UsageStore>,
    prices: Arc<PriceTable>,
    clock: Clock,
}

impl UsageOverHttp {
    pub(super) fn new(usage: Arc<dyn UsageStore>, prices: Arc<PriceTable>, clock: Clock) -> Self {
        Self { usage, prices, clock }
    }
}

impl Usage for UsageOverHttp {
    fn import(
        &self,
        user: &Scope,
        request: ImportRequest,
        file: BoxStream<'static, IoResult<Bytes>>,
    ) -> BoxFuture<'static, Imported> {
        let (usage, prices) = (self.usage.clone(), self.prices.clone());
        let tenant = Tenant::of(user);
        let now_us = i64::try_from(self.clock.now().wall.0.saturating_mul(1000)).unwrap_or(0);
        let options = match options(request, now_us) {
            Ok(options) => options,
            Err(detail) => return failed(ErrorCode::ValidationFailed, detail),
        };
        async move {
            // A reader may ask again after the end; a stream may not be.
            let file = file.fuse().boxed();
            let file = Pieces { stream: file, piece: Bytes::new(), runtime: Handle::current() };
            let done = import(&*usage, &tenant, prices, Box::new(file), options, &mut |_| {}).await;
            match done {
                Ok(report) => match Json::encode(&report) {
                    Ok(json) if report.verdict == Verdict::Refused => Imported::Refused(json),
                    Ok(json) => Imported::Done(json),
                    Err(error) => Imported::Failed(ErrorCode::Internal, error.to_string()),
                },
                Err(ImportError::Store(error)) => {
                    tracing::error!(%error, "an import could not be stored");
                    let detail = "usage records cannot be stored right now".into();
                    Imported::Failed(ErrorCode::StorageUnavailable, detail)
                }
                Err(error) => Imported::Failed(ErrorCode::ValidationFailed, error.to_string()),
            }
        }
        .boxed()
    }

    fn summary(&self, user: &Scope) -> Answer<Json> {
        let usage = self.usage.clone();
        let tenant = Tenant::of(user);
        async move {
            let coverage = usage.coverage(&tenant).await.map_err(|_| Fault::Unavailable)?.value;
            let imports = usage.imports(&tenant).await.map_err(|_| Fault::Unavailable)?;
            let days = coverage.days.map(|(first, last)| [first.to_string(), last.to_string()]);
            let summary = json!({
                "rows": coverage.rows,
                "requests": coverage.requests,
                "first_day": days.as_ref().map(|days| &days[0]),
                "last_day": days.as_ref().map(|days| &days[1]),
                "days_with_data": coverage.days_with_data,
                "unpriced": coverage.unpriced,
                "sources": coverage.sources.iter().map(|(name, rows)| {
                    json!({ "source": name, "rows": rows })
                }).collect::<Vec<_>>(),
                "imports": imports,
            });
            Json::encode(&summary).map_err(|_| Fault::Refused)
        }
        .boxed()
    }
}

fn options(request: ImportRequest, now_us: i64) -> Result<ImportOptions, String> {
    let format = match request.format.as_deref().filter(|name| !name.is_empty()) {
        None | Some("auto") => None,
        Some(name) => {
            Some(Format::named(name).ok_or_else(|| format!("format {name:?} is not known"))?)
        }
    };
    let mapping = request.map.as_deref().map(Mapping::parse).transpose();
    Ok(ImportOptions {
        name: request.name.unwrap_or_else(|| "upload".into()),
        format,
        mapping: mapping.map_err(|error| error.to_string())?.unwrap_or_default(),
        model: request.model.filter(|model| !model.is_empty()),
        dry_run: request.dry_run,
        skip_bad: request.skip_bad,
        now_us,
        ..ImportOptions::default()
    })
}

fn failed(code: ErrorCode, detail: String) -> BoxFuture<'static, Imported> {
    futures_util::future::ready(Imported::Failed(code, detail)).boxed()
}

/// A stream as the importer's thread reads it: it may block, the event loop does not.
struct Pieces {
    stream: BoxStream<'static, IoResult<Bytes>>,
    piece: Bytes,
    runtime: Handle,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                None => return Ok(0),
                Some(piece) => self.piece = piece?,
            }
        }
        let count = self.piece.len().min(into.len());
        into[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
