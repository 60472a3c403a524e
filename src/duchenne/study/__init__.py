"""A study at rest: the record of a run folder, the faces that its recipe asks
for, and what works on it share.
"""
