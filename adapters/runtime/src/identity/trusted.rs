//! Bearer tokens of other issuers: whose they are here.

use super::ports::Read;
use super::{Denied, Identities};
use crate::ports::{Link, Links};
use futures_util::future::BoxFuture;
use goldenpath_core::auth::{Foreigner, claimed_issuer};
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Secret};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Users remembered; beyond it all are forgotten and asked for again.
const REMEMBERED: usize = 100_000;

/// Another issuer whose access tokens count here.
pub trait Issuer: Send + Sync + 'static {
    /// What its tokens say in `iss`.
    fn name(&self) -> &str;

    /// Whom it vouches for, when signature and claims are good at this instant. Its keys are fetched
    /// when they have to be, and no more often than they may, whatever tokens are presented.
    ///
    /// # Errors
    /// `unauthorized`, `token_expired`; `degraded` when its keys cannot be had right now.
    fn check(&self, token: &Secret, now: Wall) -> BoxFuture<'static, Result<Foreigner, ErrorCode>>;
}

/// The issuers that are trusted, and which of our users theirs are.
pub(super) struct Trusted {
    issuers: Vec<Arc<dyn Issuer>>,
    links: Arc<dyn Links>,
    /// By issuer and subject; a link is for ever.
    users: Mutex<BTreeMap<(String, String), UserId>>,
}

impl Trusted {
    pub(super) fn links(&self) -> &Arc<dyn Links> {
        &self.links
    }
}

impl Identities {
    /// Accepts access tokens of these issuers, too.
    #[must_use]
    pub fn trusting(mut self, issuers: Vec<Arc<dyn Issuer>>, links: Arc<dyn Links>) -> Self {
        self.trusted = Some(Arc::new(Trusted { issuers, links, users: Mutex::default() }));
        self
    }

    /// The issuer whose keys decide about a token: the one it names, if that is trusted. A token that
    /// names none of them is one of ours, or nobody's.
    pub(super) fn issuer_of(&self, token: &Secret) -> Option<Arc<dyn Issuer>> {
        let trusted = self.trusted.as_ref()?;
        let claimed = claimed_issuer(&token.0)?;
        trusted.issuers.iter().find(|issuer| issuer.name() == claimed).cloned()
    }

    /// Who a token of another issuer is of. It gives no permission: those are given here.
    ///
    /// # Errors
    /// As [`Issuer::check`]; `storage_unavailable`.
    pub(super) async fn read_foreign(
        &self,
        issuer: &dyn Issuer,
        token: &Secret,
        now: Wall,
    ) -> Result<Read, ErrorCode> {
        let foreigner = issuer.check(token, now).await?;
        let user_id = self.user_of(&foreigner).await.map_err(|denied| denied.code)?;
        let vouched = foreigner.known_as(user_id, session_of(token));
        Ok(Read { vouched, email: None, permissions: Vec::new() })
    }

    /// Our user for an issuer and a subject; a new one when both come for the first time.
    //= specs/auth.md#auth-38
    //# A user of another issuer MUST be one of ours by issuer and subject together, and MUST NOT be
    //# one that the subject names here.
    async fn user_of(&self, foreigner: &Foreigner) -> Result<UserId, Denied> {
        let Some(trusted) = &self.trusted else { return Err(Denied::internal()) };
        let key = (foreigner.issuer().to_owned(), foreigner.subject().to_owned());
        let remembered = |trusted: &Trusted| {
            let users = trusted.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.get(&key).cloned()
        };
        if let Some(user_id) = remembered(trusted) {
            return Ok(user_id);
        }
        let link = match trusted.links.known(foreigner).await? {
            Some(link) => link,
            None => {
                let at = self.now().wall;
                let user_id = self.new_user_id(at)?;
                let (issuer, subject) = key.clone();
                let link = Link { user_id, issuer, subject, name: None, email: None, at };
                trusted.links.link(link).await?
            }
        };
        let mut users = trusted.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= REMEMBERED {
            users.clear();
        }
        users.insert(key, link.user_id.clone());
        Ok(link.user_id)
    }
}

/// The token is a session of its own, named by what its issuer signed: nobody can make another token of
/// the same name, not even the issuer of another one.
fn session_of(token: &Secret) -> SessionId {
    let signed = token.0.rsplit_once('.').map_or(token.0.as_str(), |(signed, _)| signed);
    let digest: [u8; 32] = Sha256::digest(signed.as_bytes()).into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    SessionId(u128::from_be_bytes(half))
}
