//! The issuers whose access tokens count beside our own: none that is unsafe, and none that could be
//! taken for another.

use super::oidc::is_safe;
use super::{Config, Finding, Findings};

/// More issuers than these are no list that anybody reads.
const MOST: usize = 8;
const NAME: &str = "JWT_TRUSTED_ISSUERS";

/// An issuer whose access tokens count, and what they must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustedIssuer {
    /// What its tokens say in `iss`; also its address.
    pub(crate) issuer: String,
    /// What they must name in `aud`.
    pub(crate) audience: String,
}

/// `ISSUER AUDIENCE`, and more of them behind commas.
pub(super) fn read(text: &str) -> Result<Vec<TrustedIssuer>, String> {
    let one = |part: &str| {
        let mut words = part.split_whitespace().map(str::to_owned);
        match (words.next(), words.next(), words.next()) {
            (Some(issuer), Some(audience), None) => Ok(TrustedIssuer { issuer, audience }),
            _ => Err(format!("holds {part:?}, which is not an issuer and the audience it is for")),
        }
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

/// Adds what is unsafe.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let trusted = &config.jwt_trusted_issuers;
    if trusted.len() > MOST {
        let problem = format!("names more than {MOST} issuers");
        findings.push(Finding::new(NAME, problem, "Remove those whose tokens nobody sends here"));
    }
    for (at, TrustedIssuer { issuer, .. }) in trusted.iter().enumerate() {
        if !is_safe(issuer, config.environment.is_production()) {
            let problem =
                format!("holds {issuer:?}, which is no address that begins with https://");
            let remedy = "Use https; http is for this machine, outside production";
            findings.push(Finding::new(NAME, problem, remedy));
        }
        if trusted[..at].iter().any(|before| before.issuer == *issuer) {
            let problem = format!("holds {issuer:?} twice");
            findings.push(Finding::new(NAME, problem, "Name each issuer once, with its audience"));
        }
        let own = [Some(&config.jwt_issuer), config.jwt_older_issuer.as_ref()];
        if own.into_iter().flatten().any(|own| own == issuer) {
            let problem = format!("holds {issuer:?}, which is JWT_ISSUER or JWT_OLDER_ISSUER");
            let remedy = "Remove it: who signs with our keys is no other issuer";
            findings.push(Finding::new(NAME, problem, remedy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;

    fn found(text: &str, environment: Environment) -> Vec<String> {
        let config = Config {
            jwt_trusted_issuers: read(text).unwrap(),
            jwt_older_issuer: Some("https://older.example".into()),
            environment,
            ..Config::default()
        };
        let mut findings = Findings::default();
        check(&config, &mut findings);
        findings.0.into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn an_issuer_comes_with_its_audience_or_not_at_all() {
        let two = "https://a.example chat,  https://b.example/tenant  https://api.example ,";
        let issuers: Vec<_> =
            read(two).unwrap().into_iter().map(|t| (t.issuer, t.audience)).collect();
        let own = |issuer: &str, audience: &str| (issuer.to_owned(), audience.to_owned());
        let expected = [
            own("https://a.example", "chat"),
            own("https://b.example/tenant", "https://api.example"),
        ];
        assert_eq!(issuers, expected);
        assert_eq!(read(" , "), Ok(Vec::new()));
        for bad in
            ["https://a.example", "https://a.example chat other", "https://a.example chat;x y"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_is_reached_over_tls_and_is_nobody_else() {
        let clean = Vec::<String>::new();
        assert_eq!(
            found("https://a.example chat, https://b.example chat", Environment::Production),
            clean
        );
        assert_eq!(found("http://127.0.0.1:3000 chat", Environment::Test), clean);
        for (text, word) in [
            ("http://127.0.0.1:3000 chat", "https://"),
            ("http://a.example chat", "https://"),
            ("https://a.example?x chat", "https://"),
            ("a.example chat", "https://"),
            ("https://a.example chat, https://a.example other", "twice"),
            ("https://older.example chat", "JWT_OLDER_ISSUER"),
            ("goldenpath goldenpath", "JWT_ISSUER"),
        ] {
            let said = found(text, Environment::Production);
            assert!(said.iter().any(|problem| problem.contains(word)), "{text}: {said:?}");
        }
        let many: Vec<String> = (0..9).map(|n| format!("https://{n}.example chat")).collect();
        assert_eq!(found(&many.join(","), Environment::Production), ["names more than 8 issuers"]);
    }
}
