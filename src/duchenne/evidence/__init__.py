"""Units and action units in, who detects what out."""

from duchenne.evidence.matching import detections, match, ranked, strongest

__all__ = ["detections", "match", "ranked", "strongest"]
