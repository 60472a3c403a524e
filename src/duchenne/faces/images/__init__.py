"""From files to arrays: images are decoded, cut out, kept in a store and read
as one stack.
"""
