//! Sources that would take the parser or the compiler too deep.
//!
//! Both go down once for each link of a chain such as `a.b.c` or `1 + 1 + 1`, without a limit of their own.

use minijinja::{
    Error, ErrorKind,
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
};

/// Bytes of the longest source; the longest published one has 30 thousand.
const LONGEST: usize = 1 << 20;

/// Bytes of the longest name.
const LONGEST_NAME: usize = 1 << 10;

/// Links that one tag may have, and branches that all conditions together may have.
const MOST_LINKS: usize = 300;

/// Why a source is refused, and the line from one.
pub(super) struct Refusal {
    pub(super) line: usize,
    pub(super) error: Error,
}

impl Refusal {
    fn new(line: usize, reason: &'static str) -> Self {
        Self { line, error: Error::new(ErrorKind::SyntaxError, reason) }
    }
}

/// Refuses a source that is too long, or has too long a chain.
///
/// # Errors
///
/// The first reason to refuse it.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), Refusal> {
    if source.len() > LONGEST {
        return Err(Refusal::new(1, "the template is longer than a megabyte"));
    }
    let mut links = 0;
    let mut branches = 0;
    // What cannot be read the parser tells.
    for (token, span) in tokenize(source, false, syntax.clone()).map_while(Result::ok) {
        let refuse = |reason| Err(Refusal::new(span.start_line.into(), reason));
        if matches!(token, Token::VariableStart | Token::BlockStart) {
            links = 0;
        }
        links += usize::from(is_link(&token));
        if links > MOST_LINKS {
            return refuse("an expression is too long");
        }
        let Token::Ident(ident) = token else { continue };
        branches += usize::from(ident == "elif");
        if branches > MOST_LINKS {
            return refuse("there are too many branches");
        }
        if ident.len() > LONGEST_NAME {
            return refuse("a name is too long");
        }
    }
    Ok(())
}

/// Whether `token` may hang one expression onto another.
fn is_link(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(ident) => {
            matches!(*ident, "and" | "or" | "not" | "in" | "is" | "if" | "else")
        }
        Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::FloorDiv
        | Token::Pow
        | Token::Mod
        | Token::Dot
        | Token::Tilde
        | Token::Pipe
        | Token::Eq
        | Token::Ne
        | Token::Gt
        | Token::Gte
        | Token::Lt
        | Token::Lte
        | Token::BracketOpen
        | Token::ParenOpen => true,
        Token::TemplateData(_)
        | Token::VariableStart
        | Token::VariableEnd
        | Token::BlockStart
        | Token::BlockEnd
        | Token::Str(_)
        | Token::String(_)
        | Token::Int(_)
        | Token::Int128(_)
        | Token::Float(_)
        | Token::Comma
        | Token::Colon
        | Token::Assign
        | Token::BracketClose
        | Token::ParenClose
        | Token::BraceOpen
        | Token::BraceClose => false,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::super::ChatTemplate;
    use super::{LONGEST, LONGEST_NAME, MOST_LINKS};

    /// What is wrong with `source` and where, if it cannot be read.
    fn refusal(source: &str) -> Option<String> {
        let error = ChatTemplate::new("test", source).err()?;
        assert_eq!(error.kind(), "template_syntax");
        Some(format!("{error}: {}", error.source()?))
    }

    #[test]
    fn the_longest_chains_are_read_and_longer_ones_refused() {
        let expected =
            "chat template `test`, line 2, cannot be read: syntax error: an expression is too long";
        for link in ["+x", ".x", "|trim", "[x]", "()", "**x", "~x", " in x", " and x", "*x"] {
            let written = |links| format!("{{{{ x }}}}\n{{{{ x{} }}}}", link.repeat(links));
            assert_eq!(refusal(&written(MOST_LINKS)), None, "{link}");
            assert_eq!(refusal(&written(MOST_LINKS + 1)).as_deref(), Some(expected), "{link}");
        }
        for link in ["not ", "- "] {
            let written = |links| format!("{{{{ x }}}}\n{{{{ {}x }}}}", link.repeat(links));
            assert_eq!(refusal(&written(MOST_LINKS)), None, "{link}");
            assert_eq!(refusal(&written(MOST_LINKS + 1)).as_deref(), Some(expected), "{link}");
        }
    }

    #[test]
    fn branches_names_and_sources_have_a_limit() {
        let branches = |count| format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(count));
        assert_eq!(refusal(&branches(MOST_LINKS)), None);
        assert!(refusal(&branches(MOST_LINKS + 1)).unwrap().ends_with("too many branches"));
        let name = |count| format!("{{{{ {} }}}}", "x".repeat(count));
        assert_eq!(refusal(&name(LONGEST_NAME)), None);
        assert!(refusal(&name(LONGEST_NAME + 1)).unwrap().ends_with("a name is too long"));
        assert_eq!(refusal(&"x".repeat(LONGEST)), None);
        assert!(refusal(&"x".repeat(LONGEST + 1)).unwrap().ends_with("longer than a megabyte"));
    }

    #[test]
    fn long_lists_and_many_short_chains_are_no_chain() {
        let list = format!("{{% set x = [{}] %}}", "'a', ".repeat(MOST_LINKS * 3));
        let tags = "{{ x.y.z }}".repeat(MOST_LINKS);
        assert_eq!(refusal(&list), None);
        assert_eq!(refusal(&tags), None);
    }
}
