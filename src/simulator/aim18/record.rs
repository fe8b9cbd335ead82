//! Two modules with records that may be written, so that a program which stands between an app and aiM18 can be tried: `cus`
//! (customers) and `staff`. They live in memory.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Aim18Person;

/// The most records that a module keeps, and the longest one.
const MOST: usize = 200;
const LONGEST: usize = 8 * 1024;

/// A record's columns.
type Row = Map<String, Value>;

/// The records of each module, by their id.
#[derive(Debug)]
pub(super) struct Records(BTreeMap<&'static str, BTreeMap<i64, Row>>);

impl Default for Records {
    fn default() -> Self {
        let module = |rows: &[(i64, &str, &str, &str, i64)]| {
            rows.iter()
                .map(|(id, code, en, tw, be_id)| {
                    let row = json!({
                        "id": id,
                        "code": code,
                        "desc": en,
                        "desc_en": en,
                        "desc_zh-TW": tw,
                        "desc_zh-CN": tw,
                        "beId": be_id,
                        "iRev": 1,
                    });
                    (*id, row.as_object().cloned().unwrap_or_default())
                })
                .collect()
        };
        Self(BTreeMap::from([
            (
                "cus",
                module(&[
                    (501, "C0001", "Harbour Trading", "海港貿易", 12),
                    (502, "C0002", "Peak Foods", "山頂食品", 12),
                    (503, "C0003", "Island Paper", "離島紙業", 15),
                ]),
            ),
            (
                "staff",
                module(&[
                    (12, "E012", "Ann Lee", "李安", 12),
                    (13, "E013", "Chan Tai Man", "陳大文", 15),
                ]),
            ),
        ]))
    }
}

impl Records {
    /// The module of that name.
    pub(super) fn module(&self, name: &str) -> Option<&'static str> {
        self.0.keys().copied().find(|known| *known == name)
    }

    pub(super) fn find(&self, module: &str, id: i64) -> Option<&Row> {
        self.0.get(module)?.get(&id)
    }

    pub(super) fn find_code(&self, module: &str, code: &str) -> Option<&Row> {
        let mut rows = self.0.get(module)?.values();
        rows.find(|row| row.get("code").and_then(Value::as_str) == Some(code))
    }

    /// Records of the caller's business entities, by a part of code or name.
    pub(super) fn search(
        &self,
        module: &str,
        caller: &Aim18Person,
        be_id: Option<i64>,
        wanted: &str,
    ) -> Vec<Value> {
        let rows = self.0.get(module).into_iter().flat_map(BTreeMap::values);
        rows.filter(|row| is_of(row, caller))
            .filter(|row| be_id.is_none_or(|be_id| be_of(row) == Some(be_id)))
            .filter(|row| {
                ["code", "desc_en", "desc_zh-TW"]
                    .iter()
                    .any(|name| text(row, name).to_lowercase().contains(wanted))
            })
            .map(|row| found(row, caller))
            .collect()
    }

    /// Saves a record under its id, or a new one under the next; the id, or what is wrong.
    pub(super) fn save(&mut self, module: &str, mut row: Row) -> Result<i64, &'static str> {
        let rows = self.0.get_mut(module).ok_or("The module does not exist.")?;
        if Value::Object(row.clone()).to_string().len() > LONGEST {
            return Err("The record is too long.");
        }
        let id = row.get("id").and_then(Value::as_i64).unwrap_or_default();
        let revision = match rows.get(&id) {
            Some(before) => {
                let mut changed = before.clone();
                changed.extend(row);
                row = changed;
                before
                    .get("iRev")
                    .and_then(Value::as_i64)
                    .unwrap_or_default()
            }
            None if id != 0 => return Err("The record does not exist."),
            None if rows.len() >= MOST => return Err("The simulator keeps no more records."),
            None => 0,
        };
        if text(&row, "code").is_empty() {
            return Err("The code is empty.");
        }
        let id = if id == 0 {
            rows.keys().max().unwrap_or(&0) + 1
        } else {
            id
        };
        row.insert("id".to_owned(), json!(id));
        row.insert("iRev".to_owned(), json!(revision + 1));
        rows.insert(id, row);
        Ok(id)
    }

    /// Whether there was such a record to delete.
    pub(super) fn delete(&mut self, module: &str, id: i64) -> bool {
        let rows = self.0.get_mut(module);
        rows.is_some_and(|rows| rows.remove(&id).is_some())
    }
}

/// Whether a record is of a business entity that the user works for.
pub(super) fn is_of(row: &Row, caller: &Aim18Person) -> bool {
    be_of(row).is_none_or(|be_id| caller.be_ids.contains(&be_id))
}

fn be_of(row: &Row) -> Option<i64> {
    row.get("beId").and_then(Value::as_i64)
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn found(row: &Row, caller: &Aim18Person) -> Value {
    let own = match caller.language {
        "zh-TW" => text(row, "desc_zh-TW"),
        "zh-CN" => text(row, "desc_zh-CN"),
        _ => text(row, "desc_en"),
    };
    let (id, code) = (row.get("id"), text(row, "code"));
    json!({
        "id": id,
        "st_id": id,
        "code": code,
        "st_code": code,
        "st_desc": format!("{own} ({code})"),
        "desc__lang": own,
    })
}

/// The documented form of a record: tables, each with its fields and rows.
pub(super) fn sql_entity(module: &str, row: &Row) -> Value {
    let fields: Vec<Value> = row
        .iter()
        .map(|(name, value)| {
            let (class, kind) = match (name.as_str(), value) {
                ("expiredDate", _) => ("java.util.Date", 21),
                (_, Value::Number(_)) => ("java.lang.Long", 10),
                _ => ("java.lang.String", 0),
            };
            json!({ "name": name, "fieldClassName": class, "fieldClass": class, "classType": kind })
        })
        .collect();
    json!({
        "moduleType": module,
        "mainTableName": module,
        "subTableNames": "",
        module: { "name": module, "size": 1, "fields": fields, "values": [row] },
    })
}

/// The row that a body saves: the first of the main table, in the documented form or the newer one.
pub(super) fn saved(module: &str, body: &str) -> Option<Row> {
    let body: Value = serde_json::from_str(body).ok()?;
    let table = body.get(module)?;
    let rows = table.get("values").unwrap_or(table);
    rows.as_array()?.first()?.as_object().cloned()
}
