"""What to render, as validated data."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from duchenne.faces.avatars.people import ANCESTRIES, RANGES
from duchenne.faces.avatars.scripts import PROTOCOLS

VERSION = 9
"""Raised whenever the same settings would give other pictures."""


class AvatarSettings(BaseModel):
    """What to render: how many people of which population, by which protocol,
    from which seed, how large.

    ``still`` holds light, camera and head still, as the protocol ``dose``
    always does. ``margin`` is how much is seen around the face, a share of
    its side added all round; with none a face is as OpenCV's detector cuts it.
    ``traits`` holds who people are at a number each (``people.TRAITS``), all
    else as chance draws it: equal settings but for these show twins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    people: int = Field(60, ge=1, le=100_000)
    population: Literal["mixed", "shifted"] = "mixed"
    protocol: str = "posed"
    still: bool = False
    seed: int = Field(0, ge=0, lt=2**32)
    size: int = Field(96, ge=16, le=2048)
    samples: int = Field(2, ge=1, le=8)
    colour: bool = False
    margin: float = Field(0.0, ge=-0.3, le=1.0)
    traits: dict[str, float] = {}

    @field_validator("protocol")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROTOCOLS:
            raise ValueError(f"{name!r}: not one of {', '.join(PROTOCOLS)}")
        return name

    @field_validator("traits")
    @classmethod
    def _of_people(cls, traits: dict[str, float]) -> dict[str, float]:
        for name, value in traits.items():
            if name not in RANGES:
                raise ValueError(f"{name!r}: not one of {', '.join(RANGES)}")
            low, high = RANGES[name]
            if not low <= value <= high:
                raise ValueError(f"{name}: {value} is not in {low} … {high}")
        shares = [traits[name] for name in ANCESTRIES if name in traits]
        if sum(shares) > 1:
            raise ValueError("shares of ancestries add up to more than 1")
        if len(shares) == len(ANCESTRIES) and sum(shares) < 1:
            raise ValueError("shares of all ancestries add up to less than 1")
        return traits

    def fingerprint(self) -> str:
        """A digest of everything that the pictures depend on."""
        left_out = set() if self.traits else {"traits"}
        told = self.model_dump_json(exclude=left_out)
        settings = f"{VERSION} {importlib.metadata.version('anny')} {told}"
        return hashlib.sha256(settings.encode()).hexdigest()[:16]
