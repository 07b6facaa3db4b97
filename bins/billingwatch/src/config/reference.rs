//! Holds `billingwatch.default.toml` and `docs/configuration.md` to the list of keys and to the
//! detectors' specs. `INSTA_UPDATE=always cargo test -p billingwatch reference` rewrites both.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use billingwatch_core::detector::{DetectorSpec, SettingKind};

use super::DETECTORS_BELOW;
use super::keys::{self, Kind};

const PAGE_BEGIN: &str = "<!-- settings: generated from billingwatch.default.toml -->";
const PAGE_END: &str = "<!-- settings: end -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn hold(path: &Path, expected: &str) {
    let found = std::fs::read_to_string(path).unwrap_or_default();
    if found == expected {
        return;
    }
    if std::env::var_os("INSTA_UPDATE").is_some_and(|mode| mode == "always") {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let differing = expected
        .lines()
        .zip(found.lines())
        .find(|(want, have)| want != have);
    panic!(
        "{} is out of date: run `INSTA_UPDATE=always cargo test -p billingwatch reference` twice \
         and look at what changed. First difference: {differing:?}",
        path.display()
    );
}

/// `[detectors.<name>]` for each detector, as TOML.
fn detector_tables(specs: &[&DetectorSpec]) -> String {
    let mut text = String::new();
    for spec in specs {
        write!(
            text,
            "\n# {}\n[detectors.{}]\n",
            spec.description, spec.name
        )
        .unwrap();
        text.push_str("# Whether it runs at all.\nenabled = true\n");
        for setting in spec.settings {
            let doc: Vec<&str> = setting.doc.lines().map(str::trim).collect();
            let bounds = match setting.kind {
                SettingKind::Int { min, max, .. } => format!(" From {min} to {max}."),
                SettingKind::Bool { .. } => String::new(),
            };
            for line in wrap(&format!("{}{bounds}", doc.join(" ")), 98) {
                writeln!(text, "# {line}").unwrap();
            }
            writeln!(text, "{} = {}", setting.name, setting.default_value()).unwrap();
        }
    }
    text
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The settings of a defaults file as Markdown tables, one for each table of the file.
fn page(defaults: &str, specs: &[&DetectorSpec]) -> String {
    let mut out = String::new();
    let (mut comments, mut table) = (Vec::new(), String::new());
    let mut has_head = false;
    for line in defaults.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            comments.push(comment);
        } else if let Some(name) = line
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
        {
            table = format!("{name}.");
            write!(out, "\n### `[{name}]`\n").unwrap();
            if !comments.is_empty() {
                write!(out, "\n{}\n", comments.join(" ")).unwrap();
            }
            comments.clear();
            has_head = false;
        } else if let Some((name, default)) = line.split_once(" = ") {
            if !has_head {
                out.push_str("\n| key | default | takes | variable | what it does |\n");
                out.push_str("|---|---|---|---|---|\n");
                has_head = true;
            }
            let path = format!("{table}{name}");
            let known = keys::KEYS.iter().find(|key| key.path == path);
            let env = known.and_then(|key| key.env);
            let does = comments.join(" ");
            let does = does.trim_end_matches(" (secret)");
            let does = env.map_or(does, |env| does.trim_end_matches(env).trim_end());
            let does = without_bounds(does).replace('|', "\\|");
            let secret = if known.is_some_and(|key| key.is_secret) {
                ", secret"
            } else {
                ""
            };
            let kind = keys::find(&path, specs).unwrap().kind;
            let env = env.map(|env| format!("`{env}`")).unwrap_or_default();
            let takes = takes(kind);
            writeln!(
                out,
                "| `{name}` | `{default}` | {takes}{secret} | {env} | {does} |"
            )
            .unwrap();
            comments.clear();
        } else {
            comments.clear();
        }
    }
    out
}

/// Bounds have a column of their own.
fn without_bounds(does: &str) -> &str {
    does.rfind(" From ")
        .filter(|_| does.ends_with('.'))
        .map_or(does, |at| {
            let rest = &does[at..];
            let is_bounds = rest.contains(" to ") && !rest.trim_end_matches('.').contains(". ");
            if is_bounds { &does[..at] } else { does }
        })
}

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Int { min, max } => format!("{min} to {max}"),
        Kind::Bool => "true, false".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Word(words) => words.join(", "),
        Kind::List => "list of texts".to_owned(),
    }
}

#[test]
fn the_default_file_tells_what_the_detectors_specs_say() {
    let factories = billingwatch_core::detectors::all();
    let specs: Vec<_> = factories.iter().map(|factory| factory.spec()).collect();
    let path = root().join("billingwatch.default.toml");
    let found = std::fs::read_to_string(&path).unwrap();
    let (by_hand, _) = found.split_once(DETECTORS_BELOW).unwrap();
    hold(
        &path,
        &format!("{by_hand}{DETECTORS_BELOW}\n{}", detector_tables(&specs)),
    );
}

#[test]
fn the_reference_page_tells_what_the_default_file_says() {
    let factories = billingwatch_core::detectors::all();
    let specs: Vec<_> = factories.iter().map(|factory| factory.spec()).collect();
    let path = root().join("docs/configuration.md");
    let found = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = found.split_once(PAGE_BEGIN).unwrap();
    let (_, after) = rest.split_once(PAGE_END).unwrap();
    let page = page(super::DEFAULTS, &specs);
    hold(
        &path,
        &format!("{before}{PAGE_BEGIN}\n{page}\n{PAGE_END}{after}"),
    );
}
