"""What works on a study share: its decoded pictures, its folds, the network
that is examined and its untrained control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duchenne import files
from duchenne.experiments.pair import Pair
from duchenne.faces import acting, folds
from duchenne.faces.acting import Acting
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.images.stack import Stack
from duchenne.faces.table import FaceTable
from duchenne.networks import UNTRAINED
from duchenne.recipes import Recipe
from duchenne.study import network
from duchenne.study.faces import decode, gather_photographs
from duchenne.study.record import Study
from duchenne.training import jobs
from duchenne.training.machine.workers import HERE, Workers
from duchenne.units.activations import Activations
from duchenne.units.layers import Layer


@dataclass(frozen=True)
class Examined:
    """A layer of a study's network, or of its control, and the folder that
    describes its units.

    Attributes:
        network: What tables call the network.
        folder: Where its units' files lie.
        layer: The layer itself.
        is_control: Whether the network is the untrained one.
    """

    network: str
    folder: Path
    layer: Layer
    is_control: bool = False

    def activations(self) -> NDArray[np.float32]:
        """What every unit answered to each picture that it was shown.

        Returns:
            (n, u).
        """
        return Activations.from_frame(
            files.read_frame(self.folder / "responses.parquet")
        ).value

    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of each unit's activation.

        Returns:
            (u,).
        """
        spread: NDArray[np.float64] = self.activations().std(
            0, dtype=np.float64
        )
        return spread


@dataclass(frozen=True)
class Workspace:
    """A study being made, the faces that were ``given``, and what stages
    share: decoded pictures and folds.
    """

    study: Study
    given: FaceTable
    announce: Callable[[str], None] = lambda line: None
    workers: Workers = HERE

    @property
    def recipe(self) -> Recipe:
        """The study's recipe."""
        return self.study.recipe

    @cached_property
    def stack(self) -> Stack:
        """The labelled faces, cut and decoded."""
        return decode(self.recipe.faces, self.given)

    @cached_property
    def photographs(self) -> Stack | None:
        """The photographs beside the study's own faces, cut and decoded as the
        network takes them; nothing where the recipe names none.
        """
        faces = self.recipe.faces
        table = gather_photographs(faces)
        if table is None:
            return None
        alone = {"source": faces.photographs, "other": ""}
        return decode(faces.model_copy(update=alone), table)

    @cached_property
    def folds(self) -> list[folds.Fold]:
        """Every fold of the recipe's rule; a network that was made elsewhere
        has one, of which all pictures are tested.
        """
        if self.recipe.network.given:
            return [folds.untrained(len(self.study.table))]
        rule = self.recipe.folds
        return folds.split(
            self.study.table, rule.rule, rule.count, self.recipe.seed
        )

    @property
    def trained_folds(self) -> list[int]:
        """The folds that are trained on; the first one's network is looked
        into.
        """
        return list(self.recipe.folds.run) or list(range(len(self.folds)))

    @property
    def networks(self) -> list[jobs.Job]:
        """The networks to train."""
        return jobs.listed(
            self.recipe,
            self.trained_folds,
            self.study.folder / "training",
            self.study.state["identity"]["network"],
        )

    @cached_property
    def pair(self) -> Pair:
        """The network that is looked into, and its untrained controls."""
        shown = self.study.scores["shown"]
        return network.pair(
            self.recipe, self.study.folder, shown["fold"], shown["attempt"]
        )

    def fit_features(self) -> None:
        """Fit the features that the recipe's layer asks for to its faces."""
        shown = self.study.scores["shown"]
        network.fit_features(
            self.recipe,
            self.study.folder,
            self.stack,
            shown["fold"],
            shown["attempt"],
        )

    def examined(self) -> Iterator[Examined]:
        """The recipe's layer of the trained network, then of its untrained
        control.
        """
        pair = self.pair
        units = self.recipe.units
        folder = self.study.units_folder
        trained = Layer(
            pair.trained, units.layer, pair.prepare, units.activation
        )
        yield Examined("trained", folder, trained)
        yield Examined(
            "untrained",
            folder / UNTRAINED,
            replace(trained, network=pair.untrained),
            True,
        )

    def other_controls(self) -> Iterator[Examined]:
        """The controls of all seeds but the first."""
        for number, control in enumerate(self.pair.controls[1:], 2):
            layer = replace(self.trained.layer, network=control)
            folder = self.study.units_folder / f"{UNTRAINED}-{number}"
            yield Examined(f"{UNTRAINED} {number}", folder, layer, True)

    @property
    def trained(self) -> Examined:
        """The recipe's layer of the trained network."""
        return next(self.examined())

    @property
    def shown_faces(self) -> FaceTable:
        """The pictures that the units are shown."""
        every = np.arange(len(self.study.table))
        return self.study.table.where(np.isin(every, self.shown_rows))

    @property
    def shown_rows(self) -> NDArray[np.int64]:
        """Rows of the table that the units are shown: those of the first fold."""
        return self.rows(self.recipe.units.pictures)

    def rows(self, pictures: str) -> NDArray[np.int64]:
        """Rows of some of the pictures.

        Args:
            pictures: "train" for those that the first fold's network was
                trained on, "held_out" for all others, or "all".

        Returns:
            Rows of the study's table.
        """
        if self.recipe.network.given:
            return np.arange(len(self.study.table))
        fold = self.folds[self.trained_folds[0]]
        which = {
            "train": fold.train,
            "held_out": ~fold.train,
            "all": np.ones(len(self.study.table), bool),
        }
        return np.flatnonzero(which[pictures])

    @property
    def not_trained_on(self) -> NDArray[np.int64]:
        """Rows of the table that the network which is looked into was not
        trained on.
        """
        return np.flatnonzero(
            ~self.folds[self.study.scores["shown"]["fold"]].train
        )

    @property
    def layers(self) -> list[str]:
        """The layers of the network that are worth looking at."""
        own = (self.recipe.units.layer,)
        return list(getattr(self.pair.trained, "LAYERS", own))

    @property
    def stimulating(self) -> AvatarSettings:
        """The people on whom single action units are stimulated: like the
        study's avatars, else as large as its faces.
        """
        faces = self.recipe.faces
        asked = self.recipe.stimulation
        like = AvatarSettings(
            size=max(faces.size, 16), colour=faces.channels == 3
        )
        drawn = faces.avatars if faces.source == "avatars" else like
        return drawn.model_copy(
            update={
                "people": asked.people,
                "seed": asked.seed,
                "protocol": "dose",
            }
        )

    @property
    def acting(self) -> Acting | None:
        """Where action units act in the faces, from the mesh of avatars or by
        landmarks; nothing where none are known.
        """
        faces = self.recipe.faces
        if faces.source == "avatars" and not faces.other:
            return acting.from_mesh(self.stack, faces.avatars)
        known = self.study.table.frame.get("landmarks")
        if known is None or known.isna().all():
            return None
        return acting.from_landmarks(self.stack)
