"""The meters of the settings, made; and what of them the fleet does not know."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecasts.sources.keys import KeyOptions
from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files.places import raise_all, suggestion
from shifter.meters import KINDS, Meter, Place
from shifter.service.sized import serving_mistake

if TYPE_CHECKING:
    from shifter.settings import Settings
    from shifter.settings.meters import MeterSettings


def meters_of(settings: Settings, fleet: Fleet) -> tuple[Meter, ...]:
    """Raises InputError with all that is wrong: a site, a pool or a model that there is not, a model that cannot be
    sized there, and what would be counted twice.
    """
    mistakes: list[InputError] = []
    found: list[Meter] = []
    for i, wanted in enumerate(settings.realtime.meters):
        place = f"realtime.meters[{i}]"
        wrong = _unknown(wanted, fleet) or _twice(wanted, settings.realtime.meters[:i])
        if wrong is not None:
            field = f"{place}.{wrong.field}" if wrong.field else place
            mistakes.append(InputError(wrong.detail, field=field, hint=wrong.hint))
            continue
        found.append(KINDS[wanted.kind](_name(wanted), **_options(wanted, fleet)))
    raise_all(mistakes)
    return tuple(found)


def _name(wanted: MeterSettings) -> str:
    if wanted.kind == "csv":
        return f"csv {Path(wanted.path).name}"
    if wanted.kind == "typical":
        return "typical"
    return " ".join([wanted.kind, "/".join(filter(None, (wanted.site, wanted.pool, wanted.model)))])


def _options(wanted: MeterSettings, fleet: Fleet) -> dict[str, Any]:
    if wanted.kind == "csv":
        return {"path": wanted.path, "every_s": wanted.every_s}
    if wanted.kind == "typical":
        return {"fleet": fleet, "seed": wanted.seed, "every_s": wanted.every_s}
    place = Place(
        wanted.site,
        wanted.pool,
        wanted.model or "",
        wanted.prompt_scv,
        wanted.output_scv,
        wanted.arrival_scv,
    )
    options: dict[str, Any] = {"place": place, "every_s": wanted.every_s, "timeout_s": wanted.timeout_s}
    if wanted.kind == "prometheus":
        given = {k: v for k in ("api_key_file", "api_key_env") if (v := getattr(wanted, k)) is not None}
        key = KeyOptions.model_validate(given) if given else None
        return {**options, "url": wanted.url, "queries": wanted.queries, "key": key}
    options |= {"urls": wanted.urls, "window_s": wanted.window_s}
    if wanted.kind == "vllm":
        return {**options, "served_model": wanted.served_model}
    return {**options, "output_tokens": wanted.output_tokens}


def _unknown(wanted: MeterSettings, fleet: Fleet) -> InputError | None:
    """What the fleet does not know of it."""
    if wanted.kind == "csv":
        return None
    if wanted.kind == "typical":
        return None
    if wanted.site not in fleet.by_site:
        return InputError(
            f"there is no site {wanted.site}.",
            field="site",
            hint=suggestion(wanted.site, fleet.by_site, "sites"),
        )
    if (wanted.site, wanted.pool) not in fleet.pools:
        names = [p.name for p in fleet.by_site[wanted.site].pools]
        return InputError(
            f"{wanted.site} has no pool {wanted.pool}.",
            field="pool",
            hint=suggestion(wanted.pool, names, "pools"),
        )
    if wanted.model is None:
        return None
    return serving_mistake(fleet, fleet.pools[wanted.site, wanted.pool][1], wanted.model)


def _twice(wanted: MeterSettings, before: tuple[MeterSettings, ...]) -> InputError | None:
    """What another meter tells already."""
    for other in before:
        if wanted.kind == "typical" or other.kind == "typical":
            continue  # it stands alone: the settings have seen to that
        if wanted.kind == "csv" or other.kind == "csv":
            if wanted.kind == other.kind == "csv" and wanted.path == other.path:
                return InputError(f"{wanted.path} is read already.", field="path", hint="Name it once.")
            continue
        if (wanted.site, wanted.pool) != (other.site, other.pool):
            continue
        if wanted.model is None or other.model is None:
            return InputError(
                f"{wanted.site}/{wanted.pool} has another meter already, and accelerators_query is of all its load.",
                hint="Keep one of them.",
            )
        if wanted.model == other.model:
            return InputError(
                f"{wanted.model} at {wanted.site}/{wanted.pool} is told by another meter already.",
                field="model",
                hint="Name all its servers in one, or sum over them in one query.",
            )
    return None
