//! Recognises the statements that rollups can answer.

use std::ops::ControlFlow;

use annals::{Group, Timestamp};
use rusqlite::Connection;
use rusqlite::types::Value;
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr,
    Statement, TableFactor, Visit, visit_expressions, visit_expressions_mut,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use super::figure::Figure;
use crate::cells::Role;
use crate::tables;
use crate::times::{self, Bound};

/// The table with a row for each group.
pub(super) const TABLE: &str = "annals_groups";
/// Functions of single values that the rest of a statement may have.
const SCALARS: [&str; 9] = [
    "abs", "coalesce", "format", "ifnull", "lower", "nullif", "printf", "round", "upper",
];
/// Longer statements are not looked at: the parser works on its own stack.
const LONGEST: usize = 1_024;

/// A statement that rollups can answer.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) keys: Vec<Key>,
    pub(super) figures: Vec<Figure>,
    pub(super) with_repeats: bool,
    pub(super) model: Option<String>,
    pub(super) symbol: Option<String>,
    pub(super) checkpoint: Option<String>,
    /// The first time that is meant, and the first that is not.
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// What remains to be done, as a statement over [`TABLE`].
    pub(super) rest: String,
}

/// What a statement groups by.
#[derive(Debug)]
pub(super) struct Key {
    /// As the statement has it.
    text: String,
    pub(super) group: Group,
}

/// The shape of a statement; `None` for all that must read rows.
pub(super) fn of(sql: &str, scratch: &Connection) -> Option<Shape> {
    if sql.len() > LONGEST {
        return None;
    }
    let mut statements = Parser::parse_sql(&SQLiteDialect {}, sql).ok()?;
    let (Some(Statement::Query(mut query)), None) = (statements.pop(), statements.pop()) else {
        return None;
    };
    let mut select = plain_select(&query)?;
    let table = table(&select)?;
    let mut shape = Shape {
        keys: keys(&select.group_by, table)?,
        figures: Vec::new(),
        with_repeats: table == "decisions",
        model: None,
        symbol: None,
        checkpoint: None,
        since: None,
        until: None,
        rest: String::new(),
    };
    if let Some(selection) = select.selection.take() {
        condition(&selection, table, scratch, &mut shape)?;
    }
    let aliases = aliases(&select);
    // A name of both would mean the one or the other, by the place where it stands.
    if aliases.iter().any(|alias| role(table, alias).is_some()) {
        return None;
    }
    name_columns(&mut select)?;
    // Each row is a group.
    select.selection = select.having.take();
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    if let Some(TableFactor::Table { name, .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    {
        *name = ObjectName::from(vec![Ident::new(TABLE)]);
    }
    *query.body = SetExpr::Select(Box::new(select));
    replace(&mut query, &mut shape);
    let is_by_action = shape.keys.iter().any(|key| key.group == Group::Action);
    let is_known = |figure: &Figure| !is_by_action || figure.is_by_action();
    if shape.figures.is_empty() || !shape.figures.iter().all(is_known) {
        return None;
    }
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let is_of_groups = is_of_groups(&select.projection, &shape, &[])
        && is_of_groups(&select.selection, &shape, &aliases)
        && is_of_groups(&query.order_by, &shape, &aliases)
        && is_of_groups(&query.limit_clause, &shape, &[]);
    is_of_groups.then_some(())?;
    shape.rest = query.to_string();
    Some(shape)
}

/// The names of [`TABLE`]'s columns.
pub(super) fn columns(shape: &Shape) -> Vec<String> {
    let keys = (0..shape.keys.len()).map(key_name);
    keys.chain((0..shape.figures.len()).map(figure_name))
        .collect()
}

fn key_name(number: usize) -> String {
    format!("annals_key_{number}")
}

fn figure_name(number: usize) -> String {
    format!("annals_figure_{number}")
}

/// The statement's `SELECT`, if all that it has besides is an order and a limit.
fn plain_select(query: &Query) -> Option<Select> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let mut bare = query.clone();
    (bare.order_by, bare.limit_clause) = (None, None);
    let mut bones = (**select).clone();
    bones.projection.clear();
    bones.from.clear();
    (bones.selection, bones.having) = (None, None);
    bones.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    // All other parts of a statement would show in its text.
    let is_plain = bare.to_string() == select.to_string() && bones.to_string().trim() == "SELECT";
    is_plain.then(|| (**select).clone())
}

/// The one table that it is about.
fn table(select: &Select) -> Option<&'static str> {
    let [from] = &select.from[..] else {
        return None;
    };
    let name = from.to_string();
    ["decisions", "inference_records"]
        .into_iter()
        .find(|known| name.eq_ignore_ascii_case(known))
}

fn role(table: &str, column: &str) -> Option<Role> {
    tables::decision_role(table, &column.to_lowercase())
}

/// What it groups by, if rollups are kept by it.
fn keys(group_by: &GroupByExpr, table: &str) -> Option<Vec<Key>> {
    let GroupByExpr::Expressions(keys, modifiers) = group_by else {
        return None;
    };
    if !modifiers.is_empty() {
        return None;
    }
    let keys = keys.iter().map(|key| {
        let text = key.to_string().to_lowercase();
        let day = text
            .strip_prefix("date(")
            .and_then(|rest| rest.strip_suffix(')'));
        let group = match (day, role(table, &text)) {
            (Some(column), _) if role(table, column) == Some(Role::Time) => Group::Day,
            (None, Some(Role::Model)) => Group::Model,
            (None, Some(Role::Symbol)) => Group::Symbol,
            (None, Some(Role::Checkpoint)) => Group::Checkpoint,
            (None, Some(Role::Action)) => Group::Action,
            _ => return None,
        };
        Some(Key { text, group })
    });
    keys.collect()
}

/// Takes a condition into the shape; `None` if it narrows anything else.
fn condition(expr: &Expr, table: &str, scratch: &Connection, shape: &mut Shape) -> Option<()> {
    match expr {
        Expr::Nested(inner) => condition(inner, table, scratch, shape),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            condition(left, table, scratch, shape)?;
            condition(right, table, scratch, shape)
        }
        Expr::BinaryOp { left, op, right } => {
            let column = role(table, &left.to_string())?;
            compared(column, op, &constant(right, scratch)?, shape)
        }
        Expr::Between {
            expr,
            negated: false,
            low,
            high,
        } => {
            let column = role(table, &expr.to_string())?;
            compared(
                column,
                &BinaryOperator::GtEq,
                &constant(low, scratch)?,
                shape,
            )?;
            compared(
                column,
                &BinaryOperator::LtEq,
                &constant(high, scratch)?,
                shape,
            )
        }
        _ => None,
    }
}

/// The value of an expression without columns.
fn constant(expr: &Expr, scratch: &Connection) -> Option<Value> {
    let is_constant = visit_expressions(expr, |part| match part {
        Expr::Value(_)
        | Expr::UnaryOp { .. }
        | Expr::BinaryOp { .. }
        | Expr::Nested(_)
        | Expr::Function(_) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    if is_constant.is_break() {
        return None;
    }
    let value = scratch.query_row(&format!("SELECT {expr}"), [], |row| row.get(0));
    value.ok()
}

/// Takes a comparison of a column with a value into the shape.
fn compared(
    column: Role,
    operator: &BinaryOperator,
    value: &Value,
    shape: &mut Shape,
) -> Option<()> {
    let Value::Text(text) = value else {
        return None;
    };
    let name = match column {
        Role::Model => &mut shape.model,
        Role::Symbol => &mut shape.symbol,
        Role::Checkpoint => &mut shape.checkpoint,
        Role::Time => return timed(operator, text, shape),
        _ => return None,
    };
    let is_first = *operator == BinaryOperator::Eq && name.is_none();
    is_first.then(|| *name = Some(text.clone()))
}

/// Takes a bound of time into the shape.
fn timed(operator: &BinaryOperator, text: &str, shape: &mut Shape) -> Option<()> {
    let second = std::time::Duration::from_micros(1);
    let (at, after) = match times::bound(text)? {
        Bound::Exact(time) => (time, time.checked_add(second)?),
        // No time is written as a date alone, so none is equal to it.
        Bound::Before(time) => (time, time),
        Bound::Day(..) => return None,
    };
    let since = |shape: &mut Shape, time: Timestamp| {
        shape.since = Some(shape.since.map_or(time, |known| known.max(time)));
    };
    let until = |shape: &mut Shape, time: Timestamp| {
        shape.until = Some(shape.until.map_or(time, |known| known.min(time)));
    };
    match operator {
        BinaryOperator::Gt => since(shape, after),
        BinaryOperator::GtEq => since(shape, at),
        BinaryOperator::Lt => until(shape, at),
        BinaryOperator::LtEq => until(shape, after),
        _ => return None,
    }
    Some(())
}

/// Gives each column its text as its name, which it would have without a replacement.
fn name_columns(select: &mut Select) -> Option<()> {
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let alias = Ident::with_quote('"', expr.to_string());
                let expr = expr.clone();
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
            SelectItem::ExprWithAlias { .. } => {}
            _ => return None,
        }
    }
    Some(())
}

fn aliases(select: &Select) -> Vec<String> {
    let aliases = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
        _ => None,
    });
    aliases.collect()
}

/// Puts columns of [`TABLE`] in the places of figures and keys.
fn replace(query: &mut Query, shape: &mut Shape) {
    let Shape { keys, figures, .. } = shape;
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        let text = expr.to_string();
        let key = keys.iter().position(|key| key.text == text.to_lowercase());
        let name = if let Some(number) = key {
            key_name(number)
        } else if let Some(figure) = Figure::read(&text) {
            let known = figures.iter().position(|known| *known == figure);
            let number = known.unwrap_or_else(|| {
                figures.push(figure);
                figures.len() - 1
            });
            figure_name(number)
        } else {
            return ControlFlow::Continue(());
        };
        *expr = Expr::Identifier(Ident::new(name));
        ControlFlow::Continue(())
    });
}

/// Whether nothing is left that needs the rows of a group.
fn is_of_groups(part: &impl Visit, shape: &Shape, aliases: &[String]) -> bool {
    let columns = columns(shape);
    let checked = visit_expressions(part, |expr| {
        let is_known = match expr {
            Expr::Identifier(name) => {
                let name = name.value.to_lowercase();
                columns.contains(&name) || aliases.contains(&name)
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                SCALARS.contains(&&*name) && function.over.is_none() && function.filter.is_none()
            }
            Expr::Value(_)
            | Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Nested(_)
            | Expr::Cast { .. }
            | Expr::Case { .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Between { .. } => true,
            _ => false,
        };
        match is_known {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    checked.is_continue()
}
