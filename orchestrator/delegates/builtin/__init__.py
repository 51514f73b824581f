"""Delegates that come with the house, one file each, found by the file's name: `--delegate log`, `--delegate
webhook:URL`.
"""
