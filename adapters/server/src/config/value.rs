//! From text to values: one strict reader per kind (F19: one parser, an unknown value is an error).

use goldenpath_core::edge::Network;
use goldenpath_core::time::Millis;
use url::Url;

/// A switch: `1 true yes on` or `0 false no off`, in any case.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("is not one of 1, true, yes, on, 0, false, no, off".into()),
    }
}

/// A length of time: a number of seconds, or a number with `ms`, `s`, `m` or `h`.
pub(super) fn span(text: &str) -> Result<Millis, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("has an unknown unit; use ms, s, m or h".into()),
    };
    let number: u64 =
        digits.trim().parse().map_err(|_| "is not a whole number of seconds".to_owned())?;
    number.checked_mul(factor).map(Millis).ok_or_else(|| "is too long".into())
}

/// A whole number from `least` to `most`.
pub(super) fn whole(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number: u64 = text.parse().map_err(|_| "is not a whole number".to_owned())?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("is not between {least} and {most}"))
    }
}

/// Any text but an empty one.
pub(super) fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text.to_owned()) }
}

/// Addresses and networks, separated by commas.
pub(super) fn networks(text: &str) -> Result<Vec<Network>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let network =
        |part: &str| part.parse().map_err(|error| format!("holds {part:?}, which {error}"));
    parts.map(network).collect()
}

/// Origins (RFC 6454) separated by commas: `https://chat.example`, scheme and host in lower case,
/// without a path; or `*`.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(str::trim).filter(|o| !o.is_empty()).map(origin).collect()
}

fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.into());
    }
    // As a browser reads and writes it (RFC 6454 section 6.2): that is how it is compared. Without the
    // port that the scheme has anyway, and with the letters of other alphabets in Punycode.
    let url = Url::parse(text.trim_end_matches('/')).ok().filter(|url| {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let named = url.host_str().is_some_and(|host| {
            !host.contains('*')
                && host.trim_end_matches('.').split('.').all(|label| !label.is_empty())
        });
        matches!(url.scheme(), "http" | "https")
            && bare
            && named
            && url.port() != Some(0)
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains(['?', '#', '@', '\\'])
    });
    url.map(|url| url.origin().ascii_serialization())
        .ok_or_else(|| format!("holds {text:?}, which is no origin like https://chat.example"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_knows_its_words_and_no_others() {
        assert_eq!((switch("On"), switch("0")), (Ok(true), Ok(false)));
        assert!(switch("").is_err() && switch("maybe").is_err() && switch("2").is_err());
    }

    #[test]
    fn a_span_is_seconds_unless_it_says_otherwise() {
        let spans = ["25", "25s", "500ms", "2m", "1h"].map(|text| span(text).unwrap().0);
        assert_eq!(spans, [25_000, 25_000, 500, 120_000, 3_600_000]);
        for bad in ["", "s", "-1", "1.5", "5d", "99999999999999999999", "9999999999999999999h"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_listed_with_commas_and_a_bad_one_is_named() {
        assert_eq!(networks("10.0.0.0/8, ::1,").map(|all| all.len()), Ok(2));
        assert!(networks("10.0.0.0/8, proxy").unwrap_err().contains("\"proxy\""));
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        assert_eq!(
            origins(" https://Chat.example , http://localhost:3000/ ,"),
            Ok(vec!["https://chat.example".to_owned(), "http://localhost:3000".to_owned()])
        );
        assert_eq!(
            origins("https://m\u{fc}nchen.de"),
            Ok(vec!["https://xn--mnchen-3ya.de".to_owned()])
        );
        for bad in [
            "https://chat.example:99999",
            "https://chat.example:0",
            "https://a:b",
            "https://a..b",
            "https://ada@chat.example",
            "https://chat.example/?",
            "https://",
            "ftp://chat.example",
        ] {
            assert!(origins(bad).is_err(), "{bad}");
        }
        assert_eq!(
            origins("https://a.example:443,http://b.example:80,https://c.example:80"),
            Ok(["https://a.example", "http://b.example", "https://c.example:80"]
                .map(str::to_owned)
                .to_vec())
        );
        for bad in
            ["null", "chat.example", "https://", "https://a/b", "ftp://a", "https://*.example"]
        {
            assert!(origins(bad).is_err(), "{bad}");
        }
    }
}
