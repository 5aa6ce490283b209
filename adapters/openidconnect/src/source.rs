//! What a provider says about itself and its keys: asked for once in a while, and used for a day when
//! the provider is down.
//!
//! When to ask is decided in the core ([`KeySet`]). Nobody who waits for an answer owns the asking:
//! a peer that goes away in the middle does not take it along.

use crate::http::Http;
use crate::keys::usable;
use goldenpath_core::auth::{Decision, Freshness, KeySet};
use goldenpath_core::time::Millis;
use goldenpath_jsonwebtoken::ForeignKeys;
use goldenpath_runtime::Clock;
use goldenpath_runtime::identity::ProviderFault;
use openidconnect::core::{CoreJsonWebKey, CoreProviderMetadata};
use openidconnect::{IssuerUrl, JsonWebKeySet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long what the provider says about itself counts; asked again soon when it does not answer.
const ABOUT: Freshness = Freshness {
    fresh: Millis::from_secs(3600),
    stale: Millis::from_secs(24 * 3600),
    pause: Millis::from_secs(2),
    patience: Millis::from_secs(10),
};
/// The one name in the set of things the provider says about itself.
const CONFIGURATION: &str = "configuration";

/// One provider; cheap to clone.
#[derive(Clone)]
pub(crate) struct Source(Arc<Inner>);

struct Inner {
    issuer: IssuerUrl,
    http: Http,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    about: KeySet,
    metadata: Option<Arc<CoreProviderMetadata>>,
    names: KeySet,
    keys: Keys,
}

/// The keys that may verify, as each of the two libraries wants them.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    pub(crate) of_id_tokens: Arc<Vec<CoreJsonWebKey>>,
    pub(crate) of_access_tokens: Arc<ForeignKeys>,
}

impl Source {
    /// Nothing is asked yet: a provider that is down keeps nobody from starting.
    pub(crate) fn new(
        issuer: IssuerUrl,
        freshness: Freshness,
        clock: Clock,
    ) -> Result<Self, String> {
        let state = State {
            about: KeySet::new(ABOUT),
            metadata: None,
            names: KeySet::new(freshness),
            keys: Keys::default(),
        };
        let (state, changed) = (Mutex::new(state), Notify::new());
        // Who is reached over TLS sends us nowhere without.
        let http = Http::new(issuer.as_str().starts_with("https:"))?;
        Ok(Self(Arc::new(Inner { issuer, http, clock, state, changed })))
    }

    /// Asks its endpoints.
    pub(crate) fn http(&self) -> &Http {
        &self.0.http
    }

    /// What the provider says about itself.
    pub(crate) async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, ProviderFault> {
        loop {
            // Made before the decision, so that no change is missed in between.
            let changed = self.0.changed.notified();
            let (decision, known) = {
                let mut state = self.state();
                (state.about.decide(self.0.clock.now().mono, CONFIGURATION), state.metadata.clone())
            };
            match (decision, known) {
                (Decision::Use { refresh }, Some(metadata)) => {
                    if refresh {
                        self.begin_to_discover();
                    }
                    return Ok(metadata);
                }
                (Decision::Fetch, _) => {
                    self.begin_to_discover();
                    patiently(changed).await;
                }
                (Decision::Wait, _) => patiently(changed).await,
                (Decision::Use { .. } | Decision::Unknown | Decision::Unavailable, _) => {
                    return Err(ProviderFault::Unavailable);
                }
            }
        }
    }

    /// The keys, with the one of this name among them.
    //= specs/auth.md#auth-39
    //# Nobody without a good token MUST be able to make the keys of a trusted issuer be fetched more
    //# often than its pause allows, nor keep others from having them fetched.
    pub(crate) async fn keys_for(&self, kid: &str) -> Result<Keys, ProviderFault> {
        loop {
            let changed = self.0.changed.notified();
            let decision = self.state().names.decide(self.0.clock.now().mono, kid);
            match decision {
                Decision::Use { refresh } => {
                    if refresh {
                        self.begin_to_fetch_keys();
                    }
                    return Ok(self.state().keys.clone());
                }
                Decision::Fetch => {
                    self.begin_to_fetch_keys();
                    patiently(changed).await;
                }
                Decision::Wait => patiently(changed).await,
                Decision::Unknown => {
                    return Err(ProviderFault::Refused("the provider has no such key"));
                }
                Decision::Unavailable => return Err(ProviderFault::Unavailable),
            }
        }
    }

    fn begin_to_discover(&self) {
        let this = self.clone();
        tokio::spawn(async move { this.discover().await });
    }

    fn begin_to_fetch_keys(&self) {
        let this = self.clone();
        tokio::spawn(async move { this.fetch_keys().await });
    }

    async fn discover(&self) {
        let Inner { issuer, http, clock, .. } = &*self.0;
        let found = CoreProviderMetadata::discover_async(issuer.clone(), http).await;
        let now = clock.now().mono;
        let mut state = self.state();
        match found {
            Ok(metadata) => {
                state.about.fetched(now, [CONFIGURATION.to_owned()]);
                state.learn(metadata.jwks().keys(), now);
                state.metadata = Some(Arc::new(metadata));
            }
            Err(error) => {
                let issuer = issuer.as_str();
                tracing::warn!(%error, issuer, "the provider does not answer");
                state.about.failed();
            }
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    async fn fetch_keys(&self) {
        let Some(metadata) = self.state().metadata.clone() else {
            self.state().names.failed();
            return self.0.changed.notify_waiters();
        };
        let found = JsonWebKeySet::<CoreJsonWebKey>::fetch_async(metadata.jwks_uri(), self.http());
        let found = found.await;
        let now = self.0.clock.now().mono;
        match found {
            Ok(set) => {
                tracing::info!(keys = set.keys().len(), "the provider's keys were fetched");
                self.state().learn(set.keys(), now);
            }
            Err(error) => {
                tracing::warn!(%error, "the provider's keys cannot be fetched");
                self.state().names.failed();
            }
        }
        self.0.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, keys: &[CoreJsonWebKey], now: goldenpath_core::time::Mono) {
        let (names, keys) = usable(keys);
        self.names.fetched(now, names);
        let set = serde_json::json!({ "keys": keys });
        let of_access_tokens = Arc::new(ForeignKeys::read(&set));
        self.keys = Keys { of_id_tokens: Arc::new(keys), of_access_tokens };
    }
}

/// Somebody else asks the provider; when that is given up, one asks oneself.
async fn patiently(changed: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(Duration::from_millis(ABOUT.patience.0), changed).await;
}
