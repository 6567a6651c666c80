//! Text that others wrote, such as a file's name, on its way to a terminal.

use std::{fmt, path::Path};

/// Whether a character is none that is read: a control character, such as a line break or an escape,
/// or one that formats, such as those that turn the direction of the text around it.
///
/// Escape these in names and metadata before they are printed: their writer could otherwise draw
/// on the terminal, or make a line look like another.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    // The general categories Cc, Cf, Zl and Zp.
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// A path on one line, with [invisible](is_invisible) characters escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .to_string_lossy()
            .chars()
            .try_for_each(|c| match is_invisible(c) {
                true => write!(f, "{}", c.escape_unicode()),
                false => write!(f, "{c}"),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_line_and_what_cannot_be_seen_is_escaped() {
        let shown = |path: &str| Shown(Path::new(path)).to_string();
        assert_eq!(shown("/a b/\u{e4}\u{1f511}"), "/a b/\u{e4}\u{1f511}");
        assert_eq!(shown("a\nb\u{1b}[2J"), "a\\u{a}b\\u{1b}[2J");
        assert_eq!(shown("a\u{202e}b\u{e0041}"), "a\\u{202e}b\\u{e0041}");
    }
}
