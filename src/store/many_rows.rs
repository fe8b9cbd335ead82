//! Many rows as one argument of a statement, on PostgreSQL: as JSON, so that there is one text for any number of them.

use super::statement::Argument;

/// `rows` with these columns, as what [`source`] reads.
pub(super) fn as_json<'a, Row>(
    columns: &[&str],
    rows: impl Iterator<Item = Row>,
) -> Result<String, sqlx::Error>
where
    Row: Iterator<Item = Argument<'a>>,
{
    let mut json = vec![b'['];
    for row in rows {
        json.push(b'{');
        for (column, value) in columns.iter().zip(row) {
            write(&mut json, column)?;
            json.push(b':');
            write(&mut json, &value)?;
            json.push(b',');
        }
        end(&mut json, b'}');
        json.push(b',');
    }
    end(&mut json, b']');
    String::from_utf8(json).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn write(json: &mut Vec<u8>, value: &impl serde::Serialize) -> Result<(), sqlx::Error> {
    serde_json::to_writer(json, value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Ends a list, behind its last comma if it has one.
fn end(json: &mut Vec<u8>, with: u8) {
    json.pop_if(|last| *last == b',');
    json.push(with);
}

/// The rows of `$1`, as a query in brackets. Each column is of the kind of what is given for it.
pub(super) fn source<'a>(columns: impl Iterator<Item = (&'a str, &'a Argument<'a>)>) -> String {
    let columns = columns.map(|(column, value)| match value {
        Argument::Text(_) => format!("{column} TEXT"),
        Argument::Int(_) => format!("{column} BIGINT"),
    });
    let columns: Vec<_> = columns.collect();
    let columns = columns.join(", ");
    format!("(SELECT * FROM json_to_recordset(CAST($1 AS JSON)) AS of_json ({columns}))")
}
