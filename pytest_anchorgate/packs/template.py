"""A chat template, rendered once at build time into what stands before and after the user's prompt.

At run time there is no Jinja: a prompt is prefix + prompt + suffix. That is all a gate needs (one user turn),
the same for everybody, and a template of unknown origin is never run where a pack is judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_anchorgate.packs.errors import PackSourceError

# No whitespace: many templates strip the user's text, which would go unseen or move spaces into the suffix.
# It follows that the runtime gives a model the prompt unstripped where its template would have stripped it.
_SENTINEL = "[[anchorgate:the-prompt-goes-here:5d1e]]"


def split_template(template: str, special: Mapping[str, str]) -> tuple[str, str]:
    """The prefix and suffix that `template` puts around one user message before the assistant's turn.

    A system prompt that the template adds by itself stays in the prefix.

    Args:
        template: Jinja, as in `tokenizer.chat_template`.
        special: texts such as `bos_token` and `eos_token` that templates refer to by name.

    Raises:
        PackSourceError: if the template fails, asks for the date, or does not contain the prompt exactly
            once.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    # The same helpers that transformers offers to a template.
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _no_dates
    messages = [{"role": "user", "content": _SENTINEL}]
    try:
        compiled = environment.from_string(template)
        text = compiled.render(messages=messages, add_generation_prompt=True, **special)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise PackSourceError(f"the chat template cannot be rendered for one user message: {error}") from None
    if text.count(_SENTINEL) != 1:
        raise PackSourceError(
            f"the chat template renders the prompt {text.count(_SENTINEL)} times unaltered, "
            "not exactly once: it cannot become a prefix and a suffix"
        )
    prefix, suffix = text.split(_SENTINEL)
    return prefix, suffix


def _tojson(value: object, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _no_dates(_: str) -> NoReturn:
    raise TemplateError("it asks for today's date, and a pack must be the same every day")
