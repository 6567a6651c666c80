//! Claim: whatever is done to a store, it does what a map would do.

use posixage_tests::fuzz::model;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_map(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        model::run(&input);
    }
}
