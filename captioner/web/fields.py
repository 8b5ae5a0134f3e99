"""The options of a request as the fields of a form, each with its explanation; they work without scripts."""

from __future__ import annotations

import html
from collections.abc import Sequence

from captioner.web.options import Option


def form_fields(options: Sequence[Option]) -> str:
    """HTML of a label, an input and a line of explanation for each option."""
    return "\n".join(map(_field, options))


def _field(option: Option) -> str:
    title = option.name.replace("_", " ").capitalize()
    meaning = html.escape(option.declared.meaning)
    return (
        f'<div class="option"><label for="{option.name}">{title}</label>{_input(option)}'
        f'<p id="{option.name}-meaning">{meaning}</p></div>'
    )


def _input(option: Option) -> str:
    schema = option.schema()
    common = f'id="{option.name}" name="{option.name}" aria-describedby="{option.name}-meaning"'
    if "enum" in schema:
        chosen = {choice: " selected" * (choice == option.default) for choice in schema["enum"]}
        choices = "".join(f"<option{mark}>{html.escape(choice)}</option>" for choice, mark in chosen.items())
        return f"<select {common}>{choices}</select>"
    if schema["type"] == "boolean":
        return f'<input type="checkbox" value="true" {common}{" checked" * option.default}>'
    step = 1 if schema["type"] == "integer" else "any"
    return (
        f'<input type="number" required min="{schema["minimum"]:.15g}" max="{schema["maximum"]:.15g}" '
        f'step="{step}" value="{option.default:.15g}" {common}>'
    )
