//! Reads a TOML value into a serde type, past its first mistake: a mistake is recorded, taken out, and the reading
//! goes on until there is none left.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::place::{Place, Report};
use super::wording;
use crate::protocol::secret::RESOLVED;

/// More mistakes than this in one table are not read past.
const MAX_MISTAKES: usize = 1000;

/// Reads `value`. `None` when too much is missing to go on; every reason is in `report`.
pub(super) fn read<T: DeserializeOwned>(
    value: Value,
    place: &Place,
    report: &mut Report,
) -> Option<T> {
    read_knowing(&[], value, place, report)
}

/// Like [`read`], for a type that does not itself know the keys `others`, which stand in the same table.
pub(super) fn read_knowing<T: DeserializeOwned>(
    others: &[&str],
    mut value: Value,
    place: &Place,
    report: &mut Report,
) -> Option<T> {
    for _ in 0..MAX_MISTAKES {
        let mistake = match attempt::<T>(&value) {
            Ok(read) => return Some(read),
            Err(mistake) => mistake,
        };
        let others = if mistake.path.len() == 1 { others } else { &[] };
        report.mistake(&mistake.place(place), mistake.text(others));
        if !mend::<T>(&mut value, &mistake) {
            return None;
        }
    }
    None
}

/// A serde error, and the way to what it is about.
#[derive(PartialEq)]
struct Mistake {
    path: Vec<Step>,
    message: String,
    /// Whether what `path` leads to is not there at all.
    missing: bool,
}

#[derive(Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Mistake {
    fn place(&self, root: &Place) -> Place {
        self.path
            .iter()
            .fold(root.clone(), |place, step| match step {
                Step::Key(key) => place.key(key),
                Step::Index(index) => place.index(*index),
            })
    }

    fn text(&self, others: &[&str]) -> String {
        if self.missing {
            "is missing".to_owned()
        } else {
            wording::explain(&self.message, others)
        }
    }
}

fn attempt<T: DeserializeOwned>(value: &Value) -> Result<T, Mistake> {
    serde_path_to_error::deserialize(value.clone()).map_err(
        |error: serde_path_to_error::Error<toml::de::Error>| {
            let mut path: Vec<Step> = error
                .path()
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Seq { index } => Some(Step::Index(*index)),
                    Segment::Map { key } => Some(Step::Key(key.clone())),
                    Segment::Enum { .. } | Segment::Unknown => None,
                })
                .collect();
            let message = error.inner().message().to_owned();
            let missing = wording::missing_field(&message);
            path.extend(missing.map(|key| Step::Key(key.to_owned())));
            Mistake {
                missing: missing.is_some(),
                path,
                message,
            }
        },
    )
}

/// Makes `value` one that no longer has this mistake. What is missing, and what cannot be taken out of an array
/// without moving its neighbours, is filled with a stand-in that serde takes.
fn mend<T: DeserializeOwned>(value: &mut Value, mistake: &Mistake) -> bool {
    let Some((last, parents)) = mistake.path.split_last() else {
        return false;
    };
    if let (Step::Key(key), false) = (last, mistake.missing) {
        return table_at(value, parents).is_some_and(|table| table.remove(key).is_some());
    }
    for stand_in in stand_ins() {
        let mut mended = value.clone();
        if !put(&mut mended, parents, last, stand_in) {
            return false;
        }
        let still = attempt::<T>(&mended)
            .err()
            .filter(|next| next.path.starts_with(&mistake.path));
        if still.is_none() {
            *value = mended;
            return true;
        }
    }
    // Nothing fits an element: the whole array goes.
    match parents.split_last() {
        Some((Step::Key(key), above)) if !mistake.missing => {
            table_at(value, above).is_some_and(|table| table.remove(key).is_some())
        }
        _ => false,
    }
}

fn stand_ins() -> [Value; 6] {
    let text = "https://stand-in.invalid".to_owned();
    [
        Value::String(text.clone()),
        Value::Table(Table::from_iter([(
            RESOLVED.to_owned(),
            Value::String(text),
        )])),
        Value::Integer(1),
        Value::Boolean(false),
        Value::Array(Vec::new()),
        Value::Table(Table::new()),
    ]
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_table_mut()?.get_mut(key),
        Step::Index(index) => value.as_array_mut()?.get_mut(*index),
    })
}

fn table_at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Table> {
    at(value, path)?.as_table_mut()
}

fn put(value: &mut Value, parents: &[Step], last: &Step, new: Value) -> bool {
    match (at(value, parents), last) {
        (Some(Value::Table(table)), Step::Key(key)) => {
            table.insert(key.clone(), new);
            true
        }
        (Some(Value::Array(array)), Step::Index(index)) => {
            array.get_mut(*index).map(|slot| *slot = new).is_some()
        }
        _ => false,
    }
}
