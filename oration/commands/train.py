"""`oration train`: a recipe by name, with settings, on prepared data."""

from __future__ import annotations

from pathlib import Path

from oration.commands.device import choose
from oration.core import BadInput
from oration.fit import fit
from oration.recipe import find


def run(
    name: str,
    data: Path,
    out: Path,
    part: str | None,
    device: str,
    settings: tuple[str, ...],
    parts_of: Path | None = None,
) -> None:
    """Train every stage that `out` does not hold yet.

    Raises:
        BadInput: no such recipe, part, data or device.
    """
    recipe = find(name).with_set(list(settings))
    parts = list(dict.fromkeys(stage.part for stage in recipe.training))
    if not parts:
        raise BadInput(f"recipe {recipe.name!r} has no training stages; add some to it: training=(Train(...),)")
    if part is not None and part not in parts:
        raise BadInput(f"recipe {recipe.name!r} trains no part {part!r}; it trains {', '.join(parts)}")
    model = fit(recipe, data, out, part=part, device=choose(device), parts_of=parts_of)
    print(f"{model.recipe.name}: trained {part or ', '.join(parts)}; the model is in {out}")
