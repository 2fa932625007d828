"""One source's bytes onto the disk, in a form that survives a kill at any byte."""
