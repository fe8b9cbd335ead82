//! Values of iMIS as claims: each standard claim keeps its type, whatever a record or a query holds (OpenID Connect Core
//! section 5.1).

use serde_json::Value;

use super::api::{bare, plain};
use crate::clock::UnixTime;
use crate::protocol::claims::Profile;

/// More than any real name or address has; a longer one is left out rather than cut.
const MAX_CLAIM_BYTES: usize = 512;
/// The most names that `groups` has; they travel in every answer.
pub(super) const MAX_GROUPS: usize = 200;

/// Gives a claim a value: that of its type, or none if the value holds no such.
pub(super) fn put(profile: &mut Profile, claim: &str, value: &Value) {
    match claim {
        "name" => profile.name = text(value),
        "given_name" => profile.given_name = text(value),
        "family_name" => profile.family_name = text(value),
        "preferred_username" => profile.preferred_username = text(value),
        "email" => profile.email = address(value),
        "email_verified" => profile.email_verified = flag(value),
        "groups" => profile.groups = names(value),
        _ => {
            let typed = match claim {
                "is_member" | "phone_number_verified" => flag(value).map(Value::from),
                "member_since" | "paid_through" | "birthdate" => day(value).map(Value::from),
                "updated_at" => seconds(value).map(Value::from),
                "membership_type" | "membership_status" | "member_id" => {
                    text(value).map(Value::from)
                }
                _ => any(value),
            };
            match typed {
                Some(value) => profile.more.insert(claim.to_owned(), value),
                None => profile.more.remove(claim),
            };
        }
    }
}

/// A text that is fit to be told.
pub(super) fn text(value: &Value) -> Option<String> {
    plain(value).filter(|text| text.len() <= MAX_CLAIM_BYTES && !text.chars().any(char::is_control))
}

/// What looks like an email address.
pub(super) fn address(value: &Value) -> Option<String> {
    text(value).filter(|address| {
        let at = address.find('@');
        at.is_some_and(|at| at > 0 && at + 1 < address.len())
            && !address.contains(char::is_whitespace)
    })
}

/// A yes or no, in the ways that queries write it.
fn flag(value: &Value) -> Option<bool> {
    if let Value::Bool(flag) = bare(value) {
        return Some(*flag);
    }
    match plain(value)?.to_lowercase().as_str() {
        "true" | "1" | "yes" | "y" => Some(true),
        "false" | "0" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// Seconds since 1970, or the time that a column of dates holds. It has no zone: UTC stands in, which is hours wrong at most.
fn seconds(value: &Value) -> Option<UnixTime> {
    if let Some(seconds) = bare(value).as_i64() {
        return Some(seconds);
    }
    let text = plain(value)?;
    text.parse().ok().or_else(|| {
        let time = humantime::parse_rfc3339_weak(&text).ok()?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    })
}

/// A date, of which iMIS tells a time without a zone: the day is all that is meant.
pub(super) fn day(value: &Value) -> Option<String> {
    let text = plain(value)?;
    let day = text.get(..10)?;
    let pattern = b"0000-00-00".iter().zip(day.bytes());
    let shaped = pattern.into_iter().all(|(like, byte)| match like {
        b'-' => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let ends = matches!(text.as_bytes().get(10), None | Some(b'T' | b' '));
    let part = |range| {
        day.get(range)
            .and_then(|part: &str| part.parse::<u32>().ok())
    };
    let (year, month, of_month) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let exists = (1..=days_in(year, month)).contains(&of_month);
    // What .NET writes for a date that nobody set.
    let set = !day.starts_with("0001-");
    (shaped && ends && exists && set).then(|| day.to_owned())
}

/// The days of a month; none of a month that is none.
const fn days_in(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// A list: of texts, or one text with semicolons or commas.
fn names(value: &Value) -> Vec<String> {
    let values = value.get("$values").unwrap_or(value);
    if let Value::Array(values) = values {
        return values.iter().filter_map(text).take(MAX_GROUPS).collect();
    }
    // Longer than one claim may be, since it is many.
    let Some(joined) = plain(value) else {
        return Vec::new();
    };
    let by = if joined.contains(';') { ';' } else { ',' };
    joined
        .split(by)
        .filter_map(|name| text(&name.into()))
        .take(MAX_GROUPS)
        .collect()
}

/// Whatever it is, a midnight as the day that it means.
fn any(value: &Value) -> Option<Value> {
    match bare(value) {
        flag @ Value::Bool(_) => Some(flag.clone()),
        number @ Value::Number(_) => Some(number.clone()),
        value => {
            let text = text(value)?;
            let midnight = text.get(10..).is_some_and(|time| {
                time.strip_prefix(['T', ' '])
                    .is_some_and(|time| time.starts_with("00:00:00"))
            });
            if midnight
                && text
                    .get(10..)
                    .is_some_and(|time| !time.contains(['Z', '+']))
            {
                return day(value).map(Value::from);
            }
            Some(text.into())
        }
    }
}

/// The day of an instant, in UTC.
pub(super) fn today(now: UnixTime) -> String {
    // Days are counted from the first of March, so that the leap day is the last of a year, in eras of 400 years.
    let days = now.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cookie::time::Date;
    use proptest::prelude::any as arbitrary;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_claim_keeps_its_type_whatever_a_query_holds() {
        let put_one = |claim: &str, value: Value| {
            let mut profile = Profile::default();
            put(&mut profile, claim, &value);
            serde_json::to_value(profile).unwrap()
        };
        let wrapped = |value: Value| json!({ "$type": "System.X", "$value": value });
        for (claim, value, told) in [
            ("is_member", json!("True"), json!(true)),
            ("is_member", json!(0), json!(false)),
            ("is_member", wrapped(json!(true)), json!(true)),
            (
                "member_since",
                json!("2019-05-01T00:00:00"),
                json!("2019-05-01"),
            ),
            (
                "member_since",
                wrapped(json!("2019-05-01 10:30:00")),
                json!("2019-05-01"),
            ),
            ("member_since", json!("2019-05-01"), json!("2019-05-01")),
            ("member_since", json!("2020-02-29"), json!("2020-02-29")),
            ("member_since", json!("2000-02-29"), json!("2000-02-29")),
            ("member_id", json!(20457), json!("20457")),
            ("name", json!(" Jo "), json!("Jo")),
            ("groups", json!("A, b;c"), json!(["A, b", "c"])),
            ("groups", json!("A, b,,"), json!(["A", "b"])),
            (
                "groups",
                json!({ "$values": ["A", wrapped(json!("B"))] }),
                json!(["A", "B"]),
            ),
            ("chapter", json!("North"), json!("North")),
            ("balance", wrapped(json!(12.5)), json!(12.5)),
            ("renewed", json!("2019-05-01T00:00:00"), json!("2019-05-01")),
            (
                "seen",
                json!("2019-05-01T10:00:00"),
                json!("2019-05-01T10:00:00"),
            ),
            ("updated_at", json!(1_770_112_800), json!(1_770_112_800)),
            ("updated_at", json!("1770112800"), json!(1_770_112_800)),
            (
                "updated_at",
                json!("2023-06-01T08:30:00"),
                json!(1_685_608_200),
            ),
            (
                "updated_at",
                json!("2023-06-01T08:30:00.123Z"),
                json!(1_685_608_200),
            ),
        ] {
            assert_eq!(put_one(claim, value), json!({ claim: told }));
        }
        for (claim, value) in [
            ("is_member", json!("perhaps")),
            ("member_since", json!("1 May 2019")),
            ("member_since", json!("2019-13-01")),
            ("member_since", json!("2019-04-31")),
            ("member_since", json!("2019-02-29")),
            ("member_since", json!("1900-02-29")),
            ("member_since", json!("0001-01-01T00:00:00")),
            ("email", json!("nonsense")),
            ("updated_at", json!("2019-05-01")),
            ("updated_at", json!("2019-05-01T25:00:00")),
            ("updated_at", json!("1960-05-01T00:00:00")),
            ("chapter", json!("x".repeat(513))),
            ("chapter", json!("a\u{0}b")),
            ("chapter", json!({ "a": 1 })),
            ("chapter", json!(null)),
        ] {
            assert_eq!(put_one(claim, value), json!({}), "{claim}");
        }
    }

    #[test]
    fn a_day_is_that_of_the_calendar() {
        for (now, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_770_112_800, "2026-02-03"),
        ] {
            assert_eq!(today(now), day);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            arbitrary::<String>().prop_map(Value::from),
            arbitrary::<i64>().prop_map(Value::from),
            arbitrary::<f64>().prop_map(Value::from),
            arbitrary::<bool>().prop_map(Value::from),
            Just(Value::Null),
            "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](T00:00:00(Z|\\+01:00)?| 12:00| )?"
                .prop_map(Value::from),
            "[a-c@;, ]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| json!({ "$values": values })),
                inner.clone().prop_map(|value| json!({ "$value": value })),
                inner.prop_map(|value| json!({ "$type": "System.Boolean", "$value": value })),
            ]
        })
    }

    proptest! {
        /// OpenID Connect Core section 5.1, whatever a record holds.
        #[test]
        fn a_claim_has_its_type_or_is_absent(value in any_value()) {
            let mut profile = Profile::default();
            for claim in ["name", "email", "email_verified", "groups", "is_member", "birthdate", "updated_at", "member_id", "points"] {
                put(&mut profile, claim, &value);
            }
            let fit = |text: &str| text.len() <= MAX_CLAIM_BYTES && !text.chars().any(char::is_control);
            prop_assert!(profile.name.as_deref().is_none_or(fit));
            prop_assert!(profile.email.as_deref().is_none_or(|email| fit(email) && email.contains('@')));
            prop_assert!(profile.groups.len() <= MAX_GROUPS && profile.groups.iter().all(|group| fit(group)));
            let more = |claim: &str| profile.more.get(claim);
            prop_assert!(more("is_member").is_none_or(Value::is_boolean));
            prop_assert!(more("updated_at").is_none_or(Value::is_i64));
            prop_assert!(more("member_id").is_none_or(|id| id.as_str().is_some_and(fit)));
            prop_assert!(more("points").is_none_or(|points| points.is_boolean() || points.is_number() || points.as_str().is_some_and(fit)));
            if let Some(day) = more("birthdate") {
                let parts: Vec<i32> = day.as_str().unwrap().split('-').map(|part| part.parse().unwrap()).collect();
                let month = u8::try_from(parts[1]).unwrap().try_into().unwrap();
                let exists = Date::from_calendar_date(parts[0], month, u8::try_from(parts[2]).unwrap());
                prop_assert!(exists.is_ok(), "{} is no day", day);
            }
        }
    }
}
