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
    anew,
    given_module,
    is_made_anew,
    open_card,
    refuse_code_not_allowed,
    reopen,
    said_of_itself,
)
from duchenne.networks.given.outputs import GIVES, Outputs, doubts, remark
from duchenne.networks.given.permission import allow

__all__ = [
    "GIVES",
    "Card",
    "Outputs",
    "allow",
    "anew",
    "control",
    "doubts",
    "fit_statistics",
    "given_module",
    "hold",
    "is_made_anew",
    "open_card",
    "refuse_code_not_allowed",
    "remark",
    "reopen",
    "said_of_itself",
    "statistics",
]
