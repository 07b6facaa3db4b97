//! Generated parts of the docs: the settings table and the examples of each detector's page.
//!
//! A page keeps the table between `<!-- settings -->` and `<!-- /settings -->`, and examples as
//! [`doc_examples`](crate::doc_examples) says; everything else on it is written by hand.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use billingwatch_core::detector::{DetectorSpec, SettingKind};
use billingwatch_core::engine::Registry;

use crate::doc_examples::with_examples;
use crate::tidy::root;

const OPEN: &str = "<!-- settings -->\n";
const CLOSE: &str = "<!-- /settings -->";

pub(crate) fn run(is_check: bool) -> anyhow::Result<()> {
    for spec in Registry::standard().specs() {
        let path = root()
            .join("docs/detectors")
            .join(format!("{}.md", spec.name));
        let page =
            std::fs::read_to_string(&path).with_context(|| format!("{} has no page", spec.name))?;
        let current = with_settings(&page, spec, &path)?;
        let current =
            with_examples(&current, spec.name).with_context(|| path.display().to_string())?;
        if current == page {
            continue;
        }
        if is_check {
            bail!(
                "{} is not current: run `cargo run -p xtask -- docs`",
                path.display()
            );
        }
        std::fs::write(&path, current)?;
    }
    Ok(())
}

fn with_settings(page: &str, spec: &DetectorSpec, path: &Path) -> anyhow::Result<String> {
    let missing = || format!("{} lacks the settings marks", path.display());
    let (head, rest) = page.split_once(OPEN).with_context(missing)?;
    let (_, tail) = rest.split_once(CLOSE).with_context(missing)?;
    let mut table =
        String::from("| setting | default | from | to | what it does |\n|---|---|---|---|---|\n");
    for setting in spec.settings {
        let doc = setting.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = match setting.kind {
            SettingKind::Int { default, min, max } => {
                writeln!(
                    table,
                    "| `{}` | {default} | {min} | {max} | {doc} |",
                    setting.name
                )
            }
            SettingKind::Bool { default } => {
                writeln!(table, "| `{}` | {default} | | | {doc} |", setting.name)
            }
        };
    }
    Ok(format!("{head}{OPEN}{table}{CLOSE}{tail}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn pages_are_current() {
        super::run(true).unwrap();
    }
}
