"""Networks, faces and evidence brought together: what every experiment on a
network's units needs, done and told as frames.
"""
