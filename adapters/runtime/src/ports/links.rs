//! Which of our users somebody is whom another provider knows.

use super::Answer;
use core::fmt;
use goldenpath_core::auth::{Foreigner, Scope};
use goldenpath_core::id::UserId;
use goldenpath_core::time::Wall;

/// Keeps links between users of providers and ours.
pub trait Links: Send + Sync + 'static {
    /// The link of this issuer and subject; this one, with its user, when there was none. Name and
    /// address become those of the newest log-in. The caller has the word of the issuer.
    fn link(&self, link: Link) -> Answer<Link>;

    /// The link of somebody another issuer vouches for, if there is one.
    fn known(&self, who: &Foreigner) -> Answer<Option<Link>>;

    /// The link of one of our users.
    fn linked(&self, scope: &Scope) -> Answer<Option<Link>>;
}

/// A user whom a provider knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// Ours.
    pub user_id: UserId,
    /// The provider.
    pub issuer: String,
    /// What the provider calls the user.
    pub subject: String,
    /// How the user is called.
    pub name: Option<String>,
    /// An address the provider has verified; shown, and finds nobody.
    pub email: Option<String>,
    /// When the link was made.
    pub at: Wall,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Name and address stay out of logs.
        f.debug_struct("Link")
            .field("user_id", &self.user_id)
            .field("issuer", &self.issuer)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
