//! The one integration-test binary.

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod upstream_aim18;
#[cfg(test)]
mod upstream_imis;
#[cfg(test)]
mod upstream_outbound;
#[cfg(test)]
mod upstream_users;
