"""A study, made: its stages one after another, in a folder that can be
resumed.

Each stage has an *identity*, a digest of the part of the recipe that it
depends on and of the identities before it, and is done again only where that
has changed.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from duchenne import files, recipes
from duchenne.errors import ArgumentError, InputError
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.faces.table import FaceTable
from duchenne.pipeline.costs import costs
from duchenne.recipes import Recipe
from duchenne.recipes.loading import is_of_a_study
from duchenne.study import integrity
from duchenne.study.faces import gather
from duchenne.study.network import allow_typed, with_layer
from duchenne.study.record import Study, no_study, read_state, state_checksum
from duchenne.training.machine import precision
from duchenne.training.machine.workers import Workers

if TYPE_CHECKING:
    from duchenne.pipeline.stage import Stage
    from duchenne.study.workspace import Workspace

_PACKAGES = (
    "duchenne",
    "torch",
    "lightning",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "anny",
    "warp-lang",
)


@dataclass(frozen=True)
class Doing:
    """How a study is done, which does not change what it finds: up to which
    stage, by whom, and who is told.
    """

    stages: tuple[Stage, ...]
    workers: Workers
    announce: Callable[[str], None]

    def announce_all(self, lines: Iterable[str]) -> None:
        """Tell some lines."""
        for line in lines:
            self.announce(line)


def run(
    recipe: str | Path | Recipe | None = None,
    data: str | FaceTable | None = None,
    out: str | Path | None = None,
    *,
    changes: tuple[str, ...] = (),
    resume: bool = False,
    until: str = "report",
    workers: int = 0,
    backend: str = "processes",
    address: str = "",
    devices: int = 0,
    announce: Callable[[str], None] = lambda line: None,
) -> Study:
    """Run a recipe from faces to report and return the study.

    Args:
        recipe: A name, a TOML file of one's own, or ``quick``; with ``resume``
            and neither recipe nor data, that of the study in ``out``.
        data: A source such as ``"folder:/photos"``, or a table.
        out: A folder, ``runs/<recipe>-<date>`` by default.
        changes: Single keys, as in ``("training.epochs=4",)``.
        resume: Go on with the study that ``out`` holds.
        until: The stage to get to, by those that it follows from.
        workers: How many networks are trained side by side; 0 for as many as
            the machine is best used by.
        backend: Who the workers are: ``"processes"``, ``"ray"`` or ``"dask"``.
        address: Of a cluster; by default one is started here.
        devices: On how many each network is trained; 0 for one.
        announce: Is given a line for each stage that ends.

    Returns:
        The study.

    Raises:
        InputError: For everything that the user gave and that cannot be used,
            and where ``out`` holds another study or one that is being done.
    """
    by = Workers(workers, backend, address, devices)
    _refuse_no_folder(resume, out)
    stored = None if out is None else _stored(Path(out), resume)
    if resume and stored is None:
        _refuse_nothing_to_resume(out, recipe, data)
        announce(f"{out}: holds no study yet; a new one begins")
    chosen = with_layer(_chosen(recipe, data, changes, stored))
    folder = _folder(out, chosen)
    if out is None:
        _stored(folder, resume)
    _refuse_other_faces(folder, chosen, data, stored)
    doing = Doing(_stages_until(until), by, announce)
    doing.announce_all(costs(chosen))
    begun = time.monotonic()
    table = _gathered(chosen, data, announce)
    return _walk(
        folder, chosen, table, stored, doing, time.monotonic() - begun
    )


def _refuse_no_folder(resume: bool, out: object) -> None:
    if resume and out is None:
        raise ArgumentError(
            "out", "is missing: resume needs the study's folder"
        )


def _refuse_nothing_to_resume(
    out: object, recipe: object, data: object
) -> None:
    if recipe is None and data is None:
        raise ArgumentError("resume", f": {out} holds no study")


def _chosen(
    recipe: str | Path | Recipe | None,
    data: str | FaceTable | None,
    changes: tuple[str, ...],
    stored: dict[str, Any] | None,
) -> Recipe:
    if stored and recipe is None and data is None:
        return recipes.changed(recipes.validated(stored["recipe"]), changes)
    if isinstance(recipe, Recipe):
        chosen = recipes.changed(recipe, changes)
    else:
        chosen = recipes.read(str(recipe or "quick"), changes)
    if not is_of_a_study(recipe):
        allow_typed(chosen)
    if data is None:
        return chosen
    source = data if isinstance(data, str) else "table"
    faces = chosen.faces.model_copy(update={"source": source})
    return chosen.model_copy(update={"faces": faces})


def _folder(out: str | Path | None, chosen: Recipe) -> Path:
    if out is not None:
        return Path(out)
    return Path("runs") / f"{chosen.name}-{time.strftime('%Y-%m-%d')}"


def _refuse_other_faces(
    folder: Path,
    chosen: Recipe,
    data: str | FaceTable | None,
    stored: dict[str, Any] | None,
) -> None:
    if stored and stored["faces"]["source"] != chosen.faces.source:
        raise ArgumentError(
            "out",
            f"{folder}: holds another study, of the faces {stored['faces']['source']}",
        )
    if chosen.faces.source == "table" and data is None:
        raise ArgumentError(
            "out", f"{folder}: its faces were given as a table; give it again"
        )


def _gathered(
    chosen: Recipe,
    data: str | FaceTable | None,
    announce: Callable[[str], None],
) -> FaceTable:
    given = data if isinstance(data, FaceTable) else None
    table = gather(chosen.faces, given, announce)
    if chosen.faces.action_units:
        coded = table.frame.filter(like="AU").notna().any(axis=1).sum()
        source = chosen.faces.action_units
        announce(
            f"action units: {coded} of {len(table)} pictures have some, from {source} or the data "
            "set"
        )
    return table


def go_on(
    folder: str | Path,
    until: str,
    *,
    changes: tuple[str, ...] = (),
    announce: Callable[[str], None] = lambda line: None,
) -> Study:
    """Go on with the study in a folder to a stage, under changes of its
    recipe.

    Args:
        folder: Of the study.
        until: The stage.
        changes: Single keys of the recipe.
        announce: Is given a line for each stage that ends.

    Returns:
        The study.

    Raises:
        InputError: Where the folder holds none, and as ``run`` does.
    """
    if read_state(Path(folder)) is None:
        raise no_study(folder)
    return run(
        out=folder,
        changes=changes,
        resume=True,
        until=until,
        announce=announce,
    )


def _stored(folder: Path, resume: bool) -> dict[str, Any] | None:
    """What an earlier run left in the folder, or refuse the folder."""
    if folder.exists() and not folder.is_dir():
        raise ArgumentError("out", f"{folder}: a file of that name exists")
    state = read_state(folder)
    if state is None:
        if folder.exists() and any(
            not path.name.startswith(".") for path in folder.iterdir()
        ):
            raise ArgumentError(
                "out", f"{folder}: holds files that are not a study"
            )
        return None
    if not resume:
        kind = (
            "a finished study"
            if "report" in state["stages"]
            else "an unfinished study"
        )
        raise ArgumentError(
            "out",
            f"{folder}: holds {kind}; --resume goes on with it; or name another folder",
        )
    return state


def _stages_until(last: str) -> tuple[Stage, ...]:
    # Lightning and matplotlib take seconds: after the user's mistakes are
    # found
    from duchenne.pipeline.stages import LINE

    names = [stage.name for stage in LINE]
    if last not in names:
        raise InputError(f"stage {last!r}: not one of {', '.join(names)}")
    wanted = {last}
    for stage in reversed(LINE):
        if stage.name in wanted:
            wanted |= set(stage.needs)
    return tuple(stage for stage in LINE if stage.name in wanted)


def _walk(
    folder: Path,
    recipe: Recipe,
    table: FaceTable,
    stored: dict[str, Any] | None,
    doing: Doing,
    gathered: float,
) -> Study:
    """Do every stage that is wanted and whose identity has changed.

    ``study.json`` is written before a stage begins, without it and those that
    follow from it: what a kill leaves half done is never taken for done.
    """
    from duchenne.pipeline.stage import identities
    from duchenne.pipeline.stages import LINE, rehearse
    from duchenne.study.workspace import Workspace

    digest = fingerprint(table)
    done = stored["stages"] if stored else {}
    keys = identities(LINE, recipe, digest, _unwanted(done, doing.stages))
    kept = _kept(folder, LINE, done, keys, doing.announce)
    study = Study(folder, recipe, _state(recipe, table, digest, keys))
    if stored and "network" in kept:
        for name in ("versions", "device", "precision"):
            study.state[name] = stored[name]
    study.state["stages"].update(kept)
    work = Workspace(study, table, doing.announce, doing.workers)
    rehearse(work)
    _refuse_another_study(folder, stored, keys)
    with _alone(folder):
        _refuse_changed(folder, stored)
        _do(work, doing, keys, kept, gathered)
    return study


def _unwanted(
    done: dict[str, Any], wanted: tuple[Stage, ...]
) -> dict[str, str]:
    """The identities of the stages that were done before and are not wanted
    now.
    """
    names = {stage.name for stage in wanted}
    return {
        name: stage["key"] for name, stage in done.items() if name not in names
    }


def _refuse_changed(folder: Path, stored: dict[str, Any] | None) -> None:
    """Refuse a folder that is no longer what it was when this run looked at it
    first.
    """
    if read_state(folder) != stored:
        meanwhile = f"{folder}: another process has made or changed a study there meanwhile"
        raise ArgumentError("out", meanwhile)


def _refuse_another_study(
    folder: Path, stored: dict[str, Any] | None, keys: dict[str, str]
) -> None:
    others = {
        "faces": "other faces",
        "network": "a network made by another recipe",
    }
    for part, other in others.items():
        if stored and stored["identity"][part] != keys[part]:
            raise ArgumentError(
                "out",
                f"{folder}: holds another study, with {other}; name another folder or remove "
                "this one",
            )


def _kept(
    folder: Path,
    line: tuple[Stage, ...],
    done: dict[str, Any],
    keys: dict[str, str],
    announce: Callable[[str], None],
) -> dict[str, Any]:
    """The stages that were done before, and are as they would be now:
    unchanged, undamaged, and so all before them.
    """
    kept: dict[str, Any] = {}
    for stage in line:
        before = done.get(stage.name, {})
        if before.get("key") != keys[stage.name] or not kept.keys() >= set(
            stage.needs
        ):
            continue
        odd = integrity.damaged(folder, before)
        if odd:
            announce(
                f"{stage.name}: {odd[0]} is missing or damaged; it is done again"
            )
        else:
            kept[stage.name] = before
    return kept


def _do(
    work: Workspace,
    doing: Doing,
    keys: dict[str, str],
    kept: dict[str, Any],
    gathered: float,
) -> None:
    """Do the stages that are wanted, but for those of before that are
    ``kept``; faces took so many seconds to gather.
    """
    study = work.study
    before_it = {"faces": gathered}
    for stage in doing.stages:
        if stage.name in kept:
            doing.announce(f"{stage.name}: nothing has changed, kept")
            continue
        begun = time.monotonic()
        _write_state(study)
        before = integrity.listed(study.folder)
        stage.do(work)
        seconds = before_it.get(stage.name, 0.0) + time.monotonic() - begun
        _note(study, stage.name, keys[stage.name], seconds)
        integrity.note(study.folder, before, study.state["stages"], stage.name)
        doing.announce(f"{stage.name}: {seconds:.1f} s")
    _write_state(study)
    files.sweep(study.folder, every=True)


def _note(study: Study, stage: str, key: str, seconds: float) -> None:
    """Note that a stage is done, with which recipe and versions, and how long
    it took.
    """
    study.seconds[stage] = seconds
    study.state["stages"][stage] = {"key": key, "versions": _versions()}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process is at work in. The lock's file
    stays: who waits for it must not hold another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: another process is at work on this study"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _state(
    recipe: Recipe, table: FaceTable, fingerprint: str, keys: dict[str, str]
) -> dict[str, Any]:
    """What ``study.json`` says before the first stage; versions, device and
    precision are those of the training.
    """
    from duchenne.pipeline.stages import LINE

    device = precision.device()
    return {
        "line": {stage.name: list(stage.needs) for stage in LINE},
        "recipe": recipe.model_dump(mode="json"),
        "identity": {stage: keys[stage] for stage in ("faces", "network")},
        "seed": recipe.seed,
        "versions": _versions(),
        "device": device,
        "precision": precision.choose(recipe.training.precision, device),
        "faces": {
            "source": recipe.faces.source,
            "root": str(table.root.resolve()),
            "fingerprint": fingerprint,
            "summary": table.summary(),
        },
        "stages": {},
    }


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return found | {"python": platform.python_version()}


def _write_state(study: Study) -> None:
    with files.replacing(study.folder / "recipe.toml") as partial:
        partial.write_text(
            "".join(
                f"{line}\n"
                for line in recipes.described(study.recipe, named=True)
            ),
            encoding="utf-8",
        )
    study.state["checksum"] = state_checksum(study.state)
    files.write_json(study.folder / "study.json", study.state)
