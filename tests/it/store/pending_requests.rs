//! Requests too large for a cookie.

use super::NOW;
use crate::harness::database::TestDatabase;

#[tokio::test]
async fn a_pending_request_is_found_until_it_expires_or_is_answered() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let sealed = "s".repeat(20_000);
    for handle in ["expires", "answered"] {
        store
            .keep_pending_request(handle, &sealed, NOW + 10)
            .await
            .unwrap();
    }
    let find = |handle, now| store.find_pending_request(handle, now);
    assert_eq!(find("expires", NOW + 9).await.unwrap(), Some(sealed));
    assert_eq!(find("expires", NOW + 10).await.unwrap(), None);
    assert_eq!(find("unknown", NOW).await.unwrap(), None);
    store.delete_pending_request("answered").await.unwrap();
    store.delete_pending_request("answered").await.unwrap();
    assert_eq!(find("answered", NOW).await.unwrap(), None);
}
