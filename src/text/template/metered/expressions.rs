//! Expressions with their operands metered.

use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, Compare, CompareOp, CompareOpKind, Const, Expr, Filter,
    GetAttr, GetItem, IfExpr, List, Map, Slice, Spanned, Test, Tuple, UnaryOp, UnaryOpKind, Var,
};

use super::{
    super::meter,
    known::{
        gives_plain, is_found_at_once, is_near, is_plain, is_quick, is_small, is_text,
        is_written_out,
    },
};

/// Filters that do not walk through what they are given, or charge for it themselves.
const CHARGED: [&str; 7] = ["count", "d", "default", "first", "length", "string", "tojson"];

/// Filters that put each item to a test, of which all but the first argument are.
const TESTING: [&str; 4] = ["reject", "rejectattr", "select", "selectattr"];

/// Tests that do not walk through what they are given.
const FREE_TESTS: [&str; 17] = [
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "even",
    "false",
    "float",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
];

/// The same expression with its operands metered.
pub(super) fn expression<'a>(from: &Expr<'a>) -> Expr<'a> {
    match from {
        Expr::Var(node) => Expr::Var(Spanned::new(Var { id: node.id }, node.span())),
        Expr::Const(node) => {
            Expr::Const(Spanned::new(Const { value: node.value.clone() }, node.span()))
        }
        Expr::Slice(node) => Expr::Slice(slice(node)).through(meter::WHOLE),
        Expr::UnaryOp(node) => Expr::UnaryOp(unary(node)),
        Expr::BinOp(node) => binary(node),
        Expr::Compare(node) => Expr::Compare(compare(node)),
        Expr::IfExpr(node) => {
            let metered = IfExpr {
                test_expr: expression(&node.test_expr),
                true_expr: expression(&node.true_expr),
                false_expr: option(node.false_expr.as_ref()),
            };
            Expr::IfExpr(Spanned::new(metered, node.span()))
        }
        Expr::Filter(node) => filter(node),
        Expr::Test(node) => Expr::Test(test(node)),
        Expr::GetAttr(node) => Expr::GetAttr(attribute(node)),
        Expr::GetItem(node) => item(node),
        Expr::Call(node) => Expr::Call(call(node)),
        Expr::List(node) => {
            let list = List { items: all(&node.items) };
            literal(Expr::List(Spanned::new(list, node.span())), &node.items)
        }
        Expr::Tuple(node) => {
            let tuple = Tuple { items: all(&node.items) };
            literal(Expr::Tuple(Spanned::new(tuple, node.span())), &node.items)
        }
        Expr::Map(node) => {
            let map =
                Map { keys: node.keys.iter().map(weighed).collect(), values: all(&node.values) };
            literal(Expr::Map(Spanned::new(map, node.span())), &node.values)
        }
    }
}

pub(super) fn option<'a>(from: Option<&Expr<'a>>) -> Option<Expr<'a>> {
    from.map(expression)
}

pub(super) fn all<'a>(from: &[Expr<'a>]) -> Vec<Expr<'a>> {
    from.iter().map(expression).collect()
}

/// What a loop goes over: the characters of a text are counted as it begins.
pub(super) fn looped<'a>(from: &Expr<'a>) -> Expr<'a> {
    expression(from).through(meter::TEXT)
}

/// What is assigned to, which is not evaluated.
pub(super) fn target<'a>(from: &Expr<'a>) -> Expr<'a> {
    if let Expr::List(node) = from {
        let list = List { items: node.items.iter().map(target).collect() };
        return Expr::List(Spanned::new(list, node.span()));
    }
    expression(from)
}

/// A call keeps its form, which says whether a function or a method is meant.
///
/// Functions charge for themselves, and so do methods, by [`meter::install`].
pub(super) fn call<'a>(node: &Spanned<Call<'a>>) -> Spanned<Call<'a>> {
    // The loop goes over what it is given, or compares it with what it was given before.
    let is_walked = matches!(&node.expr, Expr::Var(function) if function.id == "loop")
        || matches!(&node.expr, Expr::GetAttr(method) if method.name == "changed");
    let through = is_walked.then_some(meter::WEIGH);
    let metered = Call {
        expr: expression(&node.expr),
        args: node.args.iter().map(|arg| argument(arg, through)).collect(),
    };
    Spanned::new(metered, node.span())
}

/// An argument, through a filter where it is not small.
fn argument<'a>(from: &CallArg<'a>, through: Option<&'static str>) -> CallArg<'a> {
    let metered =
        |value| through.map_or_else(|| expression(value), |filter| unless_small(value, filter));
    match from {
        CallArg::Pos(value) => CallArg::Pos(metered(value)),
        CallArg::Kwarg(name, value) => CallArg::Kwarg(name, metered(value)),
        CallArg::PosSplat(value) => CallArg::PosSplat(weighed(value)),
        CallArg::KwargSplat(value) => CallArg::KwargSplat(weighed(value)),
    }
}

/// A literal is weighed where values may lie in it that are deep or heavy themselves.
fn literal<'a>(metered: Expr<'a>, items: &[Expr<'a>]) -> Expr<'a> {
    if items.iter().all(is_written_out) { metered } else { metered.through(meter::WEIGH) }
}

fn slice<'a>(node: &Spanned<Slice<'a>>) -> Spanned<Slice<'a>> {
    let metered = Slice {
        expr: expression(&node.expr).through(meter::WHOLE),
        start: option(node.start.as_ref()),
        stop: option(node.stop.as_ref()),
        step: option(node.step.as_ref()),
    };
    Spanned::new(metered, node.span())
}

fn unary<'a>(node: &Spanned<UnaryOp<'a>>) -> Spanned<UnaryOp<'a>> {
    let op = if matches!(node.op, UnaryOpKind::Not) { UnaryOpKind::Not } else { UnaryOpKind::Neg };
    Spanned::new(UnaryOp { op, expr: expression(&node.expr) }, node.span())
}

fn binary<'a>(node: &Spanned<BinOp<'a>>) -> Expr<'a> {
    let BinOp { op, left, right } = &**node;
    let made = |left, right| Expr::BinOp(Spanned::new(BinOp { op: *op, left, right }, node.span()));
    let unmetered = || made(expression(left), expression(right));
    match op {
        BinOpKind::Eq
        | BinOpKind::Ne
        | BinOpKind::Lt
        | BinOpKind::Lte
        | BinOpKind::Gt
        | BinOpKind::Gte
            if !is_quick(left) && !is_quick(right) =>
        {
            made(weighed(left), expression(right))
        }
        BinOpKind::In if !is_found_at_once(left, right) => made(weighed(left), weighed(right)),
        BinOpKind::Concat => made(weighed_unless_plain(left), weighed_unless_plain(right)),
        BinOpKind::Add if !is_plain(left) && !is_plain(right) => unmetered().through(meter::WHOLE),
        BinOpKind::Mul if !is_text(left) && !is_text(right) => unmetered().through(meter::WHOLE),
        BinOpKind::Eq
        | BinOpKind::Ne
        | BinOpKind::Lt
        | BinOpKind::Lte
        | BinOpKind::Gt
        | BinOpKind::Gte
        | BinOpKind::ScAnd
        | BinOpKind::ScOr
        | BinOpKind::Add
        | BinOpKind::Sub
        | BinOpKind::Mul
        | BinOpKind::Div
        | BinOpKind::FloorDiv
        | BinOpKind::Rem
        | BinOpKind::Pow
        | BinOpKind::In => unmetered(),
    }
}

/// `a < b < c`.
fn compare<'a>(node: &Spanned<Compare<'a>>) -> Spanned<Compare<'a>> {
    let mut left = &node.expr;
    let mut is_cheap = true;
    for CompareOp { op, expr } in &node.ops {
        is_cheap &= match op {
            CompareOpKind::In | CompareOpKind::NotIn => is_found_at_once(left, expr),
            CompareOpKind::Eq
            | CompareOpKind::Ne
            | CompareOpKind::Lt
            | CompareOpKind::Lte
            | CompareOpKind::Gt
            | CompareOpKind::Gte => is_quick(left) || is_quick(expr),
        };
        left = expr;
    }
    let metered = if is_cheap { expression } else { weighed };
    let ops =
        node.ops.iter().map(|CompareOp { op, expr }| CompareOp { op: *op, expr: metered(expr) });
    let metered = Compare { expr: metered(&node.expr), ops: ops.collect() };
    Spanned::new(metered, node.span())
}

fn filter<'a>(node: &Spanned<Filter<'a>>) -> Expr<'a> {
    let is_charged = CHARGED.contains(&node.name);
    let is_plain = gives_plain(node);
    // Of a list, an argument is gone through for every item.
    let is_of_list = !is_plain || node.name == "join";
    let through = |index: usize| match (is_charged, is_of_list) {
        (true, _) => None,
        (false, true) if index == 0 || !TESTING.contains(&node.name) => Some(meter::FOR_EACH),
        (false, _) => Some(meter::WEIGH),
    };
    let args = node.args.iter().enumerate().map(|(index, arg)| argument(arg, through(index)));
    let metered = Filter {
        name: node.name,
        expr: node.expr.as_ref().map(if is_charged { expression } else { weighed_unless_plain }),
        args: args.collect(),
    };
    let metered = Expr::Filter(Spanned::new(metered, node.span()));
    if is_charged || is_plain { metered } else { metered.through(meter::WHOLE) }
}

fn test<'a>(node: &Spanned<Test<'a>>) -> Spanned<Test<'a>> {
    let is_free = FREE_TESTS.contains(&node.name);
    let through = (!is_free).then_some(meter::WEIGH);
    let metered = Test {
        name: node.name,
        expr: if is_free { expression(&node.expr) } else { weighed(&node.expr) },
        args: node.args.iter().map(|arg| argument(arg, through)).collect(),
    };
    Spanned::new(metered, node.span())
}

fn attribute<'a>(node: &Spanned<GetAttr<'a>>) -> Spanned<GetAttr<'a>> {
    Spanned::new(GetAttr { expr: expression(&node.expr), name: node.name }, node.span())
}

/// `a[b]`: a text is counted through up to the place, or all of it for a place from its end, and a key is hashed.
fn item<'a>(node: &Spanned<GetItem<'a>>) -> Expr<'a> {
    let GetItem { expr: from, subscript_expr: key } = &**node;
    let (from, metered) = (expression(from), expression(key));
    if is_near(key) || is_small(key) && is_text(key) {
        let item = GetItem { expr: from, subscript_expr: metered };
        return Expr::GetItem(Spanned::new(item, node.span()));
    }
    let args = vec![CallArg::Pos(metered)];
    Expr::Filter(Spanned::new(Filter { name: meter::ITEM, expr: Some(from), args }, node.span()))
}

/// The same expression, weighed where it is not small.
pub(super) fn weighed<'a>(from: &Expr<'a>) -> Expr<'a> {
    unless_small(from, meter::WEIGH)
}

fn unless_small<'a>(from: &Expr<'a>, filter: &'static str) -> Expr<'a> {
    let metered = expression(from);
    if is_small(from) { metered } else { metered.through(filter) }
}

/// The same expression, weighed where it may be more than a text or a number.
fn weighed_unless_plain<'a>(from: &Expr<'a>) -> Expr<'a> {
    let metered = expression(from);
    if is_plain(from) { metered } else { metered.through(meter::WEIGH) }
}

/// Expressions that go through filters.
trait Through: Sized {
    /// The expression through `filter`.
    fn through(self, filter: &'static str) -> Self;
}

impl Through for Expr<'_> {
    fn through(self, filter: &'static str) -> Self {
        let span = self.span();
        Expr::Filter(Spanned::new(
            Filter { name: filter, expr: Some(self), args: Vec::new() },
            span,
        ))
    }
}
