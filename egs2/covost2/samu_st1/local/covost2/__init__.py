"""Data preparation of CoVoST-2."""
