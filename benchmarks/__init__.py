"""Measurements: speed as ratios within one run, and the claims that take
longer than a test may.
"""
