"""From images to a network's input: normalisation, whitening, and augmentation
while training.
"""
