"""The numbers that features of a layer are computed with: principal components
that are fitted to pictures, a sparse autoencoder's that are read from a file,
or what was kept of either.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.networks.given import weights
from duchenne.units import layers
from duchenne.units.features.codes import (
    TOKEN_KINDS,
    Arrays,
    tokens_before_patches,
)
from duchenne.units.features.names import LayerName


def arrays_of(
    network: nn.Module,
    name: str,
    units: int,
    pictures: Iterable[Tensor],
    kept: Arrays | None,
) -> dict[str, Tensor]:
    """Give what features are computed with: as it was kept, else fitted to
    pictures or read from a file.

    Args:
        network: Any network.
        name: As in ``layer4:pca=16``.
        units: Of the layer that stands before the last colon.
        pictures: Batches (n, C, H, W), prepared.
        kept: What was given for this name before, by its name and a slash.

    Returns:
        By their names; nothing where a kind needs none.

    Raises:
        InputError: For a count, a file or ``kept`` that do not fit.
    """
    layer_name = LayerName.of(name)
    if layer_name is None or layer_name.kind not in ("pca", "sae"):
        return {}
    if kept is not None:
        return _kept(name, kept)
    argument = layer_name.argument
    if layer_name.kind == "sae":
        return _read(Path(argument).expanduser(), units)
    if not argument.isdigit() or not 0 < int(argument) <= units:
        raise InputError(
            f"layer {name!r}: pca takes how many components, 1 to {units}"
        )
    return _fitted(network, layer_name, int(argument), pictures)


def _kept(name: str, kept: Arrays) -> dict[str, Tensor]:
    """The arrays of a layer's name among all that were kept."""
    before = f"{name}/"
    found = {
        key.removeprefix(before): value
        for key, value in kept.items()
        if key.startswith(before)
    }
    if not found:
        raise InputError(
            f"layer {name!r}: what it is computed with is missing"
        )
    return found


def _fitted(
    network: nn.Module,
    layer_name: LayerName,
    count: int,
    batches: Iterable[Tensor],
) -> dict[str, Tensor]:
    """The principal components of what a layer gives for pictures, at all
    places: eigenvectors of the covariance, the largest first, the largest
    loading of each above 0.
    """
    seen = 0
    total: Tensor | float = 0.0
    products: Tensor | float = 0.0
    for batch in batches:
        rows = units_last(network, layer_name, batch).flatten(0, -2).double()
        seen += len(rows)
        total = total + rows.sum(0)
        products = products + rows.T @ rows
    mean = torch.as_tensor(total) / seen
    covariance = torch.as_tensor(products) / seen - torch.outer(mean, mean)
    directions = _eigenvectors(covariance, count)
    return {"mean": mean.float(), "directions": directions.float()}


def _eigenvectors(covariance: Tensor, count: int) -> Tensor:
    """Those of the largest eigenvalues (units, count), the largest loading of
    each above 0.
    """
    found = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :count]
    largest = found.abs().argmax(0)
    signs = found[largest, torch.arange(count)].sign()
    inorder: Tensor = (found * signs).contiguous()
    return inorder


_WANTED = ("W_enc", "b_enc", "W_dec")


def _read(file: Path, units: int) -> dict[str, Tensor]:
    """The arrays of a sparse autoencoder, refused where they do not fit."""
    held = weights.read(file)
    missing = [name for name in _WANTED if name not in held]
    if missing:
        raise InputError(
            f"{file}: holds no {missing[0]}; a sparse autoencoder is kept as W_enc (units, "
            "features), b_enc (features,) and W_dec (features, units)"
        )
    features = held["b_enc"].numel()
    shapes = {
        "W_enc": (units, features),
        "b_enc": (features,),
        "W_dec": (features, units),
        "b_dec": (units,),
        "threshold": (features,),
    }
    found = {}
    for name, shape in shapes.items():
        if name not in held:
            continue
        if tuple(held[name].shape) != shape:
            raise InputError(
                f"{file}: {name} is {tuple(held[name].shape)}; {shape} is wanted for a layer of "
                f"{units} units"
            )
        found[name] = held[name].detach().float().contiguous()
    return found


def units_last(
    network: nn.Module, layer_name: LayerName, pictures: Tensor
) -> Tensor:
    """Run a network up to a layer that features are read off.

    Args:
        network: Any network.
        layer_name: Whose ``layer`` it is.
        pictures: (n, C, H, W), prepared.

    Returns:
        What the layer gives, its units last.

    Raises:
        InputError: Where it gives no tokens of which the features take some.
    """
    with layers.evaluating(network), torch.no_grad():
        given = layers.output(network, layer_name.layer, pictures)
    if layer_name.kind in TOKEN_KINDS and given.ndim != 3:
        raise InputError(
            f"layer {layer_name.layer!r}: gives no tokens, of which ':{layer_name.kind}' takes some"
        )
    if layer_name.kind in TOKEN_KINDS:
        before = tokens_before_patches(given.shape[1])
        if layer_name.kind == "class" and not before:
            raise InputError(
                f"layer {layer_name.layer!r}: its {given.shape[1]} tokens are all of patches: none "
                "stands for the class"
            )
    square = layers.are_square(pictures)
    axis = layers.unit_axis(network, layer_name.layer, given, square)
    return given.movedim(axis, -1)
