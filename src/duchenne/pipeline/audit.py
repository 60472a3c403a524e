"""A network that was made elsewhere, examined as one that was trained here
is: every stage from a card, or from a module as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
        classes: In the network's order.
        data: Labelled photographs beside avatars, as in ``folder:PATH``.
        changes: Single keys of a card, as in ``("network.input.size=64",)``.
        resume: Go on with the study that ``out`` holds.
        until: The stage to get to, by those that it follows from.
        announce: Is given a line for each stage that ends.
        takes: What the network takes and gives, instead of what its card
            says, by the names of a card's keys: ``size``, ``colours``,
            ``range``, ``mean``, ``std``, ``crop`` and ``margin``; ``gives``,
            ``take`` and ``values``.

    Returns:
        The study.

    Raises:
        InputError: For a network that cannot be opened safely or is not as the
            card says, and as ``run`` does.
    """
    from torch import nn

    if data is not None:
        changes = (*changes, f"faces.photographs={json.dumps(data)}")
    told = _keys(classes, takes)
    if isinstance(network, nn.Module):
        card = _of_module(network, told, changes)
    else:
        card = read_card(str(network), changes, {"network": told})
    return pipeline.run(
        card, out=out, resume=resume, until=until, announce=announce
    )


_OF_OUTPUT = ("gives", "take", "values")


def _keys(
    classes: Sequence[str], takes: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What a network takes and gives, as keys of a card."""
    wanted = {
        name: told for name, told in takes.items() if name not in _OF_OUTPUT
    }
    output = {name: takes[name] for name in _OF_OUTPUT if name in takes}
    if classes:
        output["classes"] = list(classes)
    return {"input": wanted, "output": output}


def _of_module(
    network: nn.Module,
    told: Mapping[str, Any],
    changes: Sequence[str],
) -> recipes.Recipe:
    """The recipe of a module as it stands."""
    from duchenne.networks.given import hold

    keys = {"source": f"python:{hold(network)}", **told}
    return from_keys(type(network).__name__, {"network": keys}, changes)
