"""A recipe and faces in, a trained network and its scores out."""
