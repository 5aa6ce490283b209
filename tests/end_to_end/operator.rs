//! What whoever has the files of a server does with them.

use goldenpath_tests::server::{Server, binary};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;

const PASSWORD: &str = "Purple-Giraffe-Sings-4711";

/// `goldenpath account` on this folder; what it says, and whether it was done.
async fn account(data: &Path, deed: &str, password: Option<&str>) -> (String, bool) {
    let mut command = tokio::process::Command::new(binary());
    command.args(["account", deed, "--email", "Ada@Example.org", "--data"]).arg(data).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if password.is_some() {
        command.arg("--password-stdin");
    }
    let mut child = command.spawn().expect("the command runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(format!("{}\n", password.unwrap_or_default()).as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.success())
}

//= specs/auth.md#auth-80
//= type=test
//# Whoever has the files of a server MUST be able to make an account, also where registration is
//# closed.
//= specs/auth.md#auth-81
//= type=test
//# A password given at the machine MUST end every log-in of its account.
#[tokio::test]
async fn an_account_is_made_at_the_machine_and_a_new_password_ends_its_log_ins() {
    let mut server =
        Server::start(&["--agents", "bench"], &[("GOLDENPATH_REGISTRATION", "0")]).await;
    let log_in = async |server: &Server, password: &str| {
        let body = json!({"email": "ada@example.org", "password": password});
        server.call(Method::POST, "/auth/login", None, Some(body)).await
    };
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    let (status, _) = server.call(Method::POST, "/auth/register", None, Some(body)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (said, done) = account(&server.data(), "add", Some(PASSWORD)).await;
    assert!(
        done && said.contains("ada@example.org has an account") && !said.contains(PASSWORD),
        "{said}"
    );
    let (status, pair) = log_in(&server, PASSWORD).await;
    assert_eq!(status, StatusCode::OK, "{pair}");
    let token = pair["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/auth/me", &token).await.0, StatusCode::OK);

    // The running server knows who is logged in: nothing is done behind its back.
    let (said, done) = account(&server.data(), "password", None).await;
    assert!(!done && said.contains("stop it first"), "{said}");
    assert_eq!(log_in(&server, PASSWORD).await.0, StatusCode::OK);
    server.terminate().await;
    let (said, done) = account(&server.data(), "password", None).await;
    assert!(done && said.contains("log-ins that ended: 2"), "{said}");
    let new = said.split_once("password is ").unwrap().1.split(' ').next().unwrap().to_owned();
    server.launch().await;
    assert_eq!(log_in(&server, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&server, &new).await.0, StatusCode::OK);
    assert_eq!(server.get("/auth/me", &token).await.0, StatusCode::UNAUTHORIZED);
    let body = json!({"refresh_token": pair["refresh_token"]});
    let (status, _) = server.call(Method::POST, "/auth/refresh", None, Some(body)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
