"""The keys of a recipe, their types and defaults, as validated data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from duchenne import facs
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.folds import RULES
from duchenne.faces.geometry import crop
from duchenne.faces.geometry.crop import CROPS
from duchenne.faces.images.stack import LARGEST, SMALLEST
from duchenne.faces.preparation.augmentation import AUGMENTATIONS
from duchenne.faces.preparation.steps import STEPS, WITH_NUMBERS
from duchenne.faces.protocols import PROTOCOLS
from duchenne.networks import GIVEN, NETWORKS
from duchenne.networks.given import GIVES


@dataclass(frozen=True)
class OneOf:
    """Refuses a text that is none of some names; of a name with a colon, only
    what stands before it is fixed. ``part`` is what of a text must be one.
    """

    names: tuple[str, ...]
    part: Callable[[str], str] = str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._checked, handler(source)
        )

    def _checked(self, text: str) -> str:
        open_ended = tuple(
            name.partition(":")[0] + ":" for name in self.names if ":" in name
        )
        part = self.part(text)
        if part in self.names or (open_ended and part.startswith(open_ended)):
            return text
        raise ValueError(f"{text!r}: not one of {', '.join(self.names)}")


def choices(info: FieldInfo) -> tuple[str, ...]:
    """The values that a key can have, as they are written; none where they
    cannot be listed.
    """
    inner = get_args(info.annotation)
    if inner and all(isinstance(value, str | int) for value in inner):
        return tuple(json.dumps(value) for value in inner)
    known = [
        *info.metadata,
        *(
            part
            for kind in inner
            for part in getattr(kind, "__metadata__", ())
        ),
    ]
    return tuple(
        json.dumps(name)
        for each in known
        if isinstance(each, OneOf)
        for name in each.names
    )


_CROPS = (*CROPS, "yunet:FILE.onnx")
_CROP = OneOf(_CROPS, crop.without_margin)  # as in haar+0.15


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Faces(_Part):
    """Where pictures come from, how they are cut and brought to the network's
    size.

    ``other`` names a second data set whose pictures stand behind the first's,
    as ``folds.rule`` "other-set" needs; ``other_avatars`` says which avatars
    are meant where it names those. ``photographs`` names photographs that are
    shown beside the source, cut by the same crop: how well they are read, and
    whether units answer to them as to avatars. ``action_units`` names a
    detector's csv (or a folder of them) to join with these where they are
    named, else with the source; with ``probable`` an action unit counts as
    present from that probability on.
    """

    source: str = "avatars"
    other: str = ""
    avatars: AvatarSettings = AvatarSettings()
    other_avatars: AvatarSettings = AvatarSettings(seed=1)
    action_units: str = ""
    photographs: str = ""
    probable: float | None = Field(None, gt=0, le=1)
    protocol: Annotated[str, OneOf(tuple(PROTOCOLS))] = "labelled"
    crop: Annotated[str, _CROP] = "none"
    no_face: Literal["keep", "leave out"] = "keep"
    size: int = Field(96, ge=SMALLEST, le=LARGEST)
    channels: Literal[1, 3] = 1


class Folds(_Part):
    """How people are split; ``run`` names the folds to train, all where it is
    empty.
    """

    rule: Annotated[str, OneOf(tuple(RULES))] = "khorrami2015"
    count: int = Field(10, ge=3)
    run: tuple[int, ...] = ()

    @field_validator("run")
    @classmethod
    def _each_once(cls, run: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(run)) < len(run):
            raise ValueError("a fold is named twice")
        return run


class Input(_Part):
    """What a network that was made elsewhere takes: a square of ``size``
    pixels in these ``colours`` (grey3 is grey, once for each of three
    channels), of which 0 … 1 becomes ``range``, ``mean`` is taken off and what
    is left is divided by ``std``, one number or one a channel.
    Photographs are cut by ``crop``, with ``margin``, a share of the side, added
    all round.
    """

    size: int = Field(96, ge=SMALLEST, le=LARGEST)
    colours: Literal["grey", "rgb", "bgr", "grey3"] = "grey"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    crop: Annotated[str, OneOf(_CROPS)] = "haar"
    margin: float = Field(0.0, ge=-0.3, le=1.0)

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _one_for_all(cls, told: Any) -> Any:
        is_number = isinstance(told, int | float) and not isinstance(
            told, bool
        )
        return (told,) if is_number else told

    @model_validator(mode="after")
    def _of_its_channels(self) -> Input:
        if self.range[0] == self.range[1]:
            raise ValueError(f"range {list(self.range)}: its ends are equal")
        for name in ("mean", "std"):
            numbers = getattr(self, name)
            if len(numbers) not in (0, 1, self.channels):
                raise ValueError(
                    f"{name} {list(numbers)}: one number, or one for each of {self.channels} "
                    "channels"
                )
        if any(number <= 0 for number in self.std):
            raise ValueError(f"std {list(self.std)}: must be above 0")
        return self

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        return 1 if self.colours == "grey" else 3

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of preparation from pictures in 0 … 1 to such an input."""
        colours: str = self.colours
        found = [colours] if colours in STEPS else []
        if self.range != (0.0, 1.0):
            found.append(f"range:{_joined(self.range)}")
        if self.mean:
            found.append(f"subtract:{_joined(self.mean)}")
        if self.std:
            found.append(f"divide:{_joined(self.std)}")
        return tuple(found)


def _joined(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:.9g}" for number in numbers)


def _no_other_number(told: object) -> object:
    if isinstance(told, bool | float):
        raise ValueError(f"{told!r}: a key, an attribute or a place is wanted")
    return told


Place = Annotated[str | int, BeforeValidator(_no_other_number)]
"""Where something lies in what a network gives."""


class Output(_Part):
    """What a network that was made elsewhere gives: ``classes`` in its own
    order, by any usual spelling; ``gives`` says what their numbers are;
    ``take`` is the key, attribute or place of what holds them, where it gives
    several things; ``values`` are numbers beside the classes, as of valence
    and arousal, or those of an action-unit detector (AU01, AU12), each by its
    column or its key; a list names them in their order behind the classes.
    With neither it gives an embedding.
    """

    classes: tuple[str, ...] = ()
    gives: Literal[GIVES] = "logits"  # type: ignore[valid-type]
    take: Place = ""
    values: dict[str, Place] = {}

    @model_validator(mode="before")
    @classmethod
    def _values_by_column(cls, told: Any) -> Any:
        if not isinstance(told, dict) or not isinstance(
            told.get("values"), list | tuple
        ):
            return told
        names = told["values"]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("values: names, or a table of names and columns")
        if len(set(names)) < len(names):
            raise ValueError("values: one is named twice")
        classes = told.get("classes", ())
        if not isinstance(classes, list | tuple):
            return told  # which is told of where it is read
        columns = range(len(classes), 10**6)
        return told | {"values": dict(zip(names, columns, strict=False))}

    @field_validator("classes")
    @classmethod
    def _spelt_as_ours(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        spelt = []
        for name in classes:
            lower = name.strip().lower()
            known = facs.SPELLINGS.get(lower, name.strip())
            if not known:
                raise ValueError("a class has no name")
            if known in spelt:
                raise ValueError(f"{name!r}: {known} is named twice")
            spelt.append(known)
        return tuple(spelt)

    @model_validator(mode="after")
    def _columns_that_are_there(self) -> Output:
        columns = {
            name: column
            for name, column in self.values.items()
            if isinstance(column, int)
        }
        count = len(self.classes) + len(columns)
        taken: dict[int, str] = {}
        for name, column in columns.items():
            if not -count <= column < count:
                raise ValueError(
                    f"values.{name} {column}: the classes and values that are named lie in columns "
                    f"0 to {count - 1}"
                )
            other = taken.setdefault(column % count, name)
            if other != name:
                raise ValueError(
                    f"values.{name} {column}: is the column of {other}"
                )
        return self


class Control(_Part):
    """What stands beside the network: the same architecture with ``fresh``
    weights, or with its own ``permuted`` within each tensor, where ``auto``
    takes fresh ones if they can be had; from so many ``seeds``. Batch
    normalisation is fitted to the faces.
    """

    kind: Literal["auto", "fresh", "permuted"] = "auto"
    seeds: int = Field(1, ge=1, le=100)


class Network(_Part):
    """Which network, and its own options.

    ``name`` "given" is a network that was made elsewhere: ``source`` is
    module:callable, file.py:callable, hf:FOLDER, timm:NAME, pt2:FILE or
    onnx:FILE, and ``weights`` a file of safetensors or of torch.save, in which
    ``inside`` is the key that holds them.
    """

    name: Annotated[str, OneOf((*NETWORKS, GIVEN))] = "zero_bias"
    options: dict[str, Any] = {}
    prepare: tuple[
        Annotated[
            str,
            OneOf((*STEPS, *(f"{name}:NUMBERS" for name in WITH_NUMBERS))),
        ],
        ...,
    ] = ("local_mean",)
    source: str = ""
    weights: str = ""
    inside: str = ""
    input: Input = Input()
    output: Output = Output()
    control: Control = Control()

    @field_validator("prepare", mode="before")
    @classmethod
    def _a_list(cls, steps: Any) -> Any:
        if isinstance(steps, str):
            raise ValueError(f'{steps!r}: a list is wanted, as in ["{steps}"]')
        return steps

    @model_validator(mode="after")
    def _trained_or_given(self) -> Network:
        """Refuse keys that a network of this kind knows nothing of."""
        others = ("prepare",) if self.given else _OF_CARDS
        whose = "a network that is trained here" if self.given else repr(GIVEN)
        for name in others:
            told = getattr(self, name)
            if told != type(self).model_fields[name].default:
                raise ValueError(
                    f"network.{name}: belongs to {whose}, not to network.name {self.name!r}"
                )
        return self

    @property
    def given(self) -> bool:
        """Whether it was made elsewhere."""
        return self.name == GIVEN

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of preparation."""
        return self.input.steps if self.given else self.prepare

    @property
    def called(self) -> str:
        """What it is called in tables."""
        return self.source if self.given else self.name


_OF_CARDS = ("source", "weights", "inside", "input", "output")


class Training(_Part):
    """How the weights are found. Epochs are passes over the training pictures;
    the best epoch is that of the highest accuracy on the pictures that it is
    ``chosen_by``, the earliest of equals; "test" leaks and is there to be
    measured. Training stops early after ``patience`` epochs that were no
    better than the best; 0 for never. ``batch`` 0 takes all pictures at once.
    Every fold is trained in so many ``attempts``, each from its own random
    initialisation. ``labels`` are the expressions, or the shares of votes for
    them where a data set keeps those (FER+); accuracy is measured against
    expressions either way. ``decay`` is a weight's, which Rprop knows none of;
    ``momentum`` and ``nesterov`` are SGD's.
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
    augment: Annotated[str, OneOf(tuple(AUGMENTATIONS))] = "khorrami2015"
    labels: Literal["expressions", "votes"] = "expressions"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    log: Literal["csv", "tensorboard"] = "csv"


class Units(_Part):
    """Which layer is looked at, on which pictures of the first fold, and how
    its units are projected.

    ``pictures``: those trained on, as in khorrami2015, or those ``held_out``
    for validation and test, or all. ``gallery``: how many units, those of best
    evidence first, are shown with pictures. ``activation``: how answers below
    0 are read, where no ReLU takes them: ``positive``, they count as 0;
    ``signed``, as they are; ``magnitude``, by their size.
    """

    layer: str = "conv3"
    activation: Literal["positive", "signed", "magnitude"] = "positive"
    pictures: Literal["train", "held_out", "all"] = "train"
    top: int = Field(10, ge=1, le=100)
    method: Literal["guided", "deconvnet", "gradient"] = "guided"
    gallery: int = Field(256, ge=1)


class Evidence(_Part):
    """How unit and action unit are compared: 1 / (``permutations`` + 1) is the
    smallest p that can be reached.
    """

    bins: int = Field(64, ge=2)
    epsilon: float = Field(1e-6, gt=0)
    permutations: int = Field(1000, ge=19)
    score_permutations: int = Field(20, ge=2)
    level: float = Field(0.05, gt=0, lt=1)
    least: int = Field(10, ge=2)

    @model_validator(mode="after")
    def _reachable(self) -> Evidence:
        if 1 / (self.permutations + 1) > self.level:
            raise ValueError(
                f"{self.permutations} permutations cannot reach level {self.level}"
            )
        if self.score_permutations > self.permutations:
            raise ValueError(
                f"score_permutations {self.score_permutations} are more than permutations "
                f"{self.permutations}"
            )
        return self


class Stimulation(_Part):
    """On how many ``people`` single action units are stimulated. Their
    ``seed`` must be another than that of the study's avatars, so that the
    network has seen none of them.
    """

    people: int = Field(24, ge=2)
    seed: int = Field(1000, ge=0, lt=2**32)


class People(_Part):
    """Of how many people ``twins`` are rendered, who differ in one trait alone
    (sex, age, weight, skin, ancestry): whom the network reads worse. 0 leaves
    them out; the study's own avatars are compared by their traits either way.
    They are drawn from ``stimulation.seed``.
    """

    twins: int = Field(0, ge=0)


class Ablation(_Part):
    """On which ``pictures`` of the first fold units are ablated, what they
    then pass on, and how many random sets of as many other units stand beside
    the detectors of an action unit. ``limit``, in 10¹² floating-point
    operations, draws fewer pictures, as many of each class, where more would
    be needed; 0 for none.
    """

    pictures: Literal["train", "held_out", "all"] = "held_out"
    fill: Literal["zero", "mean"] = "zero"
    random_sets: int = Field(20, ge=2)
    limit: float = Field(10, ge=0)


class Detectors(_Part):
    """Into how many ``folds`` people are dealt to choose units as detectors on
    some and judge them on others.
    """

    folds: int = Field(5, ge=2)


class Traits(_Part):
    """On how many ``pictures`` that were not trained on the traits of
    ``layers`` are measured, and by how many ``filters`` of a layer what a
    single one keeps of a picture. Unless named, layers are those that are
    worth looking at. 0 pictures leave them out.
    """

    layers: tuple[str, ...] = ()
    pictures: int = Field(24, ge=0)
    filters: int = Field(16, ge=1)

    @field_validator("pictures")
    @classmethod
    def _none_or_several(cls, pictures: int) -> int:
        if pictures == 1:
            raise ValueError("1: traits take two pictures or more, or 0")
        return pictures


class Paper(_Part):
    """Which published figure the recipe stands beside: mean accuracy, its
    spread and the best attempt's, in per cent, and what a ``later`` version of
    the paper says instead; and of which ``faces``: the data set, and the other
    one where it tests on another. None for a recipe of ours.
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
    about: str = ""
    seed: int = Field(0, ge=0, lt=2**22)
    paper: Paper = Paper()
    faces: Faces = Faces()
    folds: Folds = Folds()
    network: Network = Network()
    training: Training = Training()
    units: Units = Units()
    evidence: Evidence = Evidence()
    stimulation: Stimulation = Stimulation()
    people: People = People()
    ablation: Ablation = Ablation()
    detectors: Detectors = Detectors()
    traits: Traits = Traits()

    @model_validator(mode="before")
    @classmethod
    def _as_the_network_takes_them(cls, keys: Any) -> Any:
        """Let faces be as large, and of as many channels, as a network that
        was made elsewhere says.
        """
        network = keys.get("network") if isinstance(keys, dict) else None
        if not isinstance(network, dict) or network.get("name") != GIVEN:
            return keys
        try:
            wanted = Input.model_validate(network.get("input", {}))
        except ValidationError:
            return keys  # told with its key when the network is validated
        return {**keys, "faces": _following(keys.get("faces", {}), wanted)}

    @model_validator(mode="after")
    def _other_people(self) -> Recipe:
        if self.stimulation.seed in (
            self.faces.avatars.seed,
            self.faces.other_avatars.seed,
        ):
            raise ValueError(
                "stimulation.seed is that of the faces: the network would have seen these people"
            )
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Formats of the faces: that of the source, and that of the other set
        where one is named.
        """
        return tuple(
            spec.partition(":")[0]
            for spec in (self.faces.source, self.faces.other)
            if spec
        )


def _following(faces: Any, wanted: Input) -> dict[str, Any]:
    """Faces as large, and of as many channels, as a network takes them; raises
    ``ValueError`` where they are told to be other.
    """
    found = {**faces}
    follows = {
        "size": wanted.size,
        "channels": wanted.channels,
        "crop": crop.with_margin(wanted.crop, wanted.margin),
    }
    for name, value in follows.items():
        if found.setdefault(name, value) != value:
            raise ValueError(
                f"faces.{name} {found[name]!r}: follows network.input, which says {value!r}"
            )
    avatars = {**found.get("avatars", {})}
    avatars.setdefault("size", min(max(wanted.size, 64), 128))
    avatars.setdefault("colour", wanted.channels == 3)
    avatars.setdefault("margin", wanted.margin)
    return found | {"avatars": avatars}
