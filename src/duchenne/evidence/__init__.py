"""Units and action units in, who detects what out."""

from duchenne.evidence.agreement import agreement
from duchenne.evidence.detection import detectors
from duchenne.evidence.intervention import confirmed, dose_response, movers
from duchenne.evidence.localisation import Localisation, localise
from duchenne.evidence.matching import detecting, detections, match, ranked, strongest
from duchenne.evidence.streaming import Scores

__all__ = [
    "Localisation", "Scores", "agreement", "confirmed", "detecting", "detections", "detectors", "dose_response", "localise",
    "match", "movers", "ranked", "strongest",
]  # fmt: skip
