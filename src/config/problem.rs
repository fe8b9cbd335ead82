//! What is wrong with a config, told so that it can be mended without reading the source.

use std::fmt;
use std::path::PathBuf;

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in.
    pub file: PathBuf,
    /// The line, when there is one to point at.
    pub line: Option<usize>,
    /// The key path, such as `clients[2].redirect_uris[0]`; empty when the file itself is meant.
    pub key: String,
    /// What is wrong, and what to write instead. Never holds a secret.
    pub text: String,
}

/// Everything that is wrong, in the order of the files and their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        let mut files: Vec<PathBuf> = Vec::new();
        for problem in &problems {
            if !files.contains(&problem.file) {
                files.push(problem.file.clone());
            }
        }
        let order = |problem: &Problem| files.iter().position(|file| *file == problem.file);
        problems.sort_by_key(|problem| (order(problem), problem.line));
        Self(problems)
    }

    /// Each problem.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none; never, where these are an error.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut file = None;
        for problem in &self.0 {
            if file != Some(&problem.file) {
                let gap = if file.is_some() { "\n" } else { "" };
                writeln!(f, "{gap}{}", problem.file.display())?;
                file = Some(&problem.file);
            }
            let line = problem.line.map(|line| format!("line {line}"));
            let key = Some(problem.key.clone()).filter(|key| !key.is_empty());
            let place: Vec<String> = line.into_iter().chain(key).collect();
            if !place.is_empty() {
                writeln!(f, "  {}", place.join("  "))?;
            }
            writeln!(f, "      {}", problem.text)?;
        }
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "\n{} problem{plural}", self.0.len())
    }
}
