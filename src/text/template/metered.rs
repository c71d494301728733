//! Templates in which all work is paid for.
//!
//! The engine takes fuel for every instruction and for most of what is made, but not for what is only walked through: two
//! lists are compared, written into a text or looked for at the price of one instruction, however much lies in them; and a
//! list that is repeated, joined or sliced is only promised, at no price at all. So operands go through filters of
//! [`meter`](super::meter) where it isn't plain from the source that they are small.

mod expressions;
mod known;

use minijinja::machinery::ast::{
    AutoEscape, Block, Break, CallBlock, Continue, Do, EmitExpr, EmitRaw, Extends, FilterBlock,
    ForLoop, FromImport, IfCond, Import, Include, Macro, Set, SetBlock, Spanned, Stmt, Template,
    WithBlock,
};

use expressions::{all, call, expression, looped, option, target, weighed};

/// The same statement with its operands metered.
pub(super) fn statement<'a>(statement: &Stmt<'a>) -> Stmt<'a> {
    match statement {
        Stmt::Template(node) => {
            Stmt::Template(Spanned::new(Template { children: body(&node.children) }, node.span()))
        }
        Stmt::EmitExpr(node) => {
            Stmt::EmitExpr(Spanned::new(EmitExpr { expr: expression(&node.expr) }, node.span()))
        }
        Stmt::EmitRaw(node) => Stmt::EmitRaw(Spanned::new(EmitRaw { raw: node.raw }, node.span())),
        Stmt::ForLoop(node) => Stmt::ForLoop(for_loop(node)),
        Stmt::IfCond(node) => Stmt::IfCond(condition(node)),
        Stmt::WithBlock(node) => Stmt::WithBlock(with(node)),
        Stmt::Set(node) => {
            let set = Set { target: target(&node.target), expr: expression(&node.expr) };
            Stmt::Set(Spanned::new(set, node.span()))
        }
        Stmt::SetBlock(node) => Stmt::SetBlock(set_block(node)),
        Stmt::AutoEscape(node) => {
            let escape = AutoEscape { enabled: expression(&node.enabled), body: body(&node.body) };
            Stmt::AutoEscape(Spanned::new(escape, node.span()))
        }
        Stmt::FilterBlock(node) => Stmt::FilterBlock(filter_block(node)),
        Stmt::Macro(node) => Stmt::Macro(macro_of(node)),
        Stmt::CallBlock(node) => Stmt::CallBlock(call_block(node)),
        Stmt::Continue(node) => Stmt::Continue(Spanned::new(Continue, node.span())),
        Stmt::Break(node) => Stmt::Break(Spanned::new(Break, node.span())),
        Stmt::Do(node) => Stmt::Do(Spanned::new(Do { call: call(&node.call) }, node.span())),
        Stmt::Block(node) => Stmt::Block(block(node)),
        Stmt::Import(node) => Stmt::Import(import(node)),
        Stmt::FromImport(node) => Stmt::FromImport(from_import(node)),
        Stmt::Extends(node) => {
            Stmt::Extends(Spanned::new(Extends { name: weighed(&node.name) }, node.span()))
        }
        Stmt::Include(node) => {
            let name = weighed(&node.name);
            let include = Include { name, ignore_missing: node.ignore_missing };
            Stmt::Include(Spanned::new(include, node.span()))
        }
    }
}

fn body<'a>(statements: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
    statements.iter().map(statement).collect()
}

fn for_loop<'a>(node: &Spanned<ForLoop<'a>>) -> Spanned<ForLoop<'a>> {
    let metered = ForLoop {
        target: target(&node.target),
        iter: looped(&node.iter),
        filter_expr: option(node.filter_expr.as_ref()),
        recursive: node.recursive,
        body: body(&node.body),
        else_body: body(&node.else_body),
    };
    Spanned::new(metered, node.span())
}

fn condition<'a>(node: &Spanned<IfCond<'a>>) -> Spanned<IfCond<'a>> {
    let metered = IfCond {
        expr: expression(&node.expr),
        true_body: body(&node.true_body),
        false_body: body(&node.false_body),
    };
    Spanned::new(metered, node.span())
}

fn with<'a>(node: &Spanned<WithBlock<'a>>) -> Spanned<WithBlock<'a>> {
    let assignments = node.assignments.iter();
    let metered = WithBlock {
        assignments: assignments.map(|(to, value)| (target(to), expression(value))).collect(),
        body: body(&node.body),
    };
    Spanned::new(metered, node.span())
}

fn set_block<'a>(node: &Spanned<SetBlock<'a>>) -> Spanned<SetBlock<'a>> {
    let metered = SetBlock {
        target: target(&node.target),
        filter: option(node.filter.as_ref()),
        body: body(&node.body),
    };
    Spanned::new(metered, node.span())
}

fn filter_block<'a>(node: &Spanned<FilterBlock<'a>>) -> Spanned<FilterBlock<'a>> {
    let metered = FilterBlock {
        filter: expression(&node.filter),
        filter_span: node.filter_span,
        body: body(&node.body),
    };
    Spanned::new(metered, node.span())
}

fn macro_of<'a>(node: &Spanned<Macro<'a>>) -> Spanned<Macro<'a>> {
    let metered = Macro {
        name: node.name,
        args: node.args.iter().map(target).collect(),
        defaults: all(&node.defaults),
        body: body(&node.body),
    };
    Spanned::new(metered, node.span())
}

fn call_block<'a>(node: &Spanned<CallBlock<'a>>) -> Spanned<CallBlock<'a>> {
    let metered = CallBlock {
        call: call(&node.call),
        call_expr_span: node.call_expr_span,
        macro_decl: macro_of(&node.macro_decl),
    };
    Spanned::new(metered, node.span())
}

fn block<'a>(node: &Spanned<Block<'a>>) -> Spanned<Block<'a>> {
    let metered = Block { name: node.name, required: node.required, body: body(&node.body) };
    Spanned::new(metered, node.span())
}

fn import<'a>(node: &Spanned<Import<'a>>) -> Spanned<Import<'a>> {
    let metered = Import { expr: weighed(&node.expr), name: target(&node.name) };
    Spanned::new(metered, node.span())
}

fn from_import<'a>(node: &Spanned<FromImport<'a>>) -> Spanned<FromImport<'a>> {
    let names = node.names.iter();
    let names = names.map(|(name, alias)| (target(name), alias.as_ref().map(target)));
    let metered = FromImport { expr: weighed(&node.expr), names: names.collect() };
    Spanned::new(metered, node.span())
}

#[cfg(test)]
mod tests {
    use super::super::{ChatTemplate, Context, TemplateError};

    fn render(source: &str) -> Result<String, TemplateError> {
        let context = Context {
            messages: vec![("user".to_owned(), "Cats?".to_owned())],
            special_tokens: Vec::new(),
            add_generation_prompt: true,
            enable_thinking: false,
            now: jiff::civil::date(2026, 3, 5).at(7, 8, 9, 0),
        };
        ChatTemplate::new("test", source)?.render(&context)
    }

    /// Each of `sources` asks for more than there is fuel for.
    #[track_caller]
    fn are_endless(sources: &[&str]) {
        for source in sources {
            let kind = render(source).err().map(|error| error.kind());
            assert_eq!(kind, Some("template_endless"), "{source}");
        }
    }

    /// After `x` is a list of two lists that are lists of two lists, 40 levels down: few bytes, and a million million items.
    fn doubled(rest: &str) -> String {
        format!(
            "{{% set n = namespace(x=[1], y=[1]) %}}{{% for i in range(40) %}}{{% set n.x = [n.x, n.x] %}}{{% set n.y = [n.y, n.y] %}}\
            {{% endfor %}}{rest}"
        )
    }

    #[test]
    fn lists_repeated_without_end_are_not_walked_through() {
        for rest in [
            "{{ x ~ '' }}",
            "{{ x == [0] * 99999998 }}",
            "{{ 1 in x }}",
            "{{ '%s'|format(x) }}",
            "{{ '{}'.format(x) }}",
            "{{ x|join }}",
            "{{ ''.join(x) }}",
            "{{ x|upper }}",
            "{{ x|sort }}",
            "{{ x|tojson }}",
            "{{ x[99999990:][0] }}",
            "{% set y = {x: 1} %}",
            "{% set a, b = x %}",
            "{{ raise_exception(x) }}",
        ] {
            are_endless(&[&format!("{{% set x = [0] * 99999999 %}}{rest}")]);
        }
        are_endless(&[
            "{{ ([0] * 99999998) ~ 00 }}",
            "{{ (1,) * 99999999 }}",
            "{{ ['xxxx' * 9999] * 9999999 ~ '' }}",
        ]);
    }

    #[test]
    fn lists_that_lie_in_themselves_over_and_over_are_not_walked_through() {
        for rest in [
            "{{ n.x ~ '' }}",
            "{{ n.x == n.y }}",
            "{{ n.x in [n.y] }}",
            "{{ n.x|tojson }}",
            "{{ {n.x: 1} }}",
        ] {
            are_endless(&[&doubled(rest)]);
        }
        let within =
            "{% set a = namespace() %}{% set a.b = a %}{% set c = namespace() %}{% set c.b = c %}";
        are_endless(&[&format!("{within}{{{{ a == c }}}}"), &format!("{within}{{{{ a ~ '' }}}}")]);
    }

    #[test]
    fn what_grows_in_a_loop_ends() {
        for grown in
            ["n.x + n.x", "n.x ~ n.x", "[n.x]", "dict(a=n.x)", "namespace(a=n.x)", "n.x|batch(1)"]
        {
            let first = if grown.contains('~') { "'0123456789'" } else { "[1]" };
            are_endless(&[&format!(
                "{{% set n = namespace(x={first}) %}}{{% for i in range(9999) %}}{{% set n.x = {grown} %}}{{% endfor %}}"
            )]);
        }
    }

    #[test]
    fn texts_are_not_gone_through_for_nothing() {
        for work in
            ["x == y", "x[-1]", "d[x]", "x is iterable and x|first in y", "x[1:2]", "x is eq y"]
        {
            are_endless(&[&format!(
                "{{% set x = 'é' * 500000 %}}{{% set y = x ~ '' %}}{{% set d = {{'a': 1}} %}}{{% for i in range(99999) %}}\
                {{% set z = {work} %}}{{% endfor %}}"
            )]);
        }
        let texts = "{% set x = 'a' * 999999 ~ 'c' %}{% set y = 'b' * 999999 ~ 'a' %}";
        are_endless(&[
            &format!("{texts}{{{{ x.strip(y) }}}}"),
            &format!("{texts}{{{{ x|trim(y) }}}}"),
        ]);
    }

    #[test]
    fn a_short_source_writes_no_long_text() {
        are_endless(&[
            "{{ '%999999999d'|format(1) }}",
            "{{ '%.999999999f'|format(1.5) }}",
            "{{ '{:>999999999}'.format(1) }}",
            "{{ ('{0}' * 99999).format('x' * 99999) }}",
            "{{ ('%(a)s' * 99999)|format({'a': 'x' * 99999}) }}",
            "{{ 'x'|indent(999999999, true) }}",
            "{{ ('x' * 9999)|replace('x', 'x' * 99999) }}",
            "{{ [[[1, 2], [3]]]|tojson(indent='x' * 60000000) }}",
            "{{ ([1] * 9999)|tojson(separators=('x' * 99999, ':')) }}",
            "{{ (['x' * 64] * 99999)|sum(start='') }}",
            "{{ (['%s'] * 99999)|map('format', 'x' * 99999)|list }}",
            "{{ ([{}] * 99999)|map(attribute='x' * 99999, default='')|list }}",
            "{{ ('x' * 9999999).split('x')|length }}",
        ]);
    }

    #[test]
    fn a_field_of_more_digits_than_the_engine_writes_is_an_error() {
        for form in ["%.65535g", "%.65535e", "%.99999f", "%99999d"] {
            let kind =
                render(&format!("{{{{ '{form}'|format(1.5) }}}}")).err().map(|error| error.kind());
            assert_eq!(kind, Some("template_render"), "{form}");
        }
        for form in ["{:.65535g}", "{:.65535e}", "{:>99999}"] {
            let kind =
                render(&format!("{{{{ '{form}'.format(1.5) }}}}")).err().map(|error| error.kind());
            assert_eq!(kind, Some("template_render"), "{form}");
        }
        assert_eq!(
            render("{{ '%.32768g'|format(1.5) }}{{ '{:>5}'.format(1) }}").unwrap(),
            "1.5    1"
        );
    }

    #[test]
    fn a_form_that_the_engine_panics_at_is_an_error() {
        for form in ["'%(é)s'|format(1)", "'%(é'|format(1)", "'{0[é]}'.format(1)"] {
            let kind = render(&format!("{{{{ {form} }}}}")).err().map(|error| error.kind());
            assert_eq!(kind, Some("template_render"), "{form}");
        }
    }

    #[test]
    fn what_is_repeated_joined_and_sliced_in_measure_is_as_in_python() {
        // The right-hand sides are what jinja2 3.1 writes.
        let cases = [
            ("{{ '=' * 5 }}{{ 2 * 'ab' }}{{ 3 * 4 }}{{ 'a' * 0 }}", "=====abab12"),
            ("{{ [1, 2] * 3 }}{{ 2 * ['a'] }}", "[1, 2, 1, 2, 1, 2]['a', 'a']"),
            ("{{ (1, 2) * 2 }}{{ (1,) + (2,) }}{{ (1, 2, 3)[1:] }}", "(1, 2, 1, 2)(1, 2)(2, 3)"),
            ("{{ [1] + [2, 3] }}{{ 'a' + 'b' ~ 1 ~ [2] }}", "[1, 2, 3]ab1[2]"),
            ("{{ [1, 2, 3][::-1] }}{{ 'abc'[::-1] }}{{ [1, 2, 3][-1] }}", "[3, 2, 1]cba3"),
            ("{{ [1, [2]] == [1, [2]] }}{{ [2] in [1, [2]] }}{{ 1 < 2 < 1 }}", "TrueTrueFalse"),
            ("{{ [[1], [2]]|sum(start=[]) }}{{ [1, 2]|sum }}", "[1, 2]3"),
            ("{{ '%5.1f|%s'|format(1.25, [1]) }}{{ '{:>4}'.format('ab') }}", "  1.2|[1]  ab"),
            ("{% set a, b = [1, 2] %}{{ a }}{{ b }}{{ {'a': [1]}['a'][0] }}", "121"),
            (
                "{% for x in [1] * 2 if x %}{{ loop.last }}{% endfor %}{{ '-a-'.strip('-') }}",
                "FalseTruea",
            ),
            (
                "{{ ([1] * 2) is sequence }}{{ [3, 1]|sort|join('<') }}{{ 'a b'.split()|length }}",
                "True1<32",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn metering_keeps_lines_and_blocks() {
        let source = "{% raw %}{{ x }}\n{% endraw %}\n{% macro m(a, b=2) %}\n{{ a ~ b }}{% endmacro %}{% set c %}\n{{ m(1) }}{% endset %}\
            {% filter upper %}{{ c }}x{% endfilter %}\n{{ 1 + [2] }}";
        let error = render(source).unwrap_err();
        assert_eq!(error.to_string(), "chat template `test`, line 6, cannot be rendered");
    }
}
