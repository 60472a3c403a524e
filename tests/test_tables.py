"""The numbers of every table, against loops over the study's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from duchenne.report import printed_tables, tables
from duchenne.study.record import Study


def read(study: Study, name: str) -> list[dict[str, Any]]:
    """The rows of a file of the study, or of its layer's folder."""
    path = study.folder / name
    if not path.exists():
        path = study.units_folder / name
    return pd.read_parquet(path).to_dict("records")


def detects(row: dict[str, Any], level: float) -> bool:
    return row["p"] <= level and row["r"] > 0 and row["r"] > row["r_null"]


def surest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the pairs of one action unit the surest in which the unit answers
    more, the first of equals.
    """
    best = None
    for row in rows:
        more = row["r"] > 0 and row["r"] > row["r_null"]
        key = (not more, row["p"], -row["r"])
        if best is None or key < best[0]:
            best = (key, row)
    assert best is not None
    return best[1]


def by_action_unit(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["au"], []).append(row)
    return found


def test_the_table_of_evidence_holds_the_surest_unit_of_each_action_unit(
    avatar_study: Study,
) -> None:
    table = tables.matched(avatar_study).set_index("action unit")
    pairs = by_action_unit(read(avatar_study, "evidence.parquet"))
    untrained = by_action_unit(read(avatar_study, "untrained/evidence.parquet"))
    level = avatar_study.recipe.evidence.level
    assert list(table.index) == sorted(pairs)
    for au, rows in pairs.items():
        told = table.loc[au]
        best = surest(rows)
        assert told["unit"] == best["unit"]
        assert told["detectors"] == sum(detects(row, level) for row in rows)
        assert told["pictures"] == best["n_with"]
        for column, key in (
            ("r", "r"),
            ("r low", "r_low"),
            ("r high", "r_high"),
            ("r within", "r_within"),
            ("AP lift", "ap_lift"),
            ("KL z", "kl_z"),
            ("p", "p"),
            ("q", "q"),
        ):
            assert told[column] == pytest.approx(best[key], nan_ok=True)
        largest = max(rows, key=lambda row: row["kl"])
        assert told["unit by KL"] == largest["unit"]
        farthest = max(rows, key=lambda row: row["distance"])
        assert told["unit by distance"] == farthest["unit"]
        assert told["r untrained"] == max(row["r"] for row in untrained[au])


def test_the_table_of_stimulation_holds_what_moves_units_most(avatar_study: Study) -> None:
    table = tables.stimulated(avatar_study).set_index("action unit")
    rows = read(avatar_study, "interventions.parquet")
    most: dict[int, dict[str, Any]] = {}
    for row in rows:
        held = most.setdefault(row["unit"], row)
        if abs(row["effect"]) > abs(held["effect"]):
            most[row["unit"]] = row
    reactions = by_action_unit(read(avatar_study, "reactions.parquet"))
    for au, own in by_action_unit(rows).items():
        told = table.loc[au]
        moved = [row for row in most.values() if row["au"] == au and abs(row["effect"]) >= 0.5]
        assert told["units moved most"] == len(moved)
        farthest = max(own, key=lambda row: abs(row["effect"]))
        assert told["unit"] == farthest["unit"]
        assert told["slope"] == farthest["slope"]
        assert (told["slope low"], told["slope high"]) == (farthest["low"], farthest["high"])
        raised = max(reactions[au], key=lambda row: row["change"])
        assert told["expression"] == raised["expression"]
        assert told["change"] == raised["change"]


def test_the_table_of_localisation_holds_where_the_surest_unit_looks(avatar_study: Study) -> None:
    table = tables.located(avatar_study).set_index("action unit")
    places = by_action_unit(read(avatar_study, "localisation.parquet"))
    untrained = by_action_unit(read(avatar_study, "untrained/localisation.parquet"))
    pairs = by_action_unit(read(avatar_study, "evidence.parquet"))
    assert set(table.index) == set(pairs) & set(places)
    for au, told in table.iterrows():
        unit = surest(pairs[au])["unit"]
        (place,) = [row for row in places[au] if row["unit"] == unit]
        assert told["unit"] == unit
        assert told["energy"] == pytest.approx(place["energy"], nan_ok=True)
        assert told["energy displaced"] == pytest.approx(place["energy_null"], nan_ok=True)
        assert told["p"] == pytest.approx(place["p"], nan_ok=True)
        assert told["units there"] == sum(row["p"] <= 0.05 for row in places[au])
        assert told["untrained"] == sum(row["p"] <= 0.05 for row in untrained[au])
        assert told["p untrained"] == pytest.approx(
            np.nanmedian([row["p"] for row in untrained[au]]), nan_ok=True
        )


def test_the_table_of_ablation_holds_the_unit_that_each_expression_needs_most(
    avatar_study: Study,
) -> None:
    table = tables.ablated(avatar_study)
    rows = read(avatar_study, "ablations.parquet")
    alone = [row for row in rows if row["what"] == "unit"]
    for expression in {row["expression"] for row in alone}:
        own = [row for row in alone if row["expression"] == expression]
        needed = min(own, key=lambda row: np.nan_to_num(row["logit_beyond"], nan=0.0))
        told = table[
            (table["expression"] == expression) & table["ablated"].str.startswith("unit")
        ].iloc[0]
        assert told["ablated"] == f"unit {needed['unit']}"
        assert told["recall"] == pytest.approx(needed["recall"])
        assert told["log-odds beyond random"] == pytest.approx(needed["logit_beyond"], nan_ok=True)
    together = table[table["ablated"].str.startswith("AU")]
    assert len(together)
    for _, told in together.iterrows():
        (row,) = [
            row
            for row in rows
            if row["what"] == "detectors"
            and row["au"] == told["ablated"]
            and row["expression"] == told["expression"]
        ]
        assert told["recall change"] == pytest.approx(row["recall_change"])
        assert told["in its prototype"] == ("yes" if row["prototype"] else "no")


def test_the_smallest_p_of_ablation_says_among_how_many_controls_it_is_the_smallest(
    avatar_study: Study,
) -> None:
    units = len({row["unit"] for row in read(avatar_study, "interventions.parquet")})
    random_sets = avatar_study.recipe.ablation.random_sets
    numbers = tables.ablated(avatar_study)
    texts = printed_tables.condensed(avatar_study, "ablation")
    floored = 0
    for ablated, p, text in zip(numbers["ablated"], numbers["p"], texts["p"], strict=True):
        controls = units - 1 if ablated.startswith("unit ") else random_sets
        if np.isclose(p, 1 / (controls + 1)):
            floored += 1
            assert text.startswith("≤ ")
            assert text.endswith(f" (of {controls})")
        else:
            assert "≤" not in text
    assert floored


def test_the_table_of_detectors_sets_one_unit_few_and_all_side_by_side(avatar_study: Study) -> None:
    table = tables.detected(avatar_study).set_index("action unit")
    rows = by_action_unit(read(avatar_study, "detectors.parquet"))
    untrained = by_action_unit(read(avatar_study, "untrained/detectors.parquet"))
    assert set(table.index) == set(rows)
    for au, own in rows.items():
        told = table.loc[au]
        by_name = {row["detector"]: row for row in own}
        assert told["unit"] == by_name["best unit"]["unit"]
        assert told["AP"] == by_name["best unit"]["ap"]
        assert told["F1"] == by_name["best unit"]["f1"]
        assert told["in best unit"] == pytest.approx(by_name["best unit"]["share"], nan_ok=True)
        assert told["AP of few"] == by_name["best few"]["ap"]
        assert told["AP of all"] == by_name["all units"]["ap"]
        control = {row["detector"]: row for row in untrained.get(au, [])}
        if control:
            assert told["AP of all, untrained"] == control["all units"]["ap"]


def test_the_table_of_validity_is_that_of_all_people(avatar_study: Study) -> None:
    table = tables.trusted(avatar_study).set_index("score")
    rows = read(avatar_study, "validity.parquet")
    for name, (network, faces) in {
        "study": ("trained", "study"),
        "free": ("trained", "free"),
        "untrained, free": ("untrained", "free"),
    }.items():
        own = [row for row in rows if (row["network"], row["faces"]) == (network, faces)]
        everybody = max(row["people"] for row in own)
        whole = [row for row in own if row["people"] == everybody]
        for row in whole:
            told = table.loc[row["score"]]
            assert told[name] == pytest.approx(row["validity"], nan_ok=True)
            assert told[f"{name} chance"] == pytest.approx(row["chance"], nan_ok=True)


@pytest.mark.parametrize("stage", sorted(set(tables.TABLES) - {"values"}))
def test_a_table_is_written_as_numbers_and_as_they_are_printed(
    avatar_study: Study, stage: str
) -> None:
    """What LaTeX prints is each number of the csv, to two digits."""
    path: Path = printed_tables.write(avatar_study, stage)
    kept = pd.read_csv(path.with_suffix(".csv"))
    lines = [
        line.removesuffix(" \\\\").split(" & ")
        for line in path.read_text().splitlines()
        if line.endswith("\\\\")
    ]
    assert len(lines) == 1 + len(kept)
    for printed, (_, row) in zip(lines[1:], kept.iterrows(), strict=True):
        assert len(printed) == len(row)
        for text, value in zip(printed, row, strict=True):
            if not isinstance(value, float):
                assert text.strip().replace("\\_", "_") == str(value)
            elif np.isfinite(value) and value != round(value):
                digits = 0.005 if abs(value) >= 0.005 else 0.00051
                assert float(text) == pytest.approx(value, abs=digits)
