"""The verbs as Python functions, also reachable as dlcat.catalog, dlcat.fetch, dlcat.load and dlcat.train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat import workspace

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.catalog import Catalog
    from dlcat.readers.prepare import Prepared
    from dlcat.run import Run


def catalog() -> Catalog:
    """Every known dataset.

    >>> import dlcat
    >>> dlcat.catalog()["mnist"].title
    'MNIST handwritten digits'
    >>> [dataset.name for dataset in dlcat.catalog() if dataset.domain == "audio"][:2]
    ['fsdd', 'fma']

    Raises:
        InvalidError: a catalog file does not follow the schema.
    """
    return workspace.here().catalog


def fetch(name: str, *, mirrors: tuple[str, ...] = (), parts: tuple[str, ...] = ()) -> Path:
    """Bring a dataset into the cache, verified and unpacked, and return its folder; what is there is not fetched again.

    >>> import dlcat
    >>> folder = dlcat.fetch("digits")  # inside scikit-learn, so no network is needed
    >>> sorted(path.name for path in folder.iterdir() if path.suffix == ".csv")
    ['digits.csv']

    Args:
        name: the dataset.
        mirrors: base URLs tried before the catalog's sources: base/<dataset>/<file>.
        parts: parts of the dataset; its default ones where none is named.

    Raises:
        UsageError: no such dataset or part.
        UnreachableError, VerificationError, AccessError, DiskError: see their docstrings.
    """
    place = workspace.here()
    dataset = place.catalog[name]
    for _ in place.fetch(dataset, mirrors=mirrors, parts=parts):
        pass
    return place.store.data_path(dataset)


def load(name: str, *, split: str = "train", mirrors: tuple[str, ...] = ()) -> Prepared:
    """One split of a dataset as its reader gives it, fetched if missing: arrays, encoded pictures, sound files or texts.

    >>> import dlcat
    >>> examples = dlcat.load("digits", split="test")
    >>> examples.inputs.shape, examples.inputs.dtype, examples.classes[examples.targets[0]]
    ((359, 1, 8, 8), dtype('uint8'), '4')
    >>> image, label = examples.torch()[0]  # a torch Dataset, usable in anybody's loop
    >>> tuple(image.shape), label
    ((1, 8, 8), 4)

    Raises:
        UsageError: no such dataset or split.
        InvalidError: no reader exists for its format yet.
    """
    place = workspace.here()
    dataset = place.catalog[name]
    for _ in place.install(dataset, mirrors=mirrors):
        pass
    return place.examples(dataset, split)


def train(
    recipe: str,
    *,
    overrides: tuple[str, ...] = (),
    device: str = "auto",
    mirrors: tuple[str, ...] = (),
    resume: bool = False,
) -> Run:
    """Train a recipe and return its finished run, report included; under torchrun, with all processes it started.

    >>> import dlcat
    >>> run = dlcat.train("digits_quickstart", overrides=("train.epochs=2",))
    >>> run.result()["metrics"]["test"]["accuracy"] > 0.5
    True

    Args:
        recipe: name or path.
        overrides: as given to --set: "optimizer.lr=0.05".
        device: auto, cpu, cuda, ...
        mirrors: see `fetch`.
        resume: go on with this recipe's newest run if it is unfinished; if it is finished, that is what is returned.

    Raises:
        UsageError, InvalidError: the recipe is not there, or not sound.
        DivergedError: the loss left the finite numbers.
    """
    from dlcat.train.distributed import joined
    from dlcat.train.session import Finished
    from dlcat.view import report

    place = workspace.here()
    checked = place.recipe(recipe, overrides)
    _, cost = place.trainable(checked)
    for _ in place.provide(checked, mirrors=mirrors):
        pass
    with joined() as world:
        latest = world.from_first(lambda: place.latest(checked) if resume else None)
        if latest is not None and latest.finished:
            return latest
        events = list(place.train(checked, cost, device=device, resume=latest, world=world))
        run = world.from_first(lambda: [event for event in events if isinstance(event, Finished)][-1].run)
        if world.is_first:
            run.write_text(run.report_path.name, report.render(run))
        return run
