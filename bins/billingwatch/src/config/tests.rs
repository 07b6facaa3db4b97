//! The configuration as its users meet it: what is refused and in which words, and the reference.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::secret::Secret;
use super::*;

fn load_text(text: &str, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("billingwatch.toml");
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides {
        config: Some(path),
        ..Overrides::default()
    };
    load_with(&overrides, vars)
}

fn load_with(overrides: &Overrides, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let factories = billingwatch_core::detectors::all();
    let specs: Vec<_> = factories.iter().map(|factory| factory.spec()).collect();
    load(overrides, &Environment::of(vars), &specs)
}

/// The message, with the place of the file taken out.
fn refusal(text: &str, vars: &[(&str, &str)]) -> String {
    let message = load_text(text, vars).unwrap_err().to_string();
    match message.find("billingwatch.toml") {
        Some(at) => message[at..].to_owned(),
        None => message,
    }
}

#[test]
fn refusals_name_file_line_key_and_remedy() {
    let cases = [
        "[server]\nprot = 8000\n",
        "prot = 8000\n",
        "[server]\nport = 70000\n",
        "[server]\nport = \"8000\"\n",
        "\n\n[ingest]\nqueue_len = 0\n",
        "[server]\nhost = [1]\n",
        "[server]\ntls_cert_file = \"chain.pem\"\n",
        "environment = \"staging\"\n",
        "[sources.\"EU West\"]\nwebhook_secrets = [\"whsec_1\"]\n",
        "[sources.eu]\nwebhook_secret = [\"whsec_1\"]\n",
        "[sources.eu]\nwebhook_secrets = [\"whsec_1 whsec_2\"]\n",
        "[alert.webhook]\nurl = \"example.com\"\n",
        "[alert.webhook]\nsecrets = [\"whsec_dGVzdA==\"]\n",
        "[alert.email]\nfrom = \"a@example.com\"\n",
        "[alert.pager]\nurl = \"x\"\n",
        "[stripe]\nsecret_key = \"whsec_x\"\n",
        "[stripe]\ntolerance_secs = 0\n",
        "[log]\nlevel = \"loud\"\n",
        "[detectors.duplicate_charges]\nenabled = true\n",
        "[detectors]\ntime_zone = \"Europe/Berln\"\n",
        "[detectors]\ntime_zone = \"new york\"\n",
        "[detectors]\ntime_zone = \"PST\"\n",
        "[detectors]\ntimezone = \"UTC\"\n",
        "[server\n",
        "[server]\nport = 1\nport = 2\n",
    ];
    let told: Vec<String> = cases.iter().map(|case| refusal(case, &[])).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_environment_comes_over_the_file_and_flags_over_both() {
    let text = "[server]\nport = 1\nhost = \"::1\"\n[log]\nlevel = \"debug\"\n";
    let config = load_text(text, &[("PORT", "2"), ("LOG_LEVEL", "WARN"), ("HOST", "")]).unwrap();
    assert_eq!(
        (config.server.port, config.server.host.as_str()),
        (2, "::1")
    );
    assert_eq!(config.log.level, "warn");
    let overrides = Overrides {
        port: Some(3),
        ..Overrides::default()
    };
    assert_eq!(
        load_with(&overrides, &[("PORT", "2")]).unwrap().server.port,
        3
    );
}

#[test]
fn refusals_of_variables_name_the_variable() {
    let told = [
        refusal("", &[("PORT", "eighty")]),
        refusal("", &[("PORT", "65536")]),
        refusal("", &[("APP_ENV", "staging")]),
        refusal(
            "",
            &[
                ("SMTP_USER", "me"),
                ("SMTP_HOST", "mx"),
                ("ALERT_EMAIL_FROM", "a@b.c"),
                ("ALERT_EMAIL_TO", "a@b.c"),
            ],
        ),
        refusal(
            "",
            &[
                ("STRIPE_WEBHOOK_SECRET", "whsec_a"),
                ("STRIPE_WEBHOOK_SECRET_FILE", "x"),
            ],
        ),
        refusal("", &[("STRIPE_SECRET_KEY", "hunter2")]),
        refusal("", &[("TLS_KEY_FILE", "key.pem")]),
        refusal("", &[("STRIPE_WEBHOOK_SECRET_FILE", "/nonexistent/secret")]),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn secrets_come_from_files_and_several_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "whsec_a, whsec_b\n").unwrap();
    let path = secret.to_str().unwrap();
    let from_env = load_text("", &[("STRIPE_WEBHOOK_SECRET_FILE", path)]).unwrap();
    let text = format!("[sources.eu]\nwebhook_secrets_file = '{path}'\n");
    let from_file = load_text(&text, &[]).unwrap();
    for secrets in [
        &from_env.sources["default"].secrets,
        &from_file.sources["eu"].secrets,
    ] {
        let revealed: Vec<&str> = secrets.iter().map(Secret::reveal).collect();
        assert_eq!(revealed, ["whsec_a", "whsec_b"]);
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let secrets = [
        ("STRIPE_SECRET_KEY", "rk_live_hunter2"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2"),
        ("BILLINGWATCH_API_TOKEN", "hunter2,hunter2b"),
        ("DATABASE_URL", "postgres://me:hunter2@db/billing"),
        ("ALERT_WEBHOOK_URL", "https://example.com/hunter2"),
        ("ALERT_WEBHOOK_SECRET", "hunter2_is_no_base64_of_anything"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/hunter2"),
        ("DISCORD_WEBHOOK_URL", "https://discord.com/hunter2"),
        ("SMTP_HOST", "mx"),
        ("SMTP_USER", "me"),
        ("SMTP_PASS", "hunter2"),
        ("ALERT_EMAIL_FROM", "a@example.com"),
        ("ALERT_EMAIL_TO", "b@example.com,c@example.com"),
    ];
    let config = load_text("", &secrets).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.store.shown_url(), "postgres://…@db/billing");
    assert_eq!(config.alert.email.to.len(), 2);
}

#[test]
fn production_is_closed_and_development_stays_on_loopback() {
    let closing = |vars: &[(&str, &str)]| {
        let closed = load_text("", vars).unwrap().close();
        closed.map_or_else(|error| error.to_string(), |_| "starts".to_owned())
    };
    let token = ("BILLINGWATCH_API_TOKEN", "t");
    let secret = ("STRIPE_WEBHOOK_SECRET", "whsec_a");
    let dev = ("APP_ENV", "development");
    let told = [
        closing(&[token]),
        closing(&[token, ("STRIPE_WEBHOOK_SECRET", "dev")]),
        closing(&[secret]),
        closing(&[secret, token]),
        closing(&[dev]),
        closing(&[dev, ("HOST", "localhost")]),
        closing(&[dev, ("HOST", "::1")]),
        closing(&[dev, ("HOST", "0.0.0.0"), secret, token]),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn development_verifies_only_where_a_secret_is_set() {
    let unverified = |secret: &str| {
        let vars = [
            ("APP_ENV", "development"),
            ("STRIPE_WEBHOOK_SECRET", secret),
        ];
        let config = load_text("", &vars).unwrap().close().unwrap();
        config.unverified().count()
    };
    assert_eq!(["", "dev", "whsec_a"].map(unverified), [1, 1, 0]);
}

#[test]
fn every_named_source_needs_a_secret() {
    let vars = [
        ("STRIPE_WEBHOOK_SECRET", "whsec_a"),
        ("BILLINGWATCH_API_TOKEN", "t"),
    ];
    let error = load_text("[sources.eu]\n", &vars)
        .unwrap()
        .close()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("sources.eu.webhook_secrets is not set"),
        "{error}"
    );
}

#[test]
fn the_default_file_has_every_key_and_no_other() {
    let factories = billingwatch_core::detectors::all();
    let specs: Vec<_> = factories.iter().map(|factory| factory.spec()).collect();
    let mut layers = Layers::new();
    layers
        .add_file(
            &file::Source {
                path: None,
                text: DEFAULTS,
            },
            &specs,
        )
        .unwrap();
    let written: BTreeSet<String> = layers.paths().map(|(path, _)| path.to_owned()).collect();
    let fixed = keys::KEYS.iter().filter(|key| !key.path.contains('*'));
    let mut known: BTreeSet<String> = fixed.map(|key| key.path.to_owned()).collect();
    for spec in &specs {
        known.insert(format!("detectors.{}.enabled", spec.name));
        known.extend(
            spec.settings
                .iter()
                .map(|s| format!("detectors.{}.{}", spec.name, s.name)),
        );
    }
    let differing: Vec<_> = written.symmetric_difference(&known).collect();
    assert!(
        differing.is_empty(),
        "in one of file and code only: {differing:?}"
    );
    for change in sections::build(&layers, None, &specs).unwrap().detectors {
        assert!(
            change.values.is_empty(),
            "{} differs from its spec",
            change.detector
        );
    }
}

#[test]
fn each_variable_stands_in_the_default_file_and_in_the_example() {
    let example = include_str!("../../../../.env.example");
    for key in keys::KEYS {
        let Some(env) = key.env else { continue };
        let name = key.path.rsplit('.').next().unwrap();
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        let told = lines.windows(2).any(|pair| {
            let secret = if key.is_secret { " (secret)" } else { "" };
            pair[0].ends_with(&format!(" {env}{secret}"))
                && pair[1].starts_with(&format!("{name} ="))
        });
        assert!(told, "{} has no comment that ends in {env}", key.path);
        assert!(
            example.contains(&format!("{env}=")),
            "{env} is not in .env.example"
        );
    }
}

#[test]
fn the_defaults_of_other_crates_are_the_file_s() {
    let config = load_with(
        &Overrides {
            config: Some(PathBuf::from("/dev/null")),
            ..Overrides::default()
        },
        &[],
    )
    .unwrap();
    assert_eq!(config.path, Some(PathBuf::from("/dev/null")));
    assert_eq!(config.server.port, 8000);
}

#[test]
fn the_time_zone_is_utc_unless_said() {
    let zone = |text: &str, vars: &[(&str, &str)]| {
        load_text(text, vars).map(|config| config.calendar.name())
    };
    let berlin = "[detectors]\ntime_zone = \"europe/berlin\"\n";
    assert_eq!(zone("", &[]).unwrap(), "UTC");
    assert_eq!(zone(berlin, &[]).unwrap(), "Europe/Berlin");
    let kolkata = [("TIME_ZONE", "Asia/Kolkata")];
    assert_eq!(zone(berlin, &kolkata).unwrap(), "Asia/Kolkata");
    assert_eq!(
        refusal("", &[("TIME_ZONE", "Asia/Tokio")]),
        "environment variable TIME_ZONE: `detectors.time_zone` is `Asia/Tokio`, which is no time zone; \
         did you mean `Asia/Tokyo`?"
    );
}
