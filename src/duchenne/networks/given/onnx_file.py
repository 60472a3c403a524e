"""A network in a file of ONNX, as modules that can be examined."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from duchenne.errors import InputError
from duchenne.networks.given.code import said
from duchenne.networks.given.extras import extra


def make(place: str, options: Mapping[str, Any]) -> nn.Module:
    """Open a file with its weights; data beside it must lie in its folder.

    Args:
        place: The file.
        options: None are known.

    Returns:
        The network; layers are named by their scopes.

    Raises:
        InputError: Where it cannot be read or holds an operation that is not
            known, and where the extra is not installed.
    """
    file = Path(place).expanduser()
    if options:
        raise InputError(f"onnx:{file}: network.options: takes none")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    onnx = extra("onnx", "onnx")
    onnx2torch = extra("onnx2torch", "onnx")
    try:
        # refuses paths of external data that lead out of its folder
        described = onnx.load(file)
        onnx.checker.check_model(described)
        _fold_identities(described)
        _put_channels_first(described, onnx)
        for_one = _free_the_number_of_pictures(described, onnx)
        network = _converted(described, onnx, onnx2torch)
    except Exception as error:
        raise InputError(f"{file}: {said(error)}") from None
    # of PyTorch, at how onnx2torch cuts tensors whenever the network is run
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence")
    _let_weights_be_parameters(network)
    _let_norms_have_their_sizes(network)
    if for_one:
        _refuse_one_at_a_time(file, described, network)
    return network


def _put_channels_first(described: Any, onnx: ModuleType) -> None:
    """Let a graph that takes pictures (n, h, w, C), as those of TensorFlow do,
    take (n, C, h, w).
    """
    pictures = _pictures(described)
    sides = pictures.type.tensor_type.shape.dim
    lengths = [side.dim_value for side in sides]
    if len(lengths) != 4 or lengths[3] not in _CHANNELS:
        return
    if lengths[1] in _CHANNELS:
        return
    channels_last = f"{pictures.name}_channels_last"
    for node in described.graph.node:
        for place, name in enumerate(node.input):
            if name == pictures.name:
                node.input[place] = channels_last
    turned = onnx.helper.make_node(
        "Transpose", [pictures.name], [channels_last], perm=[0, 2, 3, 1]
    )
    described.graph.node.insert(0, turned)
    height, width, channels = lengths[1:]
    _set_sides(sides[1:], (channels, height, width))


_CHANNELS = (1, 3)


def _set_sides(sides: Sequence[Any], lengths: Sequence[int]) -> None:
    """Set what a graph says of the sides of a tensor; 0 where any may be."""
    for side, length in zip(sides, lengths, strict=True):
        side.Clear()
        if length:
            side.dim_value = length


def _free_the_number_of_pictures(described: Any, onnx: ModuleType) -> bool:
    """Let a graph that was exported for one picture take several: shapes that
    it is turned into for one keep the number that there is. Tells whether it
    was.
    """
    graph = described.graph
    pictures = _pictures(described)
    number = pictures.type.tensor_type.shape.dim[0]
    if number.dim_value != 1:
        return False
    for tensor in (pictures, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "pictures"
    _free_shapes(described, onnx)
    return True


def _free_shapes(described: Any, onnx: ModuleType) -> None:
    """Let shapes of one picture be of as many as there are."""
    graph = described.graph
    pictures = _pictures(described)
    shapes = _constants(described, onnx)
    for node in _reshapes_of(graph, pictures.name):
        shape = shapes.get(node.input[1])
        if shape is None or shape[0] != 1:
            continue
        freed = np.array(shape, np.int64)
        freed[0] = 0  # as many as there are
        name = f"{node.input[1]}_of_{node.output[0]}"
        tensor = onnx.numpy_helper.from_array(freed, name)
        graph.initializer.append(tensor)
        node.input[1] = name


def _refuse_one_at_a_time(
    file: Path, described: Any, network: nn.Module
) -> None:
    """Refuse a network that was exported for one picture and does not take
    two.
    """
    sides = _pictures(described).type.tensor_type.shape.dim[1:]
    lengths = [side.dim_value for side in sides]
    if not all(lengths):
        return
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(2, *lengths))
    except Exception:
        raise InputError(
            f"{file}: was exported for one picture, and does not take several; export it with "
            "dynamic_axes={'INPUT': {0: 'pictures'}}"
        ) from None


def _let_norms_have_their_sizes(network: nn.Module) -> None:
    """Give layer norms the size of their weights, where the graph does not
    say that of what they take.
    """
    for module in network.modules():
        if isinstance(module, nn.LayerNorm) and 0 in module.normalized_shape:
            module.normalized_shape = tuple(module.weight.shape)


def _reshapes_of(graph: Any, pictures: str) -> list[Any]:
    """The nodes that turn what follows from pictures into another shape."""
    follows = {pictures}
    found = []
    for node in graph.node:
        if follows.isdisjoint(node.input):
            continue
        follows |= set(node.output)
        if node.op_type == "Reshape" and node.input[0] in follows:
            found.append(node)
    return found


def _pictures(described: Any) -> Any:
    """What a graph takes, beside its weights."""
    weights = {tensor.name for tensor in described.graph.initializer}
    taken = [
        each for each in described.graph.input if each.name not in weights
    ]
    if len(taken) != 1:
        raise ValueError(f"takes {len(taken)} inputs, not pictures alone")
    return taken[0]


def _constants(described: Any, onnx: ModuleType) -> dict[str, Any]:
    """The constants of a graph, by their names."""
    graph = described.graph
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return {
        name: onnx.numpy_helper.to_array(tensor)
        for name, tensor in found.items()
    }


def copy(source: Path, target: Path) -> None:
    """Copy a network, with the data that lies beside it, into one file.

    Args:
        source: The file.
        target: Written.

    Raises:
        InputError: Where it cannot be read, or is too large for one file.
    """
    onnx = extra("onnx", "onnx")
    try:
        onnx.save(onnx.load(source), target)
    except Exception as error:
        raise InputError(f"{source}: {said(error)}") from None


def files(file: Path) -> list[Path]:
    """List the files that a network is read from.

    Args:
        file: That names the others.

    Returns:
        It, and those with the data that lies beside it.

    Raises:
        InputError: Where it cannot be read.
    """
    if not file.is_file():
        return [file]
    onnx = extra("onnx", "onnx")
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except Exception as error:
        raise InputError(f"{file}: {said(error)}") from None
    beside = {
        entry.value
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [file, *(file.parent / name for name in sorted(beside))]


def _let_weights_be_parameters(network: nn.Module) -> None:
    """Make parameters of the numbers that were weights before a network was
    exported: of linear layers over tokens it keeps them as buffers.
    """
    for module in network.modules():
        for name, numbers in list(module.named_buffers(recurse=False)):
            is_weight = name.startswith("onnx_initializer")
            if (
                is_weight
                and numbers.is_floating_point()
                and numbers.numel() > 1
            ):
                delattr(module, name)
                module.register_parameter(name, nn.Parameter(numbers))


def _converted(
    described: Any, onnx: ModuleType, onnx2torch: ModuleType
) -> nn.Module:
    """A graph as modules. One of newer operations than are known is read as of
    an older version wherever it is also valid as such, or can be rewritten.
    """
    failed: Exception | None = None
    for older in _as_of_other_versions(described, onnx):
        try:
            onnx.checker.check_model(older)
            network: nn.Module = onnx2torch.convert(older)
        except (NotImplementedError, onnx.checker.ValidationError) as error:
            failed = failed or error
        else:
            return network
    stated = described.opset_import[0].version
    if stated > _SAFE:
        raise NotImplementedError(
            f"{failed}; export it with opset_version={_SAFE} instead of {stated}"
        )
    raise failed or NotImplementedError("no version is known")


def _as_of_other_versions(described: Any, onnx: ModuleType) -> Iterator[Any]:
    """A graph as it is, as if it were of an older version of the operations,
    and rewritten for one.
    """
    from onnx import version_converter

    stated = described.opset_import[0].version
    yield described
    for version in range(min(stated - 1, _NEWEST), _OLDEST, -1):
        described.opset_import[0].version = version
        yield described
    described.opset_import[0].version = stated
    for version in _REWRITTEN:
        if version < stated:
            try:
                yield version_converter.convert_version(described, version)
            except RuntimeError:  # what has no older form
                continue


_SAFE = 17  # whose operations are all known, as far as networks have them
_NEWEST = 18
_OLDEST = 10  # of the operations' versions that are tried
_REWRITTEN = (17, 13)  # before axes of sums, and of reductions, were inputs


def _fold_identities(described: Any) -> None:
    """Take ``Identity`` nodes out of a graph: exporters leave them where two
    layers share a tensor, and they are no layers.
    """
    graph = described.graph
    given = {each.name for each in graph.output}
    stands_for: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] not in given:
            source = node.input[0]
            stands_for[node.output[0]] = stands_for.get(source, source)
        else:
            kept.append(node)
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = stands_for.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)
