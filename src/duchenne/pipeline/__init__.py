"""The whole line: faces → network → units → evidence → report, stage after
stage, in a folder that can be resumed.
"""
