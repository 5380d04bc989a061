"""Shapes that JSON values may have, and the check of a value against one. Standard library only; fields.py is made of these."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from refusal import RefusedError

MAX_NAME = 80


@dataclass(frozen=True)
class Text:
    """A string, and where `pattern` is given, one that it matches from the start."""

    pattern: re.Pattern[str] | None = None
    meaning: str = "a string"


@dataclass(frozen=True)
class Number:
    """A number from `least` to `most`, both included; a whole one if so asked. JSON's true and false are not numbers."""

    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class Null:
    """JSON's null."""


@dataclass(frozen=True)
class AnyObject:
    """An object whose content is data, such as a JSON schema: nothing in it is looked at."""


@dataclass(frozen=True)
class OneOf:
    """One of the named strings."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class ListOf:
    """A list of at most `most` values of one shape."""

    item: "Shape"
    most: int = 10_000


@dataclass(frozen=True)
class Record:
    """An object with these fields and no others; those in `required` have to be there."""

    fields: Mapping[str, "Shape"]
    required: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Tagged:
    """An object whose string field `tag` says which of the records it is."""

    tag: str
    records: Mapping[str, Record]


@dataclass(frozen=True)
class Either:
    """A value of the one shape that takes its JSON type."""

    shapes: tuple["Shape", ...]


Shape = Text | Number | Flag | Null | AnyObject | OneOf | ListOf | Record | Tagged | Either


def check(value: Any, shape: Shape, path: str) -> None:
    """Return when `value` has `shape`; `path` names it in complaints, as in `messages[0].content`.

    Raises:
        RefusedError: 400, naming the first field that is not as it has to be, and nothing of its value.
    """
    match shape:
        case Record():
            _check_record(value, shape, path)
        case Tagged():
            _expect(isinstance(value, dict), path, "an object")
            name = _inside(path, shape.tag)
            tag = value.get(shape.tag)
            _expect(isinstance(tag, str) and tag in shape.records, name, f"one of {', '.join(shape.records)}")
            _check_record(value, shape.records[tag], path)
        case ListOf():
            _expect(isinstance(value, list), path, "a list")
            _expect(len(value) <= shape.most, path, f"a list of at most {shape.most}")
            for index, item in enumerate(value):
                check(item, shape.item, f"{path}[{index}]")
        case Either():
            fitting = [one for one in shape.shapes if _takes(one, value)]
            _expect(bool(fitting), path, " or ".join(_meaning(one) for one in shape.shapes))
            check(value, fitting[0], path)
        case Text():
            _expect(isinstance(value, str) and (shape.pattern is None or bool(shape.pattern.match(value))), path, shape.meaning)
        case Number():
            fits = _takes(shape, value) and shape.least <= value <= shape.most
            _expect(fits, path, f"{_meaning(shape)} from {shape.least:g} to {shape.most:g}")
        case OneOf():
            _expect(isinstance(value, str) and value in shape.values, path, f"one of {', '.join(shape.values)}")
        case _:
            _expect(_takes(shape, value), path, _meaning(shape))


def _check_record(value: Any, shape: Record, path: str) -> None:
    _expect(isinstance(value, dict), path, "an object")
    for name, item in value.items():
        inside = _inside(path, name)
        if name not in shape.fields:
            message = f"The proxy does not take the field {inside}. It takes what OpenCode sends, and nothing else."
            raise RefusedError(message, param=inside, code="unknown_parameter")
        check(item, shape.fields[name], inside)
    for name in shape.required:
        if name not in value:
            inside = _inside(path, name)
            raise RefusedError(f"The field {inside} is missing", param=inside, code="missing_required_parameter")


def _expect(fits: bool, path: str, meaning: str) -> None:
    if not fits:
        raise RefusedError(f"The field {path or 'body'} has to be {meaning}", param=path or None, code="invalid_value")


def _inside(path: str, name: str) -> str:
    shown = name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"
    return f"{path}.{shown}" if path else shown


TYPES: dict[type, tuple[type | tuple[type, ...], str]] = {
    Text: (str, "a string"),
    OneOf: (str, "a string"),
    Flag: (bool, "true or false"),
    Null: (type(None), "null"),
    AnyObject: (dict, "an object"),
    Record: (dict, "an object"),
    Tagged: (dict, "an object"),
    ListOf: (list, "a list"),
}


def _takes(shape: Shape, value: Any) -> bool:
    """Whether the value's JSON type is the shape's."""
    if isinstance(shape, Number):
        return isinstance(value, int if shape.whole else (int, float)) and not isinstance(value, bool)
    if isinstance(shape, Either):
        return any(_takes(one, value) for one in shape.shapes)
    return isinstance(value, TYPES[type(shape)][0])


def _meaning(shape: Shape) -> str:
    if isinstance(shape, Number):
        return "a whole number" if shape.whole else "a number"
    if isinstance(shape, Either):
        return " or ".join(_meaning(one) for one in shape.shapes)
    return TYPES[type(shape)][1]
