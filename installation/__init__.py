"""Installs a node without Docker and packs it for machines without a network; the standard library alone."""
