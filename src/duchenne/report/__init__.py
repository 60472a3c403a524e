"""Results in, page and figures out."""

PRINTED = (".pdf", ".svg", ".png")
"""How the name of a figure's file may end."""

WIDTHS = {1: 3.35, 2: 7.0}
"""How wide a figure is, in inches, by the columns of a printed page that it
takes: 85 and 178 mm in most journals.
"""
