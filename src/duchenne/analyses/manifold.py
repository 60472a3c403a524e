"""Expressions on a manifold of few dimensions (zhu2018, part 2): faces less their neutral face,
through a bottleneck.

Whatever two pictures of one person under one light differ by is the expression; an autoencoder
gives each such difference a few numbers, its *code*. Do expressions of people it has not seen
separate there?
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne import files, networks, recipes
from duchenne.errors import ArgumentError, InputError
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

Floats = NDArray[np.float32]

_NEIGHBOURS = 5
_PERMUTATIONS = 200
_STEPS = 6  # of a walk


@dataclass(frozen=True)
class Manifold:
    """Where it is kept; ``points``: path, subject, expression, held_out and code of each
    picture; and ``scores``.
    """

    folder: Path
    points: pd.DataFrame
    scores: dict[str, Any]

    @property
    def headline(self) -> str:
        """The answer in two sentences."""
        told = {
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
            f"{self.scores['bottleneck']} numbers a face explain {told['explained']} of what tells "
            "expressions of unseen people from their neutral face (as many principal components "
            f"{told['explained_pca']}). The {_NEIGHBOURS} nearest seen faces name the expression "
            f"of {told['neighbours']} of {self.scores['pictures']} (by principal components "
            f"{told['neighbours_pca']}, under permuted labels "
            f"{told['neighbours_permuted']}).{negative}"
        )


def manifold(
    recipe: str = "zhu2018-manifold",
    data: str | None = None,
    out: str | Path = "runs/manifold",
    *,
    changes: Sequence[str] = (),
) -> Manifold:
    """Train the recipe's autoencoder on faces less their neutral face, and place every face by its
    code.

    The folder then holds the network, ``points.parquet``, ``manifold.json``, and as PDF and PNG the
    two pictures: ``manifold``, held-out faces where their code places them (along its two principal
    axes, where it has more numbers), and ``walk``, what the decoder makes of the way from neutral
    to the apex. An interrupted run goes on.

    Args:
        recipe: One whose network is an autoencoder.
        data: A source in place of the recipe's.
        out: The folder.
        changes: Single keys of the recipe.

    Returns:
        Codes, pictures and scores.

    Raises:
        InputError: For faces without neutral ones, for a recipe of another network, and where
            ``out`` holds something else.
    """
    source = [f"faces.source={json.dumps(data, ensure_ascii=False)}"] if data else []
    chosen = recipes.read(recipe, [*changes, *source])
    folder = Path(out)
    _refuse_other(chosen)
    table = gather(chosen.faces)
    _claim(folder, {"recipe": chosen.model_dump(mode="json"), "faces": fingerprint(table)})
    faces = _with_neutral(decode(chosen.faces, table))
    fold = folds.split(faces.table, chosen.folds.rule, chosen.folds.count, chosen.seed)[0]
    moved = torch.from_numpy(_less_neutral(faces))
    network = _trained(chosen, moved, fold, folder)
    codes = _codes(network, moved)
    points = _points(faces.table, fold, codes)
    scores = _scores(network, moved.numpy(), points, codes, fold, chosen.seed)
    found = Manifold(folder, points, scores)
    across, up = _plane(codes, fold.train).T
    _draw(found, points.assign(across=across, up=up), network, faces, moved)
    with files.replacing(folder / "points.parquet") as partial:
        points.to_parquet(partial, index=False)
    files.write_json(folder / "manifold.json", found.scores)
    return found


def _points(table: FaceTable, fold: folds.Fold, codes: Floats) -> pd.DataFrame:
    """A row a face: what it shows, whether it was held out, and its code."""
    names = ["path", "subject", "sequence", "frame", "expression"]
    points = table.frame[names].reset_index(drop=True).assign(held_out=fold.test)
    return points.assign(**{f"code_{place}": column for place, column in enumerate(codes.T)})


_ONLY = {
    "network.name": "autoencoder",
    "network.prepare": (),
    "training.augment": "off",
    "training.attempts": 1,
    "training.chosen_by": "validation",
    "training.labels": "expressions",
    "folds.run": (0,),
}
"""What a recipe must say: the others would do nothing here, or what is meant for pictures, not
for what tells two apart.
"""


def _refuse_other(recipe: Recipe) -> None:
    for key, value in _ONLY.items():
        group, name = key.split(".")
        found = getattr(getattr(recipe, group), name)
        if found != value:
            raise InputError(f"recipe key {key!r}: {found!r}: a manifold is made with {value!r}")


def _claim(folder: Path, made_of: dict[str, Any]) -> None:
    """Take an empty folder for a recipe and faces, or one that was taken for the same."""
    file = folder / "made_of.json"
    if file.exists() and json.loads(file.read_text(encoding="utf-8")) == made_of:
        return
    if folder.exists() and (
        not folder.is_dir() or any(not path.name.startswith(".") for path in folder.iterdir())
    ):
        raise ArgumentError("out", f"{folder}: holds something else; name another folder")
    files.write_json(file, made_of)


def _with_neutral(faces: Stack) -> Stack:
    """The faces whose sequence, or else whose person, has a neutral picture."""
    kept = _neutral_rows(faces.table.frame).map(len).to_numpy() > 0
    if not kept.any():
        raise InputError(f"{faces.table.root}: shows no neutral face to tell expressions from")
    return faces.where(kept)


def _neutral_rows(frame: pd.DataFrame) -> pd.Series:
    """For each picture the numbers of the neutral pictures of its sequence, or else of its
    person.
    """
    numbered = frame.reset_index(drop=True)
    neutral = numbered[numbered["expression"] == "neutral"]
    by_sequence, by_subject = (neutral.groupby(key).groups for key in ("sequence", "subject"))
    return pd.Series(
        [
            list(by_sequence.get(sequence, by_subject.get(subject, ())))
            for sequence, subject in zip(numbered["sequence"], numbered["subject"], strict=True)
        ]
    )


def _less_neutral(faces: Stack) -> Floats:
    """Each face (n, C, S, S) less the mean of its neutral ones: −1 … 1."""
    rows = _neutral_rows(faces.table.frame)
    neutral = np.stack([faces.pictures[numbers].mean(0) for numbers in rows])
    less: Floats = faces.pictures - neutral
    return less


def _trained(recipe: Recipe, moved: torch.Tensor, fold: folds.Fold, folder: Path) -> Autoencoder:
    """Train the autoencoder, or read it back where that was done."""
    if not (folder / "network.json").exists():
        description = jobs.describe(recipe, ())
        network = networks.from_description(description, seed=recipe.seed)
        train, judge = (
            Examples(moved[torch.from_numpy(mask)], torch.zeros(int(mask.sum())))
            for mask in (fold.train, fold.validation)
        )
        fit(
            network,
            Preparation(),
            train,
            judge,
            recipe.training,
            recipe.seed,
            folder,
            objective=RECONSTRUCTION,
        )
        networks.save(folder, network, description)
        forget(folder)
    found = networks.load(folder).network
    assert isinstance(found, Autoencoder)
    return found


@torch.no_grad()
def _codes(network: Autoencoder, moved: torch.Tensor) -> Floats:
    codes: Floats = network.encode(moved).numpy()
    return codes


def _scores(
    network: Autoencoder,
    moved: Floats,
    points: pd.DataFrame,
    codes: Floats,
    fold: folds.Fold,
    seed: int,
) -> dict[str, Any]:
    """What the codes of unseen people's faces keep, beside as many principal components and
    permuted labels.
    """
    from sklearn.decomposition import PCA

    expressive = points["expression"].ne("neutral").to_numpy()
    seen = fold.train & expressive
    unseen = fold.test & expressive
    flat = moved.reshape(len(moved), -1)
    labels = points["expression"].to_numpy(str)
    components = PCA(min(codes.shape[1], int(seen.sum())), random_state=seed).fit(flat[seen])
    projected = components.transform(flat)
    by_pca = components.inverse_transform(projected[unseen])
    rearranged = Arrangements(_tree(points[seen]), _PERMUTATIONS, seed)
    chance = [_named(codes, labels[seen][source], labels, seen, unseen) for source in rearranged]
    return {
        "bottleneck": codes.shape[1],
        "pictures": int(unseen.sum()),
        "explained": _explained(flat[unseen], _rebuilt(network, moved[unseen])),
        "explained_pca": _explained(flat[unseen], by_pca),
        "neighbours": _named(codes, labels[seen], labels, seen, unseen),
        "neighbours_pca": _named(projected, labels[seen], labels, seen, unseen),
        "neighbours_permuted": float(np.mean(chance)),
        "neighbours_permuted_most": float(np.max(chance)),
    }


def _rebuilt(network: Autoencoder, moved: Floats) -> Floats:
    """What the autoencoder gives of pictures, (n, pixels)."""
    with torch.no_grad():
        rebuilt: Floats = network(torch.from_numpy(moved)).numpy().reshape(len(moved), -1)
    return rebuilt


def _tree(points: pd.DataFrame) -> Exchangeability:
    """Which faces' labels may be exchanged."""
    people = points["subject"].to_numpy(str)
    takes = points["sequence"].fillna(points["path"]).to_numpy(str)
    return Exchangeability.of(people, takes)


def _explained(wanted: Floats, given: Floats) -> float:
    """Share of the squared differences from neutral that is given back: 1 − Σ‖x − x̂‖² / Σ‖x‖²."""
    return float(1 - np.square(wanted - given).sum() / np.square(wanted).sum())


def _named(
    codes: Floats, told: NDArray[Any], labels: NDArray[Any], seen: folds.Mask, unseen: folds.Mask
) -> float:
    """Share of unseen faces whose nearest neighbours among the seen, by what is told of these,
    name their expression.
    """
    from sklearn.neighbors import KNeighborsClassifier

    return float(
        KNeighborsClassifier(_NEIGHBOURS)
        .fit(codes[seen], told)
        .score(codes[unseen], labels[unseen])
    )


def _plane(codes: Floats, seen: folds.Mask) -> Floats:
    """Where each code lies on a plane: itself where it is two numbers, else along the principal
    axes of those seen.
    """
    from sklearn.decomposition import PCA

    if codes.shape[1] < 2:
        return np.pad(codes, ((0, 0), (0, 1)))
    placed: Floats = codes if codes.shape[1] == 2 else PCA(2).fit(codes[seen]).transform(codes)
    return placed


def _draw(
    found: Manifold, placed: pd.DataFrame, network: Autoencoder, faces: Stack, moved: torch.Tensor
) -> None:
    from duchenne.report.figures import plots, sheets

    shown = placed["held_out"].to_numpy()
    drawn = {
        "manifold": plots.manifold(placed[shown], faces.pictures[shown]),
        "walk": sheets.walk(_walks(network, faces, moved, found.points)),
    }
    for name, figure in drawn.items():
        for ending in ("pdf", "png"):
            with files.replacing(found.folder / f"{name}.{ending}") as partial:
                figure.savefig(partial, format=ending, dpi=200)


@torch.no_grad()
def _walks(
    network: Autoencoder, faces: Stack, moved: torch.Tensor, points: pd.DataFrame
) -> dict[str, Floats]:
    """For each expression of the unseen person who moves most: the neutral face, what the decoder
    adds to it along the straight line from the neutral face's code to the apex's, and the apex:
    (steps + 2, C, S, S).
    """
    movement = pd.Series(moved.square().flatten(1).sum(1).numpy(), index=points.index)
    held_out = points[points["held_out"] & points["expression"].ne("neutral")]
    liveliest = movement.groupby(held_out["subject"]).sum().idxmax()
    person = held_out[held_out["subject"] == liveliest]
    walks = {}
    for expression, shown in person.groupby("expression", sort=False):
        apex = int(shown.sort_values("frame").index[-1])
        walks[str(expression)] = _walk(network, faces.pictures[[apex]], moved[apex])
    return walks


def _walk(network: Autoencoder, apex: Floats, moved: torch.Tensor) -> Floats:
    """The neutral face, what the decoder makes of the way to the apex, and the apex."""
    neutral = apex - moved.numpy()
    ends = network.encode(torch.stack([torch.zeros_like(moved), moved]))
    shares = torch.linspace(0, 1, _STEPS)[:, None]
    decoded = network.decode(ends[:1] * (1 - shares) + ends[1:] * shares).numpy()
    return np.concatenate([neutral, (neutral + decoded).clip(0, 1), apex])
