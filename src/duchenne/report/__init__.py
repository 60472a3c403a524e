"""Results in, page and figures out."""

PRINTED = (".pdf", ".svg", ".png")
"""How the name of a figure's file may end."""
