//! The one integration-test binary: a file a capability (docs/architecture.md, "Tests").

#[cfg(test)]
mod config;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod store;
