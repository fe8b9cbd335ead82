//! One file an adapter, and the trait that each fulfils.
