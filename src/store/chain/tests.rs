use super::*;
use crate::store::statement::query;

#[test]
fn each_link_waits_for_the_one_before_and_has_arguments_of_its_own() {
    let chain = Chain::new()
        .then(query("UPDATE a SET x = $2 WHERE id = $1").bind("a").bind(1))
        .then_hold(query("SELECT id FROM b WHERE id = $1 AND gone IS NULL").bind("b"))
        .then(
            query("INSERT INTO c (id, y) SELECT $1, $11 WHERE TRUE ON CONFLICT (id) DO UPDATE SET y = $2 WHERE c.y = 1")
                .bind("c")
                .bind(2),
        );
    assert_eq!(
        compose(&chain.0),
        "WITH link_0 AS MATERIALIZED (UPDATE a SET x = $2 WHERE id = $1 RETURNING 1), \
         link_1 AS MATERIALIZED (SELECT id FROM b WHERE EXISTS (SELECT 1 FROM link_0) AND id = $3 AND gone IS NULL FOR NO KEY UPDATE), \
         link_2 AS MATERIALIZED (INSERT INTO c (id, y) SELECT $4, $14 WHERE EXISTS (SELECT 1 FROM link_1) AND TRUE \
         ON CONFLICT (id) DO UPDATE SET y = $5 WHERE c.y = 1 RETURNING 1) \
         SELECT (SELECT COUNT(*) FROM link_0) + (SELECT COUNT(*) FROM link_1) + (SELECT COUNT(*) FROM link_2)"
    );
    assert!(std::ptr::eq(one_text(&chain.0), one_text(&chain.0)));
}
