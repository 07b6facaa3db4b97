//! Reads a config file into flat entries: `[server] port = 1` becomes `server.port`, with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use billingwatch_core::detector::{DetectorSpec, SettingsError};

use super::error::ConfigError;
use super::keys;
use super::value::{Entry, Origin, Value};

/// The longest name of a source: it stands in URLs, alert keys and every journal row.
const SOURCE_NAME_BYTES_MAX: usize = 40;

/// Which file, for origins; the embedded defaults have no path.
pub(crate) struct Source<'a> {
    /// Where the text was read; `None` for the embedded defaults.
    pub(crate) path: Option<&'a Path>,
    /// The text.
    pub(crate) text: &'a str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    fn origin(&self, offset: usize) -> Origin {
        match self.path {
            Some(path) => Origin::File {
                path: path.to_owned(),
                line: self.line(offset),
            },
            None => Origin::Default,
        }
    }
}

/// Every entry of a file, checked against the list of keys.
///
/// # Errors
/// The first thing that is not TOML, not a known key, or not what the key takes.
pub(crate) fn read(
    source: &Source<'_>,
    specs: &[&DetectorSpec],
) -> Result<Vec<(String, Entry)>, ConfigError> {
    let root = DeTable::parse(source.text).map_err(|error| ConfigError::Syntax {
        path: source
            .path
            .unwrap_or(Path::new("billingwatch.default.toml"))
            .to_owned(),
        line: source.line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    walk("", root.get_ref(), &mut |path, offset, value| {
        let origin = source.origin(offset);
        let entry = checked(path, value, origin, specs)?;
        entries.push((path.to_owned(), entry));
        Ok(())
    })?;
    Ok(entries)
}

/// Calls `visit` for each key that is no table, with its path and where it stands.
fn walk(
    prefix: &str,
    table: &DeTable<'_>,
    visit: &mut dyn FnMut(&str, usize, &DeValue<'_>) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let path = match prefix {
            "" => name.get_ref().to_string(),
            prefix => format!("{prefix}.{}", name.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => walk(&path, inner, visit)?,
            // An empty table says nothing, but its name may still be a mistake.
            other => visit(&path, name.span().start, other)?,
        }
    }
    Ok(())
}

fn checked(
    path: &str,
    value: &DeValue<'_>,
    origin: Origin,
    specs: &[&DetectorSpec],
) -> Result<Entry, ConfigError> {
    if let DeValue::Table(_) = value
        && is_known_table(path, specs)
    {
        return Ok(Entry {
            value: Value::List(Vec::new()),
            origin,
        });
    }
    if let Some(rest) = path.strip_prefix("sources.") {
        check_source_name(rest.split('.').next().unwrap_or_default(), &origin)?;
    }
    let Some(found) = keys::find(path, specs) else {
        return Err(unknown(path, origin, specs));
    };
    let expected = || ConfigError::WrongType {
        origin: origin.clone(),
        key: path.to_owned(),
        expected: "a number, text, true, false or a list of texts".to_owned(),
    };
    let value = convert(value).ok_or_else(expected)?;
    let kind = if found.is_file_of {
        keys::Kind::Text
    } else {
        found.kind
    };
    let value = keys::check(kind, path, value, &origin)?;
    Ok(Entry { value, origin })
}

fn unknown(path: &str, origin: Origin, specs: &[&DetectorSpec]) -> ConfigError {
    let detector = path
        .strip_prefix("detectors.")
        .and_then(|rest| Some(rest.split_once('.')?.0));
    if let Some(name) = detector
        && specs.iter().all(|spec| spec.name != name)
    {
        let problem = SettingsError::UnknownDetector(name.to_owned());
        return ConfigError::Detector { origin, problem };
    }
    let near = keys::nearest(path, specs);
    ConfigError::UnknownKey {
        origin,
        key: path.to_owned(),
        near,
    }
}

fn is_known_table(path: &str, specs: &[&DetectorSpec]) -> bool {
    let prefix = format!("{path}.");
    let named = path
        .strip_prefix("sources.")
        .is_some_and(|name| !name.contains('.'));
    named
        || path == "detectors"
        || keys::KEYS.iter().any(|key| key.path.starts_with(&prefix))
        || specs
            .iter()
            .any(|spec| format!("detectors.{}", spec.name) == path)
}

fn check_source_name(name: &str, origin: &Origin) -> Result<(), ConfigError> {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    if (1..=SOURCE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        origin: origin.clone(),
        key: format!("sources.{name}"),
        problem: format!(
            "is not a source name: use 1 to {SOURCE_NAME_BYTES_MAX} of a-z, 0-9, `-` and `_`, \
             since it stands in the URL"
        ),
    })
}

fn convert(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::Integer(int) => Value::Int(i64::from_str_radix(int.as_str(), int.radix()).ok()?),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(Spanned::get_ref)
                .map(text_of)
                .collect::<Option<Vec<_>>>()?,
        ),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(|text| text.trim().to_owned())
}
