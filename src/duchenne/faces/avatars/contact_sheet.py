"""A contact sheet of every action unit that can be rendered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from duchenne import facs
from duchenne.faces import contact_sheet
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.protocols import with_implied
from duchenne.faces.avatars.rendering import Shot, Studio


def of_action_units(path: Path, seed: int = 0, size: int = 128) -> None:
    """Write every action unit that can be rendered at A, C and E on one face."""
    basis = head_basis()
    person = people.draw_person(basis, np.random.default_rng((seed, 0, 0)))
    numbers = facs.rendered()
    shots = [
        Shot(person, people.STUDIO, {n: (g / 5, g / 5) for n, (g, _) in with_implied({number: (grade, grade)}).items()})
        for number in numbers
        for grade in (1, 3, 5)
    ]
    drawn = Studio(basis).draw(shots, size, samples=3)
    columns = [np.concatenate(drawn[i : i + 3]) for i in range(0, len(drawn), 3)]
    names = [f"{facs.code(n)}\n{facs.ACTION_UNITS[n].name}" for n in numbers]
    contact_sheet.write(path, list(zip(names, columns, strict=True)), 10)
