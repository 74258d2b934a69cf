"""YAML into frozen dataclasses and back: every key known, every value of its type, errors with file, line and key."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pytest_anchorgate.surgery.errors import SurgeryError

T = TypeVar("T")
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a setting may be besides its type; `above` and `below` exclude the bound itself."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    one_of: tuple[str, ...] = ()


def setting(default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A field of a settings dataclass; `limits` are the arguments of `_Limits`."""
    metadata = {"limits": _Limits(**limits)}
    if default is dataclasses.MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def load(kind: type[T], text: str, name: str, resolve: Callable[[str], Path]) -> T:
    """Reads a settings dataclass from YAML.

    Args:
        kind: a dataclass whose fields are made by `setting`, or are such dataclasses with a default factory.
        text: the YAML.
        name: of the file, for errors.
        resolve: from a path as it is written to the path that is meant.

    Raises:
        SurgeryError: one line `name:line: ...` that names the key.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SurgeryError(f"{name}:{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SurgeryError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    if node is None:
        raise SurgeryError(f"{name}: empty; give at least {_required(kind)}")
    loaded: T = _Reader(name, resolve).read(kind, node, "")
    return loaded


def dump(settings: Any, relative: Callable[[Path], str]) -> str:
    """The YAML of a settings dataclass with every key, in the order of the fields."""
    text: str = yaml.safe_dump(_plain(settings, relative), sort_keys=False, allow_unicode=True, width=110)
    return text


def differing_key(a: Any, b: Any, at: str = "") -> str | None:
    """The first key in which two settings of the same kind differ, None if they are equal."""
    for each in dataclasses.fields(a):
        mine, theirs = getattr(a, each.name), getattr(b, each.name)
        if dataclasses.is_dataclass(mine):
            inner = differing_key(mine, theirs, f"{at}{each.name}.")
            if inner:
                return inner
        elif mine != theirs:
            return f"{at}{each.name}"
    return None


class _Reader:
    def __init__(self, name: str, resolve: Callable[[str], Path]) -> None:
        self._name, self._resolve = name, resolve

    def read(self, kind: type[Any], node: yaml.Node, at: str) -> Any:
        """A dataclass from a mapping; `at` is the dotted path of keys before it, with a dot behind it."""
        entries = self._entries(node, at)
        hints = typing.get_type_hints(kind)
        fields = {each.name: each for each in dataclasses.fields(kind)}
        values = {}
        for key, (key_node, value) in entries.items():
            if key not in fields:
                raise self._error(key_node, f"unknown key {at}{key}{_meant(key, fields)}")
            values[key] = self._value(hints[key], fields[key], value, f"{at}{key}")
        for name, each in fields.items():
            if (
                name not in values
                and each.default is dataclasses.MISSING
                and each.default_factory is dataclasses.MISSING
            ):
                raise self._error(node, f"the key {at}{name} is missing")
        return kind(**values)

    def _entries(self, node: yaml.Node, at: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{at.rstrip('.') or 'the file'} is not a mapping of keys to values")
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, f"a key of {at.rstrip('.') or 'the file'} is not a word")
            if key.value in entries:
                raise self._error(key, f"the key {at}{key.value} stands there twice")
            entries[key.value] = key, value
        return entries

    def _value(self, hint: Any, each: dataclasses.Field[Any], node: yaml.Node, at: str) -> Any:
        if dataclasses.is_dataclass(hint):
            return self.read(typing.cast("type[Any]", hint), node, f"{at}.")
        if typing.get_origin(hint) is tuple:
            return self._list(typing.get_args(hint)[0], each, node, at)
        optional = isinstance(hint, types.UnionType)
        if optional:
            hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, f"{at} is not a single value")
        if node.tag == "tag:yaml.org,2002:null":
            if optional:
                return None
            raise self._error(node, f"{at} is empty")
        return self._scalar(hint, each, node, at)

    def _list(self, kind: Any, each: dataclasses.Field[Any], node: yaml.Node, at: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._error(node, f"{at} is not a list of at least one value")
        values = []
        for entry in node.value:
            if not isinstance(entry, yaml.ScalarNode):
                raise self._error(entry, f"{at} holds something that is not a single value")
            values.append(self._scalar(kind, each, entry, at))
        if len(set(values)) != len(values):
            raise self._error(node, f"{at} names something twice")
        return tuple(values)

    def _scalar(self, kind: Any, each: dataclasses.Field[Any], node: yaml.ScalarNode, at: str) -> Any:
        text = node.value
        try:
            value = self._parse(kind, text)
        except (ValueError, OverflowError):
            what = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
            raise self._error(node, f"{at} is {text!r:.60}, not {what}") from None
        limits = each.metadata.get("limits", _Limits())
        if limits.one_of and value not in limits.one_of:
            raise self._error(node, f"{at} is {text!r:.60}, not one of {', '.join(limits.one_of)}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_range(value, limits, node, at)
        return value

    def _parse(self, kind: Any, text: str) -> Any:
        if kind is Path:
            return self._resolve(text)
        if kind is bool:
            if text not in _TRUTH:
                raise ValueError
            return _TRUTH[text]
        if kind is float:
            # YAML 1.1 reads 5e-5, without a point, as text; people write it and mean the number.
            value = float(text)
            if not math.isfinite(value):
                raise ValueError
            return value
        return kind(text)

    def _check_range(self, value: float, limits: _Limits, node: yaml.Node, at: str) -> None:
        for bad, what in (
            (value < limits.least, f"at least {limits.least:g}"),
            (value > limits.most, f"at most {limits.most:g}"),
            (value <= limits.above, f"above {limits.above:g}"),
            (value >= limits.below, f"below {limits.below:g}"),
        ):
            if bad:
                raise self._error(node, f"{at} is {value:g}, it must be {what}")

    def _error(self, node: yaml.Node, what: str) -> SurgeryError:
        return SurgeryError(f"{self._name}:{node.start_mark.line + 1}: {what}")


def _meant(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known keys here: {', '.join(known)}"


def _required(kind: type[Any]) -> str:
    return " and ".join(
        each.name
        for each in dataclasses.fields(kind)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    )


def _plain(value: Any, relative: Callable[[Path], str]) -> Any:
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name), relative) for each in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(entry, relative) for entry in value]
    return relative(value) if isinstance(value, Path) else value


def read_node(kind: type[T], node: yaml.Node, name: str, resolve: Callable[[str], Path], at: str) -> T:
    """Reads a settings dataclass from a part of a YAML file that is at the dotted key `at`; as `load`."""
    loaded: T = _Reader(name, resolve).read(kind, node, f"{at}." if at else "")
    return loaded
