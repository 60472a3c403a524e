"""What a recipe will take where that is much, told before anything begins."""

from __future__ import annotations

from duchenne import facs
from duchenne.recipes import Recipe

_PICTURES_A_PERSON = 28
_PIXELS_A_SECOND = 700_000  # rendered on two cores
_FACES_A_DOSE = 6  # absent, A … E
_MANY_PICTURES = 50_000
_MANY_NETWORKS = 100
_MANY_PERMUTATIONS = 100_000
_MANY_STIMULATED = 500


def costs(recipe: Recipe) -> list[str]:
    """List what a recipe asks much of, a line for each large number.

    >>> from duchenne import recipes
    >>> (
    ...     costs(recipes.read("quick")),
    ...     len(costs(recipes.read("quick", ["faces.avatars.people=100000"]))),
    ... )
    ([], 1)
    """
    lines = (
        _rendering(recipe),
        _training(recipe),
        _permuting(recipe),
        _stimulating(recipe),
    )
    return [line for line in lines if line]


def _rendering(recipe: Recipe) -> str:
    avatars = recipe.faces.avatars
    pictures = avatars.people * _PICTURES_A_PERSON
    if recipe.faces.source != "avatars" or pictures <= _MANY_PICTURES:
        return ""
    pixels = pictures * avatars.size**2
    bands = 3 if avatars.colour else 1
    gigabytes = pixels * bands / 1e9
    hours = pixels / _PIXELS_A_SECOND / 3600
    return (
        f"{pictures:,} faces are to be rendered: about {hours:.1f} hours on two cores, and "
        f"{gigabytes:.0f} GB of disk"
    )


def _training(recipe: Recipe) -> str:
    folds = len(recipe.folds.run) or recipe.folds.count
    networks = folds * recipe.training.attempts
    if networks <= _MANY_NETWORKS:
        return ""
    return f"{networks} networks are to be trained, each for up to {recipe.training.epochs} epochs"


def _permuting(recipe: Recipe) -> str:
    permutations = recipe.evidence.permutations
    if permutations <= _MANY_PERMUTATIONS:
        return ""
    return f"{permutations:,} permutations: about a second for each thousand and network"


def _stimulating(recipe: Recipe) -> str:
    people = recipe.stimulation.people
    if people <= _MANY_STIMULATED:
        return ""
    faces = people * _FACES_A_DOSE * len(facs.rendered())
    return f"{faces:,} faces are to be rendered and read for the stimulation of action units"
