//! Every statement of the store finds its rows by an index, on both databases: what reads a whole table is quick in a test and
//! slow in the tenth year.

use std::path::Path;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::harness::database::TestDatabase;

/// Statements that may read a whole table, by words of theirs.
const WHOLE: [&str; 10] = [
    // A few keys, of which all are wanted.
    "FROM signing_key",
    // Those that an administrator has made, all of which are listed.
    "FROM initial_access_token ORDER BY",
    // `portico user find`: a part of a name, anywhere in it.
    "LIKE $1 ESCAPE",
    // The few that do not answer, for an administrator.
    "SELECT client_id, since, failures, next_at FROM logout_outage",
    // From client to client by an index, and then all of these: `logout_queue` counts what that costs.
    "WITH RECURSIVE waiting",
    // `portico session list`, by the last use: an index of that would be written with each use.
    "WHERE ended_at IS NULL AND expires_at > $1\n                   AND last_seen_at > CASE",
    "WHERE upstream = $5 AND ended_at IS NULL",
    // The same of apps that act without a session, and which upstreams anything names.
    "WHERE offline = 1 AND generation IS NOT NULL",
    "WHERE upstream = $4 AND offline = 1",
    "UNION SELECT upstream FROM session",
];

/// Columns that have the same value in very many rows: an index by nothing but one of them leads to all of these.
const FEW_VALUES: [&str; 3] = ["upstream", "kind", "event"];

/// Whether the conditions of an index, as a plan tells them, are about such columns alone.
fn leads_to_very_many(conditions: &str) -> bool {
    let mut columns = conditions.split(" AND ").map(|condition| {
        let name = condition.trim_start_matches('(');
        let end = name.find([' ', '=', '<', '>', ')']).unwrap_or(name.len());
        let name = &name[..end];
        name.rsplit('.').next().unwrap_or(name)
    });
    columns.all(|column| FEW_VALUES.contains(&column))
}

/// The statements of the store: every text in its sources that begins as one.
pub(super) fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut all = Vec::new();
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    // Below are tests, with tables of their own.
    for file in files.filter(|path| path.is_file()) {
        let source = std::fs::read_to_string(file).unwrap();
        let code: Vec<&str> = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let code = code.join("\n");
        let mut found = texts(&code).into_iter();
        while let Some(text) = found.next() {
            if text.ends_with(" WHERE") {
                // The audit's search: its first condition is put in between.
                let rest = found.next().unwrap();
                let firsts = code.split("search!(\"").skip(1);
                let firsts = firsts.map(|after| after.split('"').next().unwrap());
                all.extend(firsts.map(|first| format!("{text} {first} {rest}")));
            } else if text.contains("({text}{apart})") {
                // What a look at one row becomes; see `looks_at_many`.
            } else if is_statement(&text) {
                // The audit's new rows: the names of the columns, the places of the values, and what becomes of those that are there
                // already are put in between.
                let text = text.replace("{before}", "");
                all.push(text.replace("({}) VALUES {} {after}", "(id) VALUES ($1)"));
            }
        }
    }
    all
}

/// Each look at one row, and what it becomes where many look at the same moment, on PostgreSQL.
fn looks_at_many() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let template = texts(&read(&folder.join("together.rs")));
    let template = template
        .into_iter()
        .find(|text| text.contains("({text}{apart})"));
    let template = template.unwrap().replace("{PLACE}", "place");
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let source = read(&path);
            let looks = source.split(".look_up(").skip(1);
            all.extend(looks.map(|after| {
                let look = texts(after).swap_remove(0);
                let has_offset = look.contains(" OFFSET ");
                let (columns, apart) = if has_offset {
                    // A key first, and what follows are numbers.
                    (", a1 TEXT, a2 BIGINT, a3 BIGINT", "")
                } else {
                    (", a1 TEXT, a2 TEXT, a3 TEXT, a4 TEXT", " OFFSET 0")
                };
                let many = template.replace("{columns}", columns);
                let many = many.replace("{apart}", apart);
                let many = many.replace("{text}", &look.replace('$', "asked.a"));
                (look, many)
            }));
        }
    }
    all
}

fn is_statement(text: &str) -> bool {
    let words = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    words.iter().any(|word| text.starts_with(word))
}

/// What stands between quotation marks, with its escapes taken back.
fn texts(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some((_, after)) = rest.split_once('"') {
        let mut text = String::new();
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    // The line goes on.
                    Some((_, '\n')) => text.push(' '),
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                char => text.push(char),
            }
        }
        found.push(text.trim().to_owned());
        rest = &after[end..];
    }
    found
}

fn highest_parameter(statement: &str) -> usize {
    let numbers = statement.split('$').skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

/// The lines of a plan that read a whole table, or all that is somebody's whom all have in common.
async fn faults(connection: &mut AnyConnection, statement: &str, postgres: bool) -> Vec<String> {
    if !postgres {
        let lines = plan_of_sqlite(connection, statement).await.into_iter();
        // A whole index, in its order, is for statements that stop after a few rows.
        return lines
            .filter(|line| {
                let whole = line.starts_with("SCAN ")
                    && !line.contains(" USING ")
                    && line != "SCAN CONSTANT ROW"
                    && !line.ends_with("-ROW VALUES CLAUSE");
                let conditions = line
                    .strip_prefix("SEARCH ")
                    .and_then(|rest| rest.split_once('('));
                whole || conditions.is_some_and(|(_, conditions)| leads_to_very_many(conditions))
            })
            .collect();
    }
    let lines = plan_of_postgres(connection, statement).await.into_iter();
    lines
        .filter(|line| {
            let conditions = line.split_once("Index Cond: ");
            line.contains("Seq Scan")
                || conditions.is_some_and(|(_, conditions)| leads_to_very_many(conditions))
        })
        .collect()
}

/// The lines of a plan of SQLite's.
async fn plan_of_sqlite(connection: &mut AnyConnection, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = connection.fetch_all(AssertSqlSafe(explain)).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {statement}"));
    rows.iter().map(|row| row.get("detail")).collect()
}

/// The lines of a plan of PostgreSQL's, whatever the parameters are.
async fn plan_of_postgres(connection: &mut AnyConnection, statement: &str) -> Vec<String> {
    let prepare = format!("PREPARE looked_at AS {statement}");
    let prepared = connection.execute(AssertSqlSafe(prepare)).await;
    prepared.unwrap_or_else(|error| panic!("{error}: {statement}"));
    let nulls = vec!["NULL"; highest_parameter(statement)].join(", ");
    let nulls = if nulls.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    let rows = connection
        .fetch_all(AssertSqlSafe(format!("EXPLAIN EXECUTE looked_at {nulls}")))
        .await
        .unwrap_or_else(|error| panic!("{error}: {statement}"));
    connection.execute("DEALLOCATE looked_at").await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The database with its tables, and whether it is PostgreSQL.
async fn planner(database: &TestDatabase) -> (AnyConnection, bool) {
    drop(database.store().await);
    let url = database.url().expose();
    let postgres = url.starts_with("postgres");
    let mut connection = AnyConnection::connect(url).await.unwrap();
    if postgres {
        // The plan for whatever the parameters are; and a whole table only where there is no other way, however small it is.
        connection
            .execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
            .await
            .unwrap();
    }
    (connection, postgres)
}

/// Fails where a statement, of which only the log tells, reads a whole table.
pub(crate) async fn assert_by_index(database: &TestDatabase, statement: &str) {
    let (mut connection, postgres) = planner(database).await;
    let found = faults(&mut connection, statement, postgres).await;
    assert!(
        found.is_empty(),
        "{statement}\n    {}",
        found.join("\n    ")
    );
}

/// What a removed row asks of the tables that may refer to it, which no text of the store says.
#[tokio::test]
async fn whatever_refers_to_a_row_is_found_by_an_index() {
    let database = TestDatabase::fresh().await;
    let (mut connection, postgres) = planner(&database).await;
    let references = if postgres {
        "SELECT CAST(CAST(conrelid AS regclass) AS TEXT), CAST(attname AS TEXT)
             FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'"
    } else {
        "SELECT child.name, reference.\"from\"
             FROM sqlite_schema AS child JOIN pragma_foreign_key_list(child.name) AS reference WHERE child.type = 'table'"
    };
    let references = connection.fetch_all(references).await.unwrap();
    assert!(references.len() > 20, "{}", references.len());
    for reference in references {
        let (table, column): (String, String) = (reference.get(0), reference.get(1));
        // Accounts stay.
        if (table.as_str(), column.as_str()) == ("account", "merged_into") {
            continue;
        }
        let statement = format!("SELECT 1 FROM {table} WHERE {column} = $1");
        let found = faults(&mut connection, &statement, postgres).await;
        assert!(found.is_empty(), "{statement}: {found:?}");
    }
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let database = TestDatabase::fresh().await;
    let (mut connection, postgres) = planner(&database).await;
    let statements = statements();
    assert!(statements.len() > 150, "{}", statements.len());
    let mut wrong = Vec::new();
    for whole in WHOLE {
        let known = statements.iter().any(|statement| statement.contains(whole));
        assert!(known, "no statement has {whole}");
    }
    let allowed = |statement: &String| WHOLE.iter().any(|whole| statement.contains(whole));
    for statement in statements.iter().filter(|each| !allowed(each)) {
        let found = faults(&mut connection, statement, postgres).await;
        if !found.is_empty() {
            wrong.push(format!("{statement}\n    {}", found.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), wrong.len());
}

/// Who looks with others finds what they look for by the same indexes as alone.
#[tokio::test]
async fn every_look_with_others_goes_the_way_of_one_alone() {
    let database = TestDatabase::fresh().await;
    let (mut connection, postgres) = planner(&database).await;
    let looks = looks_at_many();
    assert!(looks.len() > 15, "{}", looks.len());
    for (look, many) in looks {
        if !postgres {
            // There is no such statement.
            continue;
        }
        let mut conditions = Vec::new();
        for statement in [&look, &many] {
            let plan = plan_of_postgres(&mut connection, statement).await;
            let found = plan.iter().filter(|line| line.contains("Index Cond: "));
            conditions.push(found.count());
            assert!(
                !plan.iter().any(|line| line.contains("Seq Scan")),
                "{plan:#?}"
            );
        }
        assert!(
            conditions[0] > 0 && conditions[0] == conditions[1],
            "{many}"
        );
    }
}

/// Who goes through very many rows a few at a time finds the next few where the last ones ended, and sorts nothing each time.
#[tokio::test]
async fn whoever_goes_on_where_it_was_sorts_nothing() {
    let database = TestDatabase::fresh().await;
    let (mut connection, postgres) = planner(&database).await;
    if postgres {
        // As with whole tables: where there is another way.
        connection.execute("SET enable_sort = off").await.unwrap();
    }
    let all = statements();
    // Of one client's families very many are looked for at a time, so that they are seldom put in order.
    let goes_on = |statement: &&String| {
        (statement.contains(" id > $")
            && statement.contains("ORDER BY id LIMIT")
            && !statement.contains("client_id = $3"))
            || statement.contains("WHERE session_id > $1")
    };
    // The sweep and the like: those that come first have gone when it comes again. (There are few signing keys.)
    let removes = |statement: &&String| {
        ["ORDER BY", "LIMIT $2)"]
            .iter()
            .all(|words| statement.contains(words))
            && !statement.contains("signing_key")
    };
    let (goes_on, removes): (Vec<_>, Vec<_>) = (
        all.iter().filter(goes_on).collect(),
        all.iter().filter(removes).collect(),
    );
    assert_eq!((goes_on.len(), removes.len()), (5, 18), "{removes:#?}");
    for statement in goes_on.into_iter().chain(removes) {
        let plan = if postgres {
            plan_of_postgres(&mut connection, statement).await
        } else {
            plan_of_sqlite(&mut connection, statement).await
        };
        let sorts = |line: &String| line.contains("TEMP B-TREE") || line.contains("Sort");
        assert!(!plan.iter().any(sorts), "{statement}: {plan:#?}");
    }
}
