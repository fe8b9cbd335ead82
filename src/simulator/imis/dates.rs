//! The form of dates in `.issued` and `.expires`, and nothing else about dates.

use crate::clock::UnixTime;

/// `Tue, 03 Feb 2026 10:00:00 GMT`.
pub(super) fn rfc1123(time: UnixTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = time.div_euclid(86_400);
    let seconds = time.rem_euclid(86_400);
    let weekday = DAYS
        .iter()
        .cycle()
        .nth(usize::try_from(days.rem_euclid(7)).unwrap_or_default());
    let (year, month, day) = civil_date(days);
    let month = MONTHS.get(usize::try_from(month - 1).unwrap_or_default());
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        weekday.unwrap_or(&"Thu"),
        month.unwrap_or(&"Jan"),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
    )
}

/// Year, month and day of a day since the epoch, by walking the years: short, and fast enough here.
fn civil_date(mut days: i64) -> (i64, i64, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::rfc1123;

    #[test]
    fn an_instant_is_written_as_web_servers_write_it() {
        assert_eq!(rfc1123(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(rfc1123(1_770_112_800), "Tue, 03 Feb 2026 10:00:00 GMT");
        assert_eq!(rfc1123(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
    }
}
