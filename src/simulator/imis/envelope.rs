//! What iMIS wraps around everything: `$type` on each object, `$values` in each list, pages.

use serde_json::{Value, json};

use super::switches::{Edition, Switches};
use crate::simulator::wire::{Recorded, Reply};

/// Rows on a page when the caller does not say, and the most that may be asked for unless switched.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 500;

/// The `$type` of a membership contract; its assembly was renamed after 2017.
pub(super) fn type_of(switches: &Switches, name: &str) -> String {
    let assembly = match switches.edition {
        Edition::Ems => "Asi.Contracts",
        Edition::Imis2017 => "Asi.Soa.Membership.Contracts",
    };
    format!("Asi.Soa.Membership.DataContracts.{name}, {assembly}")
}

/// A collection inside an entity.
pub(super) fn collection(switches: &Switches, of: &str, values: &[Value]) -> Value {
    json!({ "$type": type_of(switches, &format!("{of}Collection")), "$values": values })
}

/// A value in a property bag: strings stand bare, the others are wrapped.
pub(super) fn bag_value(switches: &Switches, value: Value) -> Value {
    let kind = match &value {
        Value::Bool(_) => "System.Boolean",
        Value::Number(_) => "System.Int32",
        _ => return value,
    };
    if switches.wrapped_values {
        json!({ "$type": kind, "$value": value })
    } else {
        value
    }
}

/// A date in a property bag: without a zone, and wrapped or not.
pub(super) fn bag_date(switches: &Switches, date: &str) -> Value {
    if switches.wrapped_dates {
        json!({ "$type": "System.DateTime", "$value": date })
    } else {
        json!(date)
    }
}

/// One page of a list, by `limit` and `offset` of the request.
pub(super) fn page(switches: &Switches, request: &Recorded, of: &str, rows: &[Value]) -> Reply {
    let number = |name: &str| {
        request
            .query_parameter(name)
            .and_then(|text| text.parse::<usize>().ok())
    };
    let largest = switches
        .page_rows
        .and_then(|rows| usize::try_from(rows).ok())
        .unwrap_or(LARGEST_PAGE);
    let limit = number("limit").unwrap_or(PAGE).min(largest);
    let offset = number("offset").unwrap_or(0);
    let total = rows.len();
    let values: Vec<&Value> = rows.iter().skip(offset).take(limit).collect();
    let has_next = offset + values.len() < total;
    let row_type = type_of(switches, of);
    let count = values.len();
    let items = if switches.bare_items {
        json!(values)
    } else {
        json!({
            "$type": format!("System.Collections.Generic.List`1[[{row_type}]], mscorlib"),
            "$values": values,
        })
    };
    let mut answer = json!({
        "$type": format!("Asi.Soa.Core.DataContracts.PagedResult`1[[{row_type}]], Asi.Contracts"),
        "Items": items,
        "Offset": offset,
        "Limit": limit,
        "Count": count,
        "TotalCount": total,
        "NextPageLink": null,
        "HasNext": has_next,
        "NextOffset": if has_next { offset + count } else { 0 },
    });
    if switches.edition == Edition::Imis2017
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert(
            "SyncRoot".to_owned(),
            json!({ "$type": "System.Object, mscorlib" }),
        );
        answer.insert("IsSynchronized".to_owned(), json!(false));
    }
    Reply::json(200, &answer)
}
