//! What the source of an expression says about its value, before anything is evaluated.

#![expect(clippy::wildcard_enum_match_arm, reason = "of all other kinds the source says nothing")]

use minijinja::{
    Value,
    machinery::ast::{BinOpKind, Expr, Filter},
};

/// Bytes of a text, or items of a list, that cost no more than an instruction to walk through.
const SMALL: usize = 256;

/// Filters that give texts or numbers, and take a text or a number no dearer than they are charged for.
const PLAIN_RESULTS: [&str; 15] = [
    "abs",
    "capitalize",
    "count",
    "format",
    "indent",
    "join",
    "length",
    "lower",
    "replace",
    "round",
    "string",
    "title",
    "tojson",
    "trim",
    "upper",
];

/// Whether the source says what lies in this.
pub(super) fn is_written_out(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::List(node) => node.items.iter().all(is_written_out),
        Expr::Tuple(node) => node.items.iter().all(is_written_out),
        Expr::Map(node) => node.values.iter().all(is_written_out),
        other => is_plain(other),
    }
}

/// Whether the source says that this is one thing, or a list of few.
pub(super) fn is_small(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(node) => is_short(&node.value),
        Expr::List(node) => are_short(&node.items),
        Expr::Tuple(node) => are_short(&node.items),
        _ => false,
    }
}

/// Whether comparing this with anything costs no more than an instruction.
pub(super) fn is_quick(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Compare(_) | Expr::Test(_) | Expr::UnaryOp(_) => true,
        Expr::Filter(node) => ["abs", "count", "length", "round"].contains(&node.name),
        Expr::BinOp(node) => !matches!(
            node.op,
            BinOpKind::Add
                | BinOpKind::Concat
                | BinOpKind::Mul
                | BinOpKind::ScAnd
                | BinOpKind::ScOr
        ),
        other => is_small(other),
    }
}

fn are_short(items: &[Expr<'_>]) -> bool {
    items.len() <= SMALL
        && items.iter().all(|item| matches!(item, Expr::Const(node) if is_short(&node.value)))
}

fn is_short(value: &Value) -> bool {
    value.as_object().is_none() && value.as_str().is_none_or(|text| text.len() <= SMALL)
}

/// Whether looking for `value` in `place` costs no more than the engine charges.
pub(super) fn is_found_at_once(value: &Expr<'_>, place: &Expr<'_>) -> bool {
    is_small(value) || (is_small(place) && matches!(place, Expr::List(_) | Expr::Tuple(_)))
}

/// Whether the source says that this is a text, where it is not an error.
pub(super) fn is_text(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(node) => node.value.as_str().is_some(),
        Expr::BinOp(node) => match node.op {
            BinOpKind::Concat => true,
            BinOpKind::Add => is_text(&node.left) || is_text(&node.right),
            _ => false,
        },
        _ => false,
    }
}

/// Whether the source says that this is a text or a number or the like, where it is not an error.
pub(super) fn is_plain(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(node) => node.value.as_object().is_none(),
        Expr::Compare(_) | Expr::Test(_) | Expr::UnaryOp(_) => true,
        Expr::Filter(node) => gives_plain(node),
        Expr::IfExpr(node) => {
            is_plain(&node.true_expr) && node.false_expr.as_ref().is_none_or(is_plain)
        }
        Expr::BinOp(node) => match node.op {
            BinOpKind::Add => is_plain(&node.left) || is_plain(&node.right),
            BinOpKind::Mul | BinOpKind::ScAnd | BinOpKind::ScOr => {
                is_plain(&node.left) && is_plain(&node.right)
            }
            _ => true,
        },
        _ => false,
    }
}

/// Whether the source says that this is a text or a number or the like, whatever the filter is given.
pub(super) fn gives_plain(filter: &Filter<'_>) -> bool {
    PLAIN_RESULTS.contains(&filter.name)
}

/// Whether the source says that this is a place near the beginning.
pub(super) fn is_near(place: &Expr<'_>) -> bool {
    let Expr::Const(node) = place else { return false };
    node.value.as_usize().is_some_and(|place| place <= SMALL)
}
