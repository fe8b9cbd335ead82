//! The one integration-test binary.

#[cfg(test)]
mod config;
#[cfg(test)]
mod simulator;
