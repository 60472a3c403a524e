"""Recipes: every choice of a study as validated data, kept as TOML beside this module, one an experiment of the papers.

A recipe may name another that it ``extends``: then it says only what is different.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from duchenne.errors import InputError
from duchenne.faces.augment import AUGMENTATIONS
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.crop import CROPS
from duchenne.faces.folds import RULES
from duchenne.faces.prepare import STEPS
from duchenne.faces.protocols import PROTOCOLS
from duchenne.faces.stack import LARGEST, SMALLEST


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Faces(_Part):
    """Where pictures come from, how they are cut and brought to the network's size.

    ``other`` names a second data set whose pictures stand behind the first's, as ``folds.rule`` "other-set" needs;
    ``other_avatars`` says which avatars are meant where it names those.
    ``action_units`` names a detector's csv (or a folder of them) to join; with ``probable`` an action unit counts as present
    from that probability on.
    """

    source: str = "avatars"
    other: str = ""
    avatars: AvatarSettings = AvatarSettings()
    other_avatars: AvatarSettings = AvatarSettings(seed=1)
    action_units: str = ""
    probable: float | None = Field(None, gt=0, le=1)
    protocol: str = "labelled"
    crop: str = "none"
    no_face: Literal["keep", "leave out"] = "keep"
    size: int = Field(96, ge=SMALLEST, le=LARGEST)
    channels: Literal[1, 3] = 1

    @field_validator("crop")
    @classmethod
    def _known_crop(cls, name: str) -> str:
        if name not in CROPS and not name.startswith("yunet:"):
            raise ValueError(f"{name!r}: not one of {', '.join(CROPS)}, yunet:FILE.onnx")
        return name

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, name: str) -> str:
        return _one_of(name, PROTOCOLS)


class Folds(_Part):
    """How people are split; ``run`` names the folds to train, all where it is empty."""

    rule: str = "khorrami2015"
    count: int = Field(10, ge=3)
    run: tuple[int, ...] = ()

    @field_validator("run")
    @classmethod
    def _each_once(cls, run: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(run)) < len(run):
            raise ValueError("a fold is named twice")
        return run

    @field_validator("rule")
    @classmethod
    def _known_rule(cls, name: str) -> str:
        return _one_of(name, RULES)


class Network(_Part):
    """Which network, and its own options."""

    name: str = "zero_bias"
    options: dict[str, Any] = {}
    prepare: tuple[str, ...] = ("local_mean",)

    @field_validator("prepare", mode="before")
    @classmethod
    def _a_list(cls, steps: Any) -> Any:
        if isinstance(steps, str):
            raise ValueError(f'{steps!r}: a list is wanted, as in ["{steps}"]')
        return steps

    @field_validator("prepare")
    @classmethod
    def _known_steps(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        for step in steps:
            _one_of(step, STEPS)
        return steps


class Training(_Part):
    """How the weights are found. Epochs are passes over the training pictures; the best epoch is that of the highest
    accuracy on the pictures that it is ``chosen_by``, the earliest of equals; "test" leaks and is there to be measured.
    Training stops early after ``patience`` epochs that were no better than the best; 0 for never. ``batch`` 0 takes all
    pictures at once. Every fold is trained in so many ``attempts``, each from its own random start. ``labels`` are the
    expressions, or the shares of votes for them where a data set keeps those (FER+); accuracy is measured against
    expressions either way. ``decay`` is a weight's, which Rprop knows none of; ``momentum`` and ``nesterov`` are SGD's.
    """

    epochs: int = Field(10, ge=1)
    attempts: int = Field(1, ge=1, le=10_000)
    patience: int = Field(0, ge=0)
    chosen_by: Literal["validation", "test"] = "validation"
    batch: int = Field(64, ge=0)
    optimiser: Literal["sgd", "adamw", "rprop"] = "sgd"
    rate: float = Field(0.01, gt=0)
    schedule: Literal["constant", "one_cycle"] = "constant"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    decay: float = Field(1e-5, ge=0)
    augment: str = "khorrami2015"
    labels: Literal["expressions", "votes"] = "expressions"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    log: Literal["csv", "tensorboard"] = "csv"

    @field_validator("augment")
    @classmethod
    def _known_augmentation(cls, name: str) -> str:
        return _one_of(name, AUGMENTATIONS)


class Units(_Part):
    """Which layer is looked at, on which pictures of the first fold, and how its units are projected.

    ``pictures``: those trained on, as in khorrami2015, or those ``held_out`` for validation and test, or all.
    """

    layer: str = "conv3"
    pictures: Literal["train", "held_out", "all"] = "train"
    top: int = Field(10, ge=1)
    method: Literal["guided", "deconvnet", "gradient"] = "guided"
    gallery: int = Field(40, ge=1)


class Evidence(_Part):
    """How unit and action unit are compared: 1 / (``permutations`` + 1) is the smallest p that can be reached."""

    bins: int = Field(64, ge=2)
    epsilon: float = Field(1e-6, gt=0)
    permutations: int = Field(1000, ge=19)
    kl_permutations: int = Field(20, ge=2)
    level: float = Field(0.05, gt=0, lt=1)
    least: int = Field(10, ge=2)

    @model_validator(mode="after")
    def _reachable(self) -> Evidence:
        if 1 / (self.permutations + 1) > self.level:
            raise ValueError(f"{self.permutations} permutations cannot reach level {self.level}")
        if self.kl_permutations > self.permutations:
            raise ValueError(f"kl_permutations {self.kl_permutations} are more than permutations {self.permutations}")
        return self


class Paper(_Part):
    """Which published figure the recipe stands beside: mean accuracy, its spread and the best attempt's, in per cent, and
    what a ``later`` version of the paper says instead; and of which ``faces``: the data set, and the other one where it
    tests on another. None for a recipe of ours.
    """

    table: str = ""
    later: float | None = None
    faces: tuple[str, ...] = ()
    accuracy: float | None = None
    spread: float | None = None
    best: float | None = None


class Recipe(_Part):
    """Every choice of a study."""

    name: str
    about: str
    seed: int = Field(0, ge=0, lt=2**22)
    paper: Paper = Paper()
    faces: Faces = Faces()
    folds: Folds = Folds()
    network: Network = Network()
    training: Training = Training()
    units: Units = Units()
    evidence: Evidence = Evidence()

    @property
    def sources(self) -> tuple[str, ...]:
        """Formats of the faces: that of the source, and that of the other set where one is named."""
        return tuple(spec.partition(":")[0] for spec in (self.faces.source, self.faces.other) if spec)


def names() -> list[str]:
    """List the recipes inside the package.

    >>> "quick" in names()
    True
    """
    return sorted(f.name.removesuffix(".toml") for f in resources.files(__name__).iterdir() if f.name.endswith(".toml"))


def read(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name and change some of its keys, each as ``"training.rate=0.02"``.

    Raises ``InputError`` for an unknown recipe or key (and names the nearest one) and for a value of the wrong kind.

    >>> read("quick", ["training.epochs=2"]).training.epochs
    2
    """
    if name not in names():
        raise InputError(f"recipe {name!r}: not one of {', '.join(names())}")
    return changed(validated(_told(name) | {"name": name}), changes)


def _told(name: str) -> dict[str, Any]:
    """Read a recipe's keys over those of the recipe that it extends; a figure of its own leaves nothing of the other's."""
    told = tomllib.loads((resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))
    if "extends" not in told:
        return told
    below = _told(told.pop("extends"))
    if "paper" in told:
        below["paper"] = {"faces": below["paper"]["faces"]}
    return _over(below, told)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    groups = {key: _over(below[key], above[key]) for key in above if isinstance(below.get(key), Mapping)}
    return {**below, **above, **groups}


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Change some keys of a recipe, each as ``"training.rate=0.02"``; raises ``InputError`` as ``read`` does."""
    told = recipe.model_dump()
    for change in changes:
        _set(told, change)
    return validated(told)


def differences(recipe: Recipe) -> list[str]:
    """List the changes that turn the packaged recipe of this name (else ``quick``) into this one, data source aside.

    >>> differences(read("quick", ["training.epochs=2", 'units.layer="conv2"']))
    ['training.epochs=2', 'units.layer="conv2"']
    """
    before, after = (dict(_leaves(r.model_dump(mode="json"))) for r in (_named_like(recipe), recipe))
    ignored = {"name", "about", "faces.source"}
    wanted = {key: value for key, value in after.items() if key not in ignored and before.get(key) != value}
    return [f"{key}={json.dumps(value)}" for key, value in wanted.items() if value is not None]


def keys_of(recipe: Recipe) -> list[str]:
    """List every key of a recipe with its value, as ``changed`` takes them.

    >>> keys_of(read("quick"))[:2]
    ['seed=0', 'paper.table="khorrami2015 Table 2, CK+ 8 classes, zero-bias CNN+AD (another data set: an orientation only)"']
    """
    told = recipe.model_dump(mode="json", exclude={"name", "about"})
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in _leaves(told) if value is not None]


def _named_like(recipe: Recipe) -> Recipe:
    return read(recipe.name if recipe.name in names() else "quick")


def _leaves(told: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in told.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def validated(told: Mapping[str, Any]) -> Recipe:
    """Check a recipe's keys and values."""
    try:
        return Recipe.model_validate(told)
    except ValidationError as error:
        raise InputError(_explained(error)) from None


def _set(told: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not last:
        raise InputError(f"--set {change!r}: expected key=value, such as training.epochs=4")
    for part in path:
        told = told.setdefault(part, {})
        if not isinstance(told, dict):
            raise InputError(f"--set {change!r}: {part!r} is a value, not a group of keys")
    told[last] = _parsed(value.strip())


def _parsed(value: str) -> Any:
    """Read a value as TOML does, a bare word as text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _explained(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _keys(Recipe), n=1, cutoff=0.0)
        return f"recipe key {key!r} is not known; the nearest is {near[0]!r}"
    message = first["msg"].removeprefix("Value error, ")
    told = "" if first["type"] == "value_error" else f"{first['input']!r}: "
    return f"recipe key {key!r}: {told}{message}"


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += _keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def _one_of(name: str, known: Mapping[str, Any]) -> str:
    if name not in known:
        raise ValueError(f"{name!r}: not one of {', '.join(known)}")
    return name
