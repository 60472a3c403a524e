"""Expressions on a manifold of few dimensions (zhu2018, part 2): faces less
their neutral face, through a bottleneck.

Whatever two pictures of one person under one light differ by is the
expression; an autoencoder gives each such difference a few numbers, its
*code*. Do expressions of people it has not seen separate there?
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne import files, networks, recipes
from duchenne.errors import ArgumentError, InputError
from duchenne.evidence import nulls
from duchenne.evidence.exchangeability import Arrangements, Exchangeability
from duchenne.faces import folds
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.faces.table import FaceTable
from duchenne.networks.autoencoder import Autoencoder
from duchenne.recipes import Recipe
from duchenne.study.faces import decode, gather
from duchenne.study.sentences import percent
from duchenne.training import jobs
from duchenne.training.batches import Examples
from duchenne.training.fit import fit, forget
from duchenne.training.objectives import RECONSTRUCTION

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

Floats = NDArray[np.float32]

_NEIGHBOURS = 5
_PERMUTATIONS = 200
_STEPS = 6  # of a walk


@dataclass(frozen=True)
class Manifold:
    """Where it is kept; ``points``: path, subject, expression, held_out and
    code of each picture; and ``scores``.
    """

    folder: Path
    points: pd.DataFrame
    scores: dict[str, Any]

    @property
    def headline(self) -> str:
        """The answer in two sentences."""
        shares = {
            name: percent(value, 0)
            for name, value in self.scores.items()
            if isinstance(value, float)
        }
        worse = self.scores["explained"] < 0
        negative = (
            " Below zero, faces are given back worse than if each were its own neutral face."
            if worse
            else ""
        )
        return (
            f"{self.scores['bottleneck']} numbers a face explain "
            f"{shares['explained']} of what tells "
            "expressions of unseen people from their neutral face (as many principal components "
            f"{shares['explained_pca']}). The {_NEIGHBOURS} nearest seen faces name the expression "
            f"of {shares['neighbours']} of {self.scores['pictures']} (by principal components "
            f"{shares['neighbours_pca']}, under permuted labels "
            f"{shares['neighbours_permuted']}).{negative}"
        )


def manifold(
    recipe: str = "zhu2018-manifold",
    data: str | None = None,
    out: str | Path = "runs/manifold",
    *,
    changes: Sequence[str] = (),
) -> Manifold:
    """Train the recipe's autoencoder on faces less their neutral face, and
    place every face by its code.

    The folder then holds the network, ``points.parquet``, ``manifold.json``,
    and as PDF and PNG the two pictures: ``manifold``, held-out faces where
    their code places them (along its two principal axes, where it has more
    numbers), and ``walk``, what the decoder makes of the way from neutral to
    the apex. An interrupted run goes on.

    Args:
        recipe: One whose network is an autoencoder.
        data: A source in place of the recipe's.
        out: The folder.
        changes: Single keys of the recipe.

    Returns:
        Codes, pictures and scores.

    Raises:
        InputError: For faces without neutral ones, for a recipe of another
            network, and where ``out`` holds something else.
    """
    chosen = recipes.read(recipe, [*changes, *_source(data)])
    _refuse_other(chosen)
    table = gather(chosen.faces)
    folder = Path(out)
    _claim(folder, chosen, table)
    faces = _with_neutral(decode(chosen.faces, table))
    splits = folds.split(
        faces.table, chosen.folds.rule, chosen.folds.count, chosen.seed
    )
    trial = _trial(chosen, faces, splits[0], folder)
    found = Manifold(folder, trial.points, trial.scores(chosen.seed))
    _draw(found, trial)
    with files.replacing(folder / "points.parquet") as partial:
        found.points.to_parquet(partial, index=False)
    files.write_json(folder / "manifold.json", found.scores)
    return found


def _source(data: str | None) -> list[str]:
    """The change of a recipe that names other faces."""
    if not data:
        return []
    return [f"faces.source={json.dumps(data, ensure_ascii=False)}"]


@dataclass(frozen=True)
class _Trial:
    """An autoencoder and what it makes of faces.

    ``moved`` holds the faces (n, C, S, S) less their neutral ones, ``points``
    a row a face and ``codes`` (n, d) what the bottleneck gives for each.
    """

    network: Autoencoder
    faces: Stack
    moved: torch.Tensor
    fold: folds.Fold
    points: pd.DataFrame
    codes: Floats

    @property
    def expressive(self) -> folds.Mask:
        """Whether each face shows anything but neutral."""
        expressive: folds.Mask = (
            self.points["expression"].ne("neutral").to_numpy(bool)
        )
        return expressive

    @property
    def seen(self) -> folds.Mask:
        """The expressive faces that were learned from."""
        return self.fold.train & self.expressive

    @property
    def unseen(self) -> folds.Mask:
        """The expressive faces of the people held out."""
        return self.fold.test & self.expressive

    @property
    def flat(self) -> Floats:
        """The differences from neutral, (n, pixels)."""
        flat: Floats = self.moved.flatten(1).numpy()
        return flat

    def scores(self, seed: int) -> dict[str, Any]:
        """What codes of people held out keep, beside principal components and
        permuted labels.
        """
        scores = {
            "bottleneck": self.codes.shape[1],
            "pictures": int(self.unseen.sum()),
        }
        components = self._components(seed)
        return (
            scores
            | self._explained(components)
            | self._neighbours(components, seed)
        )

    def _components(self, seed: int) -> PCA:
        """As many principal components as the code has numbers."""
        from sklearn.decomposition import PCA

        count = min(self.codes.shape[1], int(self.seen.sum()))
        return PCA(count, random_state=seed).fit(self.flat[self.seen])

    def _explained(self, components: PCA) -> dict[str, float]:
        wanted = self.flat[self.unseen]
        projected = components.transform(self.flat)[self.unseen]
        by_components = components.inverse_transform(projected)
        by_network = _rebuilt(self.network, self.moved[self.unseen])
        return {
            "explained": _explained(wanted, by_network),
            "explained_pca": _explained(wanted, by_components),
        }

    def _neighbours(self, components: PCA, seed: int) -> dict[str, float]:
        projected = components.transform(self.flat)
        labels = self.points["expression"].to_numpy(str)[self.seen]
        tree = _tree(self.points[self.seen])
        chance = [
            self._named(self.codes, labels[source])
            for source in Arrangements(tree, _PERMUTATIONS, seed)
        ]
        return {
            "neighbours": self._named(self.codes, labels),
            "neighbours_pca": self._named(projected, labels),
            "neighbours_permuted": float(np.mean(chance)),
            "neighbours_permuted_most": float(np.max(chance)),
        }

    def _named(self, codes: Floats, labels: NDArray[Any]) -> float:
        """How well codes of seen faces, under some labels, name the unseen."""
        shown = self.points["expression"].to_numpy(str)
        seen = (codes[self.seen], labels)
        unseen = (codes[self.unseen], shown[self.unseen])
        return _named(seen, unseen)


def _trial(
    recipe: Recipe, faces: Stack, fold: folds.Fold, folder: Path
) -> _Trial:
    """Train the autoencoder on a fold, and place every face by its code."""
    moved = torch.from_numpy(_less_neutral(faces))
    network = _trained(recipe, moved, fold, folder)
    codes = _codes(network, moved)
    points = _points(faces.table, fold, codes)
    return _Trial(network, faces, moved, fold, points, codes)


def _points(table: FaceTable, fold: folds.Fold, codes: Floats) -> pd.DataFrame:
    """A row a face: what it shows, whether it was held out, and its code."""
    names = ["path", "subject", "sequence", "frame", "expression"]
    points = (
        table.frame[names].reset_index(drop=True).assign(held_out=fold.test)
    )
    return points.assign(
        **{f"code_{index}": column for index, column in enumerate(codes.T)}
    )


_ONLY = {
    "network.name": "autoencoder",
    "network.prepare": (),
    "training.augment": "off",
    "training.attempts": 1,
    "training.chosen_by": "validation",
    "training.labels": "expressions",
    "folds.run": (0,),
}
"""What a recipe must say: the others would do nothing here, or what is meant
for pictures, not for what tells two apart.
"""


def _refuse_other(recipe: Recipe) -> None:
    for key, value in _ONLY.items():
        group, name = key.split(".")
        found = getattr(getattr(recipe, group), name)
        if found != value:
            raise InputError(
                f"recipe key {key!r}: {found!r}: a manifold is made with {value!r}"
            )


def _claim(folder: Path, recipe: Recipe, table: FaceTable) -> None:
    """Take an empty folder for a recipe and faces, or one that was taken for
    the same.
    """
    file = folder / "made_of.json"
    made_of = {
        "recipe": recipe.model_dump(mode="json"),
        "faces": fingerprint(table),
    }
    if (
        file.exists()
        and json.loads(file.read_text(encoding="utf-8")) == made_of
    ):
        return
    if folder.exists() and not _is_empty(folder):
        raise ArgumentError(
            "out", f"{folder}: holds something else; name another folder"
        )
    files.write_json(file, made_of)


def _is_empty(folder: Path) -> bool:
    """Whether it is a folder that holds no more than hidden files."""
    if not folder.is_dir():
        return False
    return all(path.name.startswith(".") for path in folder.iterdir())


def _with_neutral(faces: Stack) -> Stack:
    """The faces whose sequence, or else whose person, has a neutral picture."""
    kept = _neutral_rows(faces.table.frame).map(len).to_numpy() > 0
    if not kept.any():
        raise InputError(
            f"{faces.table.root}: shows no neutral face to tell expressions from"
        )
    return faces.where(kept)


def _neutral_rows(frame: pd.DataFrame) -> pd.Series:
    """For each picture the numbers of the neutral pictures of its sequence, or
    else of its person.
    """
    numbered = frame.reset_index(drop=True)
    neutral = numbered[numbered["expression"] == "neutral"]
    of_sequence = neutral.groupby("sequence").groups
    of_subject = neutral.groupby("subject").groups
    rows = []
    for sequence, subject in zip(
        numbered["sequence"], numbered["subject"], strict=True
    ):
        of_person = of_subject.get(subject, ())
        rows.append(list(of_sequence.get(sequence, of_person)))
    return pd.Series(rows)


def _less_neutral(faces: Stack) -> Floats:
    """Each face (n, C, S, S) less the mean of its neutral ones: −1 … 1."""
    rows = _neutral_rows(faces.table.frame)
    neutral = np.stack([faces.pictures[numbers].mean(0) for numbers in rows])
    less: Floats = faces.pictures - neutral
    return less


def _trained(
    recipe: Recipe, moved: torch.Tensor, fold: folds.Fold, folder: Path
) -> Autoencoder:
    """Train the autoencoder, or read it back where that was done."""
    if not (folder / "network.json").exists():
        description = jobs.describe(recipe, ())
        network = networks.from_description(description, seed=recipe.seed)
        fit(
            network,
            Preparation(),
            train=_examples(moved, fold.train),
            judge=_examples(moved, fold.validation),
            settings=recipe.training,
            seed=recipe.seed,
            folder=folder,
            objective=RECONSTRUCTION,
        )
        networks.save(folder, network, description)
        forget(folder)
    found = networks.load(folder).network
    assert isinstance(found, Autoencoder)
    return found


def _examples(moved: torch.Tensor, mask: folds.Mask) -> Examples:
    """Pictures that are rebuilt, so that their class is of no matter."""
    pictures = moved[torch.from_numpy(mask)]
    return Examples(pictures, torch.zeros(len(pictures)))


@torch.no_grad()
def _codes(network: Autoencoder, moved: torch.Tensor) -> Floats:
    codes: Floats = network.encode(moved).numpy()
    return codes


@torch.no_grad()
def _rebuilt(network: Autoencoder, moved: torch.Tensor) -> Floats:
    """What the autoencoder gives of pictures, (n, pixels)."""
    rebuilt: Floats = network(moved).flatten(1).numpy()
    return rebuilt


def _named(
    seen: tuple[Floats, NDArray[Any]], unseen: tuple[Floats, NDArray[Any]]
) -> float:
    """Share of unseen faces whose expression their nearest seen neighbours
    name; each as codes and labels.
    """
    from sklearn.neighbors import KNeighborsClassifier

    neighbours = KNeighborsClassifier(_NEIGHBOURS).fit(*seen)
    return float(neighbours.score(*unseen))


def _tree(points: pd.DataFrame) -> Exchangeability:
    """Which faces' labels may be exchanged."""
    return Exchangeability.of(*nulls.who(points))


def _explained(wanted: Floats, given: Floats) -> float:
    """Share of the squared differences from neutral that is given back: 1 −
    Σ‖x − x̂‖² / Σ‖x‖².
    """
    lost = np.square(wanted - given).sum()
    whole = np.square(wanted).sum()
    return float(1 - lost / whole)


def _plane(codes: Floats, seen: folds.Mask) -> Floats:
    """Where each code lies on a plane: itself where it is two numbers, else
    along the principal axes of those seen.
    """
    from sklearn.decomposition import PCA

    if codes.shape[1] < 2:
        return np.pad(codes, ((0, 0), (0, 1)))
    if codes.shape[1] == 2:
        return codes
    axes = PCA(2).fit(codes[seen])
    placed: Floats = axes.transform(codes)
    return placed


def _draw(found: Manifold, trial: _Trial) -> None:
    from duchenne.report.figures import plots, sheets

    across, up = _plane(trial.codes, trial.fold.train).T
    placed = trial.points.assign(across=across, up=up)
    shown = trial.fold.test
    drawn = {
        "manifold": plots.manifold(placed[shown], trial.faces.pictures[shown]),
        "walk": sheets.walk(_walks(trial)),
    }
    for name, figure in drawn.items():
        for ending in ("pdf", "png"):
            with files.replacing(found.folder / f"{name}.{ending}") as partial:
                figure.savefig(partial, format=ending, dpi=200)


@torch.no_grad()
def _walks(trial: _Trial) -> dict[str, Floats]:
    """For each expression of the unseen person who moves most: the neutral
    face, what the decoder adds to it along the straight line from the neutral
    face's code to the apex's, and the apex: (steps + 2, C, S, S).
    """
    points = trial.points
    squares = trial.moved.square().flatten(1).sum(1).numpy()
    movement = pd.Series(squares, index=points.index)
    held_out = points[trial.unseen]
    liveliest = movement.groupby(held_out["subject"]).sum().idxmax()
    person = held_out[held_out["subject"] == liveliest]
    walks = {}
    for expression, shown in person.groupby("expression", sort=False):
        apex = int(shown.sort_values("frame").index[-1])
        picture = trial.faces.pictures[[apex]]
        walks[str(expression)] = _walk(
            trial.network, picture, trial.moved[apex]
        )
    return walks


def _walk(network: Autoencoder, apex: Floats, moved: torch.Tensor) -> Floats:
    """The neutral face, what the decoder makes of the way to the apex, and the
    apex.
    """
    neutral = apex - moved.numpy()
    ends = network.encode(torch.stack([torch.zeros_like(moved), moved]))
    shares = torch.linspace(0, 1, _STEPS)[:, None]
    decoded = network.decode(
        ends[:1] * (1 - shares) + ends[1:] * shares
    ).numpy()
    return np.concatenate([neutral, (neutral + decoded).clip(0, 1), apex])
