"""A network in a file of ONNX, as modules that can be examined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

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
        return _converted(described, onnx, onnx2torch)
    except Exception as error:
        raise InputError(f"{file}: {said(error)}") from None


def _converted(
    described: Any, onnx: ModuleType, onnx2torch: ModuleType
) -> nn.Module:
    """A graph as modules. One of newer operations than are known is read as of
    an older version wherever it is also valid as such.
    """
    stated = described.opset_import[0].version
    failed: Exception | None = None
    for version in [stated, *range(min(stated - 1, _NEWEST), _OLDEST, -1)]:
        described.opset_import[0].version = version
        try:
            onnx.checker.check_model(described)
            network: nn.Module = onnx2torch.convert(described)
        except (NotImplementedError, onnx.checker.ValidationError) as error:
            failed = failed or error
        else:
            return network
    raise failed or NotImplementedError("no version is known")


_NEWEST = 18
_OLDEST = 10  # of the operations' versions that are tried


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
