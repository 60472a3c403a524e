"""Every number of the page in a plain sentence: where one points at it,
printed at the end, and in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.evidence.scores import COLUMNS


@dataclass(frozen=True)
class Word:
    """What a number is called, and what it says."""

    name: str
    says: str

    @property
    def anchor(self) -> str:
        """Where the page explains it.

        >>> WORDS["ap_lift"].anchor
        'word-ap-lift'
        """
        return "word-" + "".join(
            letter if letter.isalnum() else "-" for letter in self.name.lower()
        )


_OF_SCORES = {
    column.key: Word(column.label, column.says) for column in COLUMNS.values()
}

WORDS: dict[str, Word] = {
    # expressions
    "accuracy": Word(
        "accuracy",
        "Share of test pictures that are read as the expression they are labelled with.",
    ),
    "majority": Word(
        "majority baseline",
        "Accuracy of always naming the expression that is most frequent in the test pictures.",
    ),
    "interval": Word(
        "95 % interval",
        "Holds the true value in 95 of 100 studies of as many people: a standard error that leaves "
        "out one person at a time (the pictures of one person are not independent) and Student's "
        "t. "
        "None is given for fewer than six people.",
    ),
    "precision": Word(
        "precision",
        "Of the pictures read as this expression, the share that show it.",
    ),
    "recall": Word(
        "recall",
        "Of the pictures that show this expression, the share that are read as it.",
    ),
    "f1": Word("F1", "The harmonic mean of precision and recall."),
    "calibration": Word(
        "calibration error",
        "Expected calibration error: the mean distance of confidence from accuracy over ten bins "
        "of "
        "confidence.",
    ),
    # units
    "unit": Word(
        "unit",
        "One feature map of a layer, or one neuron of a layer without maps.",
    ),
    "activation": Word(
        "activation",
        "Max activation: the largest value of a unit's map on an image, after its ReLU.",
    ),
    "field": Word(
        "receptive field",
        "The pixels that can change a unit's activation at a position.",
    ),
    "projection": Word(
        "projection",
        "How the activation changes with each pixel of its field, by guided backpropagation, "
        "deconvnet or the plain gradient: white drives the unit up, black holds it down.",
    ),
    "untrained": Word(
        "untrained",
        "The same network before training, on the same images and labels: what any filter would "
        "give.",
    ),
    "alike": Word(
        "likeness",
        "Mean correlation of a unit's projections with those of the untrained network; near 1 they "
        "show the image, not what was learned.",
    ),
    # evidence
    **_OF_SCORES,
    "detectors": Word(
        "detects",
        "The unit's activation is larger with the action unit, and the family-wise p is at most "
        "the "
        "level of the recipe (0.05 unless changed).",
    ),
    "p": Word(
        "p",
        "Family-wise p: how often permuted labels give, for any pair, a correlation as large as "
        "this one. Labels are exchanged between whole sequences of one person, or between people; "
        "far values are fitted by a generalised Pareto tail.",
    ),
    "q": Word(
        "q",
        "False discovery rate at which the pair is called (Benjamini–Hochberg).",
    ),
    "permuted": Word(
        "permuted labels",
        "The same statistic after labels were exchanged between sequences: the null.",
    ),
    # interventions
    "slope": Word(
        "slope",
        "Change of the unit's activation from dose 0 to dose E of this one action unit on rendered "
        "faces, all else equal, in standard deviations of its activation on the study's faces.",
    ),
    "monotone": Word(
        "monotone", "Kendall's τ of dose and activation, mean over people."
    ),
    "selectivity": Word(
        "selectivity",
        "Contrast (|e| − |e'|) / (|e| + |e'|) of the effect e of this action unit and the largest "
        "other effect e': 1 where no other has any, below 0 where another's is larger.",
    ),
    "laterality": Word(
        "laterality",
        "1 where only the person's left side counts, −1 the right, 0 both alike.",
    ),
    "moved": Word(
        "moved most",
        "Number of units on which this action unit has the largest effect, of 0.5 or more.",
    ),
    "change": Word(
        "change",
        "Change of an expression's probability from dose 0 to dose E of the action unit.",
    ),
    # places
    "energy": Word(
        "energy",
        "Share of a projection's squared values that lies where the action unit acts.",
    ),
    "displaced": Word(
        "displaced",
        "The same with the action unit's region displaced over the face: the null.",
    ),
    "p_displaced": Word(
        "p of region",
        "How often the displaced region holds as large a share; uncorrected.",
    ),
    "enrichment": Word(
        "enrichment",
        "The share of energy over the share of the receptive field that the region covers.",
    ),
    "pointing": Word(
        "pointing",
        "How often the projection's strongest pixel lies where the action unit acts.",
    ),
    # need
    "beyond": Word(
        "beyond random",
        "Effect of ablating these units, less the mean effect of ablating random sets of as many "
        "other units.",
    ),
    "p_random": Word(
        "p of ablation",
        "How often a random set of as many units changes log-odds as much; uncorrected.",
    ),
    "log_odds": Word(
        "log-odds",
        "Logarithm of the odds that the network gives the expression which is shown.",
    ),
    "prototype": Word(
        "prototype",
        "The action units that FACS gives for an expression; CK+ labels expressions by these.",
    ),
    # one or many
    "few": Word(
        "AP of best few",
        "Average precision of a linear probe on the best few units, chosen on training subjects.",
    ),
    "every": Word(
        "AP of all",
        "Average precision of a linear probe on all units, on held-out subjects.",
    ),
    "in_one": Word(
        "in best unit",
        "Share of the probe's average precision above base rate that the best unit has.",
    ),
    "base_rate": Word(
        "base rate", "Share of pictures that show the action unit."
    ),
    # trust
    "validity": Word(
        "validity",
        "Share of units for which a score's largest value names the tested action unit that has "
        "the "
        "largest effect on them when stimulated.",
    ),
    "chance": Word(
        "chance",
        "The same validity with the named action units dealt to other units.",
    ),
    # traits
    "invariance": Word(
        "invariance",
        "How alike a filter's projections are from picture to picture (mean correlation).",
    ),
    "redundancy": Word(
        "redundancy",
        "How alike the projections of different filters are on one face (mean cosine).",
    ),
    "filtering": Word(
        "filtering",
        "Share of a picture's energy that is left in what a layer sees of it.",
    ),
    "redrawn": Word(
        "interval of a trait",
        "The same over filters or people, whichever a trait is the mean of.",
    ),
    # people
    "twins": Word(
        "difference between twins",
        "Rendered people who differ in one trait alone: accuracy of those who have more of it less "
        "that of those who have less, in percentage points, the mean over people.",
    ),
    "p_twins": Word(
        "p of twins",
        "Student's paired t over people, corrected for all traits (Holm 1979).",
    ),
    "rho": Word(
        "rank correlation with a trait",
        "Spearman's ρ of a person's accuracy with the trait; what comes with a trait need not be "
        "caused by it.",
    ),
}
"""By the name that the page's code uses."""

_COLUMNS = {
    "pictures": None,
    "detectors": "detectors",
    "r": "r",
    "r untrained": "untrained",
    "KL z": "kl_z",
    "AP lift": "ap_lift",
    "p": "p",
    "energy": "energy",
    "energy displaced": "displaced",
    "enrichment": "enrichment",
    "pointing": "pointing",
    "untrained": "untrained",
    "units moved most": "moved",
    "slope": "slope",
    "selectivity": "selectivity",
    "change": "change",
    "in its prototype": "prototype",
    "recall": "recall",
    "recall beyond random": "beyond",
    "log-odds beyond random": "log_odds",
    "base rate": "base_rate",
    "F1": "f1",
    "AP": "ap",
    "AP of few": "few",
    "AP of all": "every",
    "in best unit": "in_one",
    "study": "validity",
    "free": "validity",
    "study chance": "chance",
    "free chance": "chance",
    "untrained, free": "untrained",
    "p untrained": "p_displaced",
    "log-odds": "log_odds",
    "rho": "rho",
}
_OWN = {
    ("localisation", "p"): "p_displaced",
    ("ablation", "p"): "p_random",
    ("people", "p"): "p_twins",
    ("people", "points"): "twins",
}


def explained(column: str, stage: str = "") -> str | None:
    """The word that explains a column of the table of a stage, where one is
    needed.

    >>> explained("p"), explained("p", "ablation"), explained("unit")
    ('p', 'p_random', None)
    """
    return _OWN.get((stage, column), _COLUMNS.get(column))
