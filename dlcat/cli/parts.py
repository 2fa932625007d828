"""Parts commands: recipes and options."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import PARTS, Catalogs, Json, Overrides, app

recipes_group = typer.Typer(help="Recipes: list, show, copy, check.", invoke_without_command=True)
app.add_typer(recipes_group, name="recipes", rich_help_panel=PARTS)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe by path or name.")]


@recipes_group.callback()
def recipes(context: typer.Context) -> None:
    """Recipes: list, show, copy, check."""
    if context.invoked_subcommand is None:
        recipes_list()


@recipes_group.command("list")
def recipes_list(json: Json = False) -> None:
    """List the recipes, each with the question it asks."""
    from dlcat import recipe
    from dlcat.view.page import Column, plain_table

    found = [
        {"name": path.stem, "question": recipe.question(path), "path": str(path)}
        for path in recipe.listed(out.workspace(None, None).locations)
    ]
    if json:
        out.document({"recipes": found})
    else:
        rows = [[entry["name"], entry["question"]] for entry in found]
        out.text(plain_table([Column("recipe"), Column("question")], rows))


@recipes_group.command("show")
def recipes_show(name: RecipeName, set_: Overrides = None, catalog: Catalogs = None) -> None:
    """Print a recipe with every inherited key and default written out."""
    from dlcat.train import families

    out.text(families.resolve(out.workspace(catalog, None).recipe(name, tuple(set_ or ()))).to_yaml())


@recipes_group.command("copy")
def recipes_copy(
    name: RecipeName, to: Annotated[Path, typer.Argument(help="The new file, or a folder for it.")] = Path()
) -> None:
    """Copy a recipe, to change it."""
    from dlcat import recipe
    from dlcat.errors import DiskError, UsageError

    source = recipe.find(out.workspace(None, None).locations, name)
    target = to / source.name if to.is_dir() else to
    try:
        with open(target, "x", encoding="utf-8") as stream:
            stream.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise UsageError(f"{target} exists already", hint="name another file") from None
    except OSError as error:
        raise DiskError(f"{target}: cannot be written: {error.strerror}") from error
    out.text(str(target))


@recipes_group.command("check")
def recipes_check(
    names: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Recipes by path or name.")],
    catalog: Catalogs = None,
) -> None:
    """Check recipes: keys, names, options, and that the network can be built; of a study, every network."""
    from dlcat.study.design import design
    from dlcat.study.trainings import Template, check

    place = out.workspace(catalog, None)
    for name in names:
        recipe = place.recipe(name)
        _, cost = place.fitting(recipe)
        trainings = ""
        if recipe.study:
            planned = design(recipe)
            check(place, Template(name), planned)
            trainings = f", {planned.trainings} trainings"
        out.text(f"{name}: no fault, {cost.parameters:,} parameters{trainings}")


@app.command(rich_help_panel=PARTS)
def options(
    family: Annotated[str | None, typer.Argument(help="norm, conv, optimizer, ...; all of them by default.")] = None,
    json: Json = False,
) -> None:
    """List what a recipe can choose from, with every option and its default."""
    from dlcat.errors import UsageError, nearest
    from dlcat.layers.upsamples import upsample
    from dlcat.readers import reader
    from dlcat.train.families import FAMILIES
    from dlcat.view import parts

    families = {**FAMILIES, "upsample": upsample, "reader": reader}
    if family is not None and family not in families:
        raise UsageError(f"no family named {family!r}", hint=nearest(family, families))
    found = [
        {
            "family": noun,
            "name": name,
            "description": members.describe(name),
            "paper": members.paper(name),
            "options": {option.name: _default(option) for option in members.options(name).values()},
        }
        for noun, members in families.items()
        if family in (None, noun)
        for name in sorted(members)
    ]
    broken = [text for noun, members in families.items() if family in (None, noun) for text in members.broken]
    if json:
        out.document({"options": found, "broken": broken})
        return
    out.text(parts.options(found, out.console()))
    for text in broken:
        out.warning(text)


def _default(option: Any) -> Any:
    return "required" if option.required else option.default
