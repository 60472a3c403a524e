"""The network of a study and its controls, whether it was trained here or made
elsewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from duchenne import facs, files, networks
from duchenne.errors import InputError
from duchenne.experiments.pair import Pair
from duchenne.faces.geometry import crop
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.networks import given
from duchenne.networks.given import Card, Outputs, code
from duchenne.recipes import Recipe
from duchenne.units import features, listing

CONTROLS = "controls.safetensors"
"""The running statistics of controls, in a study's folder."""

FEATURES = "features.safetensors"
"""What features of a layer are computed with, in the folder of its units."""

_FITTED_ON = 512  # pictures
_BATCH = 64


def card(recipe: Recipe) -> Card:
    """Where the network of a recipe is, that was made elsewhere, and how its
    output is read.
    """
    network = recipe.network
    told = network.output
    outputs = Outputs(told.classes, told.gives, told.take, told.values)
    return Card(
        network.source,
        network.options,
        network.weights,
        network.inside,
        outputs,
    )


def allow_typed(recipe: Recipe) -> None:
    """Let the callable of a recipe that the user named on this machine be
    run.
    """
    told = card(recipe)
    if recipe.network.given and told.kind == "code":
        given.allow(told.source, told.options)


def describe(recipe: Recipe) -> networks.Description:
    """All that a study's folder says of a network that was made elsewhere."""
    told = card(recipe)
    wanted = recipe.network.input
    return networks.Description(
        name=networks.GIVEN,
        classes=told.outputs.classes,
        channels=wanted.channels,
        size=wanted.size,
        crop=crop.with_margin(wanted.crop, wanted.margin),
        prepare=wanted.steps,
        card=asdict(told),
    )


def pair(recipe: Recipe, folder: Path, fold: int, attempt: int) -> Pair:
    """Read back the network of a study, and make its controls.

    Args:
        recipe: The study's.
        folder: The study's.
        fold: That the network was trained on, where it was trained here.
        attempt: Which of them it is.

    Returns:
        Both, and what prepares their input.

    Raises:
        InputError: Where the network cannot be had.
    """
    found = networks.load(folder)
    untrained = _untrained(recipe, folder, found.description, fold, attempt)
    _attach_features(recipe, folder, [found.network, *untrained])
    return replace(_of_saved(recipe, found), controls=tuple(untrained))


def _untrained(
    recipe: Recipe,
    folder: Path,
    description: networks.Description,
    fold: int,
    attempt: int,
) -> list[nn.Module]:
    """The controls of a study, their normalisation as it was fitted."""
    made = _fresh(recipe, folder, description, fold, attempt)
    controls = [control.eval() for control in made]
    _restore_statistics(folder / CONTROLS, controls)
    return controls


def alone(recipe: Recipe, folder: Path) -> Pair:
    """Read back a network without its controls.

    Args:
        recipe: The study's.
        folder: That keeps the network.

    Returns:
        It alone.

    Raises:
        InputError: Where the network cannot be had.
    """
    return _of_saved(recipe, networks.load(folder))


def _of_saved(recipe: Recipe, found: networks.Saved) -> Pair:
    """A network that was read back, with what prepares its input."""
    told = recipe.network
    description = found.description
    prepare = Preparation(description.prepare).restore(found.preparation)
    normalised = not told.given or told.output.gives != "scores"
    return Pair(found.network, (), prepare, description.classes, normalised)


def as_pair(recipe: Recipe, opened: nn.Module) -> Pair:
    """A network that was made elsewhere, before it has controls.

    Args:
        recipe: With its card.
        opened: The network.

    Returns:
        It alone.
    """
    told = recipe.network.output
    prepare = Preparation(recipe.network.steps)
    return Pair(opened, (), prepare, told.classes, told.gives != "scores")


def _fresh(
    recipe: Recipe,
    folder: Path,
    description: networks.Description,
    fold: int,
    attempt: int,
) -> Iterator[nn.Module]:
    """The controls of a study, before anything is fitted to its faces."""
    wanted = recipe.network.control
    is_given = recipe.network.given
    anew = wanted.kind != "permuted"
    if is_given:
        kept = networks.card_of(description, folder)
        anew = given.is_made_anew(kept, wanted.kind)
    for number in range(wanted.seeds):
        if not anew:
            trained = networks.load(folder).network
            yield given.control(trained, recipe.seed + number)
        elif is_given:
            yield given.anew(kept, recipe.seed + number)
        else:
            # takes seconds, which no network that was made elsewhere needs
            from duchenne.training import jobs

            drawn = jobs.seed(recipe, fold, attempt) + number
            yield networks.from_description(description, seed=drawn)


def fit_controls(
    recipe: Recipe, folder: Path, stack: Stack, fold: int = 0, attempt: int = 0
) -> None:
    """Fit the batch normalisation of a study's controls to its faces, and keep
    what was fitted: nothing where the network has none.

    Args:
        recipe: The study's.
        folder: The study's, which holds the network.
        stack: The study's faces.
        fold: That the network was trained on, where it was trained here.
        attempt: Which of them it is.
    """
    found = networks.load(folder)
    prepare = Preparation(found.description.prepare).restore(found.preparation)
    kept: dict[str, Tensor] = {}
    for number, control in enumerate(
        _fresh(recipe, folder, found.description, fold, attempt)
    ):
        given.fit_statistics(control, _Batches(stack, prepare))
        for name, values in given.statistics(control).items():
            kept[f"{number}.{name}"] = values.clone()
    with files.replacing(folder / CONTROLS) as partial:
        save_file(kept, partial)


def fit_features(
    recipe: Recipe, folder: Path, stack: Stack, fold: int = 0, attempt: int = 0
) -> None:
    """Fit the features that a study's layer asks for, as ``layer4:pca=16``
    does, to its faces, and keep what was fitted: those of the network and of
    each control; nothing of a plain layer.

    Args:
        recipe: The study's.
        folder: The study's, which holds the network.
        stack: The study's faces.
        fold: That the network was trained on, where it was trained here.
        attempt: Which of them it is.

    Raises:
        InputError: For a layer that has no such features.
    """
    kept: dict[str, Tensor] = {}
    if features.LayerName.of(recipe.units.layer) is not None:
        kept = _fitted(recipe, folder, stack, fold, attempt)
    with files.replacing(_features_file(recipe, folder)) as partial:
        save_file(kept, partial)


def _fitted(
    recipe: Recipe, folder: Path, stack: Stack, fold: int, attempt: int
) -> dict[str, Tensor]:
    """Features of the network, 0, and of each control, fitted to faces."""
    found = networks.load(folder)
    prepare = Preparation(found.description.prepare).restore(found.preparation)
    controls = _untrained(recipe, folder, found.description, fold, attempt)
    kept: dict[str, Tensor] = {}
    for number, each in enumerate([found.network, *controls]):
        batches = _Batches(stack, prepare)
        fitted = features.attach(each, recipe.units.layer, batches)
        kept |= {f"{number}/{key}": value for key, value in fitted.items()}
    return kept


def _features_file(recipe: Recipe, folder: Path) -> Path:
    return folder / "units" / files.plain(recipe.units.layer) / FEATURES


def _attach_features(
    recipe: Recipe, folder: Path, opened: Sequence[nn.Module]
) -> None:
    """Give networks the features that were fitted to a study's faces."""
    name = recipe.units.layer
    if features.LayerName.of(name) is None:
        return
    file = _features_file(recipe, folder)
    if not file.exists():  # the stage that reads units fits them
        return
    try:
        kept = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise files.unreadable(file, error) from None
    faces = recipe.faces
    blank = torch.zeros(1, faces.channels, faces.size, faces.size)
    for number, each in enumerate(opened):
        before = f"{number}/"
        own = {
            key.removeprefix(before): value
            for key, value in kept.items()
            if key.startswith(before)
        }
        try:
            features.attach(each, name, [blank], own)
        except InputError as error:
            raise files.unreadable(file, error) from None


@dataclass(frozen=True)
class _Batches:
    """Prepared pictures, drawn evenly; made anew each time."""

    stack: Stack
    prepare: Preparation

    def __iter__(self) -> Iterator[Tensor]:
        count = min(len(self.stack), _FITTED_ON)
        rows = np.linspace(0, len(self.stack) - 1, count).astype(int)
        for part in np.array_split(rows, -(-count // _BATCH)):
            pictures = self.stack.floats(part)
            yield self.prepare(torch.from_numpy(pictures))


def _restore_statistics(file: Path, controls: list[nn.Module]) -> None:
    if not file.exists():
        return
    try:
        kept = load_file(file)
        for name, values in kept.items():
            number, _, buffer = name.partition(".")
            controls[int(number)].get_buffer(buffer).copy_(values)
    except (
        SafetensorError,
        OSError,
        ValueError,
        IndexError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise files.unreadable(file, error) from None


def rehearse(recipe: Recipe) -> nn.Module:
    """Open the network of a recipe that was made elsewhere, and show it two
    pictures of noise.

    Args:
        recipe: With its card.

    Returns:
        The network.

    Raises:
        InputError: For whatever stands against examining it.
    """
    network = given.open_card(card(recipe))
    shown = noise(recipe, network)
    doubt = given.doubts(card(recipe).outputs, shown)
    if doubt:
        raise InputError(doubt)
    odd = given.remark(card(recipe).outputs, shown)
    if odd:
        warnings.warn(odd, stacklevel=2)
    _refuse_without_gradients(recipe, network)
    return network


def rehearse_features(recipe: Recipe, network: nn.Module) -> None:
    """Give a network the features that a recipe's layer asks for, fitted to
    noise.

    Args:
        recipe: Any.
        network: It is changed.

    Raises:
        InputError: For a layer that has no such features.
    """
    if features.LayerName.of(recipe.units.layer):
        noise = noise_for(recipe)
        features.attach(network, recipe.units.layer, [noise])


def noise_for(recipe: Recipe) -> Tensor:
    """Make pictures of noise, as a network takes them.

    Args:
        recipe: The network's.

    Returns:
        (3, C, S, S), prepared.
    """
    faces = recipe.faces
    shape = (3, faces.channels, faces.size, faces.size)
    pictures = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    steps = recipe.network.steps
    prepared: Tensor = Preparation(steps).fit(pictures)(pictures)
    return prepared


def noise(recipe: Recipe, network: nn.Module) -> Tensor:
    """Show a network pictures of noise.

    Args:
        recipe: With its card.
        network: The network.

    Returns:
        What it gives, (3, outputs).

    Raises:
        InputError: Where it refuses them.
    """
    prepared = noise_for(recipe)
    given_rows = _answers(recipe, network, prepared)
    if len(given_rows) != len(prepared):
        raise InputError(
            f"network.output: gives {len(given_rows)} rows for {len(prepared)} pictures, not a "
            "row a picture"
        )
    _refuse_others_of_one(recipe, network, prepared[:1], given_rows[:1])
    return given_rows


def _refuse_others_of_one(
    recipe: Recipe, network: nn.Module, prepared: Tensor, among_others: Tensor
) -> None:
    """Refuse a network that gives no row of a picture alone, as those that
    squeeze what they give, or other numbers than among other pictures.
    """
    try:
        alone = _answers(recipe, network, prepared)
    except InputError:
        alone = among_others[:0]
    if len(alone) != 1:
        raise InputError(
            "network.output: of several pictures it gives a row each, of a picture alone none: "
            "does it squeeze them?"
        )
    if not torch.isfinite(among_others).all():
        return  # which is told of where it is looked at
    close = _CLOSE * float(among_others.abs().max())
    if not torch.allclose(alone, among_others, rtol=0, atol=close):
        raise InputError(
            "network.output: what it gives of a picture depends on the pictures beside it"
        )


def _refuse_without_gradients(recipe: Recipe, network: nn.Module) -> None:
    """Refuse a network through which no signal comes back."""
    pictures = noise_for(recipe)[:1].requires_grad_()
    with torch.enable_grad():
        given_rows = network.eval()(pictures)
    if not given_rows.requires_grad:
        raise InputError(
            f"{recipe.network.source}: gives no gradients, as under torch.no_grad or after "
            "detach(), so that units cannot be projected"
        )


_CLOSE = 1e-2  # of the largest number


def _answers(recipe: Recipe, network: nn.Module, prepared: Tensor) -> Tensor:
    """What a network gives of some pictures, or what it refuses them with."""
    wanted = recipe.network.input
    try:
        with torch.no_grad():
            found: Tensor = network.eval()(prepared)
    except InputError:
        raise
    except Exception as error:
        size = f"{wanted.colours} pictures of {wanted.size}×{wanted.size}"
        raise InputError(
            f"network.input: the network refuses {size} (network.input.size, .colours): "
            f"{code.said(error)}"
        ) from None
    return found


def with_layer(recipe: Recipe) -> Recipe:
    """A recipe whose layer is named: the one most worth looking at, where it
    says ``auto``.

    Args:
        recipe: Any.

    Returns:
        The recipe.

    Raises:
        InputError: Where no layer has units enough.
    """
    if recipe.units.layer != "auto":
        return recipe
    if recipe.network.given:
        network = rehearse(recipe)
    else:
        from duchenne.training import jobs

        network = jobs.fresh(recipe, facs.EXPRESSIONS, 0)
    found = listing.listed(network, noise_for(recipe))
    units = recipe.units.model_copy(update={"layer": listing.chosen(found)})
    return recipe.model_copy(update={"units": units})
