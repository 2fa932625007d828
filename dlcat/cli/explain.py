"""The command that explains a part: formula, prices and pictures, found by running it."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import PARTS, Json, app

_OPTIONS = {"input_shape": "--in", "channels_out": "--out", "kernel": "--kernel", "stride": "--stride"}


@app.command(rich_help_panel=PARTS)
def explain(
    family: Annotated[str, typer.Argument(help="conv, norm, activation, optimizer or schedule.")],
    member: Annotated[
        str | None,
        typer.Argument(
            help="By name, or with options as in a recipe: '{name: group, groups: 8}'. All of them by default."
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option("--in", metavar="CxHxW", help="Channels and size of one example; CxT for one dimension."),
    ] = None,
    channels_out: Annotated[int | None, typer.Option("--out", min=1, help="Output channels of a convolution.")] = None,
    kernel: Annotated[
        int | None, typer.Option("--kernel", min=1, help="Window of a convolution; 3 by default.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", min=1, help="Stride of a convolution; 1 by default.")
    ] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the picture of one member there.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write text and pictures there, one file.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write the family's page there.")] = None,
    json: Json = False,
) -> None:
    """Explain a part: formula, what it costs, what it reads, what it equals; an optimizer's way beside gradient descent's."""
    from dlcat.errors import UsageError
    from dlcat.view import explain as view
    from dlcat.view import explain_plots

    sizes = {"channels_out": channels_out, "kernel": kernel, "stride": stride}
    asked: dict[str, Any] = {"input_shape": _shape(input_shape)} if input_shape else {}
    asked |= {name: value for name, value in sizes.items() if value is not None}
    every, refused = _facts(family, member, asked)
    if png and len(every) > 1:
        raise UsageError("--png: expected one member, for a picture shows one", hint="--html takes a whole family")
    if png:
        _write(png, explain_plots.png(every[0]))
    if html:
        pictures = [explain_plots.svg(facts, f"picture{number}") for number, facts in enumerate(every)]
        _write(html, view.html(every, pictures).encode())
    if markdown:
        command = _command(family, member, asked, markdown.name)
        _write(markdown, view.markdown(every, command, is_whole=not member and not refused).encode())
    written = [str(path) for path in (png, html, markdown) if path]
    if json:
        out.document(
            {"explained": [_without_heights(facts) for facts in every], "refused": refused, "written": written}
        )
        return
    out.text("\n".join(written) if written else "\n\n".join(map(view.text, every)))
    for refusal in refused:
        out.warning(f"{refusal['name']} is left out: {refusal['message']}")


def _facts(family: str, member: str | None, asked: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The facts of the member or of all, and which of all could not be explained as asked, with the reasons."""
    from dataclasses import asdict

    from dlcat import explain as explained
    from dlcat.errors import InvalidError, UsageError
    from dlcat.registry import Choice

    members = explained.family(family)
    for name in asked.keys() - explained.settings(family):
        raise UsageError(f"{_OPTIONS[name]}: {family} has no such setting", hint="dlcat explain --help")
    if member:
        return [asdict(explained.explain(family, _choice(member), **asked))], []  # type: ignore[call-overload]
    every, refused = [], []
    for name in sorted(members):
        try:
            every.append(asdict(explained.explain(family, Choice(name=name), **asked)))  # type: ignore[call-overload]
        except (UsageError, InvalidError) as error:  # it cannot do what is asked, or needs an option
            refused.append({"name": name, "message": error.message, "hint": error.hint})
    if not every:
        reasons = dict.fromkeys(refusal["message"] for refusal in refused)
        raise UsageError("\n".join(reasons), hint=refused[0]["hint"])
    return every, refused


def _command(family: str, member: str | None, asked: dict[str, Any], page: str) -> str:
    """What was written to make a page, as a shell takes it."""
    words = ["dlcat", "explain", family, *([member] if member else [])]
    for name, value in asked.items():
        words += [_OPTIONS[name], "x".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join([*words, "--markdown", page])


def _choice(written: str) -> Any:
    """The member as a recipe would have it, `batch` or `{name: group, groups: 8}`."""
    from dlcat import document
    from dlcat.errors import UsageError
    from dlcat.registry import Choice
    from dlcat.schema import choice

    found = choice(document.parse(f"member: {written}", "MEMBER").data["member"])
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise UsageError(
            f"{written}: expected a name, or {{name: NAME, option: value}}", hint="dlcat options lists them"
        )
    return Choice(**found)


def _shape(written: str) -> tuple[int, ...]:
    from dlcat.errors import UsageError

    sizes = written.lower().split("x")
    if len(sizes) not in (2, 3) or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise UsageError(f"--in {written}: expected CxHxW, or CxT for one dimension", hint="for example --in 16x32x32")
    return tuple(int(size) for size in sizes)


def _write(path: Path, content: bytes) -> None:
    from dlcat.disk import disk_errors

    with disk_errors(path):
        path.write_bytes(content)


def _without_heights(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts without the thousands of samples from which contours are drawn."""
    scenes = [{key: value for key, value in scene.items() if key != "heights"} for scene in facts.get("scenes", ())]
    return facts | {"scenes": scenes} if scenes else facts
