//! `file NUL environment`: whatever stands in a configuration is a setting or an error, and the same
//! each time.
#![no_main]

#[path = "../../bins/billingwatch/src/config/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the binary uses the rest")]
mod config;

use std::path::PathBuf;
use std::sync::LazyLock;

use config::{Environment, Overrides};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|data: &[u8]| {
    let split = data.iter().position(|byte| *byte == 0);
    let (file, environment) = data.split_at(split.unwrap_or(data.len()));
    let environment = String::from_utf8_lossy(environment.get(1..).unwrap_or_default());
    let vars: Vec<(&str, &str)> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        // A file of which nobody knows what it is, or whether it ends, is not this target's.
        .filter(|(name, _)| !name.ends_with("_FILE"))
        .collect();
    if file.windows(5).any(|word| word == b"_file") {
        return;
    }
    let path: PathBuf = FOLDER.path().join("billingwatch.toml");
    std::fs::write(&path, file).expect("a file");
    let overrides = Overrides {
        config: Some(path),
        ..Overrides::default()
    };
    let factories = billingwatch_core::detectors::all();
    let specs: Vec<_> = factories.iter().map(|factory| factory.spec()).collect();
    let load = || match config::load(&overrides, &Environment::of(&vars), &specs) {
        Ok(config) => {
            for secret in &config.server.api_tokens {
                assert!(!secret.reveal().is_empty());
            }
            let _ = config.store.shown_url();
            format!("{config:?}")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(load(), load());
});
