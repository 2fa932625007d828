"""The app: what every command costs every other."""

from __future__ import annotations

import typer
from typer.models import CommandInfo

from dlcat.cli.app import app


def _commands(group: typer.Typer) -> list[CommandInfo]:
    inner = [info.typer_instance for info in group.registered_groups if info.typer_instance]
    return [*group.registered_commands, *(command for nested in inner for command in _commands(nested))]


def test_no_command_has_annotations_that_are_text() -> None:
    """See `dlcat.cli.app`: typer reads the annotations of all commands whichever is run."""
    callbacks = [command.callback for command in _commands(app) if command.callback]
    assert len(callbacks) > 15
    assert [
        (callback.__name__, name)
        for callback in callbacks
        for name, annotation in callback.__annotations__.items()
        if isinstance(annotation, str)
    ] == []
