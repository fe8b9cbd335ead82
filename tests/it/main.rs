//! The one integration-test binary.

#[cfg(test)]
mod config;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod upstream_imis;
#[cfg(test)]
mod upstream_users;
