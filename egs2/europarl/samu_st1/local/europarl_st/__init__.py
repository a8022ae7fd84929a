"""Data preparation of Europarl-ST."""
