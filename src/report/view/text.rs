//! What strangers wrote, made fit to be shown: names of models, reasons, standard error.

/// Characters of a text that are shown.
const SHOWN: usize = 400;

/// `text` on one line, without what moves a cursor, turns the direction of writing or is too long.
pub(super) fn plain(text: &str) -> String {
    let is_harmless = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if text.len() <= SHOWN && text.bytes().all(is_harmless) {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN).map(shown).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn shown(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// `text` as Markdown shows it: no table, tag, link or emphasis comes of it.
pub(in crate::report) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '|' | '`' | '*' | '[' | ']' | '~' | '#' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    // Within a word an underscore is nothing but itself.
    if escaped.starts_with('_') || escaped.contains(" _") {
        escaped.replace('_', "\\_")
    } else {
        escaped
    }
}

/// `text` as a page shows it, also within an attribute in quotes.
pub(super) fn html(text: &str) -> String {
    escaped(&plain(text))
}

/// The same of a text that was made of such as are fit to be shown, however long it is.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `text` as a field of a spreadsheet: none begins as a formula does.
pub(super) fn field(text: &str) -> String {
    let text = plain(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
        assert_eq!(plain(&"x".repeat(1000)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn markdown_makes_nothing_of_a_name() {
        assert_eq!(markdown("a|b"), "a\\|b");
        assert_eq!(markdown("<img src=x>[l](u)`c`**"), "&lt;img src=x>\\[l\\](u)\\`c\\`\\*\\*");
        assert_eq!(markdown("test_run_command"), "test_run_command");
        assert_eq!(markdown("_a_ b"), "\\_a\\_ b");
        assert_eq!(markdown("&lt;"), "&amp;lt;");
    }

    #[test]
    fn a_page_makes_nothing_of_a_name() {
        assert_eq!(html("<a b='c' d=\"e\">&"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
    }

    #[test]
    fn no_field_is_a_formula() {
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("mlx-community/x"), "mlx-community/x");
    }
}
