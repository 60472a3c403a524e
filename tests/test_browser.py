"""The report in a browser: opened from disk, filtered, sorted, read by
keyboard, on a phone, in the dark, in print.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from duchenne.evidence import detections
from duchenne.study.record import Study

from .browser import opened


def listed(page: object) -> list[str]:
    return page.locator("#rows th").all_inner_texts()  # type: ignore[attr-defined,no-any-return]


def test_the_map_is_searched_sorted_and_shown_by_another_score(avatar_study: Study) -> None:
    evidence = avatar_study.evidence
    sure = detections(evidence, avatar_study.recipe.evidence.level)
    code = sure["au"].value_counts().index[0]
    with opened(avatar_study.report.as_uri()) as browser:
        page = browser.page
        page.fill("#search", code)
        page.check("#sure")
        detecting = set(sure.loc[sure["au"] == code, "unit"])
        assert (
            page.inner_text("#count")
            == f"{len(detecting)} of {avatar_study.summary['units']} units"
        )
        page.click(f"[data-order={code}]")
        inorder = evidence[(evidence["au"] == code) & evidence["unit"].isin(detecting)].sort_values(
            "r", ascending=False
        )
        assert listed(page)[:3] == [str(unit) for unit in inorder["unit"].head(3)]
        page.fill("#search", "17")
        page.uncheck("#sure")
        assert listed(page) == ["17"]
        page.fill("#search", "")
        page.select_option("#score", "auroc")
        page.select_option("#order", "unit")
        first = evidence[evidence["unit"] == 0].set_index("au")["auroc"]
        assert (
            page.locator("#rows tr").first.locator("td.v").first.inner_text()
            == f"{first.iloc[0]:.2f}"
        )
        page.locator(".map").evaluate("box => { box.scrollTop = box.scrollHeight }")
        page.wait_for_function("document.querySelectorAll('#rows tr').length > 64")
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


def test_a_units_card_opens_by_keyboard_and_closes_again(avatar_study: Study) -> None:
    with opened(avatar_study.report.as_uri()) as browser:
        page = browser.page
        page.select_option("#order", "unit")
        page.locator("#rows a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        assert page.inner_text("#unit-title") == "Unit 0"
        assert page.evaluate("document.activeElement.id") == "close"
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#unit-title") == "Unit 1"
        assert page.url.endswith("#unit-1")
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#unit-0"
        assert browser.errors == []


def test_method_and_untrained_are_switched_in_place_and_kept_for_the_next_unit(
    avatar_study: Study,
) -> None:
    unit = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)["unit"].iloc[0]
    with opened(f"{avatar_study.report.as_uri()}#unit-{unit}") as browser:
        page, shown = browser.page, "dialog .strip[data-method]:visible"
        assert page.locator(shown).get_attribute("data-method") == avatar_study.recipe.units.method
        page.check("dialog input[value=gradient]")
        page.check("dialog .untrained")
        assert page.locator(shown).count() == 1
        assert page.locator(f"{shown}.of-untrained[data-method=gradient]").count() == 1
        cards = page.locator("main article[data-unit]").evaluate_all(
            "cards => cards.map(card => card.dataset.unit)"
        )
        others = [int(card) for card in cards]
        page.evaluate(f"location.hash = '#unit-{next(other for other in others if other != unit)}'")
        page.wait_for_function(
            f"document.getElementById('unit-title').textContent !== 'Unit {unit}'"
        )
        assert page.locator(f"{shown}.of-untrained[data-method=gradient]").count() == 1


def test_an_action_unit_leads_to_its_units_and_back(avatar_study: Study) -> None:
    sure = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)
    code = sure["au"].iloc[0]
    with opened(f"{avatar_study.report.as_uri()}#{code}") as browser:
        page = browser.page
        page.locator(f"#{code} a[href^='#unit-']").first.click()
        page.wait_for_selector("dialog[open]")
        page.locator(f"dialog a[href='#{code}']").first.click()
        page.wait_for_selector("dialog:not([open])", state="attached")
        assert page.evaluate("document.activeElement.id") == code


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_against_accessibility(avatar_study: Study, scheme: str) -> None:
    unit = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)["unit"].iloc[0]
    with opened(avatar_study.report.as_uri(), scheme=scheme) as browser:
        assert browser.violations() == []
        browser.page.evaluate(f"location.hash = '#unit-{unit}'")
        browser.page.wait_for_selector("dialog[open]")
        assert browser.violations("dialog") == []


def test_on_a_phone_nothing_sticks_out(avatar_study: Study) -> None:
    with opened(avatar_study.report.as_uri(), width=360, height=700) as browser:
        assert browser.page.evaluate("document.documentElement.scrollWidth") == 360


def test_without_its_script_the_page_offers_nothing_that_needs_it(avatar_study: Study) -> None:
    with opened(avatar_study.report.as_uri()) as browser:
        assert browser.page.locator(".tools").is_visible()
        browser.page.evaluate("document.documentElement.classList.remove('script')")
        assert not browser.page.locator(".tools").is_visible()


def test_in_print_every_part_is_there_and_the_tools_are_not(
    avatar_study: Study, tmp_path: Path
) -> None:
    with opened(avatar_study.report.as_uri()) as browser:
        page = browser.page
        page.emulate_media(media="print")
        assert not page.locator(".tools").first.is_visible()
        assert page.locator("#words").is_visible()
        heat_map = page.locator("details .plot").first
        assert not heat_map.is_visible()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert heat_map.is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not heat_map.is_visible()
        page.pdf(path=tmp_path / "report.pdf")
        assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
