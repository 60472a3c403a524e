"""Which unit detects which action unit, and whether it is true: the papers' plots, and those of interventions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from duchenne import record
from duchenne.errors import InputError
from duchenne.progress import Progress, quiet
from duchenne.report import figures, gallery
from duchenne.showing import looking
from duchenne.showing.looking import Run, Shown
from duchenne.showing.units import refuse_absent
from duchenne.stages import StudyInProgress


def evidence_map(run: Run, *, progress: Progress = quiet) -> Shown:
    """Draw the correlation r of every unit with every action unit, a dot where the unit detects it.

    Raises ``InputError`` where the study has no evidence on action units.
    """
    work = _with_evidence(run, progress)
    columns = ["unit", "au", "n_with", "n_without", "r", "r_low", "r_high", "r_null", "p", "q"]
    evidence = work.study.evidence
    return Shown(partial(figures.heat_map, evidence, work.recipe.evidence.level), evidence[columns])


def divergence(run: Run, units: Sequence[int] = (), *, top: int = 10, progress: Progress = quiet) -> Shown:
    """Draw khorrami2015's Fig. 5: for each unit, its divergence for every action unit, beside permuted labels.

    ``units`` are numbers, by default the ``top`` that stand first in the report. Raises ``InputError`` where the study
    has no evidence on action units, and for units that are not there.
    """
    work = _with_evidence(run, progress)
    chosen = _chosen(work, units, top)
    shown = work.study.evidence[work.study.evidence["unit"].isin(chosen)]
    columns = ["unit", "au", "n_with", "n_without", "kl", "kl_null", "kl_z"]
    return Shown(partial(figures.divergences, work.study.evidence, chosen), shown[columns].reset_index(drop=True))


def distance(run: Run, *, progress: Progress = quiet) -> Shown:
    """Draw zhu2018's plot for every action unit: the distance of all units, beside permuted labels.

    Raises ``InputError`` where the study has no evidence on action units.
    """
    evidence = _with_evidence(run, progress).study.evidence
    columns = ["au", "unit", "n_with", "n_without", "distance", "distance_sign", "distance_null", "distance_z"]
    return Shown(partial(figures.distances, evidence, sorted(evidence["au"].unique())), evidence[columns])


def doses(run: Run, units: Sequence[int] = (), *, top: int = 10, progress: Progress = quiet) -> Shown:
    """Draw what moves units: their answers to growing doses of every action unit on rendered faces.

    ``units`` are numbers, by default the ``top`` that stand first in the report. Raises ``InputError`` as the study that has
    not stimulated yet does, and for units that are not there.
    """
    work = looking.opened(run, "stimulation", progress)
    chosen = _chosen(work, units, top)
    answers, scale = work.study.doses()
    responses = work.study.interventions
    shown = responses[responses["unit"].isin(chosen)].reset_index(drop=True)
    return Shown(partial(figures.doses, answers, responses, scale, chosen), shown)


def agreement(run: Run, *, progress: Progress = quiet) -> Shown:
    """Draw how far scores can be trusted: how often each names what moves a unit most, by the number of pictures.

    Raises ``InputError`` where the study has not come so far.
    """
    found = looking.opened(run, "agreement", progress).study.agreement
    return Shown(partial(figures.agreements, found), found)


def _with_evidence(run: Run, progress: Progress) -> StudyInProgress:
    work = looking.opened(run, "evidence", progress)
    if work.study.evidence.empty:
        raise InputError(f"{work.study.folder}: {work.study.untested}")
    return work


def _chosen(work: StudyInProgress, units: Sequence[int], top: int) -> list[int]:
    """Units by number, or the ``top`` that stand first in the report."""
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    chosen = looking.numbers(units) or gallery.chosen(work.study.units_folder, top)
    count = int(record.frame(work.study.units_folder / "top.parquet")["unit"].max()) + 1
    refuse_absent(chosen, count, work.recipe.units.layer)
    return chosen
