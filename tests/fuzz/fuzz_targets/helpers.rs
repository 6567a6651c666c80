#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| posixage_tests::fuzz::helpers::run(input));
