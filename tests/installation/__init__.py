"""Trials in a bare Debian, by hand: make install-check and make bundle-check."""
