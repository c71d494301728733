//! The `generation` tag, which marks what the assistant said and prints it unchanged.

use std::borrow::Cow;

/// Replaces `{% generation %}` by `{% with %}`: a block with a scope of its own and no other effect.
///
/// `transformers` adds the tag to the language to find the assistant's tokens; a template that uses
/// it could not be read without it.
pub(super) fn as_scopes(source: &str) -> Cow<'_, str> {
    let mut written = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        let Some(end) = tag.find("%}") else { break };
        let (tag, after) = tag.split_at(end);
        let inside = tag.trim_start_matches("{%").trim_matches(['-', '+']).trim();
        let replacement = match inside {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => inside,
        };
        written.push_str(before);
        if replacement == inside {
            written.push_str(tag);
        } else {
            written.push_str(&tag.replacen(inside, replacement, 1));
        }
        rest = after;
    }
    if written.is_empty() {
        return Cow::Borrowed(source);
    }
    written.push_str(rest);
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::as_scopes;

    #[test]
    fn only_the_tag_itself_is_replaced() {
        assert_eq!(
            as_scopes("a{%- generation -%}generation{% endgeneration %}{% set generation = 1 %}z"),
            "a{%- with -%}generation{% endwith %}{% set generation = 1 %}z"
        );
    }

    #[test]
    fn a_template_without_the_tag_is_unchanged() {
        for source in ["", "text", "{% if x %}y{% endif %}", "{% unfinished"] {
            assert_eq!(as_scopes(source), source);
        }
    }
}
