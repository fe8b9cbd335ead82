//! The module that holds the users, whose real name is not public: who may read whom, and how a user is told.

use serde_json::{Value, json};

use super::switches::UserRights;
use super::{Aim18Person, Inside, people};

/// Whether a caller may read a user's record.
pub(super) fn may_read(inside: &Inside, caller: &Aim18Person, person: &Aim18Person) -> bool {
    if caller.uid == people::AIM18_NO_RIGHTS.uid {
        return false;
    }
    let is_service = caller.uid == people::AIM18_SERVICE.uid;
    match inside.switches.user_rights {
        UserRights::Everybody => true,
        UserRights::Own => is_service || caller.uid == person.uid,
        UserRights::ServiceAccount => is_service,
        UserRights::Nobody => false,
    }
}

/// Users that a search finds by a part of the login name or of a name.
pub(super) fn search(inside: &Inside, caller: &Aim18Person, wanted: &str) -> Vec<Value> {
    inside
        .people
        .iter()
        .filter(|person| may_read(inside, caller, person))
        .filter(|person| {
            [person.code, person.desc_en, person.desc_zh_tw]
                .iter()
                .any(|text| text.to_lowercase().contains(wanted))
        })
        .map(|person| {
            json!({
                "id": person.uid,
                "st_id": person.uid,
                "code": person.code,
                "st_code": person.code,
                "st_desc": format!("{} ({})", person.desc(), person.code),
                "desc__lang": person.desc(),
                "email": person.email,
                "locked": person.locked,
            })
        })
        .collect()
}

/// A row of the user table. Names beyond `id`, `code` and the names' suffixes are a guess.
pub(super) fn row(person: &Aim18Person) -> Value {
    json!({
        "id": person.uid,
        "code": person.code,
        "desc": person.desc(),
        "desc_en": person.desc_en,
        "desc_zh-TW": person.desc_zh_tw,
        "desc_zh-CN": person.desc_zh_cn,
        "email": person.email,
        "beId": person.be_ids.first(),
        "beIds": join(person.be_ids),
        "lang": person.language,
        "locked": person.locked,
        // This date stands for "none".
        "expiredDate": "1900-01-01 00:00:00",
    })
}

/// A column holds one value, so a list is joined.
fn join(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(";")
}
