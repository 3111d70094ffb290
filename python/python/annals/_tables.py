"""Tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

ROWS = 20
"""Rows that a notebook shows of a longer table."""


def shown(value: Any) -> str:
    """A cell for people."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> str:
    """A table of HTML. All text is escaped."""
    head = "".join(f"<th>{escape(str(heading))}</th>" for heading in headings)
    lines = []
    for row in rows:
        cells = []
        for value in row:
            align = "right" if isinstance(value, (int, float)) else "left"
            cells.append(f'<td style="text-align:{align}">{escape(shown(value))}</td>')
        lines.append("<tr>" + "".join(cells) + "</tr>")
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{below}"
