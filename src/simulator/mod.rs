//! A simulated iMIS and aiM18, served over HTTP like the real ones.
