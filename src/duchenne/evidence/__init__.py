"""Units and action units in, who detects what out."""

from duchenne.evidence.detection import (
    detecting,
    detections,
    ranked,
    strongest,
)
from duchenne.evidence.doses import (
    beside_dealt,
    confirmed,
    dose_response,
    movers,
)
from duchenne.evidence.exchangeability import Exchangeability
from duchenne.evidence.localisation import Localisation, localise
from duchenne.evidence.matching import match
from duchenne.evidence.probes import detectors
from duchenne.evidence.streaming import Scores

__all__ = [
    "Exchangeability",
    "Localisation",
    "Scores",
    "beside_dealt",
    "confirmed",
    "detecting",
    "detections",
    "detectors",
    "dose_response",
    "localise",
    "match",
    "movers",
    "ranked",
    "strongest",
]
