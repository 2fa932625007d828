"""A workspace: catalog, store, recipes and runs of one place, and the verbs that use them together.

The commands, the Python API and the browser are three faces of this. Nothing here prints: long work yields records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dlcat import locations as where
from dlcat.errors import InvalidError, UsageError, VerificationError
from dlcat.run import CHECKPOINT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    from torch import nn

    from dlcat.catalog import Catalog, Dataset
    from dlcat.cost import Cost
    from dlcat.fetch.records import Record
    from dlcat.fetch.store import Store
    from dlcat.fetch.wire.network import Network
    from dlcat.inputs import Form
    from dlcat.locations import Locations
    from dlcat.readers.census import Absent, Counted, Overlap
    from dlcat.readers.hearing import Heard
    from dlcat.readers.prepare import Prepared
    from dlcat.readers.shards import Packed
    from dlcat.readers.showing import Shown
    from dlcat.recipe import Recipe
    from dlcat.run import Run
    from dlcat.train.distributed import World
    from dlcat.train.export import Exported
    from dlcat.train.loop import Epoch
    from dlcat.train.material import Material, Ready
    from dlcat.train.rates import Probe
    from dlcat.train.session import Finished, Started
    from dlcat.train.trained import Known

HINTS = {
    "pictures": "{name: pictures, size: 224}",
    "sounds": "{name: log_mel, rate_hertz: 16000, seconds: 4}",
    "texts": "{name: words, size: 30000, length: 256}",
}
"""What a recipe may say where its dataset's examples are no numbers."""


@dataclass(frozen=True)
class Workspace:
    """What the verbs work with."""

    locations: Locations

    @cached_property
    def catalog(self) -> Catalog:
        """The merged catalog files.

        Raises:
            InvalidError: a file does not follow the schema.
        """
        from dlcat.catalog import catalog

        return catalog.load(self.locations)

    @cached_property
    def store(self) -> Store:
        """The cache."""
        from dlcat.fetch.store import Store

        return Store(self.locations)

    def fetch(
        self,
        dataset: Dataset,
        *,
        mirrors: tuple[str, ...] = (),
        parts: tuple[str, ...] = (),
        force: bool = False,
        frozen: bool = False,
        network: Network | None = None,
    ) -> Iterator[Record]:
        """Bring a dataset's files into the cache, verified and unpacked; see `dlcat.fetch.fetch`.

        With `frozen`, only the bytes that dlcat.lock has are taken; see `dlcat.fetch.lockfile.frozen`.
        """
        from dlcat.fetch import lockfile
        from dlcat.fetch.fetch import fetch

        if frozen:
            dataset = lockfile.frozen(dataset, lockfile.read(self.locations.lockfile), parts=parts)
        mirrors = mirrors or self.locations.mirrors
        return fetch(dataset, self.store, mirror=mirrors, parts=parts, force=force, network=network or self.network())

    def fetch_slice(
        self,
        dataset: Dataset,
        *,
        only: tuple[str, ...] = (),
        split: str | None = None,
        sample: int | None = None,
        parts: tuple[str, ...] = (),
        mirrors: tuple[str, ...] = (),
        network: Network | None = None,
    ) -> Iterator[Record]:
        """Bring some of a dataset's files into the cache; see `dlcat.fetch.slices.slice`."""
        from dlcat.fetch.slices.slice import fetch_slice

        return fetch_slice(
            dataset,
            self.store,
            only=only,
            split=split,
            sample=sample,
            parts=parts,
            mirror=mirrors or self.locations.mirrors,
            network=network or self.network(),
        )

    def repair(self, dataset: Dataset, *, mirrors: tuple[str, ...] = ()) -> Iterator[Record]:
        """Verify what is in the cache of a dataset and mend what is wrong; see `dlcat.fetch.care.repair`."""
        from dlcat.fetch.care.repair import repair

        return repair(dataset, self.store, mirror=mirrors or self.locations.mirrors, network=self.network())

    def network(self, **limits: Any) -> Network:
        """The network with this user's tokens and these limits; see `dlcat.fetch.wire.network`.

        Raises:
            InvalidError: the file of tokens may be read by others, or does not say what it must.
        """
        from dlcat.fetch.wire.credentials import read_tokens
        from dlcat.fetch.wire.network import Network

        return Network(**limits, tokens=read_tokens(where.token_variables(), where.tokens_file()))

    def install(self, dataset: Dataset, *, mirrors: tuple[str, ...] = ()) -> Iterator[Record]:
        """Fetch the dataset's default parts unless they are there."""
        if not self.store.is_installed(dataset):
            yield from self.fetch(dataset, mirrors=mirrors)

    def examples(self, dataset: Dataset, split: str, *, skip_bad: bool = False) -> Prepared:
        """One split of an installed dataset, as its reader gives it; see `dlcat.readers.prepare`.

        Raises:
            UsageError: only a slice of it is here, which a reader would take for the whole.
            AccessError: its terms are not accepted yet.
        """
        from dlcat.fetch.slices.record import slices
        from dlcat.fetch.terms import require_acceptance
        from dlcat.readers.prepare import prepare

        require_acceptance(dataset)
        if slices(dataset, self.store):
            raise UsageError(f"only a part of {dataset.name} is here", hint=f"dlcat fetch {dataset.name}")
        return prepare(
            dataset,
            split,
            folder=self.store.data_path(dataset),
            digests=self.digests(dataset),
            cache=self.locations.prepared,
            skip_bad=skip_bad,
        )

    def sample(self, dataset: Dataset, split: str, number: int, seed: int) -> Iterator[Shown]:
        """Some examples of an installed dataset's split; of records, the first. See `dlcat.readers.showing`.

        Raises:
            DlcatError: as `examples`; or one of them cannot be decoded.
        """
        from dlcat.fetch.terms import require_acceptance
        from dlcat.readers import reader, showing

        if dataset.reader is None or reader.traits(dataset.reader.name).gives != "records":
            return showing.chosen(self.examples(dataset, split), number, seed)
        require_acceptance(dataset)
        return showing.first_records(dataset, split, self.store.data_path(dataset), number)

    def census(self, dataset: Dataset, splits: tuple[str, ...] = ()) -> Iterator[Counted | Overlap | Absent]:
        """What is in an installed dataset's splits, or in these; see `dlcat.readers.census`.

        Raises:
            DlcatError: as `examples`, of a split that was asked for.
        """
        from dlcat.readers.census import census

        def read(split: str) -> Prepared | str:
            try:
                return self.examples(dataset, split, skip_bad=True)
            except VerificationError as error:
                if splits:
                    raise
                return f"{error.message}; {error.hint}" if error.hint else error.message

        return census((name, dataset.splits.get(name), read(name)) for name in splits or dataset.splits)

    def dataset(self, recipe: Recipe) -> Dataset:
        """The recipe's catalog entry, its reader with the options that the recipe sets.

        How many examples a split has is then not known: the catalog counts what the reader gives without them.
        """
        from dlcat.registry import Choice

        found, options = self.catalog[recipe.dataset.name], recipe.dataset.options
        if not options or found.reader is None:
            return found
        chosen = Choice(name=found.reader.name, options=found.reader.options | options)
        return found if chosen == found.reader else replace(found, reader=chosen, splits=dict.fromkeys(found.splits))

    def form(self, recipe: Recipe) -> Form | None:
        """How the recipe's inputs become numbers; None: as they are prepared.

        Raises:
            InvalidError: its options do not fit the dataset.
        """
        from dlcat.train.material import form_of

        return form_of(recipe, self.catalog[recipe.dataset.name].sample)

    def material(self, recipe: Recipe) -> Material:
        """The recipe's examples, from the cache or from shards; see `dlcat.train.material`.

        Raises:
            DlcatError: as `examples`, as `dlcat.readers.shards.read`, or as `dlcat.train.material.material`.
        """
        from dlcat.train.material import material

        return material(recipe, self.form(recipe), lambda split: self._read(recipe, split))

    def split(self, recipe: Recipe, split: str, known: Known) -> Ready:
        """One split of a recipe's dataset by its name in the catalog, or what the recipe means by test; as a run takes it.

        Raises:
            DlcatError: as `material`.
        """
        from dlcat.train.material import one

        return one(recipe, split, known, lambda name: self._read(recipe, name))

    def _read(self, recipe: Recipe, split: str) -> Prepared:
        dataset, shards = self.dataset(recipe), _shards(recipe)
        if shards is None:
            return self.examples(dataset, split, skip_bad=recipe.skip_bad)
        from dlcat.fetch.terms import require_acceptance
        from dlcat.readers.shards import read

        require_acceptance(dataset)
        cache = self.locations.shards / dataset.name
        return read(shards, dataset, split, cache=cache, network=self.network())

    def provide(self, recipe: Recipe, *, mirrors: tuple[str, ...] = ()) -> Iterator[Record]:
        """Install the recipe's dataset, but where it takes its inputs from shards."""
        if _shards(recipe) is None:
            yield from self.install(self.catalog[recipe.dataset.name], mirrors=mirrors)

    def hear(self, recipe: Recipe) -> Iterator[Heard]:
        """Decode the sounds that the recipe's splits have, where that was not done before; see `dlcat.readers.hearing`.

        Raises:
            DlcatError: as `examples`; or a sound cannot be decoded.
        """
        from dlcat.inputs import Sounds
        from dlcat.readers import SoundExamples
        from dlcat.readers.hearing import hear

        form, chosen = self.form(recipe), recipe.split
        if not isinstance(form, Sounds):
            return
        tests = chosen.test if isinstance(chosen.test, list) else []
        for split in dict.fromkeys([*chosen.train, *(chosen.validation or []), *tests]):
            examples = self._read(recipe, split)
            if isinstance(examples, SoundExamples):
                yield from hear(examples, form.rate_hertz, skip_bad=recipe.skip_bad)

    def pack(
        self, dataset: Dataset, splits: tuple[str, ...], folder: Path, *, shard_bytes: int, seed: int
    ) -> Iterator[Packed]:
        """Write splits of an installed dataset into shards; see `dlcat.readers.shards.write`.

        Raises:
            DlcatError: as `examples` and `dlcat.readers.shards.write`.
        """
        from dlcat.readers import shards

        for split in splits:
            examples = self.examples(dataset, split)
            made_from = shards.fingerprint(dataset, self.digests(dataset))
            yield from shards.write(
                examples, folder, dataset.name, split, shard_bytes=shard_bytes, seed=seed, made_from=made_from
            )

    def digests(self, dataset: Dataset) -> dict[str, str]:
        """The verified sha256 of every artifact that is in the cache."""
        present = [artifact for artifact in dataset.artifacts if self.store.state(dataset, artifact) == "ok"]
        return {artifact.file: self.store.digest(dataset, artifact) for artifact in present}

    def recipe(self, name: str, overrides: tuple[str, ...] = ()) -> Recipe:
        """A recipe by name or path, with every name and option in it checked.

        Raises:
            UsageError: there is no such recipe.
            InvalidError: all its faults.
        """
        from dlcat import recipe
        from dlcat.train import families

        path = recipe.find(self.locations, name)
        return recipe.load(path, overrides=overrides, check=lambda raw: families.check(self.catalog, raw))

    def latest(self, recipe: Recipe, folder: Path | None = None) -> Run | None:
        """The newest run of exactly this recipe, overrides and all; None where there is none."""
        from dlcat import run
        from dlcat.train import families

        return run.latest(folder or self.locations.runs, families.resolve(recipe))

    def train(
        self,
        recipe: Recipe,
        cost: Cost,
        *,
        device: str = "auto",
        folder: Path | None = None,
        command: str = "",
        resume: Run | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        stop: Event | None = None,
        world: World | None = None,
    ) -> Iterator[Started | Epoch | Finished]:
        """Train a recipe on its installed dataset, at the cost that `trainable` told; see `dlcat.train.session.train`.

        Raises:
            InvalidError: there is a lock file, and it cannot be read.
        """
        from dlcat.compiler import uncompiled
        from dlcat.fetch import lockfile
        from dlcat.train import session
        from dlcat.train.distributed import ALONE

        dataset = self.dataset(recipe)
        digests, material = self.digests(dataset), self.material(recipe)
        events = session.train(
            recipe,
            dataset,
            cost,
            material=material,
            digests=digests | material.digests,
            lock=lockfile.citation(self.locations.lockfile, dataset, digests),
            folder=folder or self.locations.runs,
            device=device,
            command=command,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            world=world or ALONE,
        )
        return (
            events if world is not None and world.shards else uncompiled(events)
        )  # torch divides with its compiler's help

    def range_test(self, recipe: Recipe, *, device: str = "auto", **rates: Any) -> Iterator[Probe]:
        """Try learning rates on the recipe's installed dataset; see `dlcat.train.rates.range_test`.

        Raises:
            InvalidError: the recipe's parts do not fit each other, or its optimizer has no rate to look for.
        """
        from dlcat.train.rates import range_test, ready

        return range_test(*ready(recipe, self.material(recipe), device), **rates)

    def export(self, run: Run, format: str, path: Path, *, best: bool = False) -> Exported:  # noqa: A002
        """Write a run's network for others, checked on the test split where it is here; see `dlcat.train.export`."""
        from dlcat.train import export

        recipe = self.recipe(str(run.recipe_path))
        dataset, form = self.dataset(recipe), self.form(recipe)
        test = self.material(recipe).test if self.store.is_installed(dataset) else None
        return export.export(recipe, run, format, path, best=best, license=dataset.license.id, test=test, form=form)

    def trainable(self, recipe: Recipe) -> tuple[Dataset, Cost]:
        """As `fitting`, of a dataset that this user may train on.

        Raises:
            AccessError: the dataset's terms are not accepted yet.
            InvalidError: as `fitting`.
        """
        from dlcat.fetch.terms import require_acceptance

        require_acceptance(self.dataset(recipe))
        return self.fitting(recipe)

    def fitting(self, recipe: Recipe) -> tuple[Dataset, Cost]:
        """The recipe's dataset and what its network costs, known to fit each other before a byte is fetched.

        Raises:
            InvalidError: it has no training or no test split, no classes to tell apart, no one shape for all examples, or
                the recipe's parts do not fit it.
        """
        dataset, chosen = self.dataset(recipe), recipe.split
        wanted = {"train": chosen.train, "validation": chosen.validation or [], "test": chosen.test}
        for key, names in wanted.items():
            lacking = [name for name in names if name not in dataset.splits] if isinstance(names, list) else []
            if lacking:
                found = ", ".join(dataset.splits) or "none"
                where = ("split", key) if ("split", key) in recipe.places else ("dataset",)
                raise InvalidError(
                    f"{recipe.at(where)}: {dataset.name} has no split named {' or '.join(lacking)}; found {found}"
                )
        return dataset, self.cost(recipe)

    def cost(self, recipe: Recipe) -> Cost:
        """What the recipe's network costs on its dataset's examples, without data.

        Memory is that of the examples that pass through at a time, in the precision that `auto` means on this machine.
        Convolutions are counted by their formula, whatever algorithm computes them.

        Raises:
            InvalidError: the dataset's examples differ in shape, it has no classes, the recipe's parts do not fit it, or
                there are too few examples at a time to train on.
        """
        from dlcat.compiler import without_compiler
        from dlcat.cost import cost
        from dlcat.models import model as models
        from dlcat.registry import Choice
        from dlcat.train import experiment

        form, settings = self.form(recipe), recipe.train
        shape, classes = self._shape(recipe, form), self._classes(recipe)
        outputs = experiment.build_task(recipe, classes).outputs
        batch_size = experiment.FULL_PIECE if settings.batch_size == "full" else settings.batch_size
        precision: str = settings.precision
        if precision == "auto":
            with without_compiler():  # the first optimizer that is made would import it, too
                precision = experiment.device_for(recipe, "auto").precision
        model = replace(recipe.model, algorithm=Choice(name="native"))

        def build() -> nn.Module:
            fitting = experiment.build_model(recipe, shape, outputs, form)  # refuses what the algorithm cannot compute
            if recipe.model.algorithm == model.algorithm:
                return fitting
            return experiment.build_model(replace(recipe, model=model), shape, outputs, form)

        try:
            return cost(
                build,
                shape,
                batch_size=settings.micro_batch_size or batch_size,
                precision=precision,
                takes=models.traits(recipe.model.name).takes,
            )
        except ValueError as error:
            raise InvalidError(f"{recipe.at(('train', 'batch_size'))}: {error}") from error

    def _shape(self, recipe: Recipe, form: Form | None) -> tuple[int, ...]:
        self._require_inputs(recipe)
        if form is not None:
            return form.shape
        shape = self.catalog[recipe.dataset.name].sample.shape
        sizes = tuple(size for size in shape if isinstance(size, int))
        if len(sizes) != len(shape) or not sizes:
            found = " × ".join(map(str, shape)) or "none"
            raise InvalidError(
                f"{recipe.at(('dataset',))}: examples of {recipe.dataset.name} have no one shape; found {found}"
            )
        return sizes

    def _require_inputs(self, recipe: Recipe) -> None:
        """Stop where a recipe's inputs are not made of what the dataset gives, or it does not say how they are made.

        Raises:
            InvalidError: names the line.
        """
        from dlcat.inputs import inputs
        from dlcat.readers import reader

        name, chosen = recipe.dataset.name, self.catalog[recipe.dataset.name].reader
        if chosen is None or chosen.name not in reader:
            raise InvalidError(f"{recipe.at(('dataset',))}: no reader decodes {name} yet")
        gives = reader.traits(chosen.name).gives
        if gives == "records":
            raise InvalidError(f"{recipe.at(('dataset',))}: examples of {name} are records, which are not trained on")
        if recipe.inputs is None and gives != "arrays":
            raise InvalidError(
                f"{recipe.at(('dataset',))}: examples of {name} are {gives}; expected how they become numbers, found nothing",
                hint=f"inputs: {HINTS[gives]}",
            )
        if recipe.inputs is None or _shards(recipe) is not None:
            return
        takes = inputs.traits(recipe.inputs.name).takes
        if gives == "arrays":
            raise InvalidError(
                f"{recipe.at(('inputs',))}: {name} is prepared as arrays, which are numbers already; expected shards",
                hint="leave inputs out, or name what `dlcat pack` wrote: inputs: {name: pictures, size: 32, shards: FOLDER}",
            )
        if takes != gives:
            raise InvalidError(
                f"{recipe.at(('inputs',))}: {recipe.inputs.name} is for {takes}, found {gives}",
                hint=f"inputs: {HINTS[gives]}",
            )

    def _classes(self, recipe: Recipe) -> list[str]:
        from dlcat.readers.promised import promised

        told = promised(self.dataset(recipe))
        if told.kind == "number":
            return []
        if told.classes is None:
            raise InvalidError(f"{recipe.at(('dataset',))}: the catalog lists no classes for {recipe.dataset.name}")
        return list(told.classes)


def _shards(recipe: Recipe) -> str | None:
    """Where the recipe takes packed inputs from; None: from the dataset's own files."""
    found: str | None = None if recipe.inputs is None else recipe.inputs.options.get("shards")
    return found


def here(*, catalogs: tuple[Path, ...] = (), cache: Path | None = None) -> Workspace:
    """The workspace of the current folder; the arguments win over it.

    Raises:
        UsageError: a catalog that was named does not exist.
    """
    for path in catalogs:
        if not path.is_file():
            raise UsageError(f"--catalog {path}: no such file")
    return Workspace(where.find(catalogs=catalogs, cache=cache))
