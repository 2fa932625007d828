"""The command that tells what networks cost."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import PARTS, Catalogs, Json, Overrides, app

if TYPE_CHECKING:
    from dlcat.cost import Cost
    from dlcat.recipe import Recipe
    from dlcat.workspace import Workspace

SHORT = ("conv", "norm", "activation", "algorithm")
"""Keys of `model` that --vs takes without saying so."""


@app.command(rich_help_panel=PARTS)
def cost(
    names: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Recipes by path or name.")],
    versus: Annotated[
        list[str] | None,
        typer.Option(
            "--vs", metavar="KEY=VALUE", help="Beside it the same with this change: conv=flattened. Repeatable."
        ),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer; with --vs, side by side.")] = False,
    set_: Overrides = None,
    json: Json = False,
    catalog: Catalogs = None,
) -> None:
    """Say what a recipe's network costs: parameters, multiply-accumulates, memory; without data."""
    from dlcat.view import cost as view

    place = out.workspace(catalog, None)
    changes = [(), *((change,) for change in versus or ())]
    found = [[_price(place, name, tuple(set_ or ()), change) for change in changes] for name in names]
    if json:
        out.document({"costs": [price.plain() for group in found for price in group]})
    else:
        out.text(view.costs([_drawn(group) for group in found], layers=layers, console=out.console()))


@dataclass(frozen=True)
class _Price:
    """A recipe, perhaps with a change, and what it costs; `standard` with standard convolutions in place of its own."""

    recipe: "Recipe"
    change: tuple[str, ...]
    cost: "Cost"
    standard: "Cost | None"

    def plain(self) -> dict[str, Any]:
        from dlcat.cost.compare import against_standard

        known = {"recipe": self.recipe.name, "change": list(self.change), "model": self.recipe.plain()["model"]}
        compared = None if self.standard is None else asdict(against_standard(self.cost, self.standard))
        return {**known, **asdict(self.cost), "against_standard": compared}


def _price(place: "Workspace", name: str, overrides: tuple[str, ...], change: tuple[str, ...]) -> _Price:
    written = (*overrides, *map(_spelled_out, change))
    recipe = place.recipe(name, written)
    is_standard = recipe.model.conv.name == "standard"
    standard = None if is_standard else place.cost(place.recipe(name, (*written, "model.conv=standard")))
    return _Price(recipe, change, place.cost(recipe), standard)


def _spelled_out(change: str) -> str:
    """`conv=group` or `norm.groups=8` as --set has it: `model.conv=group`, `model.norm.groups=8`."""
    key = change.partition("=")[0].strip()
    return f"model.{change.strip()}" if key.partition(".")[0] in SHORT else change


def _drawn(group: list[_Price]) -> dict[str, Any]:
    """One recipe and its changes as the view wants them; what stands beside it is a change, or standard convolutions."""
    from dlcat.cost.compare import pairs

    base, *others = group
    beside = [(", ".join(other.change), base.cost, other.cost) for other in others]
    if base.standard is not None and not others:
        beside = [("conv=standard", base.cost, base.standard)]
    return {
        "prices": [price.plain() for price in group],
        "beside": [
            {"label": label, "pairs": [[one and asdict(one), two and asdict(two)] for one, two in pairs(first, second)]}
            for label, first, second in beside
        ],
    }
