//! Reads the environment: the process's variables, over those of a `.env` file in the directory.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::keys::{self, Key, Kind};
use super::value::{Entry, Origin, Value};

/// The largest file that can hold a secret; a larger one is a mistake.
const SECRET_FILE_BYTES_MAX: u64 = 65_536;

/// Variables by name. Those that are not text are kept as `None`, to be refused only when needed.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, Option<String>>);

impl Environment {
    /// The process's variables, over those of `.env` in the current directory.
    ///
    /// # Errors
    /// When `.env` is there and cannot be read.
    pub(crate) fn read() -> Result<Self, ConfigError> {
        let mut vars = read_dot_env(Path::new(".env"))?;
        for (name, value) in std::env::vars_os() {
            if let Ok(name) = name.into_string() {
                vars.insert(name, value.into_string().ok());
            }
        }
        Ok(Self(vars))
    }

    /// What a variable says; one that is empty says nothing.
    ///
    /// # Errors
    /// When it is not text.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(None) => Err(ConfigError::NotUnicode(name.to_owned())),
            Some(Some(text)) if text.trim().is_empty() => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
        }
    }

    /// What the environment says of one key.
    ///
    /// # Errors
    /// When it is not what the key takes, when its file cannot be read, or when it is given twice.
    pub(crate) fn entry(&self, key: &Key) -> Result<Option<Entry>, ConfigError> {
        let Some(name) = key.env else { return Ok(None) };
        let direct = self.get(name)?;
        let file_name = format!("{name}_FILE");
        let file = if key.is_secret {
            self.get(&file_name)?
        } else {
            None
        };
        let (text, origin) = match (direct, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let both = format!("{name} and {file_name} are both set: keep one of them");
                return Err(ConfigError::Refused(both));
            }
            (Some(text), None) => (text.to_owned(), Origin::Env(name.to_owned())),
            (None, Some(path)) => (read_secret(Path::new(path))?, Origin::Env(file_name)),
        };
        // `Production` and `INFO` are as good as their lower case; nothing else is a word.
        let text = if let Kind::Word(_) = key.kind {
            text.to_lowercase()
        } else {
            text
        };
        let value = keys::parse(key.kind, key.path, &text, &origin)?;
        Ok(Some(Entry { value, origin }))
    }
}

#[cfg(any(test, fuzzing))]
impl Environment {
    /// An environment of these variables alone.
    pub(crate) fn of(vars: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
        Self(vars.iter().map(owned).collect())
    }
}

fn read_dot_env(path: &Path) -> Result<BTreeMap<String, Option<String>>, ConfigError> {
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(BTreeMap::new());
        }
        Err(dotenvy::Error::Io(error)) => {
            return Err(ConfigError::Read {
                path: path.to_owned(),
                error,
            });
        }
        Err(_) => {
            return Err(ConfigError::DotEnv {
                path: path.to_owned(),
            });
        }
    };
    let mut vars = BTreeMap::new();
    for line in lines {
        let (name, value) = line.map_err(|_| ConfigError::DotEnv {
            path: path.to_owned(),
        })?;
        vars.insert(name, Some(value));
    }
    Ok(vars)
}

/// The text of a file that holds a secret, without the newline that editors leave at the end.
///
/// # Errors
/// When it cannot be read, is too large, or is not text.
pub(crate) fn read_secret(path: &Path) -> Result<String, ConfigError> {
    let read = |path: &Path| {
        // Not asked for its length: a pipe or a device has none, and may never end.
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        let len = file
            .take(SECRET_FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        if u64::try_from(len).unwrap_or(u64::MAX) > SECRET_FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "larger than {SECRET_FILE_BYTES_MAX} bytes, so not a file that holds a secret"
            )));
        }
        String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is not UTF-8"))
    };
    let text = read(path).map_err(|error| ConfigError::Read {
        path: path.to_owned(),
        error,
    })?;
    Ok(text.trim().to_owned())
}

/// Replaces `<key>_file = "path"` of a config file by what the file holds.
///
/// # Errors
/// When the file cannot be read, or holds something that the key does not take.
pub(crate) fn read_secret_entry(
    path: &str,
    kind: Kind,
    entry: &Entry,
) -> Result<Option<Entry>, ConfigError> {
    let Value::Text(file) = &entry.value else {
        return Ok(None);
    };
    if file.is_empty() {
        return Ok(None);
    }
    let text = read_secret(&PathBuf::from(file))?;
    let value = keys::parse(kind, path, &text, &entry.origin)?;
    Ok(Some(Entry {
        value,
        origin: entry.origin.clone(),
    }))
}
