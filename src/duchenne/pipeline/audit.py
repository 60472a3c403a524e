"""A network that was made elsewhere, examined as one that was trained here
is: every stage from a card, or from a module as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from duchenne.pipeline.run import run
from duchenne.recipes.cards import read_card
from duchenne.study.record import Study


def audit(
    network: str | Path,
    out: str | Path | None = None,
    *,
    changes: tuple[str, ...] = (),
    resume: bool = False,
    until: str = "report",
    announce: Callable[[str], None] = lambda line: None,
) -> Study:
    """Audit a network that was made elsewhere, from faces to report.

    Args:
        network: A card's path, or a source alone, as in ``hf:FOLDER``.
        out: A folder, ``runs/<card>-<date>`` by default.
        changes: Single keys, as in ``("network.input.size=64",)``.
        resume: Go on with the study that ``out`` holds.
        until: The stage to get to, by those that it follows from.
        announce: Is given a line for each stage that ends.

    Returns:
        The study.

    Raises:
        InputError: For a network that cannot be opened safely or is not as the
            card says, and as ``run`` does.
    """
    card = read_card(str(network), changes)
    return run(
        card,
        out=out,
        resume=resume,
        until=until,
        announce=announce,
    )
