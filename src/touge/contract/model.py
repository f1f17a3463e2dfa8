"""The base of every document: frozen, closed, and explained as a whole when it is wrong."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Document(BaseModel):
    """A frozen pydantic model that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @classmethod
    def read_json(cls, data: str | bytes) -> Self:
        """Parse JSON text; raises pydantic's ValidationError."""
        return cls.model_validate_json(data)

    def to_json(self) -> str:
        """Return the document as one line of JSON, keys as they are written in files."""
        return self.model_dump_json(by_alias=True)


def problems(error: ValidationError, root: type[BaseModel]) -> tuple[str, ...]:
    """Return one sentence for each place that is wrong, with the nearest known key for a misspelt one.

    A container that is wrong only because of something inside it is not listed beside that.
    """
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        found.setdefault(_place(item, root), []).append(dict(item))
    innermost = {place: items for place, items in found.items() if not any(_inside(other, place) for other in found)}
    return tuple(f"{'.'.join(place) or 'document'}: {_sentence(items, root)}" for place, items in innermost.items())


def _inside(place: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(place) > len(other) and place[: len(other)] == other


def _sentence(items: Sequence[Mapping[str, Any]], root: type[BaseModel]) -> str:
    """Say what is wrong in one place; the alternatives of a union are several items."""
    item = items[0]
    if item["type"] == "extra_forbidden":
        return f"unknown key{_suggestion(str(item['loc'][-1]), _known_keys(root, item['loc'][:-1]))}"
    if item["type"] in {"missing", "union_tag_not_found"}:
        return "missing; set it"
    expected = " or ".join(dict.fromkeys(_expectation(item) for item in items))
    return f"given {_short(_given(item))}; {expected}"


def _given(item: Mapping[str, Any]) -> object:
    return item["ctx"]["tag"] if item["type"] == "union_tag_invalid" else item.get("input")


def _expectation(item: Mapping[str, Any]) -> str:
    """Return what was expected, in the words of a document and not of Python."""
    match item["type"]:
        case "model_type" | "model_attributes_type" | "dict_type":
            return "expected a mapping"
        case "tuple_type" | "list_type":
            return "expected a list"
        case "too_short":
            return f"expected at least {item['ctx']['min_length']}"
        case "union_tag_invalid":
            return f"expected one of {item['ctx']['expected_tags']}"
    message = str(item["msg"]).removeprefix("Value error, ").replace("Input should be", "Expected")
    return message[:1].lower() + message[1:]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _suggestion(key: str, known: Sequence[str]) -> str:
    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.5):
        return f"; did you mean `{near[0]}`?"
    return f"; known keys are {', '.join(known)}" if known else ""


def _place(item: Mapping[str, Any], root: type[BaseModel]) -> tuple[str, ...]:
    """Return the place in the document: without pydantic's union tags, with the discriminator that is wrong."""
    loc, parts, current = item["loc"], [], (root,)
    for depth, key in enumerate(loc):
        step = _descend(current, key)
        named = depth == len(loc) - 1 and item["type"] in {"extra_forbidden", "missing", "invalid_key"}
        if step is None and isinstance(key, str) and not named:
            continue
        parts.append(str(key))
        current = step or ()
    if item["type"].startswith("union_tag_"):
        parts.append(item["ctx"]["discriminator"].strip("'"))
    return tuple(parts)


def _known_keys(root: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    current: tuple[Any, ...] = (root,)
    for key in loc:
        narrowed = _descend(current, key)
        if narrowed is None:
            current = tuple(m for m in _models(current) if key in _tags(m)) or current
        else:
            current = narrowed
    return sorted({name for model in _models(current) for name in _fields(model)})


def _descend(current: tuple[Any, ...], key: int | str) -> tuple[Any, ...] | None:
    if isinstance(key, int):
        inner = tuple(a for t in _unions(current) for a in typing.get_args(t) if a is not Ellipsis)
        return inner or None
    found = [_fields(model)[key] for model in _models(current) if key in _fields(model)]
    return tuple(found) or None


def _unions(current: tuple[Any, ...]) -> list[Any]:
    """Return the alternatives behind unions and annotations."""
    out: list[Any] = []
    for item in current:
        origin = typing.get_origin(item)
        if origin in (typing.Union, types.UnionType):
            out += _unions(typing.get_args(item))
        elif origin is typing.Annotated:
            out += _unions(typing.get_args(item)[:1])
        else:
            out.append(item)
    return out


def _models(current: tuple[Any, ...]) -> list[type[BaseModel]]:
    return [t for t in _unions(current) if isinstance(t, type) and issubclass(t, BaseModel)]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _tags(model: type[BaseModel]) -> set[str]:
    return {str(field.default) for field in model.model_fields.values()} | {
        str(arg) for field in model.model_fields.values() for arg in typing.get_args(field.annotation)
    }
