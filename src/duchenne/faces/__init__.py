"""Labelled pictures: where they come from, how they are cut, prepared, augmented and split."""
