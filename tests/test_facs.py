from __future__ import annotations

import pytest

from duchenne import facs


def test_every_code_of_facs_is_there_once_with_a_name_and_muscles() -> None:
    faces = [n for n in range(1, 47) if n != 3]
    heads = [*range(51, 59), *range(61, 65)]
    assert list(facs.ACTION_UNITS) == faces + heads
    for number, unit in facs.ACTION_UNITS.items():
        assert unit.number == number
        assert unit.name
        # of which FACS names no muscle
        assert unit.muscles or unit.name == "Sniff"


def test_jaw_drop_and_mouth_stretch_exclude_each_other_and_part_the_lips() -> None:
    assert facs.excluded(26, 27)
    assert all(25 in facs.ACTION_UNITS[n].implies for n in (26, 27))


def test_prototypes_say_what_is_required_and_what_is_optional() -> None:
    (anger,) = facs.prototypes("anger", "emfacs")
    assert anger.required == {4, 5, 7, 23}
    assert anger.optional == {17}
    assert anger.matches({4, 5, 7, 23, 17})
    assert not anger.matches({4, 5, 7})


@pytest.mark.parametrize(
    ("expression", "shown", "fits"),
    [
        ("anger", {23: 3, 24: 3}, True),
        ("anger", {23: 3}, False),
        ("disgust", {9: 1}, True),
        ("disgust", {10: 5}, True),
        ("disgust", {4: 5}, False),
        ("fear", {1: 3, 2: 3, 4: 2}, True),
        ("fear", {1: 3, 2: 3, 5: 5}, True),
        ("fear", {1: 3, 2: 3, 5: 4}, False),
        ("happiness", {12: 1}, True),
        ("happiness", {6: 5}, False),
        ("sadness", {1: 2, 4: 2, 15: 2}, True),
        ("sadness", {11: 1}, True),
        ("sadness", {6: 2, 15: 2}, True),
        ("sadness", {1: 5, 4: 5}, False),
        ("surprise", {1: 3, 2: 3}, True),
        ("surprise", {5: 2}, True),
        ("surprise", {1: 3, 2: 3, 5: 2}, True),
        ("surprise", {1: 3, 2: 3, 5: 3}, False),
        ("surprise", {5: 4}, False),
        ("contempt", {14: 2}, True),
        ("contempt", {12: 2}, False),
    ],
)
def test_the_criteria_of_ckplus_are_those_of_its_table(
    expression: str, shown: dict[int, int], fits: bool
) -> None:
    """Lucey et al. 2010, Table 1."""
    assert (
        any(prototype.matches(shown, shown) for prototype in facs.prototypes(expression, "ckplus"))
        == fits
    )


def test_every_prototype_can_be_shown_at_once() -> None:
    for prototype in facs.PROTOTYPES:
        every = prototype.required | prototype.optional
        assert not any(facs.excluded(one, other) for one in every for other in every)
    assert not facs.excluded(7, 43)  # tightened and closed: 7+43E


def test_every_expression_but_neutral_has_a_prototype_that_can_be_rendered() -> None:
    for expression in facs.EXPRESSIONS[1:]:
        assert any(set(p.required) & set(facs.rendered()) for p in facs.prototypes(expression))
    assert facs.prototypes("neutral") == ()


def test_every_prototype_cites_a_source_and_names_known_action_units() -> None:
    for prototype in facs.PROTOTYPES:
        assert prototype.source in facs.SOURCES
        assert prototype.required | prototype.optional <= set(facs.ACTION_UNITS)


@pytest.mark.parametrize(("expression", "source"), [("joy", None), ("fear", "nobody")])
def test_unknown_expressions_and_sources_are_refused(expression: str, source: str | None) -> None:
    with pytest.raises(KeyError, match=f"{source or expression}"):
        facs.prototypes(expression, source)
