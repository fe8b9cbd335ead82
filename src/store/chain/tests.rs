use super::*;
use crate::store::statement::query;

#[test]
fn each_link_waits_for_the_one_before_and_has_arguments_of_its_own() {
    let chain = Chain::new()
        .then(query("UPDATE a SET x = $2 WHERE id = $1").bind("a").bind(1))
        .then_hold(query("SELECT id FROM b WHERE id = $1 AND gone IS NULL").bind("b"))
        .then(
            query("INSERT INTO c (id, y) SELECT $1, $2 WHERE TRUE ON CONFLICT (id) DO UPDATE SET y = $2 WHERE c.y = 1")
                .bind("c")
                .bind(2),
        )
        .then_keep(query("SELECT id FROM d WHERE id = $1").bind("d"));
    assert_eq!(
        compose(&chain.0),
        "WITH link_0 AS MATERIALIZED (UPDATE a SET x = $2 WHERE id = $1 RETURNING 1), \
         link_1 AS MATERIALIZED (SELECT id FROM b WHERE EXISTS (SELECT 1 FROM link_0) AND id = $3 AND gone IS NULL FOR NO KEY UPDATE), \
         link_2 AS MATERIALIZED (INSERT INTO c (id, y) SELECT $4, $5 WHERE EXISTS (SELECT 1 FROM link_1) AND TRUE \
         ON CONFLICT (id) DO UPDATE SET y = $5 WHERE c.y = 1 RETURNING 1), \
         link_3 AS MATERIALIZED (SELECT id FROM d WHERE EXISTS (SELECT 1 FROM link_2) AND id = $6 FOR KEY SHARE) \
         SELECT (SELECT LEAST(COUNT(*), 1) FROM link_0) + (SELECT LEAST(COUNT(*), 1) FROM link_1) + (SELECT LEAST(COUNT(*), 1) FROM link_2) \
         + (SELECT LEAST(COUNT(*), 1) FROM link_3)"
    );
    assert!(std::ptr::eq(one_text(&chain.0), one_text(&chain.0)));
}

#[test]
fn no_link_goes_without_its_guard() {
    let chain = Chain::new()
        .then(query("UPDATE a SET x = 1"))
        .then(query("UPDATE b SET x = $1").bind(1));
    assert!(
        compose(&chain.0)
            .contains("(UPDATE b SET x = $1 WHERE EXISTS (SELECT 1 FROM link_0) RETURNING 1)")
    );
    assert_eq!(
        with_numbers_from(9, "$1 $12, '$' $x $2"),
        "$10 $21, '$' $x $11"
    );
}
