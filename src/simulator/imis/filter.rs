//! The filters of a list: `?Property=op:value`, where a plain value means equal.

use std::cmp::Ordering;

use crate::simulator::wire::{Recorded, Reply};

/// Names of the query that are no filters.
const NOT_FILTERS: [&str; 3] = ["limit", "offset", "orderby"];

/// Keeps the rows that fit every filter of the request. `property` gives a row's value by the name in
/// lower case. Text is compared in any letter case.
pub(super) fn filter<T>(
    request: &Recorded,
    rows: Vec<T>,
    property: impl Fn(&T, &str) -> Option<String>,
) -> Result<Vec<T>, Reply> {
    let mut rows = rows;
    for (name, condition) in request.query_pairs() {
        let name = name.to_lowercase();
        if NOT_FILTERS.contains(&name.as_str()) {
            continue;
        }
        let (operator, value) = split(&condition);
        let value = value.to_lowercase();
        let mut kept = Vec::new();
        for row in rows {
            let Some(own) = property(&row, &name) else {
                return Err(Reply::text(400, format!("Unknown property {name}.")));
            };
            if fits(&operator, &own.to_lowercase(), &value)? {
                kept.push(row);
            }
        }
        rows = kept;
    }
    Ok(rows)
}

/// The operator and the value. A value that happens to hold a colon is taken for an operator: that is
/// why clients must always write `eq:`.
fn split(condition: &str) -> (String, &str) {
    match condition.split_once(':') {
        Some((operator, value)) => (operator.to_lowercase(), value),
        None => ("eq".to_owned(), condition),
    }
}

fn fits(operator: &str, own: &str, value: &str) -> Result<bool, Reply> {
    Ok(match operator {
        "eq" => own == value,
        "ne" => own != value,
        "contains" => own.contains(value),
        "notcontain" => !own.contains(value),
        "startswith" => own.starts_with(value),
        "endswith" => own.ends_with(value),
        "in" => value.split(',').any(|one| one == own),
        "gt" => order(own, value).is_gt(),
        "ge" => order(own, value).is_ge(),
        "lt" => order(own, value).is_lt(),
        "le" => order(own, value).is_le(),
        "between" => value
            .split_once(',')
            .is_some_and(|(low, high)| order(own, low).is_ge() && order(own, high).is_le()),
        "istrue" => own == "true",
        "isfalse" => own == "false",
        "isempty" => own.is_empty(),
        "notempty" => !own.is_empty(),
        _ => return Err(Reply::text(400, format!("Unknown operator {operator}."))),
    })
}

/// Numbers by their value, all else letter by letter (dates come out right that way).
fn order(left: &str, right: &str) -> Ordering {
    match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}
