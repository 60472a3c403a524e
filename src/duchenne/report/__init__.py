"""Results in, page and figures out."""
