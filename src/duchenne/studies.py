"""The whole line: faces → network → units → evidence → report, in a folder that can be resumed and opened.

A study is a recipe, faces and a folder. Its stages run in order; each has a *key*, a digest of the part of the recipe that
it depends on and of the keys before it, and is done again only where its key has changed.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from duchenne import cache, facs, gathering, recipes, record
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet
from duchenne.recipes import Recipe
from duchenne.study import NEEDS, STAGES, Study, read_state, state_checksum
from duchenne.training import precision
from duchenne.training.workers import Workers

if TYPE_CHECKING:
    from duchenne.stages import StudyInProgress

_PACKAGES = ("duchenne", "torch", "lightning", "numpy", "pandas", "scikit-learn", "scipy", "anny", "warp-lang")


def run(
    recipe: str | Path | Recipe | None = None,
    data: str | FaceTable | None = None,
    out: str | Path | None = None,
    *,
    changes: tuple[str, ...] = (),
    resume: bool = False,
    until: str = STAGES[-1],
    workers: int = 0,
    backend: str = "processes",
    address: str = "",
    devices: int = 0,
    progress: Progress = quiet,
    announce: Callable[[str], None] = lambda line: None,
) -> Study:
    """Run a recipe from faces to report and return the study.

    ``recipe`` is a name, a TOML file of one's own, or ``quick``; with ``resume`` and neither recipe nor data, that of
    the study in ``out``. ``data`` is a source such as ``"folder:/photos"`` or a table; ``out`` a folder,
    ``runs/<recipe>-<date>`` by default; ``changes`` set single keys, as in ``("training.epochs=4",)``; ``until`` names
    the stage to get to, by those that it follows from. Networks are trained by so many ``workers`` side by side, as
    many as the machine is best used by where it is 0, which are ``"processes"``, ``"ray"`` or ``"dask"``, at an
    ``address`` or started here; each on so many ``devices``, one by default. ``announce`` is given a line for each
    stage that ends. Raises ``InputError`` for everything that the user gave and that cannot be used, and where ``out``
    holds another study or one that is being done.
    """
    doing = Doing(_stages_until(until), Workers(workers, backend, address, devices), progress, announce)
    if resume and out is None:
        raise InputError("--resume: name the study's folder with --out")
    stored = _stored(Path(out), resume) if out is not None else None
    if resume and stored is None and recipe is None and data is None:
        raise InputError(f"--resume: {out} holds no study")
    if resume and stored is None:
        announce(f"{out}: holds no study yet; a new one begins")
    if stored and recipe is None and data is None:
        chosen = recipes.changed(recipes.validated(stored["recipe"]), changes)
    else:
        chosen = _chosen(recipe or "quick", data, changes)
    folder = Path(out) if out is not None else Path("runs") / f"{chosen.name}-{time.strftime('%Y-%m-%d')}"
    if out is None:
        _stored(folder, resume)
    if stored and stored["faces"]["source"] != chosen.faces.source:
        raise InputError(f"--out {folder}: holds another study, of the faces {stored['faces']['source']}")
    if chosen.faces.source == "table" and data is None:
        raise InputError(f"--out {folder}: its faces were given as a table; give it again")
    begun = time.monotonic()
    for line in costs(chosen):
        announce(line)
    table = gathering.table(chosen.faces, data if isinstance(data, FaceTable) else None, progress, announce)
    gathered = time.monotonic() - begun
    if chosen.faces.action_units:
        told = table.frame.filter(like="AU").notna().any(axis=1).sum()
        announce(
            f"action units: {told} of {len(table)} pictures have some, from {chosen.faces.action_units} or the data set"
        )
    return _walk(folder, chosen, table, stored, doing, gathered)


def costs(recipe: Recipe) -> list[str]:
    """What a recipe will take where that is much: a line for each large number, told before anything begins.

    >>> costs(recipes.read("quick")), len(costs(recipes.read("quick", ["faces.avatars.people=100000"])))
    ([], 1)
    """
    lines = []
    avatars = recipe.faces.avatars
    pictures = avatars.people * _PICTURES_A_PERSON
    if recipe.faces.source == "avatars" and pictures > _MANY_PICTURES:
        bands = 3 if avatars.colour else 1
        gigabytes = pictures * avatars.size**2 * bands / 1e9
        hours = pictures * avatars.size**2 / _PIXELS_A_SECOND / 3600
        lines.append(
            f"{pictures:,} faces are to be rendered: about {hours:.1f} hours on two cores, and {gigabytes:.0f} GB of disk"
        )
    networks = (len(recipe.folds.run) or recipe.folds.count) * recipe.training.attempts
    if networks > _MANY_NETWORKS:
        lines.append(f"{networks} networks are to be trained, each for up to {recipe.training.epochs} epochs")
    if recipe.evidence.permutations > _MANY_PERMUTATIONS:
        lines.append(f"{recipe.evidence.permutations:,} permutations: about a second for each thousand and network")
    if recipe.stimulation.people > _MANY_STIMULATED:
        faces = recipe.stimulation.people * 6 * len(facs.rendered())
        lines.append(f"{faces:,} faces are to be rendered and read for the stimulation of action units")
    return lines


_PICTURES_A_PERSON = 28
_MANY_PICTURES, _MANY_NETWORKS, _MANY_PERMUTATIONS, _MANY_STIMULATED = 50_000, 100, 100_000, 500
_PIXELS_A_SECOND = 700_000  # rendered on two cores


def _chosen(recipe: str | Path | Recipe, data: str | FaceTable | None, changes: tuple[str, ...]) -> Recipe:
    chosen = recipes.changed(recipe, changes) if isinstance(recipe, Recipe) else recipes.read(str(recipe), changes)
    if data is None:
        return chosen
    source = data if isinstance(data, str) else "table"
    return chosen.model_copy(update={"faces": chosen.faces.model_copy(update={"source": source})})


def go_on(
    folder: str | Path,
    until: str,
    *,
    changes: tuple[str, ...] = (),
    progress: Progress = quiet,
    announce: Callable[[str], None] = lambda line: None,
) -> Study:
    """Go on with the study in a folder to a stage, under changes of its recipe, and return it.

    Raises ``InputError`` where the folder holds none, and as ``run`` does.
    """
    if read_state(Path(folder)) is None:
        raise _no_study(folder)
    return run(out=folder, changes=changes, resume=True, until=until, progress=progress, announce=announce)


def _no_study(folder: str | Path) -> InputError:
    if not Path(folder).exists():
        return InputError(f"{folder}: no such folder, so it holds no study")
    return InputError(f"{folder}: holds no study (no study.json); 'duchenne run RECIPE --out {folder}' makes one")


def open(folder: str | Path, until: str = STAGES[-1]) -> Study:
    """Find a finished study again, or one that was done ``until`` a stage.

    Raises ``InputError`` where the folder holds none, or one that has not come so far.
    """
    path = Path(folder)
    state = read_state(path)
    if state is None:
        raise _no_study(path)
    refuse_undone(path, state, until)
    refuse_damaged(path, state)
    return Study(path, recipes.validated(state["recipe"]), state)


def refuse_damaged(folder: Path, state: dict[str, Any]) -> None:
    """Raise ``InputError`` for a study of which a file is missing, or not as its stage wrote it."""
    for stage in state["stages"].values():
        odd = record.damaged(folder, stage)
        if odd:
            again = f"'duchenne run --resume --out {folder}' makes it again"
            raise InputError(f"{folder / odd[0]}: is missing or damaged since it was written; {again}")


def refuse_undone(folder: Path, state: dict[str, Any], until: str) -> None:
    """Raise ``InputError`` for a study that was not done ``until`` a stage, by what its ``study.json`` says."""
    missing = [stage for stage in _stages_until(until) if stage not in state["stages"]]
    if missing:
        raise InputError(
            f"{folder}: the study has not ended; {missing[0]} is still to do, or to do again: run it with --resume"
        )


def refuse_unreported(study: Study) -> None:
    """Raise ``InputError`` for a study in which anything that its report tells of is still to do, or to do again."""
    for stage in NEEDS["report"]:
        refuse_undone(study.folder, study.state, stage)


def _stored(folder: Path, resume: bool) -> dict[str, Any] | None:
    """What an earlier run left in the folder, or refuse the folder."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: a file of that name exists")
    state = read_state(folder)
    if state is None:
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise InputError(f"--out {folder}: holds files that are not a study")
        return None
    if not resume:
        done = all(stage in state["stages"] for stage in STAGES)
        kind = "a finished study" if done else "an unfinished study"
        raise InputError(
            f"--out {folder}: holds {kind}; add --resume --out {folder} to go on with it, or name another folder"
        )
    return state


@dataclass(frozen=True)
class Doing:
    """How a study is done, which does not change what it finds: up to which stage, by whom, and who is told."""

    stages: tuple[str, ...]
    workers: Workers
    progress: Progress
    announce: Callable[[str], None]


def _stages_until(last: str) -> tuple[str, ...]:
    if last not in STAGES:
        raise InputError(f"stage {last!r}: not one of {', '.join(STAGES)}")
    wanted = {last}
    for stage in reversed(STAGES):
        wanted |= set(NEEDS[stage]) if stage in wanted else set()
    return tuple(stage for stage in STAGES if stage in wanted)


def _walk(
    folder: Path, recipe: Recipe, table: FaceTable, stored: dict[str, Any] | None, doing: Doing, gathered: float
) -> Study:
    """Do every stage that is wanted and whose key has changed.

    ``study.json`` is written before a stage begins, without it and those that follow from it: what a kill leaves half done
    is never taken for done.
    """
    from duchenne import stages  # Lightning and matplotlib take seconds: not before the user's mistakes are found

    fingerprint = table.fingerprint(doing.progress)
    keys = stages.keys(recipe, fingerprint)
    done = stored["stages"] if stored else {}
    kept: dict[str, Any] = {}
    for stage, before in NEEDS.items():
        unchanged = done.get(stage, {}).get("key") == keys[stage] and all(earlier in kept for earlier in before)
        if unchanged and (odd := record.damaged(folder, done[stage])):
            doing.announce(f"{stage}: {odd[0]} is missing or damaged; it is done again")
        elif unchanged:
            kept[stage] = done[stage]
    study = Study(folder, recipe, _state(recipe, table, fingerprint, keys))
    if stored and "training" in kept:
        study.state.update({name: stored[name] for name in ("versions", "device", "precision")})
    study.state["stages"].update(kept)
    work = stages.StudyInProgress(study, table, doing.progress, doing.announce, doing.workers)
    stages.rehearse(work)
    for part, other in (("faces", "other faces"), ("training", "a network trained by another recipe")):
        if stored and stored["identity"][part] != keys[part]:
            raise InputError(f"--out {folder}: holds another study, with {other}; name another folder or remove this one")
    with _alone(folder):
        if read_state(folder) != stored:
            raise InputError(f"--out {folder}: another process has made or changed a study there meanwhile")
        _do(study, work, doing, keys, kept, gathered)
    return study


def _do(
    study: Study, work: StudyInProgress, doing: Doing, keys: dict[str, str], kept: dict[str, Any], gathered: float
) -> None:
    """Do the stages that are wanted, but for those of before that are ``kept``; faces took so many seconds to gather."""
    from duchenne import stages

    folder = study.folder
    for stage in doing.stages:
        if stage in kept:
            doing.announce(f"{stage}: nothing has changed, kept")
            continue
        begun = time.monotonic()
        _write_state(study)
        before = record.listed(folder)
        stages.STAGE_FUNCTIONS[stage](work)
        study.seconds[stage] = time.monotonic() - begun + (gathered if stage == "faces" else 0.0)
        study.state["stages"][stage] = {"key": keys[stage], "versions": _versions()}
        record.note(folder, before, study.state["stages"], stage)
        doing.announce(f"{stage}: {study.seconds[stage]:.1f} s")
    _write_state(study)
    cache.sweep(study.folder, every=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process is at work in. The lock's file stays: who waits for it must not hold another."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: another process is at work on this study") from None
    try:
        yield
    finally:
        lock.release()


def _state(recipe: Recipe, table: FaceTable, fingerprint: str, keys: dict[str, str]) -> dict[str, Any]:
    """What ``study.json`` says before the first stage; versions, device and precision are those of the training."""
    device = precision.device()
    return {
        "recipe": recipe.model_dump(mode="json"),
        "identity": {stage: keys[stage] for stage in ("faces", "training")},
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
    with cache.replacing(study.folder / "recipe.toml") as partial:
        partial.write_text("".join(f"{line}\n" for line in recipes.described(study.recipe, named=True)), encoding="utf-8")
    study.state["checksum"] = state_checksum(study.state)
    cache.write_json(study.folder / "study.json", study.state)
