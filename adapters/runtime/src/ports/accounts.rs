//! Who may log in with a password, and what is kept about them.

use super::Answer;
use core::fmt;
use core::str::FromStr;
use goldenpath_core::auth::{Role, Scope};
use goldenpath_core::id::UserId;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Wall;

/// Keeps accounts and preferences.
///
/// What is somebody's own takes their [`Scope`] (ISO-10):
///
/// ```
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::ports::Accounts;
/// fn preferences_of(accounts: &dyn Accounts, user: &Scope) {
///     let answer = accounts.preferences(user);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::ports::Accounts;
/// fn preferences_of(accounts: &dyn Accounts, user: &UserId) {
///     let answer = accounts.preferences(user);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::ports::Accounts;
/// fn account_of(accounts: &dyn Accounts, user: &UserId) {
///     let answer = accounts.by_id(user);
/// }
/// ```
pub trait Accounts: Send + Sync + 'static {
    /// Makes an account; an address and an id belong to one account.
    fn create(&self, account: Account) -> Answer<Created>;

    /// The account with the address that somebody presents, before it is known whose it is: to compare
    /// a password with, or for a command at the machine. It is no right to anything; a right is what
    /// [`Admission::by_password`](goldenpath_core::auth::Admission::by_password) makes of it.
    fn by_email(&self, email: &Email) -> Answer<Option<Account>>;

    /// The account of this user.
    fn by_id(&self, user: &Scope) -> Answer<Option<Account>>;

    /// Puts a new hash of the same password in the place of the one that is there; a new password goes
    /// through [`Sessions::change_password`](super::Sessions::change_password). `false`: there is no such
    /// account, or its hash is another by now; nothing was written.
    fn set_password(&self, user: &Scope, old_hash: String, new_hash: String) -> Answer<bool>;

    /// How the user wants to be called. `false`: there is no such account.
    fn set_name(&self, user: &Scope, name: Option<String>) -> Answer<bool>;

    /// What the account with this address may do; counts from the next token on. `false`: there is no
    /// such account. For the command at the machine: nobody gives a role to themselves.
    fn set_roles(&self, email: &Email, roles: Vec<Role>) -> Answer<bool>;

    /// Whether an account or a log-in has this id, and nothing else about it: for commands at the
    /// machine, which warn of a name that was mistyped.
    fn is_known(&self, user: &UserId) -> Answer<bool>;

    /// What the user's pages keep here, as the JSON text they gave.
    fn preferences(&self, user: &Scope) -> Answer<Option<String>>;

    /// Replaces it; at most [`PREFERENCES_MAX`] bytes, which the caller has checked.
    fn set_preferences(&self, user: &Scope, json: String, at: Wall) -> Answer<()>;
}

/// Longest name of a user, in bytes.
const NAME_MAX: usize = 200;

/// Longest preferences of a user, in bytes.
pub const PREFERENCES_MAX: usize = 16 * 1024;

/// A user who logs in with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The subject of its tokens.
    pub user_id: UserId,
    /// Its address.
    pub email: Email,
    /// How it is called.
    pub name: Option<String>,
    /// An argon2 hash in PHC text form; never the password.
    pub password_hash: String,
    /// What it may do besides using what is its own.
    pub roles: Vec<Role>,
    /// When it was made.
    pub created_at: Wall,
}

impl Account {
    /// The id of a new account.
    #[must_use]
    pub fn draw_id(seed: &mut Seed, at: Wall) -> UserId {
        UserId::of_account(seed.id_bits(at))
    }

    /// A name a person may have, without spaces around it; none for an empty one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn usable_name(name: Option<String>) -> Result<Option<String>, &'static str> {
        if name.as_ref().is_some_and(|n| n.len() > NAME_MAX || n.chars().any(char::is_control)) {
            return Err("name is too long or holds control characters");
        }
        Ok(name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The hash stays out of logs.
        f.debug_struct("Account")
            .field("user_id", &self.user_id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// What [`Accounts::create`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The account exists now.
    Done,
    /// The address belongs to an account; nothing was written.
    EmailTaken,
    /// The id belongs to an account; nothing was written.
    IdTaken,
}

/// An e-mail address in the one spelling it is kept in: trimmed and in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnEmail;

impl fmt::Display for NotAnEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an e-mail address")
    }
}

impl core::error::Error for NotAnEmail {}

impl Email {
    /// The longest one accepted, in bytes (RFC 5321, 4.5.3.1.3, less the angle brackets).
    pub const MAX_BYTES: usize = 254;

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the last `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl FromStr for Email {
    type Err = NotAnEmail;

    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnEmail)?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        let fits = !local.is_empty() && !domain.is_empty() && text.len() <= Self::MAX_BYTES;
        if fits && text.chars().all(plain) { Ok(Self(text)) } else { Err(NotAnEmail) }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        let email: Email = "  Ada@Example.ORG ".parse().unwrap();
        assert_eq!((email.as_str(), email.local_part()), ("ada@example.org", "ada"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(250));
        for text in ["", "ada", "@example.org", "ada@", "a b@example.org", "a@b\u{7}", &long] {
            assert_eq!(text.parse::<Email>(), Err(NotAnEmail), "{text}");
        }
    }
}
