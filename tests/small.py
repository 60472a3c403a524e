"""Changes of the recipe ``quick`` that let a whole study end within seconds."""

SMALL = (
    "faces.size=32",
    "folds.count=4",
    "training.epochs=2",
    "training.precision=float32",
    "evidence.permutations=49",
    "evidence.score_permutations=3",
    "evidence.least=4",
    "units.gallery=3",
    "units.top=4",
    "stimulation.people=2",
    "faces.avatars.size=32",
    "faces.avatars.samples=1",
    "ablation.random_sets=2",
    "detectors.folds=2",
    "traits.layers=['conv1']",
    "traits.pictures=6",
    "traits.filters=2",
)

RENDERED = (
    *SMALL,
    "faces.avatars.people=8",
    "training.epochs=1",
    "training.augment=off",
    "evidence.level=0.5",
    "stimulation.people=6",
)
"""The same on rendered faces, so that something is detected."""
