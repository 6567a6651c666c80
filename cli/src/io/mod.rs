//! What goes in and out: standard input and output, the terminal, passwords, files of variables.

mod closed;
pub(crate) mod dotenv;
pub(crate) mod hidden;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod password;
pub(crate) mod terminal;
pub(crate) mod turn;
pub(crate) mod value;
