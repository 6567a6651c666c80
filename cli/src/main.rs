//! posixage
fn main() {}
