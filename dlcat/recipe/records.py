"""What a recipe is, record by record: the schema of the YAML file, its defaults and what each key means."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from dlcat.document import dotted
from dlcat.registry import STRICT, Choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlcat.document import Where

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Layout = Literal["auto", "contiguous", "channels_last"]
PARTS = ("conv", "norm", "activation", "algorithm")
"""The keys of `model` that choose a part; every other key is an option of the model itself."""
MEASURED = ("precision", "layout", "compile")
"""The keys of `train` whose `auto` is settled by measuring, when a training begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which network, from which parts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: Annotated[str, MinLen(1)]
    """The architecture."""
    options: dict[str, Any] = field(default_factory=dict)
    """Its own options, such as depth."""
    conv: Choice = field(default_factory=partial(Choice, name="standard"))
    """What computes every convolution that the architecture asks for."""
    norm: Choice = field(default_factory=partial(Choice, name="batch"))
    """What normalises after it."""
    activation: Choice = field(default_factory=partial(Choice, name="relu"))
    """The nonlinearity."""
    algorithm: Choice = field(default_factory=partial(Choice, name="native"))
    """How every convolution is computed; the numbers are the same up to rounding, the time is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressiveResize:
    """Small images first, full ones later: early steps need no detail, and cost the square of a side less."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    size: Annotated[int, Ge(1)]
    """Pixels of the shrunk images' shorter side."""
    until: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Share of the run's steps that see shrunk images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Few labels: the other examples are trained on without theirs, as far as a regularizer learns from them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    examples: Annotated[int, Ge(1)]
    """So many examples to train on keep their labels: drawn by the seed, as many of each class."""
    share: Annotated[float, Gt(0), Lt(1)] = 0.25
    """Of each batch that has labels; an epoch is as many batches as the whole training split makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which of the dataset's examples are learned from, looked at and tested on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    train: Annotated[list[str], MinLen(1)] = field(default_factory=lambda: ["train"])
    """Splits of the catalog that are trained on."""
    validation: Annotated[list[str], MinLen(1)] | None = None
    """Splits that are looked at after every epoch; null: train.validation says which share of the training split is held out."""
    test: list[str] | Annotated[float, Gt(0), Lt(1)] = field(default_factory=lambda: ["test"])
    """Splits that are tested on; or the share of the training splits that is kept apart for it, the same for every seed; none
    ([]) where the test's labels are not published."""
    by: Literal["group", "example"] = "group"
    """How a share is drawn: whole groups (a speaker, a recording, an author), where the dataset has such, or single examples."""
    allow_leak: bool = False
    """Train although the test or the validation split knows what it should not; the report says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """How long, in which portions, with which numbers."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    epochs: Annotated[int, Ge(1)]
    """Passes over the training split."""
    batch_size: Annotated[int, Ge(1)] | Literal["full"]
    """Examples per step, of all processes together; full: the whole training split, for optimizers that search along a direction."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Examples that pass through the network at a time, their gradients added up; null: all of a step (of full, 1000)."""
    clip_norm: Annotated[float, Gt(0)] | None = None
    """The gradient over all weights is shortened to this length where it is longer (Pascanu et al. 2013, arXiv:1211.5063)."""
    ema: Annotated[float, Gt(0), Lt(1)] | None = None
    """Evaluate and keep the exponential moving average of the weights, with this decay per step; null: the weights."""
    precision: Precision = "auto"
    """Number format of the network: auto takes bf16 where the machine has units for it and is faster so, else fp32."""
    layout: Layout = "auto"
    """Memory order of images: auto takes what is faster, as measured before the first step."""
    compile: Literal["auto"] | bool = "auto"
    """Whether torch's compiler makes the network: auto where the run is long enough to win more time than that costs."""
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    """Everything random follows from it: the validation split, the first weights, the order, the augmentation."""
    validation: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the training split that is held out by the seed to watch training; 0 uses it all, and is meant with folds."""
    examples: Annotated[int, Ge(1)] | None = None
    """Only so many examples of the training split are used, validation among them: drawn by the seed, each class with the
    share that it has in the whole; null: all of them."""
    labelled: Labelled | None = None
    """Only some of the examples to train on keep their labels; null: all do."""
    folds: Annotated[int, Ge(2)] | None = None
    """Instead of a share: the seed deals the training split into so many folds, each with every class's share, and one of
    them is the validation split (cross-validation; Stone 1974); null: no folds."""
    fold: Annotated[int, Ge(0)] = 0
    """Which of the folds is held out, from 0."""
    validate_every: Annotated[int, Ge(1)] = 1
    """Epochs between two looks at the validation split; the last epoch always has one."""
    patience: Annotated[int, Ge(1)] | None = None
    """Stop after so many epochs without a better validation accuracy (Prechelt 1998); null: train all epochs."""
    progressive_resize: ProgressiveResize | None = None
    """Train on smaller images at first (Howard 2018; Tan & Le 2021, arXiv:2104.00298); null: on full ones throughout."""
    test_time_augment: Literal["none", "flip", "flip_shift"] = "none"
    """Wherever the network is evaluated, outputs are averaged: flip, over each image and its mirror image; flip_shift, over
    these and both of them moved by a pixel up and left, and down and right."""

    @property
    def holds_out(self) -> bool:
        """Whether there is to be a validation split."""
        return self.validation > 0 or self.folds is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How good the network has to become on the validation split; the run tells what that took."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    accuracy: Annotated[float, Gt(0), Le(1)] | None = None
    """At least so high."""
    loss: Annotated[float, Gt(0)] | None = None
    """At most so high; with an accuracy, both."""
    stop: bool = False
    """Whether the run is over once it is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What a paper found in the same study, to stand beside what is found here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    source: Annotated[str, MinLen(1)]
    """Which paper and table, on which data, with which network."""
    values: Annotated[dict[str, Any], MinLen(1)]
    """Of the study's metric, shares in per cent, by the names of variants, a level for each axis in their order:
    {batch: {32: 23.6}}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is varied where the recipe is trained many times (`dlcat study`), and what is compared."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    over: dict[
        str,
        Annotated[list[Any], MinLen(1)] | Annotated[dict[str, Annotated[dict[str, Any], MinLen(1)]], MinLen(1)],
    ] = field(default_factory=dict)
    """Axes, each combined with every other: a key and its values (model.norm: [batch, group]), or a name for keys that change
    together and its variants (step: {small: {train.batch_size: 2, optimizer.lr: 0.01}})."""
    seeds: Annotated[int, Ge(1)] = 3
    """How often to train each, with seeds from 0."""
    folds: Annotated[int, Ge(2)] | None = None
    """Train each on every fold of so many, and compare on what was held out; null: no folds."""
    metric: Annotated[str, MinLen(1)] = "accuracy"
    """What is compared; error is the share that accuracy leaves."""
    split: Literal["test", "validation"] | None = None
    """Where it is measured; null: on the test split, with folds on the validation split."""
    tune: str | None = None
    """An axis: the first seed tries all of it, and only where the validation split likes it best are the others trained."""
    paper: Paper | None = None
    """What a paper found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One experiment as written. Its first comment line is the question it asks."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    dataset: Choice
    """A catalog entry, and options of its reader, such as the target."""
    split: Split = field(default_factory=Split)
    """Which of its examples are for what."""
    inputs: Choice | None = None
    """How pictures, sounds and texts become numbers; null: arrays, as they are prepared."""
    skip_bad: bool = False
    """Leave out examples that cannot be read, and name them, instead of stopping at the first."""
    task: Choice = field(default_factory=partial(Choice, name="classify"))
    """What is predicted, and how it is scored."""
    model: Model
    """The network."""
    augment: list[Choice] = field(default_factory=list)
    """What is done to training inputs, in order."""
    mix: list[Choice] = field(default_factory=list)
    """How two training examples become one; for each batch one of them is drawn."""
    regularizer: Choice = field(default_factory=partial(Choice, name="none"))
    """What is added to the loss that needs no targets."""
    optimizer: Choice
    """How weights follow the gradient."""
    schedule: Choice = field(default_factory=partial(Choice, name="constant"))
    """How the learning rate moves over the run."""
    train: Train
    """How long and how."""
    target: Target | None = None
    """How good it is to become; null: as good as it gets."""
    baseline: Choice = field(default_factory=partial(Choice, name="auto"))
    """What learns from the same examples without a network, to be reported beside it."""
    study: Study | None = None
    """What `dlcat study` varies; a single training leaves it out."""
    name: str = field(default="", metadata={"internal": True})
    """The file's name without .yaml."""
    question: str = field(default="", metadata={"internal": True})
    """The file's first comment line."""
    places: dict[Any, str] = field(default_factory=dict, metadata={"internal": True}, repr=False, compare=False)
    """Where each value was written: `file:line` or `--set KEY`."""

    def at(self, where: Where) -> str:
        """`file:line: key.key`, for messages about what is written at that place."""
        return at(self.places, where, self.name)

    def settled(self, found: Mapping[str, Any]) -> Recipe:
        """The recipe with what a training found, by key of `train`, in the place of `auto`."""
        open_ = {key: found[key] for key in MEASURED if getattr(self.train, key) == "auto" and key in found}
        return replace(self, train=replace(self.train, **open_))

    def plain(self) -> dict[str, Any]:
        """The recipe as it is written in YAML, every key in its order, but for its study: this is one training."""
        model = {"name": self.model.name, **self.model.options}
        model |= {part: getattr(self.model, part).plain() for part in PARTS}
        return {
            "dataset": self.dataset.plain(),
            "split": asdict(self.split),
            "inputs": None if self.inputs is None else self.inputs.plain(),
            "skip_bad": self.skip_bad,
            "task": self.task.plain(),
            "model": model,
            "augment": [choice.plain() for choice in self.augment],
            "mix": [choice.plain() for choice in self.mix],
            "regularizer": self.regularizer.plain(),
            "optimizer": self.optimizer.plain(),
            "schedule": self.schedule.plain(),
            "train": asdict(self.train),
            "target": None if self.target is None else asdict(self.target),
            "baseline": self.baseline.plain(),
        }

    def to_yaml(self) -> str:
        """The recipe as a YAML file that `load` reads back to the same recipe."""
        import yaml

        body = yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
        return f"# {self.question}\n{body}" if self.question else body


def at(places: dict[Where, str], where: Where, default: str) -> str:
    """`file:line: key.key` of where a value was written, or of what it is in; `default` where nothing of it was."""
    place = where
    while place and place not in places:
        place = place[:-1]
    return f"{places.get(place, default)}: {dotted(where)}"
