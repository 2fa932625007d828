"""Training: a recipe becomes built things (experiment), batches, steps (loop) and a run."""

from dlcat.verbs import make_callable

make_callable(__name__)
