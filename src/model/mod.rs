//! Records and their state machines.
