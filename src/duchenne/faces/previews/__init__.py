"""Sheets of small images, to look at a data set before anything is trained on
it.
"""
