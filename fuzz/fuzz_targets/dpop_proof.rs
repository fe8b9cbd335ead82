#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portico_fuzz::dpop_proof(bytes));
