//! `expires_in`, as iMIS and aiM18 write it.

use serde_json::Value;

/// The most seconds that are believed.
const LONGEST: i64 = 366 * 86_400;

/// A number of seconds, bare or in quotes. Nobody gives a token that is dead already, so zero and less tell nothing, and nor
/// does what is no number.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    seconds
        .filter(|seconds| *seconds > 0)
        .map(|seconds| seconds.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_life_is_a_positive_number_of_seconds_bare_or_quoted() {
        for (written, read) in [
            (json!(1199), Some(1199)),
            (json!("3600"), Some(3600)),
            (json!(" 1199 "), Some(1199)),
            (json!(i64::MAX), Some(LONGEST)),
            (json!(u64::MAX), None),
            (json!(0), None),
            (json!("0"), None),
            (json!(-1), None),
            (json!(1.5), None),
            (json!("soon"), None),
            (json!(null), None),
        ] {
            assert_eq!(seconds(&written), read, "{written}");
        }
    }

    proptest! {
        #[test]
        fn a_lifetime_is_a_bounded_number_of_seconds(number in any::<i64>(), float in any::<f64>(), text in "[ 0-9a-z.+-]{0,22}") {
            let values = [number.into(), float.into(), text.into(), number.to_string().into(), Value::Null, Value::from(true)];
            for value in values {
                prop_assert!(seconds(&value).is_none_or(|read| (1..=LONGEST).contains(&read)), "{}", value);
            }
            prop_assert_eq!(seconds(&number.into()), seconds(&number.to_string().into()));
        }
    }
}
