//! A browser as far as a log-in needs one: cookies, redirects that are looked at, forms that are filled in.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use url::Url;

/// More redirects than any log-in has.
const MOST_STEPS: usize = 12;

/// A browser with cookies of its own.
pub(crate) struct Browser {
    http: Client,
    cookies: BTreeMap<(String, String), String>,
    /// Every address it was sent to.
    pub(crate) history: Vec<String>,
    /// The attributes of every cookie it was given.
    pub(crate) given: Vec<String>,
}

/// An answer that was not followed.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<Url>,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, cookies: BTreeMap::new(), history: Vec::new(), given: Vec::new() }
    }

    pub(crate) async fn get(&mut self, url: &Url) -> Answer {
        let request = self.http.get(url.clone());
        self.send(url, request).await
    }

    async fn post_form(&mut self, url: &Url, fields: &[(&str, &str)]) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .http
            .post(url.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.send(url, request).await
    }

    pub(crate) async fn post_json(&mut self, url: &Url, body: &Value) -> (StatusCode, Value) {
        let request = self.http.post(url.clone()).json(body);
        let answer = self.send(url, request).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    async fn send(&mut self, url: &Url, request: reqwest::RequestBuilder) -> Answer {
        let site = url.authority().to_owned();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| *of == site)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let request =
            if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) };
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.given.push(cookie.to_owned());
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert((site.clone(), name.to_owned()), value.to_owned());
        }
        let location =
            answer.headers().get(LOCATION).map(|to| url.join(to.to_str().unwrap()).unwrap());
        if let Some(to) = &location {
            self.history.push(to.to_string());
        }
        Answer { status: answer.status(), location, body: answer.text().await.unwrap() }
    }

    /// Begins a log-in: where the server sends the browser.
    pub(crate) async fn depart(&mut self, server: &str) -> Url {
        let url = Url::parse(&format!("{server}/api/auth/oidc/login")).unwrap();
        let answer = self.get(&url).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.location.unwrap()
    }

    /// Goes through the provider's own pages as this user; answers where it sends the browser back to.
    pub(crate) async fn log_in_and_consent(&mut self, authorization: Url, user: &str) -> Url {
        let provider = authorization.authority().to_owned();
        let mut at = authorization;
        let mut answer = self.get(&at).await;
        for _ in 0..MOST_STEPS {
            if let Some(to) = answer.location {
                if to.authority() != provider {
                    return to;
                }
                at = to;
                answer = self.get(&at).await;
                continue;
            }
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            let action = between(&answer.body, "action=\"", "\"").expect("a form");
            let prompt = between(&answer.body, "name=\"prompt\" value=\"", "\"").expect("its kind");
            at = at.join(&action).unwrap();
            let fields = [("prompt", prompt.as_str()), ("login", user), ("password", "any")];
            answer = self.post_form(&at, &fields).await;
        }
        panic!("the provider's pages never end");
    }

    /// What the server makes of the answer of the provider: what stands behind the `#`.
    pub(crate) async fn arrive(&mut self, callback: &Url) -> String {
        let answer = self.get(callback).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let to = answer.location.unwrap();
        assert_eq!((to.path(), to.query()), ("/", None), "nothing secret is in the address: {to}");
        to.fragment().unwrap().to_owned()
    }

    /// What the page does with it.
    pub(crate) async fn pick_up(&mut self, server: &str, fragment: &str) -> (StatusCode, Value) {
        let code = fragment.strip_prefix("login=").unwrap_or_else(|| panic!("{fragment}"));
        let url = Url::parse(&format!("{server}/api/auth/oidc/finish")).unwrap();
        self.post_json(&url, &json!({ "code": code })).await
    }
}

fn between(text: &str, begin: &str, end: &str) -> Option<String> {
    let rest = &text[text.find(begin)? + begin.len()..];
    Some(rest[..rest.find(end)?].to_owned())
}
