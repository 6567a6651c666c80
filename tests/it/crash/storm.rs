//! Eight processes write, read, update, remove and list twenty secrets while a ninth kills and
//! restarts them. `POSIXAGE_LONG=1` makes it 30 seconds.

#[test]
fn a_storm_of_kills_loses_no_acknowledged_write() {
    posixage_tests::storm_processes::survives();
}
