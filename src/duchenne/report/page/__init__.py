"""The page ``report.html``: its first screen, its cards, its drawings, and the
document that holds them.
"""
