//! What lints cannot check, as plain tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use billingwatch_core::engine::Registry;

/// Who may depend on whom, among our own crates: the arrows of ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("billingwatch-core", &[]),
    ("billingwatch-simulator", &[]),
    ("billingwatch-store", &["core"]),
    ("billingwatch-alert", &["core"]),
    ("billingwatch-pipeline", &["alert", "core", "store"]),
    (
        "billingwatch-chaos",
        &["alert", "core", "pipeline", "simulator", "store"],
    ),
    (
        "billingwatch-server",
        &["alert", "core", "pipeline", "store"],
    ),
];

/// The longest a source file may be, in lines. A longer one is to be split by noun.
const FILE_LINES_MAX: usize = 600;

/// The same for a test, which may be one long script.
const TEST_LINES_MAX: usize = 800;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

pub(crate) fn run() -> anyhow::Result<()> {
    arrows_point_down()?;
    modules_say_what_they_are_for()?;
    readme_lists_every_detector()?;
    migrations_are_paired()
}

fn arrows_point_down() -> anyhow::Result<()> {
    for (name, allowed) in ARROWS {
        let path = root().join("crates").join(name).join("Cargo.toml");
        let manifest: toml::Table = std::fs::read_to_string(&path)?.parse()?;
        let tables = ["dependencies", "build-dependencies"];
        let names = tables
            .iter()
            .filter_map(|table| manifest.get(*table)?.as_table());
        for dependency in names.flat_map(toml::Table::keys) {
            let Some(ours) = dependency.strip_prefix("billingwatch-") else {
                continue;
            };
            ensure!(
                allowed.contains(&ours),
                "{name} must not depend on billingwatch-{ours}"
            );
        }
    }
    Ok(())
}

fn modules_say_what_they_are_for() -> anyhow::Result<()> {
    for folder in ["crates", "bins", "xtask", "examples", "benches"] {
        for path in rust_files(&root().join(folder))? {
            let text = std::fs::read_to_string(&path)?;
            let first = text
                .lines()
                .find(|line| !line.is_empty())
                .unwrap_or_default();
            let has_header = first.starts_with("//!") || first.starts_with("#![doc");
            let is_generated = first.contains("@generated");
            ensure!(
                has_header || is_generated,
                "{} has no `//!` header",
                path.display()
            );
            let lines = text.lines().count();
            let is_test = path.components().any(|part| part.as_os_str() == "tests");
            let most = if is_test {
                TEST_LINES_MAX
            } else {
                FILE_LINES_MAX
            };
            ensure!(
                lines <= most,
                "{} has {lines} lines, more than {most}: split it by noun",
                path.display()
            );
        }
    }
    Ok(())
}

fn readme_lists_every_detector() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let listed: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| [`")?.split('`').next())
        .collect();
    let registry = Registry::standard();
    let known: BTreeSet<&str> = registry.specs().map(|spec| spec.name).collect();
    ensure!(
        listed == known,
        "README.md lists {listed:?}, the code has {known:?}"
    );
    Ok(())
}

fn migrations_are_paired() -> anyhow::Result<()> {
    let names = |backend: &str| -> anyhow::Result<BTreeSet<String>> {
        let folder = root().join("migrations").join(backend);
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).context("no migrations")? {
            let entry = entry?;
            for file in ["up.sql", "down.sql"] {
                if !entry.path().join(file).exists() {
                    bail!("{} has no {file}", entry.path().display());
                }
            }
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    let (sqlite, postgresql) = (names("sqlite")?, names("postgresql")?);
    ensure!(
        sqlite == postgresql,
        "migrations differ: {sqlite:?} and {postgresql:?}"
    );
    Ok(())
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_is_tidy() {
        super::run().unwrap();
    }
}
