//! The pages of the documentation.

use std::fs;

use crate::binary;

/// The blocks of a page that are in this language, such as `sh`, in order.
///
/// # Panics
/// The page cannot be read.
#[must_use]
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(binary::workspace().join(page));
    let text = text.unwrap_or_else(|e| panic!("read {page}: {e}"));
    let block = |text: &str| text.split_once("\n```").map(|(block, _)| block.to_owned());
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(block).collect()
}
