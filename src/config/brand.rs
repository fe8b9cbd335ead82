//! `[brand]`: what people see on every page.

/// What people see on every page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// The organization's name.
    pub name: String,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            name: "Portico".to_owned(),
        }
    }
}
