//! The binary from outside: what its commands print and how they end.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use std::process::{Command, Output};

/// Runs the binary in a folder of its own, with nothing of this environment.
fn goldenpath(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), arguments, environment)
}

fn run_in(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goldenpath"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_command_says_what_it_does() {
    for command in
        ["", "serve", "import", "chat", "token", "migrate", "account", "role", "check", "bench"]
    {
        let arguments: Vec<&str> =
            [command, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        let output = goldenpath(&arguments, &[]);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        let name = if command.is_empty() { "goldenpath" } else { command };
        insta::assert_snapshot!(format!("help_{name}"), text(&output.stdout));
    }
}

//= specs/safety.md#safe-01
//= type=test
//# In production demo mode, the E2E key, an empty origin list or a weak key MUST stop the start.
//= specs/safety.md#safe-03
//= type=test
//# Timeouts that do not fit into each other MUST stop the start.
#[test]
fn f14_all_findings_are_told_at_once_and_the_server_does_not_start() {
    let environment = [
        ("ENVIRONMENT", "production"),
        ("DEMO_MODE", "1"),
        ("E2E_OAUTH_SIMULATION_KEY", "let me in"),
        ("JWT_SECRET_KEY", "short-and-secret"),
        ("GOLDENPATH_TOOL_TIMEOUT", "40"),
        ("WEBSOCKET_HEARTBEAT_TIMEOUT", "soon"),
        ("GOLDENPATH_AGENT", "builtin"),
        ("LOG_LEVEL", "loud=very"),
        ("REDIS_URL", "redis://localhost"),
        ("CORS_ORIGINS", "http://chat.example"),
        ("GOLDENPATH_AGENTS", "bench"),
        ("GOLDENPATH_CONNECTIONS_PER_USER", "30000"),
        ("GOLDENPATH_PROXY_TIMEOUT", "12"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("PORT", "http"),
    ];
    for command in ["serve", "check", "token"] {
        let arguments =
            if command == "token" { vec!["token", "--user", "ada"] } else { vec![command] };
        let output = goldenpath(&arguments, &environment);
        assert_eq!(output.status.code(), Some(78), "{command}");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("let me in") && !said.contains("short-and-secret"), "AUTH-05");
        if command == "check" {
            insta::assert_snapshot!("findings", said);
        }
    }
    // What is not there is told like what is wrong: all of it, by its name.
    let begun = [
        ("ENVIRONMENT", "production"),
        ("OIDC_ISSUER", "https://login.example"),
        ("TLS_CERT_FILE", "cert.pem"),
    ];
    for command in ["serve", "check"] {
        let output = goldenpath(&[command], &begun);
        assert_eq!(output.status.code(), Some(78), "{command}");
        let said = text(&output.stdout) + &text(&output.stderr);
        for missing in [
            "CORS_ORIGINS",
            "JWT_SECRET_KEY",
            "OIDC_CLIENT_ID",
            "OIDC_CLIENT_SECRET",
            "OIDC_REDIRECT_URL",
            "TLS_KEY_FILE",
        ] {
            assert!(said.contains(&format!("  {missing}: is ")), "{missing}: {said}");
        }
        if command == "check" {
            insta::assert_snapshot!("findings_of_what_is_missing", said);
        }
    }
}

/// Each of these alone makes a good configuration for production one that does not start.
#[test]
fn each_setting_that_is_weak_contradictory_or_unsafe_is_named() {
    let good = [
        ("ENVIRONMENT", "production"),
        ("JWT_SECRET_KEY", "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE"),
        ("CORS_ORIGINS", "https://chat.example"),
    ];
    let output = goldenpath(&["check"], &good);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Worth a look: TLS_CERT_FILE: is not set, and no proxy"), "{said}");
    for (setting, value) in [
        ("CORS_ORIGINS", "https://chat.example:99999"),
        ("CORS_ORIGINS", "https://a..b"),
        ("DATABASE_URL", "sqlite:"),
        ("DATABASE_URL", "sqlite:///proc/x"),
        ("ENVIRONMENT", "prod"),
        ("GOLDENPATH_DATA", "/proc/x/y"),
        ("GOLDENPATH_DRAIN_DEADLINE", "1h"),
        ("GOLDENPATH_HEADER_TIMEOUT", "3500"),
        ("GOLDENPATH_MAX_UNAUTHENTICATED", "100000000"),
        ("GOLDENPATH_SESSION_LIFETIME", "60"),
        ("GOLDENPATH_TOKEN_LIFETIME", "25h"),
        ("JWT_LEEWAY", "121"),
        ("JWT_MAX_AGE", "5"),
        ("JWT_OLDER_ISSUER", "goldenpath"),
        ("JWT_SECRET_KEY", "abcdefghabcdefghabcdefghabcdefgh"),
        ("JWT_SECRET_KEY", "your-256-bit-key-goes-here-please"),
        ("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1"),
        // Slips of the pen.
        ("CORS_ORIGIN", "https://chat.example"),
        ("DEMOMODE", "0"),
        ("JWT_SECRETKEY", "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE"),
    ] {
        let mut settings = good.to_vec();
        settings.retain(|(name, _)| *name != setting);
        settings.push((setting, value));
        let output = goldenpath(&["check"], &settings);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "{setting}={value}: {said}");
        assert!(said.contains(&format!("  {setting}: ")), "{setting}={value}: {said}");
    }
    // What cannot be read is judged as production.
    let unclear = [("ENVIRONMENT", "prod"), ("DEMO_MODE", "1")];
    let said = text(&goldenpath(&["check"], &unclear).stdout);
    assert!(said.contains("DEMO_MODE: is on in production"), "{said}");
    // What may be somebody else's is no reason not to start.
    let foreign = [("JWT_ALGORITHM", "HS256"), ("TLS_LIBRARY", "none"), ("PATH", "/bin")];
    let output = goldenpath(&["check"], &foreign);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("JWT_ALGORITHM: in the environment is no setting"), "{said}");
}

/// Every environment with every way to write a switch: what starts, and what it is then.
#[test]
fn f19_demo_mode_is_read_once_and_never_on_in_production() {
    let production = [
        ("JWT_SECRET_KEY", "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE"),
        ("CORS_ORIGINS", "https://chat.example"),
    ];
    for environment in ["development", "test", "staging", "production"] {
        for (written, demo) in [
            (None, None),
            (Some("1"), Some(true)),
            (Some("TRUE"), Some(true)),
            (Some("on"), Some(true)),
            (Some("0"), Some(false)),
            (Some("False"), Some(false)),
            (Some("no"), Some(false)),
        ] {
            let in_production = environment == "production";
            let mut settings = production.to_vec();
            settings.push(("ENVIRONMENT", environment));
            settings.extend(written.map(|written| ("DEMO_MODE", written)));
            let output = goldenpath(&["check"], &settings);
            let said = text(&output.stdout);
            let case = format!("{environment} {written:?}: {said}");
            if in_production && demo == Some(true) {
                assert_eq!(output.status.code(), Some(78), "{case}");
                assert!(said.contains("DEMO_MODE"), "{case}");
                let serve = goldenpath(&["serve"], &settings);
                assert_eq!(serve.status.code(), Some(78), "{case}");
            } else {
                assert!(output.status.success(), "{case}");
                let on = demo.unwrap_or(!in_production);
                assert_eq!(said.contains("demo mode"), on, "{case}");
                assert_eq!(said.contains("log-in required"), !on, "{case}");
            }
        }
        for unknown in ["maybe", "2", "yess", "tru"] {
            let mut settings = production.to_vec();
            settings.extend([("ENVIRONMENT", environment), ("DEMO_MODE", unknown)]);
            let output = goldenpath(&["check"], &settings);
            assert_eq!(output.status.code(), Some(78), "{environment} {unknown}");
        }
    }
}

#[test]
fn f15_the_e2e_key_stops_a_start_in_production_and_wherever_it_is_weak() {
    let production = [
        ("JWT_SECRET_KEY", "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE"),
        ("CORS_ORIGINS", "https://chat.example"),
    ];
    for environment in ["development", "test", "staging", "production"] {
        for (key, strong) in
            [(None, true), (Some("let me in"), false), (Some("hT5-kW9-pQ2-zX7-vB4"), true)]
        {
            let mut settings = production.to_vec();
            settings.push(("ENVIRONMENT", environment));
            settings.extend(key.map(|key| ("E2E_OAUTH_SIMULATION_KEY", key)));
            let starts = strong && !(environment == "production" && key.is_some());
            let output = goldenpath(&["check"], &settings);
            let said = text(&output.stdout);
            let code = if starts { Some(0) } else { Some(78) };
            assert_eq!(output.status.code(), code, "{environment} {key:?} {said}");
            assert_eq!(said.contains("E2E_OAUTH_SIMULATION_KEY"), !starts, "{said}");
            assert!(key.is_none_or(|key| !said.contains(key)), "{said}");
        }
    }
}

//= specs/safety.md#safe-97
//= type=test
//# A key that can be guessed MUST stop the start in production, in staging and of every server that listens
//# beyond loopback.
#[test]
fn a_key_that_can_be_guessed_stops_the_start_wherever_others_come() {
    let drawn = "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE";
    let made_up = "your-256-bit-key-goes-here-please";
    for (environment, listen, judged) in [
        ("development", "127.0.0.1:0", false),
        ("test", "[::1]:0", false),
        ("development", "0.0.0.0:0", true),
        ("test", "10.1.2.3:0", true),
        ("staging", "127.0.0.1:0", true),
        ("staging", "0.0.0.0:0", true),
    ] {
        for setting in ["JWT_SECRET_KEY", "JWT_PREVIOUS_KEYS", "E2E_OAUTH_SIMULATION_KEY"] {
            for (key, starts) in [(drawn, true), (made_up, !judged)] {
                let settings =
                    [("ENVIRONMENT", environment), ("GOLDENPATH_LISTEN", listen), (setting, key)];
                let output = goldenpath(&["check"], &settings);
                let said = text(&output.stdout);
                let case = format!("{environment} {listen} {setting}: {said}");
                assert_eq!(output.status.code(), Some(if starts { 0 } else { 78 }), "{case}");
                assert_eq!(said.contains(&format!("  {setting}: can be guessed")), !starts);
                assert!(!said.contains(key), "{case}");
            }
        }
    }
}

//= specs/safety.md#safe-49
//= type=test
//# In production a setting that takes a protection away MUST stop the start.
#[test]
fn what_takes_a_protection_away_stops_the_start_in_production_and_only_there() {
    let good = [
        ("JWT_SECRET_KEY", "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE"),
        ("CORS_ORIGINS", "https://chat.example"),
    ];
    for (name, value) in [
        ("CORS_ORIGINS", "https://chat.example,http://chat.example"),
        ("CORS_ORIGINS", "*"),
        ("DEMO_MODE", "1"),
        ("E2E_OAUTH_SIMULATION_KEY", "let me in, I am a test of the suite"),
        ("GOLDENPATH_AGENTS", "bench"),
        ("GOLDENPATH_AGENTS", "scripted"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::/0"),
    ] {
        for (environment, code) in [("production", 78), ("test", 0)] {
            let mut settings: Vec<_> = good.iter().copied().filter(|(n, _)| *n != name).collect();
            settings.extend([("ENVIRONMENT", environment), (name, value)]);
            let output = goldenpath(&["check"], &settings);
            let said = text(&output.stdout);
            assert_eq!(output.status.code(), Some(code), "{name}={value}: {said}");
            if code == 78 {
                assert!(said.contains("has 1 finding:\n"), "{name}={value}: {said}");
                assert!(said.contains(&format!("\n  {name}: ")), "{name}={value}: {said}");
            }
        }
    }
}

//= specs/safety.md#safe-52
//= type=test
//# Metrics MUST be served on an address of their own that strangers do not reach, or not at all.
#[test]
fn metrics_are_not_served_where_strangers_come() {
    for (address, starts) in [
        ("0.0.0.0:9100", false),
        ("[::]:9100", false),
        ("[::ffff:0.0.0.0]:9100", false),
        ("93.184.216.34:9100", false),
        ("[2001:db8::1]:9100", false),
        ("127.0.0.1:8000", false),
        ("127.0.0.1:9100", true),
        ("[::1]:9100", true),
        ("10.1.2.3:9100", true),
        ("192.168.1.2:9100", true),
        ("[fd00::1]:9100", true),
    ] {
        let output = goldenpath(&["check"], &[("GOLDENPATH_METRICS_LISTEN", address)]);
        let said = text(&output.stdout);
        assert_eq!(output.status.success(), starts, "{address}: {said}");
        assert_eq!(said.contains("\n  GOLDENPATH_METRICS_LISTEN: "), !starts, "{address}: {said}");
    }
}

/// F30: each pair of the chain the wrong way round is told with both names.
#[test]
fn f30_timeouts_that_do_not_fit_into_each_other_stop_the_start_by_name() {
    let pairs = [
        ("GOLDENPATH_TOOL_TIMEOUT", "31", "GOLDENPATH_AGENT_TIMEOUT"),
        ("GOLDENPATH_AGENT_TIMEOUT", "61", "GOLDENPATH_RUN_TIMEOUT"),
        ("GOLDENPATH_RUN_TIMEOUT", "3300", "WEBSOCKET_CONNECTION_TIMEOUT"),
        ("WEBSOCKET_HEARTBEAT_INTERVAL", "75", "WEBSOCKET_HEARTBEAT_TIMEOUT"),
        ("WEBSOCKET_HEARTBEAT_TIMEOUT", "1h", "GOLDENPATH_PROXY_TIMEOUT"),
        ("GOLDENPATH_AUTH_TIMEOUT", "76", "WEBSOCKET_HEARTBEAT_TIMEOUT"),
        ("GOLDENPATH_HEADER_TIMEOUT", "2h", "GOLDENPATH_PROXY_TIMEOUT"),
        ("GOLDENPATH_BODY_TIMEOUT", "1h", "GOLDENPATH_PROXY_TIMEOUT"),
    ];
    for (inner, value, outer) in pairs {
        let output = goldenpath(&["serve"], &[(inner, value)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{inner}={value}: {said}");
        assert!(said.contains(&format!("\n  {outer}: ")) && said.contains(inner), "{said}");
    }
    assert!(goldenpath(&["check"], &[]).status.success(), "what is usual fits");
}

//= specs/safety.md#safe-02
//= type=test
//# A configuration without a key or without origins MUST NOT start in production.
#[test]
fn safe_01_production_starts_only_with_what_it_needs() {
    let good = [
        ("ENVIRONMENT", "production"),
        ("JWT_SECRET_KEY", "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE"),
        ("CORS_ORIGINS", "https://chat.example"),
    ];
    let output = goldenpath(&["check"], &good);
    assert!(output.status.success(), "{}", text(&output.stdout));
    for missing in ["JWT_SECRET_KEY", "CORS_ORIGINS"] {
        let rest: Vec<_> = good.iter().copied().filter(|(name, _)| *name != missing).collect();
        let output = goldenpath(&["check"], &rest);
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output.stdout).contains(missing), "{}", text(&output.stdout));
    }
    let token = goldenpath(&["token", "--user", "ada"], &good);
    assert!(!token.status.success() && token.stdout.is_empty(), "no token in production");
}

//= specs/safety.md#safe-92
//= type=test
//# A server that others can reach, by itself or through a proxy on its own machine, MUST NOT start before it
//# is told where it runs.
#[test]
fn nobody_is_let_in_from_outside_by_forgetting_to_say_where_the_server_runs() {
    for (listen, reached) in [
        ("127.0.0.1:0", false),
        ("[::1]:0", false),
        ("[::ffff:127.0.0.1]:0", false),
        ("0.0.0.0:0", true),
        ("[::]:0", true),
        ("10.1.2.3:0", true),
    ] {
        let output = goldenpath(&["check"], &[("GOLDENPATH_LISTEN", listen)]);
        let said = text(&output.stdout);
        assert_eq!(output.status.success(), !reached, "{listen}: {said}");
        if reached {
            assert_eq!(output.status.code(), Some(78), "{listen}");
            assert!(said.contains("  ENVIRONMENT: is not set"), "{said}");
            assert!(said.contains("Set ENVIRONMENT=production; or"), "{said}");
            let serve = goldenpath(&["serve"], &[("GOLDENPATH_LISTEN", listen)]);
            assert_eq!(serve.status.code(), Some(78), "{listen}");
        }
        for environment in ["development", "test", "staging"] {
            let told = [("GOLDENPATH_LISTEN", listen), ("ENVIRONMENT", environment)];
            assert!(goldenpath(&["check"], &told).status.success(), "{listen} {environment}");
        }
    }
    // Listening on loopback alone: what else says that others come.
    for (setting, value, reached) in [
        ("TRUSTED_PROXIES", "127.0.0.1", true),
        ("TRUSTED_PROXIES", "", false),
        ("CORS_ORIGINS", "http://localhost:3000,https://chat.example", true),
        ("CORS_ORIGINS", "http://localhost:3000,https://localhost,https://127.0.0.1:8443", false),
        ("OIDC_REDIRECT_URL", "https://chat.example/api/auth/oidc/callback", true),
        ("OIDC_REDIRECT_URL", "https://localhost/api/auth/oidc/callback", false),
    ] {
        let said = |more: &[(&str, &str)]| {
            text(&goldenpath(&["check"], &[&[(setting, value)], more].concat()).stdout)
        };
        let finding = format!("  ENVIRONMENT: is not set, and {setting} ");
        assert_eq!(said(&[]).contains(&finding), reached, "{setting}={value}: {}", said(&[]));
        let told = said(&[("ENVIRONMENT", "development")]);
        assert!(!told.contains("  ENVIRONMENT: "), "{setting}={value}: {told}");
    }
    // The file and a flag say it, too.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("goldenpath.toml"), "environment = \"staging\"\n").unwrap();
    let outside = [("GOLDENPATH_LISTEN", "0.0.0.0:0")];
    assert!(run_in(folder.path(), &["check"], &outside).status.success());
    let flag = ["check", "--set", "ENVIRONMENT=test"];
    assert!(goldenpath(&flag, &outside).status.success());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = "environment = \"staging\"\ngoldenpath_data = \"from-file\"\nport = 9000\n";
    std::fs::write(folder.path().join("goldenpath.toml"), file).unwrap();
    let shown = |arguments: &[&str], environment: &[(&str, &str)]| {
        text(&run_in(folder.path(), arguments, environment).stdout)
    };
    assert!(
        shown(&["check"], &[]).contains("staging, demo mode, built-in agents, data in from-file")
    );
    let environment = [("GOLDENPATH_DATA", "from-environment")];
    assert!(shown(&["check"], &environment).contains("data in from-environment"));
    assert!(shown(&["check", "--data", "from-flag"], &environment).contains("data in from-flag"));
    let set = ["check", "--set", "DEMO_MODE=off"];
    assert!(shown(&set, &environment).contains("log-in required"));
}

//= specs/safety.md#safe-04
//= type=test
//# A setting that does not exist or cannot be read MUST be told, and MUST NOT be told by its secret
//# value.
#[test]
fn what_is_wrong_in_the_file_is_found_and_told_by_its_line_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goldenpath.toml");
    for (file, expected) in [
        ("prot = 8000\n", "Did you mean PORT?"),
        ("listn = \"127.0.0.1:1\"\n", "Did you mean GOLDENPATH_LISTEN?"),
        ("listen = \"127.0.0.1:1\"\n", "Did you mean GOLDENPATH_LISTEN?"),
        ("data = \"d\"\n", "Did you mean GOLDENPATH_DATA?"),
        ("nope = 1\n", "nope: in the file is no setting. Remove it"),
        ("port = \"many\"\n", "PORT: in the file (\"many\") is no port"),
        ("port = 1.5\n", "port: in the file has a value of a kind no setting has"),
        ("a = 1\njwt_secret_key = \"hush hush\n", "is no TOML at line 2"),
    ] {
        std::fs::write(&path, file).unwrap();
        let output = run_in(folder.path(), &["check"], &[]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(expected) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn a_token_is_made_with_the_key_of_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let token = || text(&run_in(folder.path(), &["token", "--user", "ada"], &[]).stdout);
    let (one, two) = (token(), token());
    assert_eq!(one.trim().split('.').count(), 3, "{one}");
    let kid = |token: &str| token.split('.').next().unwrap().to_owned();
    assert_eq!(kid(&one), kid(&two), "the key is made once");
}

#[test]
fn a_file_is_imported_into_the_data_folder_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run_in(folder.path(), &["migrate"], &[]).status.success());
    let trace = folder.path().join("trace.csv");
    let head = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,10,2\n";
    std::fs::write(&trace, head).unwrap();
    let import = |more: &[&str]| {
        let mut arguments =
            vec!["import", "trace.csv", "--user", "ada", "--model", "gpt-4o", "--json"];
        arguments.extend_from_slice(more);
        run_in(folder.path(), &arguments, &[])
    };
    let report = |output: &Output| -> serde_json::Value {
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    };
    let dry = report(&import(&["--dry-run"]));
    assert_eq!((&dry["imported"], &dry["read"]), (&1.into(), &1.into()), "{dry}");
    assert_eq!(report(&import(&[]))["imported"], 1);
    assert_eq!(report(&import(&[]))["duplicates"], 1);
    std::fs::write(&trace, format!("{head}2023-11-16 18:17:04.0,ten,2\n")).unwrap();
    let broken = import(&[]);
    assert!(!broken.status.success());
    let broken = report(&broken);
    assert_eq!((&broken["imported"], &broken["problems"][0]["line"]), (&0.into(), &3.into()));
}

#[test]
fn an_import_warns_of_a_stranger_and_is_no_success_without_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let import = |text: &str| {
        std::fs::write(folder.path().join("usage.csv"), text).unwrap();
        run_in(folder.path(), &["import", "usage.csv", "--user", "nobody-there"], &[])
    };
    let head = "timestamp,model,input_tokens,output_tokens,cost_usd\n";
    let good = import(&format!("{head}2026-11-01T10:00:00Z,gpt-4.1,1000,200,0.0036\n"));
    assert!(good.status.success(), "{}", text(&good.stderr));
    let warned = text(&good.stderr);
    assert!(warned.contains("no account and no log-in has the id nobody-there"), "{warned}");
    let empty = import(head);
    assert_eq!(empty.status.code(), Some(1));
    let said = text(&empty.stderr);
    assert!(said.contains("usage.csv: there is no record in it"), "{said}");
    assert!(empty.stdout.is_empty(), "no report of an import");
}

#[test]
fn an_account_is_made_once_and_its_password_is_good_enough() {
    let folder = tempfile::tempdir().unwrap();
    let ada = ["--email", "Ada@Example.org"];
    let account = |deed: &str| run_in(folder.path(), &["account", deed, ada[0], ada[1]], &[]);
    let nobody = account("password");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("there is no account with the address ada@example.org"));
    let made = account("add");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let drawn = text(&made.stdout);
    assert!(drawn.contains("ada@example.org has an account.\nIts password is "), "{drawn}");
    let twice = account("add");
    assert_eq!(twice.status.code(), Some(1));
    assert!(text(&twice.stderr).contains("goldenpath account password"), "{}", text(&twice.stderr));
    assert!(twice.stdout.is_empty(), "no password of nothing");
    let again = account("password");
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_ne!(text(&again.stdout), drawn);
    // Of what is given: the same rules as for everybody. Standard input is empty here.
    let empty = ["account", "password", ada[0], ada[1], "--password-stdin"];
    let empty = run_in(folder.path(), &empty, &[]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(text(&empty.stderr).contains("8 characters"), "{}", text(&empty.stderr));
}

#[test]
fn a_role_is_given_to_an_account_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = run_in(folder.path(), &["role", "--email", "ada@example.org", "auditor"], &[]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("ada@example.org"));
    let unknown = run_in(folder.path(), &["role", "--email", "ada@example.org", "root"], &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("admin, auditor"), "{}", text(&unknown.stderr));
}

/// What the data helper prints is what a stranger types: it must work as it stands.
#[test]
fn the_commands_of_the_guidance_are_those_the_import_takes() {
    let folder = tempfile::tempdir().unwrap();
    let samples = [
        (
            "spend_logs.json",
            r#"[{"request_id":"r1","call_type":"acompletion","spend":0.01,"prompt_tokens":10,"completion_tokens":1,
                "startTime":"2026-10-20T10:00:00Z","model":"gpt-4o","custom_llm_provider":"openai","status":"success"}]"#,
        ),
        (
            "usage.json",
            r#"{"object":"page","data":[{"object":"bucket","start_time":1792454400,"end_time":1792540800,"results":[
                {"object":"organization.usage.completions.result","input_tokens":10,"output_tokens":1,
                 "num_model_requests":2,"model":"gpt-4o"}]}],"has_more":false,"next_page":null}"#,
        ),
        ("usage.csv", "date,model,prompt,output_tokens\n2026-10-20T10:00:00Z,gpt-4o,10,1\n"),
        (
            "trace.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n",
        ),
    ];
    for (name, text) in samples {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    assert!(run_in(folder.path(), &["migrate"], &[]).status.success());
    let commands = goldenpath_agents::cost::report::commands("ada");
    assert_eq!(commands.len(), samples.len());
    for command in commands {
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("goldenpath"));
        let arguments: Vec<&str> = words.chain(["--json"]).collect();
        let output = run_in(folder.path(), &arguments, &[]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{command}: {error}: {output:?}"));
        assert_eq!(report["imported"], 1, "{command}: {report}");
    }
}

#[test]
fn an_import_needs_to_know_whose_records_they_are() {
    let output = goldenpath(&["import", "file.csv"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let missing = goldenpath(&["import", "file.csv", "--user", "ada", "--data", "d"], &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("file.csv"), "{}", text(&missing.stderr));
}
