"""Recipes: every choice of a study as validated data, kept as TOML beside this
module, one an experiment of the papers.
"""

from duchenne.recipes.loading import (
    changed,
    described,
    differences,
    names,
    read,
    validated,
)
from duchenne.recipes.schema import (
    Ablation,
    Detectors,
    Evidence,
    Faces,
    Folds,
    Network,
    Paper,
    Recipe,
    Stimulation,
    Training,
    Traits,
    Units,
)

__all__ = [
    "Ablation",
    "Detectors",
    "Evidence",
    "Faces",
    "Folds",
    "Network",
    "Paper",
    "Recipe",
    "Stimulation",
    "Training",
    "Traits",
    "Units",
    "changed",
    "described",
    "differences",
    "names",
    "read",
    "validated",
]
