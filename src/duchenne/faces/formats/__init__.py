"""Data sets on disk: one module each, and the registry of sources above them."""
