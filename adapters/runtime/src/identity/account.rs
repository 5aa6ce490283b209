//! What a user may see and change about themselves.

use super::answer::{Denied, Profile};
use super::log_in::usable_name;
use super::{Event, Identities, Known, Read};
use crate::connection::Registry;
use crate::ports::{AuditAction, Credence, LogIn, PREFERENCES_MAX};
use goldenpath_core::auth::{Try, check_password};
use goldenpath_core::connection::Identity;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Secret};

impl Identities {
    /// Who a token is of and what they may do; the same verdict as everywhere (AUTH-06).
    ///
    /// # Errors
    /// `unauthorized`, `token_expired`, `token_revoked`, `storage_unavailable`.
    pub async fn known(&self, token: &Secret) -> Result<Known, ErrorCode> {
        self.known_at(token, self.now().wall).await
    }

    pub(super) async fn known_at(&self, token: &Secret, now: Wall) -> Result<Known, ErrorCode> {
        let read = match self.issuer_of(token) {
            Some(issuer) => self.read_foreign(&*issuer, token, now).await?,
            None => self.sources.tokens.read(token, now)?,
        };
        let Read { vouched, email, permissions } = read;
        let identity = self.unless_ended(vouched).await?;
        Ok(Known { identity, email, permissions })
    }

    /// The user of an identity.
    ///
    /// # Errors
    /// `storage_unavailable`.
    pub async fn profile(&self, known: &Known) -> Result<Profile, Denied> {
        let (user_id, demo) = (known.identity.user_id(), known.identity.is_demo());
        let scope = known.identity.scope();
        let account = self.sources.accounts.by_id(&scope).await?;
        let own = match &account {
            Some(account) => Some(Profile::of(account)),
            None => self.foreign_profile(&scope).await?,
        };
        let mut profile = own.unwrap_or_else(|| Profile {
            user_id: user_id.clone(),
            name: if demo { "Demo visitor" } else { user_id.as_str() }.into(),
            email: known.email.clone(),
            permissions: Vec::new(),
            demo,
        });
        // What holds is what the token says; the next one says what the account has by then.
        profile.permissions.clone_from(&known.permissions);
        Ok(profile)
    }

    /// How the user wants to be called from now on.
    ///
    /// # Errors
    /// `validation_failed`, `forbidden` without an account, `storage_unavailable`.
    pub async fn rename(&self, identity: &Identity, name: String) -> Result<(), Denied> {
        let name = usable_name(Some(name))?;
        let renamed = self.sources.accounts.set_name(&identity.scope(), name).await?;
        if renamed { Ok(()) } else { Err(no_account()) }
    }

    /// What the user's pages keep here: a JSON object.
    ///
    /// # Errors
    /// `storage_unavailable`.
    pub async fn preferences(&self, identity: &Identity) -> Result<String, Denied> {
        let kept = self.sources.accounts.preferences(&identity.scope()).await?;
        Ok(kept.unwrap_or_else(|| "{}".to_owned()))
    }

    /// Replaces it.
    ///
    /// # Errors
    /// `validation_failed` for what is no object or too long, `storage_unavailable`.
    //= specs/auth.md#auth-52
    //# Preferences MUST be an object and MUST be bounded.
    pub async fn set_preferences(
        &self,
        identity: &Identity,
        preferences: &serde_json::Value,
    ) -> Result<(), Denied> {
        if !preferences.is_object() {
            return Err(Denied::invalid("preferences are a JSON object"));
        }
        let json = preferences.to_string();
        if json.len() > PREFERENCES_MAX {
            let message = format!("preferences are longer than {PREFERENCES_MAX} bytes");
            return Err(Denied::invalid(message));
        }
        let now = self.now().wall;
        Ok(self.sources.accounts.set_preferences(&identity.scope(), json, now).await?)
    }

    /// The log-ins of this user that go on.
    ///
    /// # Errors
    /// `storage_unavailable`.
    pub async fn sessions(&self, identity: &Identity) -> Result<Vec<LogIn>, Denied> {
        let now = self.now().wall;
        Ok(self.sources.sessions.of_user(&identity.scope(), now).await?)
    }

    /// Changes the password, for somebody who knows the old one, and ends all other log-ins of the
    /// user; how many those were.
    ///
    /// # Errors
    /// `unauthorized` for a wrong password, `validation_failed` for a bad new one, `rate_limited`,
    /// `forbidden` without an account, `storage_unavailable`.
    pub async fn change_password(
        &self,
        identity: &Identity,
        current: Secret,
        new: Secret,
        place: &str,
        registry: &Registry,
    ) -> Result<usize, Denied> {
        let event = Event::new(AuditAction::Password, place)
            .by(Credence::Password)
            .of(identity.user_id())
            .in_session(identity.session_id());
        let changed = self.change_noting(identity, current, new, place, registry).await;
        self.noted(event, changed)
    }

    async fn change_noting(
        &self,
        identity: &Identity,
        current: Secret,
        new: Secret,
        place: &str,
        registry: &Registry,
    ) -> Result<usize, Denied> {
        let accounts = &self.sources.accounts;
        let scope = identity.scope();
        let account = accounts.by_id(&scope).await?.ok_or_else(no_account)?;
        check_password(&new.0, account.email.as_str()).map_err(Denied::invalid)?;
        // Whoever is logged in shares no count with strangers; whoever stole a token has the tries of
        // one device and then those of a stranger.
        let tried = Try {
            account: Some(account.email.as_str().to_owned()),
            place: place.to_owned(),
            known: false,
            device: Some(format!("session {}", identity.session_id())),
        };
        let (matches, line) = self.check_tried(tried, Some(&account), current).await?;
        if !matches {
            return Err(Denied::new(ErrorCode::Unauthorized, "the current password is wrong"));
        }
        let hash = self.hash(new, &line).await?;
        //= specs/auth.md#auth-53
        //# Changing a password MUST end every other log-in of the user.
        let (cutoff, until) = self.cutoff(Some(identity.session_id()));
        let hashes = (account.password_hash, hash);
        let ended = self.sources.sessions.change_password(&scope, hashes, cutoff, until).await?;
        let ended = ended.ok_or_else(|| {
            let message = "the password was changed by somebody else just now";
            Denied::new(ErrorCode::Unauthorized, message)
        })?;
        self.close_others(&scope, cutoff, &ended, registry);
        Ok(ended.len())
    }
}

fn no_account() -> Denied {
    Denied::new(ErrorCode::Forbidden, "there is no account behind this log-in")
}
