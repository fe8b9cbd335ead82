//! What the iMIS adapter tells of a person, through every switch of the simulator that touches it.
