"""The catalog: what datasets there are, their schema, loading and merging, search and facets."""

from dlcat.catalog.catalog import Catalog as Catalog
from dlcat.catalog.catalog import load as load
from dlcat.catalog.dataset import Artifact as Artifact
from dlcat.catalog.dataset import Dataset as Dataset
from dlcat.verbs import make_callable

make_callable(__name__)
