//! Which limit somebody ran into, in a word.

use crate::handshake::Admission;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What bounds how often, or how many.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Limit { $($(#[$doc])* $name,)* }

        impl Limit {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

limits! {
    /// Upgrades tried by one address.
    Attempts = "upgrades_of_address",
    /// HTTP connections held by one address.
    Connections = "connections_of_address",
    /// Frames of one connection.
    Frames = "messages_of_connection",
    /// Files of one user on their way at once.
    Imports = "imports_of_user",
    /// Tries to log in, to register, to refresh.
    LogIns = "log_ins",
    /// Messages of one user.
    Messages = "messages_of_user",
    /// All who come, or have not said who they are.
    Newcomers = "newcomers",
    /// Questions of one address about the server itself.
    Probes = "probes_of_address",
    /// HTTP requests of one address.
    Requests = "requests_of_address",
    /// Sockets held by one address.
    Sockets = "sockets_of_address",
    /// New sockets of one user.
    UserConnections = "connections_of_user",
    /// HTTP requests of one user.
    UserRequests = "requests_of_user",
}

impl Limit {
    /// The one that keeps an upgrade out, if it is one.
    #[must_use]
    pub const fn of(admission: Admission) -> Option<Self> {
        match admission {
            Admission::Crowded { .. } => Some(Self::Sockets),
            Admission::Overloaded { .. } => Some(Self::Newcomers),
            Admission::TooFast { .. } => Some(Self::Attempts),
            Admission::Draining { .. } | Admission::Open | Admission::Starting { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    #[test]
    fn what_keeps_an_upgrade_out_is_a_limit_unless_the_server_itself_is_not_there() {
        let retry_after = Millis(1);
        for (admission, limit) in [
            (Admission::Crowded { retry_after }, Some("sockets_of_address")),
            (Admission::Draining { retry_after }, None),
            (Admission::Open, None),
            (Admission::Overloaded { retry_after }, Some("newcomers")),
            (Admission::Starting { retry_after }, None),
            (Admission::TooFast { retry_after }, Some("upgrades_of_address")),
        ] {
            assert_eq!(Limit::of(admission).map(Limit::as_str), limit, "{admission:?}");
        }
    }
}
