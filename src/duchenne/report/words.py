"""Every number of the page in a plain sentence: where one points at it, printed at the end, and in the documentation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """What a number is called, and what it says."""

    name: str
    says: str

    @property
    def anchor(self) -> str:
        """Where the page explains it.

        >>> WORDS["ap_lift"].anchor
        'word-lift'
        """
        return "word-" + "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())


WORDS: dict[str, Word] = {
    # reading expressions
    "accuracy": Word("accuracy", "Share of test pictures whose expression is read right."),
    "majority": Word("guessing", "Accuracy of always naming the expression that is most frequent in the test pictures."),
    "interval": Word(
        "95 % interval",
        "Holds the true value in 95 of 100 studies of as many people: a standard error that leaves out one person at a time "
        "(pictures of one person are alike) and Student's t. Not given where fewer than six people tell anything.",
    ),
    "precision": Word("precision", "Of the pictures read as this expression, the share that show it."),
    "recall": Word("recall", "Of the pictures that show this expression, the share that are read as it."),
    "f1": Word("F1", "The harmonic mean of precision and recall."),
    "calibration": Word(
        "calibration error",
        "How far stated probabilities lie from how often they are right, on average over ten bins of probability.",
    ),
    # units
    "unit": Word("unit", "One feature map of a layer, or one neuron of a layer without maps."),
    "peak": Word("peak", "The largest value of a unit's map on a picture, after its ReLU: what the unit answers."),
    "field": Word("receptive field", "The pixels that can reach the position of the peak; nothing else can matter to it."),
    "projection": Word(
        "projection",
        "How the peak changes with each pixel of its field, by guided backpropagation, deconvnet or the plain gradient: "
        "white drives the unit up, black holds it down.",
    ),
    "twin": Word(
        "random weights",
        "The same network at its random start, with the same pictures and labels: what any filter would do untrained.",
    ),
    "alike": Word(
        "likeness",
        "Mean correlation of a unit's projections with those of random weights; near 1 they show the picture, not what was "
        "learned.",
    ),
    # evidence
    "detectors": Word(
        "detects",
        "The unit answers more to pictures with the action unit, and its family-wise p is at most the level of the recipe "
        "(0.05 unless changed).",
    ),
    "r": Word("r", "Correlation, −1 to 1, of the unit's peaks with the presence of the action unit."),
    "r_within": Word(
        "r within",
        "The same correlation among pictures of one expression only, pooled: what is left when the expression cannot "
        "explain it.",
    ),
    "p": Word(
        "p",
        "Family-wise: how often permuted labels give, anywhere in the table, a correlation as far out as this one. Labels "
        "move in whole sequences, within a person where a person has several. At least 1 / (permutations + 1).",
    ),
    "q": Word("q", "The share of false finds to expect among all pairs called at this level (Benjamini–Hochberg)."),
    "permuted": Word("permuted labels", "The same computation after labels were dealt anew to sequences: the null."),
    "ap": Word("AP", "Average precision of the unit as a detector: 1 is perfect, the share of pictures with it is chance."),
    "ap_lift": Word("lift", "Average precision over the share of pictures with the action unit: 1 is chance."),
    "ap_z": Word("AP z", "How many standard deviations average precision lies above permuted labels."),
    "auroc": Word("AUROC", "How often a picture with the action unit is answered more than one without it: 0.5 is chance."),
    "kl": Word(
        "KL",
        "khorrami2015's score: how far the histogram of peaks with the action unit lies from that without, in nats. It "
        "grows by itself as an action unit gets rarer.",
    ),
    "kl_null": Word("KL, permuted", "The mean of khorrami2015's divergence under permuted labels."),
    "kl_z": Word("KL z", "How many standard deviations the divergence lies above permuted labels: rarity no longer counts."),
    "distance": Word(
        "distance",
        "zhu2018's score: the symmetric divergence of the unit's nine largest answers with the action unit from its nine "
        "largest without it. It grows with the unit's scale and does not tell which side answers more.",
    ),
    "information": Word("information", "Mutual information of peak and action unit, in nats."),
    # interventions
    "slope": Word(
        "slope",
        "How far the unit's answer rises, in its own standard deviations on the study's faces, as this one action unit "
        "grows from absent to full on rendered faces and nothing else changes.",
    ),
    "monotone": Word(
        "monotone",
        "Kendall's rank correlation of dose and answer, mean over people: 1 where every stronger dose is answered more.",
    ),
    "selectivity": Word(
        "selectivity",
        "1 where nothing else moves the unit, 0 where another action unit moves it as far, below 0 where one moves it "
        "farther.",
    ),
    "laterality": Word("laterality", "1 where only the person's left side counts, −1 the right, 0 both alike."),
    "moved": Word("moved most", "How many units this action unit moves farther than any other does, by 0.5 or more."),
    "change": Word("change", "Change of an expression's probability as the action unit rises from absent to full."),
    # places
    "energy": Word("energy", "Share of a projection's squared values that lies where the action unit acts."),
    "displaced": Word("displaced", "The same with that place moved to other points of the face: the null."),
    "p_displaced": Word(
        "p of place", "How often the place, moved elsewhere on the face, holds as large a share; of one pair alone."
    ),
    "enrichment": Word("enrichment", "The share of energy over the share of the receptive field that the place covers."),
    "pointing": Word("pointing", "How often the projection's strongest pixel lies where the action unit acts."),
    # need
    "beyond": Word(
        "beyond random",
        "What silencing these units changes, less what silencing random sets of as many other units does on average.",
    ),
    "p_random": Word("p of silencing", "How often a random set of as many units moves log-odds as far; of one row alone."),
    "log_odds": Word("log-odds", "Logarithm of the odds that the network gives the expression which is shown."),
    "prototype": Word("prototype", "The action units that FACS gives for an expression; CK+ labels expressions by these."),
    # one or many
    "few": Word("AP of few", "Average precision of the best few units together, their number chosen on other people."),
    "every": Word("AP of all", "Average precision of a linear reading of all units, on people who had no say in it."),
    "in_one": Word("in one unit", "What of all units' precision above chance the best single unit reaches."),
    "prevalence": Word("prevalence", "Share of pictures that show the action unit."),
    # trust
    "agreement": Word(
        "agreement",
        "Share of units for which a score's largest value names the tested action unit that moves them most.",
    ),
    "chance": Word("chance", "The same agreement were the answers dealt to other units."),
    # traits
    "invariance": Word("invariance", "How alike a filter's projections are from picture to picture (mean correlation)."),
    "redundancy": Word("redundancy", "How alike the projections of different filters are on one face (mean cosine)."),
    "filtering": Word("filtering", "Share of a picture's energy that is left in what a layer sees of it."),
    "redrawn": Word("interval of a trait", "The same over filters or people, whichever a trait is the mean of."),
}
"""By the name that the page's code uses."""

_COLUMNS = {
    "pictures": None, "detectors": "detectors", "r": "r", "r random weights": "twin", "KL z": "kl_z", "AP lift": "ap_lift",
    "p": "p", "energy": "energy", "energy displaced": "displaced", "enrichment": "enrichment", "pointing": "pointing",
    "random weights": "twin", "units moved most": "moved", "slope": "slope", "selectivity": "selectivity",
    "change": "change", "in its prototype": "prototype", "recall": "recall", "recall beyond random": "beyond",
    "log-odds beyond random": "log_odds", "prevalence": "prevalence", "F1": "f1", "AP": "ap", "AP of few": "few",
    "AP of all": "every", "in one unit": "in_one", "study": "agreement", "free": "agreement", "study chance": "chance",
    "free chance": "chance", "random weights, free": "twin", "p random weights": "p_displaced",
}  # fmt: skip
_OWN = {("localisation", "p"): "p_displaced", ("ablation", "p"): "p_random"}


def explained(column: str, stage: str = "") -> str | None:
    """The word that explains a column of the table of a stage, where one is needed.

    >>> explained("p"), explained("p", "ablation"), explained("unit")
    ('p', 'p_random', None)
    """
    return _OWN.get((stage, column), _COLUMNS.get(column))
