//! The store against yardsticks: what the system calls, or the cryptography, of the same work cost.
//!
//! `cargo bench -p posixage` prints a table of medians; what follows `--` chooses rows, by a part of
//! their names. With `--test`, or as one of the tests, each runs once, on little.

mod bare;
mod place;
mod reading;
mod table;
mod writing;

use table::{Result, Table};

fn main() -> Result<()> {
    let table = Table::begin();
    reading::lock(&table)?;
    reading::get_age(&table)?;
    reading::get_ssh_ed25519(&table)?;
    reading::get_ssh_rsa(&table)?;
    reading::get_password(&table)?;
    reading::get_ten_passwords(&table)?;
    writing::overwrite(&table)?;
    writing::set_many(&table)?;
    reading::list(&table)?;
    reading::list_many(&table)?;
    reading::filter_age(&table)?;
    reading::match_pattern(&table)
}
