"""A trained network as one file that others can use, written and then held against the run it came from."""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dlcat import __version__
from dlcat import recipe as recipes
from dlcat.errors import InvalidError, UsageError, VerificationError
from dlcat.inputs import Sounds, Tokens
from dlcat.registry import Choice
from dlcat.run import writing
from dlcat.train.batches import InputStatistics
from dlcat.train.device import Device
from dlcat.train.experiment import build_model, build_task, views
from dlcat.train.placing import batches_of
from dlcat.train.trained import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dlcat.inputs import Form
    from dlcat.recipe import Recipe
    from dlcat.run import Run
    from dlcat.train.material import Ready

    Network = Callable[[Tensor], Tensor]

TOLERANCE = 1e-4
"""The largest difference between the outputs of a file and of its run, as a share of the largest output."""
CHECKED = 64
"""Examples that both are shown."""
CPU = Device(torch.device("cpu"), "fp32", "contiguous", {})
METADATA = "dlcat.json"
"""What is known of the network, inside a torch-export archive."""
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file for a trained network."""

    file: str
    """Its name in the run's folder."""
    write: Callable[[Classifier, dict[str, str], Path], None]
    """(network, what is known of it, file) to the file."""
    read: Callable[[Path], Network]
    """The file to what it computes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A network's file, and how far it is from the run's own network."""

    file: str
    format: str
    bytes: int
    weights: str
    """last, or best."""
    inputs: str
    """What the network takes."""
    examples: int
    """How many both were shown."""
    examples_of: str
    """Where those are from."""
    largest_difference: float
    """Between the outputs of the file and of the run's network."""
    largest_output: float
    """Of the run's network on these examples."""
    tolerance: float
    """The largest difference that passes, as a share of the largest output."""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class Classifier(nn.Module):
    """A trained network that takes examples as the dataset stores them: what was done to its inputs is inside.

    It computes in fp32 what `dlcat predict` and `dlcat eval` compute: with the mean and standard deviation of the
    training split, and averaged over mirror images where the recipe evaluates so.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, statistics: InputStatistics, recipe: Recipe, shape: tuple[int, ...]) -> None:
        super().__init__()
        channelwise = (-1, *[1] * (len(shape) - 1))
        self.network = network
        self.statistics = statistics
        self.recipe = recipe
        self.shape = shape
        self.register_buffer("mean", torch.tensor(statistics.mean).view(channelwise), persistent=False)
        self.register_buffer("std", torch.tensor(statistics.std).view(channelwise), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) float32, as stored, to outputs (N, K), of which softmax makes probabilities."""
        seen = views(self.recipe, (inputs - self.mean) / self.std)
        said = [self.network(view) for view in seen]
        return said[0] if len(said) == 1 else torch.stack(said).mean(0)


def export(
    recipe: Recipe,
    run: Run,
    format: str,  # noqa: A002, what it is called everywhere
    path: Path,
    *,
    best: bool = False,
    license: str | None = None,  # noqa: A002
    test: Ready | None = None,
    form: Form | None = None,
) -> Exported:
    """Write a run's network in one of `FORMATS`, read it back and hold it against the run's; it is kept if they agree.

    Convolutions become torch's own, whatever algorithm the recipe has: they have the same weights, and other programs
    have algorithms of their own. What it is held against computes as the recipe says.

    Args:
        recipe: the run's.
        run: finished; for `best`, at least an epoch of it.
        format: a key of `FORMATS`.
        path: the file.
        best: the weights of the epoch that did best on the validation split, not of the last.
        license: of the data, which the file names.
        test: examples for the comparison; where None, some are drawn that look like the training split's statistics.
        form: how the run's inputs become numbers; None: as they are.

    Raises:
        InvalidError: the run has no weights, or the network cannot be written in this format.
        UsageError: the format needs packages that are not here.
        VerificationError: the file computes something else; it is removed.
        DiskError: it cannot be written.
    """
    chosen = FORMATS[format]
    _require_plain(recipe, form)
    own, classes = _restored(recipe, run, best=best)
    plain, _ = _restored(_natively(recipe), run, best=best)
    examples, examples_of = _examples(own, test, form)
    known = _known(plain, classes, "best" if best else "last", license)
    with writing(path) as file:
        chosen.write(plain, known, file)
        difference, largest = _difference(chosen.read(file), own, examples)
        exported = Exported(
            file=str(path),
            format=format,
            bytes=file.stat().st_size,
            weights=known["weights"],
            inputs=known["inputs"],
            examples=len(examples),
            examples_of=examples_of,
            largest_difference=difference,
            largest_output=largest,
            tolerance=TOLERANCE,
        )
        _require_agreement(exported)
    return exported


def load(path: Path | str) -> Classifier:
    """The network of a file that `dlcat export --format safetensors` wrote, in evaluation mode on the CPU.

    Raises:
        InvalidError: the file is missing, damaged, or not one of these.
    """
    try:
        with safe_open(path, "pt") as file:
            known = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
        recipe = _natively(recipes.read(known["recipe"], str(path)))
        shape, classes = tuple(json.loads(known["shape"])), json.loads(known["classes"])
        network = build_model(recipe, shape, build_task(recipe, classes).outputs)
        network.load_state_dict(weights)
        return Classifier(network, InputStatistics(**json.loads(known["statistics"])), recipe, shape).eval()
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidError(
            f"{path}: not a network that dlcat exported: {error}", hint="dlcat export RUN --format safetensors"
        ) from error


def _restored(recipe: Recipe, run: Run, *, best: bool) -> tuple[Classifier, list[str]]:
    """The run's network on the CPU in fp32, and its classes."""
    # On whatever it was trained, what is compared here are the digits of fp32.
    exact = replace(recipe, train=replace(recipe.train, precision="fp32", layout="contiguous"))
    built, known = restore(exact, run, "cpu", best=best)
    return Classifier(built.model, known.statistics, recipe, known.shape).eval(), list(known.classes)


def _require_plain(recipe: Recipe, form: Form | None) -> None:
    """Stop where a network is shown something else than what is stored.

    Raises:
        InvalidError: it is shown what was computed of sounds or looked up for texts.
    """
    if isinstance(form, Sounds | Tokens):
        raise InvalidError(
            f"{recipe.at(('inputs',))}: networks of sounds and texts are not exported yet",
            hint="the run's model.safetensors has the weights",
        )


def _natively(recipe: Recipe) -> Recipe:
    return replace(recipe, model=replace(recipe.model, algorithm=Choice(name="native")))


def _examples(network: Classifier, test: Ready | None, form: Form | None) -> tuple[Tensor, str]:
    """(N, C, ...) float32 to compare on, from all over the test split, and where they are from."""
    if test is not None:
        positions = torch.linspace(0, len(test) - 1, min(CHECKED, len(test))).long().numpy()
        chosen = batches_of(test, positions, CPU, network.statistics, form)
        return chosen.inputs[:].float(), "the test split"
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(CHECKED, *network.shape, generator=generator)
    drawn = (noise * network.std + network.mean).clamp(0, network.statistics.peak)
    return drawn, "noise like the training split: the data are not in the cache"


def _known(network: Classifier, classes: list[str], weights: str, license: str | None) -> dict[str, str]:  # noqa: A002
    """What whoever finds the file must know; as text, for that is what the formats keep."""
    recipe, statistics = network.recipe, network.statistics
    shape = ", ".join(map(str, ("N", *network.shape)))
    how = "stores them" if recipe.inputs is None else "has them, decoded and cropped"
    return {
        "dlcat": __version__,
        "recipe": recipe.to_yaml(),
        "dataset": recipe.dataset.name,
        "dataset_license": license or "none stated",
        "weights": weights,
        "inputs": f"float32 ({shape}) from 0 to {statistics.peak:g}, as {recipe.dataset.name} {how}",
        "outputs": f"float32 (N, {len(classes)}), of which softmax makes probabilities, in the order of classes",
        "shape": json.dumps(network.shape),
        "classes": json.dumps(classes, ensure_ascii=False),
        "statistics": json.dumps(statistics.plain()),
    }


@torch.inference_mode()
def _difference(found: Network, expected: Network, examples: Tensor) -> tuple[float, float]:
    """The largest difference between the outputs of both, and the largest output that is expected."""
    outputs = expected(examples)
    return float((found(examples) - outputs).abs().max()), float(outputs.abs().max())


def _require_agreement(exported: Exported) -> None:
    """Stop where the file does not compute what the run does; that a difference is no number is one, too.

    Raises:
        VerificationError: it does not.
    """
    bound = exported.tolerance * exported.largest_output
    if not exported.largest_difference <= bound:
        raise VerificationError(
            f"{exported.file}: as {exported.format} the network is not the run's: on {exported.examples} examples outputs "
            f"differ by up to {exported.largest_difference:.2g}; expected at most {bound:.2g}, "
            f"{exported.tolerance:g} of the largest output. The file is removed",
            hint="another --format may do; please report it, with the run's recipe.yaml",
        )


def program(network: Classifier) -> torch.export.ExportedProgram:
    """The network as a graph for batches of any size.

    Raises:
        InvalidError: it does what no graph can hold.
    """
    example = torch.zeros(2, *network.shape)  # of one, torch would take the size for a constant
    batch = {0: torch.export.Dim("batch")}
    with _following(network):
        return torch.export.export(network, (example,), dynamic_shapes=(batch,), strict=False)


@contextmanager
def _following(network: Classifier) -> Iterator[None]:
    """Where torch cannot make a graph of the network, say so; what it warns of is between its own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            yield
        except Exception as error:  # whatever a network does that cannot be followed raises what it likes
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise InvalidError(
                f"{network.recipe.at(('model',))}: torch cannot follow {network.recipe.model.name} as a graph: {reason}",
                hint="--format safetensors keeps the weights",
            ) from error


def _write_safetensors(network: Classifier, known: dict[str, str], path: Path) -> None:
    weights = {name: tensor.contiguous() for name, tensor in network.network.state_dict().items()}
    path.write_bytes(save(weights, {**known, "normalisation": "not in these weights: statistics has mean and std"}))


def _write_torch_export(network: Classifier, known: dict[str, str], path: Path) -> None:
    known = {**known, "normalisation": "inside"}
    archive = BytesIO()  # written by torch itself, a disk that is full would end the process
    torch.export.save(program(network), archive, extra_files={METADATA: json.dumps(known, ensure_ascii=False)})
    path.write_bytes(archive.getbuffer())


def _read_torch_export(path: Path) -> Network:
    module: Network = torch.export.load(path).module()
    return module


def _write_onnx(network: Classifier, known: dict[str, str], path: Path) -> None:
    _require_onnx()
    graph = program(network)
    # It would warn that torchvision is not here, of which no network has anything.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with _following(network):
        translated: Any = torch.onnx.export(
            graph, dynamo=True, input_names=["inputs"], output_names=["outputs"], verbose=False
        )
    model = translated.model_proto
    for key, value in {**known, "normalisation": "inside"}.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def _read_onnx(path: Path) -> Network:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # its warnings are about GPUs that a check on the CPU does not need
    opened = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def compute(inputs: Tensor) -> Tensor:
        (outputs,) = opened.run(None, {"inputs": inputs.numpy()})
        return torch.from_numpy(outputs)

    return compute


def _require_onnx() -> None:
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"--format onnx needs {' and '.join(missing)}", hint="pip install 'dlcat[onnx]'")


FORMATS: Mapping[str, Format] = {
    "safetensors": Format("model.safetensors", _write_safetensors, load),
    "torch-export": Format("model.pt2", _write_torch_export, _read_torch_export),
    "onnx": Format("model.onnx", _write_onnx, _read_onnx),
}
