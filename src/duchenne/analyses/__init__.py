"""What is asked of finished studies, or of several: compare, transfer, the
papers' tables, the manifold of expressions.
"""
