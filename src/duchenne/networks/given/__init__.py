"""Networks that were made elsewhere: where one is, its weights, and what it
gives, read without a pickle and without running code that the user did not
name.
"""

from duchenne.networks.given.controls import (
    control,
    fit_statistics,
    statistics,
)
from duchenne.networks.given.held import hold
from duchenne.networks.given.opening import (
    Card,
    given_module,
    open_card,
    reopen,
    said_of_itself,
    untrained,
)
from duchenne.networks.given.outputs import GIVES, Outputs, doubts
from duchenne.networks.given.permission import allow

__all__ = [
    "GIVES",
    "Card",
    "Outputs",
    "allow",
    "control",
    "doubts",
    "fit_statistics",
    "given_module",
    "hold",
    "open_card",
    "reopen",
    "said_of_itself",
    "statistics",
    "untrained",
]
