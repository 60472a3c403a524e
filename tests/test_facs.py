from __future__ import annotations

import pytest

from duchenne import facs


def test_every_code_of_facs_is_there_once_with_a_name_and_muscles() -> None:
    faces = [n for n in range(1, 47) if n not in (3, 40)]  # FACS never used these two
    heads = [*range(51, 59), *range(61, 65)]
    assert list(facs.ACTION_UNITS) == faces + heads
    for number, unit in facs.ACTION_UNITS.items():
        assert unit.number == number
        assert unit.name
        assert unit.muscles


def test_jaw_drop_and_mouth_stretch_exclude_each_other_and_part_the_lips() -> None:
    assert facs.excluded(26, 27)
    assert all(25 in facs.ACTION_UNITS[n].implies for n in (26, 27))


def test_prototypes_say_what_is_required_and_what_is_optional() -> None:
    (anger,) = facs.prototypes("anger", "investigator")
    assert anger.required == {4, 5, 7, 24}
    assert anger.optional == {17, 23}
    assert anger.matches({4, 5, 7, 24, 17})
    assert not anger.matches({4, 5, 7})


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
