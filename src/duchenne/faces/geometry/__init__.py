"""Where the face is in an image: crops, the 68 landmarks, and the regions that
they mark out.
"""
