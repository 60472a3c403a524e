"""Recipes: every choice of a study as validated data, kept as TOML beside this
module, one an experiment of the papers.

A recipe may name another that it ``extends``: then it says only what is
different.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from inspect import ismodule
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from duchenne import plug_ins
from duchenne.errors import (
    MOST_SHOWN,
    ArgumentError,
    InputError,
    printable,
    refused_value,
    shortened,
)
from duchenne.networks.given import Card
from duchenne.recipes.schema import Recipe, choices

_WIDTH = 110


def names() -> list[str]:
    """List the recipes inside the package, and those of installed plug-ins.

    >>> "quick" in names()
    True
    """
    return sorted(_files())


@cache
def _files() -> dict[str, Traversable]:
    """Every recipe's file by its name; a plug-in's, where its name is not
    taken.
    """
    found = _inside("duchenne.recipes")
    for name, package in plug_ins.found(plug_ins.RECIPES, ismodule).items():
        for recipe, file in _inside(package).items():
            if recipe in found:
                called = f"{name!r}, recipe {recipe!r}"
                plug_ins.left_out(called, "the name is taken")
            else:
                found[recipe] = file
    return found


def _inside(package: str | ModuleType) -> dict[str, Traversable]:
    """The recipes of a package by their names."""
    return {
        file.name.removesuffix(".toml"): file
        for file in resources.files(package).iterdir()
        if file.name.endswith(".toml")
    }


def read(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe, by its name or from a TOML file of one's own, and change
    some keys, each as ``"training.rate=0.02"``.

    Raises ``InputError`` for an unknown recipe or key (and names the nearest
    one), for a value of the wrong kind, and for a file that cannot be read.

    >>> read("quick", ["training.epochs=2"]).training.epochs
    2
    """
    own_name = Path(name).stem if is_file(name) else name
    keys = {"name": own_name} | _merged(name, Path(), ())
    return changed(validated(keys), changes)


def is_file(name: str) -> bool:
    """Whether a recipe is named by its file."""
    return name.endswith(".toml")


def merged(name: str, extends: str = "") -> dict[str, Any]:
    """A recipe's keys, before they are validated, over those of the recipe
    that it extends, or of ``extends`` where it names none.
    """
    return _merged(name, Path(), (), extends)


def _merged(
    name: str, beside: Path, above: tuple[Path, ...], extends: str = ""
) -> dict[str, Any]:
    """Read a recipe's keys over those of the recipe that it extends.

    A published figure is another recipe's where this one has its own or is the
    user's, and options are another network's where this one names its own:
    neither is taken over.
    """
    file = _path(name, beside)
    if file in above:
        raise InputError(f"recipe {name!r}: extends itself")
    keys = _own(name, file)
    if extends:
        keys.setdefault("extends", extends)
    if "extends" not in keys:
        return keys
    extended = keys.pop("extends")
    if not isinstance(extended, str):
        what = "which is not the name of a recipe"
        raise InputError(f"recipe {name!r}: extends {extended!r}, {what}")
    below = _merged(extended, file.parent, (*above, file))
    if "paper" in keys or is_file(name):
        below["paper"] = {"faces": below.get("paper", {}).get("faces", ())}
    if _network(keys) not in (None, _network(below)):
        below["network"].pop("options", None)
    return over(below, keys)


def _own(name: str, file: Path) -> dict[str, Any]:
    """The keys that a recipe says itself."""
    if not is_file(name):
        return _packaged(name)
    keys = _from_file(file)
    _refuse_other_kinds(keys, Recipe, "")
    _begin_at(file.parent, keys.get("network", {}))
    _faces_begin_at(file.parent, keys)
    units = keys.get("units", {})
    if isinstance(units.get("layer"), str):
        units["layer"] = _file_of_features(units["layer"], file.parent)
    return keys


def _file_of_features(layer: str, folder: Path) -> str:
    """A layer's name whose file of features, as of ``fc:sae=FILE``, begins at
    a recipe's folder.
    """
    return re.sub(
        r"(:sae=)([^:]+)",
        lambda found: found[1] + str(folder / Path(found[2]).expanduser()),
        layer,
    )


def _begin_at(folder: Path, network: dict[str, Any]) -> None:
    """Let the relative paths of a network begin at its recipe's folder."""
    card = Card(
        str(network.get("source", "")), weights=str(network.get("weights", ""))
    ).below(folder)
    for name in ("source", "weights"):
        if network.get(name) and isinstance(network[name], str):
            network[name] = getattr(card, name)


def _faces_begin_at(folder: Path, keys: Mapping[str, Any]) -> None:
    """Let the relative paths of photographs, of what a detector said of them
    and of a face detector begin at a recipe's folder.
    """
    faces = keys.get("faces", {})
    detected = faces.get("action_units")
    if isinstance(detected, str) and detected:
        faces["action_units"] = str(folder / Path(detected).expanduser())
    wanted = keys.get("network", {}).get("input", {})
    for group, name in ((faces, "photographs"), (wanted, "crop")):
        told = group.get(name)
        if isinstance(told, str):
            group[name] = _named_below(folder, told)


def _named_below(folder: Path, told: str) -> str:
    """What is named as in ``folder:PATH``, its relative path below a folder."""
    kind, colon, path = told.partition(":")
    return (
        kind + colon + str(folder / Path(path).expanduser()) if path else told
    )


def _path(name: str, beside: Path) -> Path:
    try:
        return (beside / name).resolve()
    except (OSError, ValueError, RuntimeError):
        shown = printable(name)[:MOST_SHOWN]
        raise InputError(
            f"recipe {shown!r}: no file can be called so"
        ) from None


def _network(keys: Mapping[str, Any]) -> object:
    network = keys.get("network")
    return network.get("name") if isinstance(network, Mapping) else None


def is_of_a_study(told: object) -> bool:
    """Tell whether a recipe, or one that it extends, is kept by a study's
    folder, which may be someone else's.

    Args:
        told: A recipe's path or name, or a recipe.

    Returns:
        Whether it is.

    Raises:
        InputError: For a file that cannot be read.
    """
    named = str(told) if isinstance(told, str | Path) else ""
    return any(
        (folder / "study.json").exists() for folder in _folders_of(named)
    )


def _folders_of(name: str) -> Iterator[Path]:
    """Where the file of a recipe lies, and of each that it extends, as it is
    named and as links lead there.
    """
    beside = Path()
    met: set[Path] = set()
    while is_file(name):
        file = _path(name, beside)
        if file in met:
            return
        met.add(file)
        yield from ((beside / name).parent, file.parent)
        beside = file.parent
        name = str(_from_file(file).get("extends", ""))


def _packaged(name: str) -> dict[str, Any]:
    if name in BASES:
        bases = resources.files("duchenne.recipes") / "bases"
        return _parsed_file(bases / f"{name}.toml")
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.6)
        hint = (
            f"the nearest is {near[0]!r}; there are" if near else "there are"
        )
        raise InputError(
            f"recipe {name!r} is not known; {hint} {', '.join(names())}, and files of your own as "
            "in mine.toml"
        )
    return _parsed_file(_files()[name])


def _parsed_file(file: Traversable) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


BASES = ("audit",)
"""Recipes that are there to be extended: they name no network."""


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"recipe {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"recipe {file}: is not in UTF-8") from None
    except ValueError as error:
        raise InputError(
            f"recipe {file}: {printable(str(error))[:MOST_SHOWN]}"
        ) from None
    except RecursionError:
        raise InputError(f"recipe {file}: is nested too deeply") from None


def _refuse_other_kinds(
    told: Mapping[str, Any], model: type[BaseModel], prefix: str
) -> None:
    """Refuse a value, or a list, where a recipe has a group of keys."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if (
            name in told
            and isinstance(inner, type)
            and issubclass(inner, BaseModel)
        ):
            if not isinstance(told[name], Mapping):
                keys = ", ".join(inner.model_fields)
                raise InputError(
                    f"recipe key '{prefix}{name}': {shortened(told[name])}: it is a group of "
                    f"keys, not a value; there are {keys}"
                )
            _refuse_other_kinds(told[name], inner, f"{prefix}{name}.")


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Keys over those of another recipe, group by group."""
    groups = {
        key: over(below[key], above[key])
        for key in above
        if isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **groups}


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Change some keys of a recipe, each as ``"training.rate=0.02"``; raises
    ``InputError`` as ``read`` does.
    """
    keys = recipe.model_dump()
    change(keys, changes)
    return validated(keys)


def change(keys: dict[str, Any], changes: Sequence[str]) -> None:
    """Change some keys that are not validated yet, in place."""
    for each in changes:
        _set(keys, each)
    units = keys.get("units")
    if isinstance(units, dict) and isinstance(units.get("layer"), str):
        units["layer"] = _file_of_features(units["layer"], Path.cwd())


def differences(recipe: Recipe) -> list[str]:
    """List the changes that turn the packaged recipe of this name (else
    ``quick``) into this one, data source aside.

    >>> differences(read("quick", ["training.epochs=2", 'units.layer="conv2"']))
    ['training.epochs=2', 'units.layer="conv2"']
    """
    before, after = (
        dict(_leaves(r.model_dump(mode="json")))
        for r in (_named_like(recipe), recipe)
    )
    options = [key for key in before if key.startswith("network.options.")]
    anew = (
        [] if all(key in after for key in options) else ["network.options={}"]
    )
    if anew:
        before = {
            key: value for key, value in before.items() if key not in options
        }
    ignored = {"name", "about", "faces.source"}
    wanted = {
        key: value
        for key, value in after.items()
        if key not in ignored and before.get(key) != value
    }
    return anew + [
        f"{key}={json.dumps(value)}"
        for key, value in wanted.items()
        if value is not None
    ]


def described(recipe: Recipe, named: bool = False) -> list[str]:
    """List every key of a recipe with its value, as ``changed`` takes it,
    below what the keys mean and beside what else they can be; the lines are a
    recipe that can be kept in a file, which gives it its name where it is not
    ``named``.

    >>> described(read("quick"))[1:3]
    ['seed=0', '']
    """
    return [
        *([f"name={_written(recipe.name)}"] if named else []),
        *_lines(recipe, ""),
    ]


def _lines(part: BaseModel, prefix: str) -> list[str]:
    """Lines of the keys of a part, and behind them those of its parts."""
    single: list[str] = []
    groups: list[str] = []
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            text = " ".join(
                str(inspect.getdoc(value)).replace("``", "").split()
            )
            about = textwrap.wrap(f"{prefix}{name}: {text}", _WIDTH)
            groups += [
                "",
                *(f"# {line}" for line in about),
                *_lines(value, f"{prefix}{name}."),
            ]
        elif prefix or name != "name":
            single += _line(prefix + name, value, info)
    return single + groups


def _line(key: str, value: Any, info: FieldInfo) -> list[str]:
    if value is None:
        return [f"# {key} is not set"]
    if value and isinstance(value, dict):
        return [
            f"{key}.{name}={_written(told)}" for name, told in value.items()
        ]
    others = ", ".join(choices(info))
    return [f"{key}={_written(value)}" + (f"  # {others}" if others else "")]


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _named_like(recipe: Recipe) -> Recipe:
    return read(recipe.name if recipe.name in names() else "quick")


def _leaves(
    tree: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def validated(keys: Mapping[str, Any]) -> Recipe:
    """Check a recipe's keys and values."""
    try:
        _refuse_unwritable(keys, "")
        return Recipe.model_validate(keys)
    except ValidationError as error:
        raise InputError(_explained(error)) from None
    except RecursionError:
        raise InputError("recipe: is nested too deeply") from None


def _refuse_unwritable(value: object, key: str) -> None:
    """Refuse what a recipe's file could not hold: texts that are none, numbers
    that are not finite, dates.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_unwritable(str(name), key or "recipe")
            _refuse_unwritable(inner, f"{key}.{name}".lstrip("."))
        return
    if isinstance(value, list | tuple):
        for inner in value:
            _refuse_unwritable(inner, key)
        return
    fault = _fault(value)
    if fault:
        raise InputError(f"recipe key {shortened(key)}: {fault}")


def _fault(value: object) -> str:
    """Why TOML cannot hold a single value; empty where it can."""
    if isinstance(value, str):
        is_text = "\0" not in value and not any(
            "\ud800" <= each <= "\udfff" for each in value
        )
        return "" if is_text else f"{shortened(value)} holds what is no text"
    if isinstance(value, float):
        return (
            "" if math.isfinite(value) else f"{value} is not a finite number"
        )
    if isinstance(value, bool | int | NoneType | Path):
        return ""
    return f"{shortened(value)}: a {type(value).__name__} is not understood"


def _set(told: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not last:
        raise ArgumentError(
            "changes",
            f"{shortened(change)}: expected key=value, such as training.epochs=4",
        )
    for part in path:
        told = told.setdefault(part, {})
        if not isinstance(told, dict):
            raise ArgumentError(
                "changes",
                f"{shortened(change)}: {shortened(part)} is a value, not a group of keys",
            )
    told[last] = _parsed(value.strip())


def _parsed(value: str) -> Any:
    """Read a value as TOML does, a bare word as text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
    except RecursionError:
        raise ArgumentError(
            "changes", f": {shortened(value)}: is nested too deeply"
        ) from None


def _explained(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(part for part in first["loc"] if isinstance(part, str))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(
            key, [*_schema_keys(Recipe), *_groups(Recipe)], n=1, cutoff=0.0
        )
        return f"recipe key {shortened(key)} is not known; the nearest is {near[0]!r}"
    where = f"recipe key {shortened(key)}" if key else "recipe"
    return f"{where}: {refused_value(first)}"


def _groups(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The names of groups of keys, and of those within them."""
    found = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += [prefix + name, *_groups(inner, f"{prefix}{name}.")]
    return found


def _schema_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += _schema_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
