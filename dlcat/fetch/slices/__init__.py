"""Part of a dataset: whole files of one split, or members of archives, near or far."""
