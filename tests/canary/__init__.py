"""Canaries: images whose every text is a string found nowhere else, and a search of all that a node leaves behind."""
