//! Where in which file a value stands, and the list of what is wrong there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::Problem;

/// A file as problems point into it.
#[derive(Debug)]
pub(super) struct Source {
    /// The file.
    pub(super) file: PathBuf,
    /// The line of each key path.
    pub(super) lines: BTreeMap<String, usize>,
    /// Key paths whose value came from an environment variable, and its name.
    pub(super) overridden: BTreeMap<String, &'static str>,
}

/// A place in a file: `clients[2].redirect_uris[0]`.
#[derive(Clone, Debug)]
pub(super) struct Place {
    source: Arc<Source>,
    path: String,
}

impl Place {
    /// The file as a whole.
    pub(super) fn root(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            path: String::new(),
        }
    }

    /// The value of `key` in the table that stands here.
    pub(super) fn key(&self, key: &str) -> Self {
        let mut path = self.path.clone();
        push_key(&mut path, key);
        Self {
            source: Arc::clone(&self.source),
            path,
        }
    }

    /// The element at `index` of the array that stands here.
    pub(super) fn index(&self, index: usize) -> Self {
        let mut path = self.path.clone();
        push_index(&mut path, index);
        Self {
            source: Arc::clone(&self.source),
            path,
        }
    }

    /// What a key path that is written already, such as `people[2].id`, leads to from here.
    pub(super) fn path(&self, path: &str) -> Self {
        let gap = if self.path.is_empty() || path.starts_with('[') {
            ""
        } else {
            "."
        };
        Self {
            source: Arc::clone(&self.source),
            path: format!("{}{gap}{path}", self.path),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.source.file
    }

    /// `path`, which counts from the folder of the config file.
    pub(super) fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.source
            .file
            .parent()
            .unwrap_or(Path::new(""))
            .join(path)
    }

    /// What tells it from every other place.
    fn name(&self) -> (PathBuf, String) {
        (self.source.file.clone(), self.path.clone())
    }

    /// The line, or that of the nearest thing around it that has one.
    fn line(&self) -> Option<usize> {
        let mut path = self.path.as_str();
        loop {
            if let Some(line) = self.source.lines.get(path) {
                return Some(*line);
            }
            path = path.rsplit_once(['.', '['])?.0;
        }
    }
}

/// Appends a key to a key path, quoted where TOML would quote it.
pub(super) fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(bare) {
        path.push_str(key);
    } else {
        // `Debug` escapes control characters, so that a terminal shows them and does not obey them.
        let _ = write!(path, "{key:?}");
    }
}

/// Appends an array index to a key path.
pub(super) fn push_index(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What keeps the config from being used.
    pub(super) problems: Vec<Problem>,
    /// What does not, and should be known.
    pub(super) warnings: Vec<String>,
    unreadable: BTreeSet<(PathBuf, String)>,
}

impl Report {
    /// Records that what was written at `place` could not be taken as it stands. What stood in for it since is not
    /// looked at again.
    pub(super) fn mistake(&mut self, place: &Place, text: impl Into<String>) {
        self.problem(place, text);
        self.unreadable.insert(place.name());
    }

    /// Records what is wrong at `place`.
    pub(super) fn problem(&mut self, place: &Place, text: impl Into<String>) {
        if self.unreadable.contains(&place.name()) {
            return;
        }
        let problem = match place.source.overridden.get(&place.path) {
            Some(variable) => Problem {
                file: PathBuf::from("the environment"),
                line: None,
                key: (*variable).to_owned(),
                text: text.into(),
            },
            None => Problem {
                file: place.source.file.clone(),
                line: place.line(),
                key: place.path.clone(),
                text: text.into(),
            },
        };
        self.add(problem);
    }

    /// Records what is wrong with a file as such.
    pub(super) fn file_problem(
        &mut self,
        file: &Path,
        line: Option<usize>,
        text: impl Into<String>,
    ) {
        self.add(Problem {
            file: file.to_owned(),
            line,
            key: String::new(),
            text: text.into(),
        });
    }

    fn add(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Records an unsafe choice.
    pub(super) fn warn(&mut self, place: &Place, text: &str) {
        let file = place.source.file.display();
        self.warnings
            .push(format!("{file}: {}: {text}", place.path));
    }
}
