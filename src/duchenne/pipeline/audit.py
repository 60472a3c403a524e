"""A network that was made elsewhere, examined as one that was trained here
is: every stage from a card, or from a module as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duchenne import recipes
from duchenne.pipeline import run as pipeline
from duchenne.recipes.cards import from_keys, read_card
from duchenne.study.record import Study

if TYPE_CHECKING:
    from torch import nn


def audit(
    network: str | Path | nn.Module,
    out: str | Path | None = None,
    *,
    classes: Sequence[str] = (),
    data: str | None = None,
    changes: Sequence[str] = (),
    resume: bool = False,
    until: str = "report",
    announce: Callable[[str], None] = lambda line: None,
    **takes: Any,
) -> Study:
    """Audit a network that was made elsewhere, from faces to report.

    Args:
        network: A card's path; a source alone, as in ``hf:FOLDER``; or a
            module as it stands, which is not changed.
        out: A folder, ``runs/<card>-<date>`` by default.
        classes: Of a module, in its own order.
        data: Labelled photographs beside avatars, as in ``folder:PATH``.
        changes: Single keys of a card, as in ``("network.input.size=64",)``.
        resume: Go on with the study that ``out`` holds.
        until: The stage to get to, by those that it follows from.
        announce: Is given a line for each stage that ends.
        takes: What a module takes and gives, by the names of a card's keys:
            ``size``, ``colours``, ``range``, ``mean``, ``std``, ``crop`` and
            ``margin``; ``gives``, ``take`` and ``values``.

    Returns:
        The study.

    Raises:
        InputError: For a network that cannot be opened safely or is not as the
            card says, and as ``run`` does.
    """
    from torch import nn

    if data is not None:
        changes = (*changes, f"faces.photographs={json.dumps(data)}")
    if isinstance(network, nn.Module):
        card = _of_module(network, classes, takes, changes)
    else:
        card = read_card(str(network), changes)
    return pipeline.run(
        card, out=out, resume=resume, until=until, announce=announce
    )


def _of_module(
    network: nn.Module,
    classes: Sequence[str],
    takes: dict[str, Any],
    changes: Sequence[str],
) -> recipes.Recipe:
    """The recipe of a module as it stands."""
    from duchenne.networks.given import hold

    output = {"classes": list(classes)}
    for name in ("gives", "take", "values"):
        if name in takes:
            output[name] = takes.pop(name)
    network_keys = {
        "source": f"python:{hold(network)}",
        "input": takes,
        "output": output,
    }
    name = type(network).__name__
    return from_keys(name, {"network": network_keys}, changes)
