"""What to render, as validated data."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from duchenne.faces.avatars.scripts import PROTOCOLS

VERSION = 9
"""Raised whenever the same settings would give other pictures."""


class AvatarSettings(BaseModel):
    """What to render: how many people of which population, by which protocol,
    from which seed, how large.

    ``still`` holds light, camera and head still, as the protocol ``dose``
    always does. ``margin`` is how much is seen around the face, a share of
    its side added all round; with none a face is as OpenCV's detector cuts it.
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

    @field_validator("protocol")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROTOCOLS:
            raise ValueError(f"{name!r}: not one of {', '.join(PROTOCOLS)}")
        return name

    def fingerprint(self) -> str:
        """A digest of everything that the pictures depend on."""
        settings = f"{VERSION} {importlib.metadata.version('anny')} {self.model_dump_json()}"
        return hashlib.sha256(settings.encode()).hexdigest()[:16]
