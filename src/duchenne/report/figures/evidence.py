"""Which unit detects which action unit, and whether it is true: the papers'
plots, and those of interventions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from duchenne.errors import InputError
from duchenne.experiments.twins import NEUTRAL
from duchenne.report import class_tables, gallery, tables
from duchenne.report.figures import plots, source
from duchenne.report.figures.projections import refuse_absent
from duchenne.report.figures.registry import figure
from duchenne.report.figures.shown import Shown
from duchenne.study.workspace import Workspace


@figure("evidence")
def evidence_map(work: Workspace) -> Shown:
    """Draw the correlation r of every unit with every action unit, a dot where
    the unit detects it.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a pair: its pictures, r with its interval and
        null, p and q.

    Raises:
        InputError: Where the study has no evidence on action units.
    """
    _refuse_without_evidence(work)
    columns = [
        "unit",
        "au",
        "n_with",
        "n_without",
        "r",
        "r_low",
        "r_high",
        "r_null",
        "p",
        "q",
    ]
    evidence = work.study.evidence
    return Shown(
        partial(plots.heat_map, evidence, work.recipe.evidence.level),
        evidence[columns],
    )


@figure("evidence")
def divergence(
    work: Workspace, units: Sequence[int] = (), *, top: int = 10
) -> Shown:
    """Draw khorrami2015's Fig. 5: for each unit, its divergence for every
    action unit, beside permuted labels.

    Args:
        work: A study, or its folder.
        units: Numbers, as in 3,17; by default those that stand first in the
            report.
        top: How many of those.

    Returns:
        The figure, and a row a pair: divergence, its null, and how far it lies
        above.

    Raises:
        InputError: Where the study has no evidence on action units, and for
            units that are not there.
    """
    _refuse_without_evidence(work)
    chosen = _chosen(work, units, top)
    shown = work.study.evidence[work.study.evidence["unit"].isin(chosen)]
    columns = ["unit", "au", "n_with", "n_without", "kl", "kl_null", "kl_z"]
    return Shown(
        partial(plots.divergences, work.study.evidence, chosen),
        shown[columns].reset_index(drop=True),
    )


@figure("evidence")
def distance(work: Workspace) -> Shown:
    """Draw zhu2018's plot for every action unit: the distance of all units,
    beside permuted labels.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a pair: distance, its null, and how far it lies
        above.

    Raises:
        InputError: Where the study has no evidence on action units.
    """
    _refuse_without_evidence(work)
    evidence = work.study.evidence
    columns = [
        "au",
        "unit",
        "n_with",
        "n_without",
        "distance",
        "distance_sign",
        "distance_null",
        "distance_z",
    ]
    return Shown(
        partial(plots.distances, evidence, sorted(evidence["au"].unique())),
        evidence[columns],
    )


@figure("stimulation")
def reactions(work: Workspace) -> Shown:
    """Draw what makes the network say each class: the change of its log-odds
    by every action unit, each alone, outlined where a prototype holds it.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a pair: the change of probability and of
        log-odds, with their intervals.

    Raises:
        InputError: Where the network has no classes.
    """
    tables.refuse_without_classes(work.study)
    found = work.study.reactions
    held = class_tables.prototypes(work.study)
    return Shown(partial(plots.reactions, found, held), found)


@figure("values")
def values(work: Workspace) -> Shown:
    """Draw what moves the values that a network gives, as valence or the
    outputs of an action-unit detector: each action unit alone, outlined where
    the value is named after it.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a value and action unit.

    Raises:
        InputError: Where the network gives no values.
    """
    found = work.study.values
    if found.empty:
        raise InputError(
            f"{work.study.folder}: its network gives no values beside classes"
        )
    return Shown(partial(plots.values, found), found)


@figure("people")
def people(work: Workspace) -> Shown:
    """Draw whom the network reads worse: rendered people beside twins who
    differ in one trait alone.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a trait and measure.

    Raises:
        InputError: Where no twins were rendered.
    """
    tables.refuse_without_classes(work.study)
    found = work.study.people_compared
    twins = found[found["design"] == "twins"] if len(found) else found
    if twins.empty:
        raise InputError(
            f"{work.study.folder}: no twins were rendered; 'duchenne people {work.study.folder} "
            "--set people.twins=24' does"
        )
    draw = partial(plots.twins, twins, class_tables.TRAITS, NEUTRAL)
    return Shown(draw, twins)


@figure("stimulation")
def doses(
    work: Workspace, units: Sequence[int] = (), *, top: int = 10
) -> Shown:
    """Draw what moves units: their activation at growing doses of every action
    unit on rendered faces.

    Args:
        work: A study, or its folder.
        units: Numbers, as in 3,17; by default those that stand first in the
            report.
        top: How many of those.

    Returns:
        The figure, and a row a unit and action unit: its dose and response.

    Raises:
        InputError: For units that are not there.
    """
    chosen = _chosen(work, units, top)
    answers, scale = work.study.doses()
    responses = work.study.interventions
    shown = responses[responses["unit"].isin(chosen)].reset_index(drop=True)
    return Shown(
        partial(plots.doses, answers, responses, scale, chosen), shown
    )


@figure("validity")
def validity(work: Workspace) -> Shown:
    """Draw how far scores can be trusted: how often each names what moves a
    unit most, by the number of pictures.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a score, network, set of faces and number of
        people.
    """
    found = work.study.validity
    return Shown(partial(plots.validities, found), found)


def _refuse_without_evidence(work: Workspace) -> None:
    if work.study.evidence.empty:
        raise InputError(f"{work.study.folder}: {work.study.untested}")


def _chosen(work: Workspace, units: Sequence[int], top: int) -> list[int]:
    """Units by number, or the ``top`` that stand first in the report."""
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    chosen = source.numbers(units) or gallery.chosen(
        work.study.units_folder, top
    )
    count = int(work.study.top["unit"].max()) + 1
    refuse_absent(chosen, count, work.recipe.units.layer)
    return chosen
