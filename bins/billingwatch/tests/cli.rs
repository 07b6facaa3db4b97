//! The command line as its users and their scripts meet it: help, exit codes, refusals, and a round
//! from `migrate` to `replay`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary in an empty directory, with no environment of the caller's.
fn command(directory: &Path, arguments: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billingwatch"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(vars.iter().copied());
    command.stdin(Stdio::null());
    command
}

fn run(directory: &Path, arguments: &[&str], vars: &[(&str, &str)]) -> Output {
    command(directory, arguments, vars).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn event(id: &str, created: i64) -> String {
    format!(
        r#"{{"id":"{id}","object":"event","type":"invoice.finalized","created":{created},"livemode":true,"api_version":"2025-03-31.basil","data":{{"object":{{"id":"in_{id}","object":"invoice","status":"open","currency":"usd","total":-5000,"amount_due":0,"customer":"cus_1","lines":{{"data":[]}}}}}}}}"#
    )
}

#[test]
fn help_is_what_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let commands = [
        "",
        "serve",
        "demo",
        "replay",
        "simulate",
        "backtest",
        "export",
        "import",
        "backup",
        "migrate",
        "tokens",
        "check",
        "detectors",
        "completions",
    ];
    for name in commands {
        let arguments: Vec<&str> = [name, "--help"]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let output = run(directory.path(), &arguments, &[]);
        assert_eq!(output.status.code(), Some(0));
        let name = if name.is_empty() {
            "billingwatch"
        } else {
            name
        };
        insta::assert_snapshot!(format!("help_{name}"), stdout(&output));
    }
}

#[test]
fn usage_and_configuration_errors_end_with_2() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.toml"), "[server]\nprot = 1\n").unwrap();
    let missing_file = ["check", "--config", "missing.toml"];
    let cases: [&[&str]; 9] = [
        &["frobnicate"],
        &["replay"],
        &["check"],
        &["check", "--config", "bad.toml"],
        &missing_file,
        &["detectors", "revenue_drops"],
        &["replay", "--set", "revenue_drop.drop_bps_min=1", "-"],
        &["replay", "--set", "revenue_drop", "-"],
        &["migrate", "--database-url", "host=db password=secret"],
    ];
    let mut told = String::new();
    for arguments in cases {
        let output = run(directory.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let first = stderr(&output)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(!first.contains("password=secret"), "{first}");
        told.push_str(&format!("$ {}\n{first}\n", arguments.join(" ")));
    }
    insta::assert_snapshot!(told);
}

/// Variables, flags, and what the refusal names.
type Refusal<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

#[test]
fn serve_refuses_to_be_open() {
    let directory = tempfile::tempdir().unwrap();
    let token = ("BILLINGWATCH_API_TOKEN", "0123456789abcdef");
    let secret = ("STRIPE_WEBHOOK_SECRET", "whsec_test");
    let cases: [Refusal<'_>; 5] = [
        (&[token], &[], "STRIPE_WEBHOOK_SECRET"),
        (
            &[token, ("STRIPE_WEBHOOK_SECRET", "dev")],
            &[],
            "STRIPE_WEBHOOK_SECRET",
        ),
        (&[secret], &[], "BILLINGWATCH_API_TOKEN"),
        (&[], &["--dev", "--host", "0.0.0.0"], "loopback"),
        (
            &[("APP_ENV", "development"), ("HOST", "0.0.0.0")],
            &[],
            "loopback",
        ),
    ];
    for (vars, flags, named) in cases {
        let arguments: Vec<&str> = ["serve"].iter().chain(flags).copied().collect();
        let output = run(directory.path(), &arguments, vars);
        assert_eq!(output.status.code(), Some(2), "{vars:?}");
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
    assert!(
        !directory.path().join("billingwatch.db").exists(),
        "nothing was opened"
    );
}

#[test]
fn check_says_what_the_configuration_amounts_to_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let vars = [
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2"),
        ("BILLINGWATCH_API_TOKEN", "hunter2"),
        ("DATABASE_URL", "postgres://me:hunter2@db/billing"),
        ("ALERT_WEBHOOK_URL", "https://example.com/hunter2"),
    ];
    std::fs::write(directory.path().join(".env"), "PORT=9000\nHOST=\n").unwrap();
    let output = run(directory.path(), &["check"], &vars);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stdout(&output).contains("hunter2"));
    insta::assert_snapshot!(stdout(&output));
}

#[test]
fn single_quotes_in_a_dot_env_file_keep_a_value_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let vars = [
        ("STRIPE_WEBHOOK_SECRET", "whsec_x"),
        ("BILLINGWATCH_API_TOKEN", "x"),
    ];
    let check = |lines: &str| {
        std::fs::write(directory.path().join(".env"), lines).unwrap();
        run(directory.path(), &["check"], &vars)
    };
    let quoted = check("DATABASE_URL='sqlite://of $HOME #1.db'\n");
    assert_eq!(quoted.status.code(), Some(0), "{}", stderr(&quoted));
    assert!(stdout(&quoted).contains("sqlite://of $HOME #1.db\n"));
    let bare = check("ALERT_EMAIL_FROM=BillingWatch <alerts@example.com>\n");
    assert_eq!(bare.status.code(), Some(2));
    assert!(stderr(&bare).contains(".env") && stderr(&bare).contains("single quotes"));
}

#[test]
fn detectors_are_listed_and_described() {
    let directory = tempfile::tempdir().unwrap();
    let listed = stdout(&run(directory.path(), &["detectors"], &[]));
    let described = stdout(&run(
        directory.path(),
        &["detectors", "duplicate_charge"],
        &[],
    ));
    for factory in billingwatch_core::detectors::all() {
        assert!(listed.contains(factory.spec().name), "{listed}");
    }
    assert!(described.starts_with("duplicate_charge\n"), "{described}");
    assert!(
        described.contains("[detectors.duplicate_charge]"),
        "{described}"
    );
}

#[test]
fn completions_name_the_commands() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(directory.path(), &["completions", shell], &[]);
        assert!(stdout(&output).contains("migrate"), "{shell}");
    }
}

#[test]
fn migrate_may_be_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let first = run(directory.path(), &["migrate"], &[]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert!(stdout(&first).contains("ran "), "{}", stdout(&first));
    assert!(directory.path().join("billingwatch.db").exists());
    let second = run(directory.path(), &["migrate"], &[]);
    assert_eq!(stdout(&second), "sqlite://billingwatch.db is up to date.\n");
}

#[test]
fn replay_reads_files_gzip_and_standard_input_alike() {
    let directory = tempfile::tempdir().unwrap();
    let lines = format!(
        "{}\n{}\n",
        event("evt_1", 1_709_600_000),
        event("evt_2", 1_709_600_060)
    );
    std::fs::write(directory.path().join("plain.jsonl"), &lines).unwrap();
    let gzip = std::fs::File::create(directory.path().join("packed.jsonl.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::default());
    gzip.write_all(lines.as_bytes()).unwrap();
    gzip.finish().unwrap();

    let alerts = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["replay", "--alerts-out", "-"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let mut child = command(directory.path(), &arguments, &[])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A replay of files ends without reading standard input; a closed pipe is no failure.
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("2 events"), "{}", stderr(&output));
        stdout(&output)
    };
    let plain = alerts(&["plain.jsonl"]);
    assert_eq!(plain.lines().count(), 2, "{plain}");
    for line in plain.lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&alert["detector"], &alert["status"]),
            (&"negative_invoice".into(), &"firing".into())
        );
    }
    assert_eq!(alerts(&["packed.jsonl.gz"]), plain);
    assert_eq!(alerts(&["-"]), plain);
    let off = alerts(&["--set", "negative_invoice.enabled=false", "plain.jsonl"]);
    assert_eq!(off, "");
}

#[test]
fn replay_names_bad_lines_and_ends_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "{}\nnot json\n\n[1]\n{}\n",
        event("evt_1", 1_709_600_000),
        event("evt_2", 1_709_600_060)
    );
    std::fs::write(directory.path().join("events.jsonl"), text).unwrap();
    let output = run(
        directory.path(),
        &["replay", "events.jsonl", "--alerts-out", "alerts.jsonl"],
        &[],
    );
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("events.jsonl:2:"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("events.jsonl:4:"),
        "{}",
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("2 lines could not be read"),
        "{}",
        stdout(&output)
    );
    let alerts = std::fs::read_to_string(directory.path().join("alerts.jsonl")).unwrap();
    assert_eq!(alerts.lines().count(), 2);
}

#[test]
fn replay_of_a_missing_file_ends_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["replay", "nowhere.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("nowhere.jsonl"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_port_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(directory.path(), &["serve", "--dev", "--port", &port], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(&port), "{}", stderr(&output));
}

#[test]
fn a_journal_is_exported_and_imported_and_a_second_time_adds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..40)
        .map(|n| {
            let at = 1_709_599_200 + n;
            let event = event(&format!("evt_{n}"), at);
            format!("{{\"received_at\": {at}.500, \"event\": {event}}}\n")
        })
        .collect();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("in.jsonl"), &lines).unwrap();
    let from = [("DATABASE_URL", "sqlite://first.db")];
    let imported = run(directory.path(), &["import", "in.jsonl"], &from);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
    let again = run(directory.path(), &["import", "in.jsonl"], &from);
    assert_eq!(
        stdout(&again),
        "40 lines: 0 events imported, 40 were there already, 0 bad lines\n"
    );
    let printed = run(directory.path(), &["export"], &from);
    assert_eq!(stdout(&printed), lines);
    assert_eq!(stderr(&printed), "40 events exported\n");
    for name in ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst"] {
        let out = run(directory.path(), &["export", "--out", name], &from);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        let url = format!("sqlite://{name}.db");
        let to = [("DATABASE_URL", url.as_str())];
        let imported = run(directory.path(), &["import", name], &to);
        assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
        assert_eq!(stdout(&run(directory.path(), &["export"], &to)), lines);
        let refused = run(directory.path(), &["export", "--out", name], &from);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    }
    let since = run(
        directory.path(),
        &["export", "--since", "1709599230"],
        &from,
    );
    assert_eq!(stdout(&since).lines().count(), 10);
}

#[test]
fn an_import_says_what_it_passed_over_and_an_export_makes_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let lines = format!(
        "{}\n{{\"torn\n{}\n",
        event("evt_1", 1_709_599_200),
        event("evt_2", 1_709_599_201)
    );
    std::fs::write(directory.path().join("torn.jsonl"), lines).unwrap();
    let output = run(directory.path(), &["import", "torn.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("torn.jsonl:2"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        stdout(&output),
        "3 lines: 2 events imported, 0 were there already, 1 bad lines\n"
    );
    let nowhere = [("DATABASE_URL", "sqlite://nowhere.db")];
    let output = run(directory.path(), &["export"], &nowhere);
    assert_eq!(output.status.code(), Some(1));
    assert!(!directory.path().join("nowhere.db").exists());
    let output = run(directory.path(), &["export", "--since", "yesterday"], &[]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_backup_is_a_journal_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..40)
        .map(|n| event(&format!("evt_{n}"), 1_709_599_200 + n) + "\n")
        .collect();
    std::fs::write(directory.path().join("in.jsonl"), &lines).unwrap();
    let imported = run(directory.path(), &["import", "in.jsonl"], &[]);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
    let backup = run(directory.path(), &["backup", "copy.db"], &[]);
    assert_eq!(backup.status.code(), Some(0), "{}", stderr(&backup));
    let again = run(directory.path(), &["backup", "copy.db"], &[]);
    assert_eq!(again.status.code(), Some(1));
    let copy = [("DATABASE_URL", "sqlite://copy.db")];
    assert_eq!(
        stdout(&run(directory.path(), &["export"], &copy)),
        stdout(&run(directory.path(), &["export"], &[])),
    );
    let migrated = run(directory.path(), &["migrate"], &copy);
    assert!(
        stdout(&migrated).contains("up to date"),
        "{}",
        stdout(&migrated)
    );
}

#[test]
fn a_token_is_shown_once_listed_and_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = |arguments: &[&str]| {
        let words: Vec<&str> = ["tokens"].iter().chain(arguments).copied().collect();
        run(directory.path(), &words, &[])
    };
    let added = tokens(&["add", "grafana", "--role", "viewer"]);
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
    let token = stdout(&added).trim_end().to_owned();
    assert_eq!(token.len(), 43);
    let another = tokens(&["add", "ann", "--role", "admin"]);
    assert_ne!(stdout(&another).trim_end(), token);
    let listed = stdout(&tokens(&["list"]));
    assert!(
        listed.contains("grafana") && listed.contains("viewer"),
        "{listed}"
    );
    assert!(!listed.contains(&token), "{listed}");
    // Nor does the store hold it.
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let needle = token.as_bytes();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle));
    }
    assert_eq!(tokens(&["revoke", "1"]).status.code(), Some(0));
    assert_eq!(tokens(&["revoke", "9"]).status.code(), Some(1));
    assert_eq!(tokens(&["add", " "]).status.code(), Some(1));
    assert_eq!(
        tokens(&["add", "x", "--role", "king"]).status.code(),
        Some(2)
    );
}
