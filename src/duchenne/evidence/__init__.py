"""Units and action units in, who detects what out."""

from duchenne.evidence.matching import detections, match, strongest

__all__ = ["detections", "match", "strongest"]
