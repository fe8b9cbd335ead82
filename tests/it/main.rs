//! The one integration-test binary: a file a capability (docs/architecture.md, "Tests").

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod authorization_code;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod config;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod relogin;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod store;
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
