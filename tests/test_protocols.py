from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duchenne.errors import InputError
from duchenne.faces import protocols
from duchenne.faces.table import FaceTable

from .trees import CLASSES, ckplus_sequences

FRAMES = 6


@pytest.fixture(scope="module")
def ckplus() -> FaceTable:
    """The published sequences of six frames each: labels at the last one, AU12
    there and AU01 not.
    """
    rows = []
    for subject, sequence, expression in ckplus_sequences():
        for frame in range(FRAMES):
            row: dict[str, object] = {
                "path": f"{subject}_{sequence}_{frame}.png",
                "subject": subject,
                "frame": frame,
            }
            row |= {"sequence": f"{subject}_{sequence}", "dataset": "ckplus"}
            if frame == FRAMES - 1:
                row |= {
                    "expression": expression,
                    "AU12": True,
                    "AU12_intensity": 3.0,
                    "AU01": False,
                    "AU01_intensity": 0.0,
                }
            rows.append(row)
    return FaceTable(pd.DataFrame(rows), Path())


def counts(table: FaceTable) -> dict[str, int]:
    return {
        str(name): int(count) for name, count in table.frame["expression"].value_counts().items()
    }


def test_zhu2018_takes_every_frame_but_the_first_as_the_expression(ckplus: FaceTable) -> None:
    found = protocols.protocol(ckplus, "zhu2018")
    assert counts(found) == {"neutral": 327} | {
        name: (FRAMES - 1) * count for name, count in CLASSES.items()
    }
    assert set(found.frame.loc[found.frame["expression"] == "neutral", "frame"]) == {0}


def test_mousavi2016_drops_contempt_and_folds_seven_classes_into_three(ckplus: FaceTable) -> None:
    seven = {"neutral": 327} | {
        name: 3 * count for name, count in CLASSES.items() if name != "contempt"
    }
    assert counts(protocols.protocol(ckplus, "mousavi2016-7")) == seven
    three = protocols.protocol(ckplus, "mousavi2016-3")
    assert counts(three) == {
        "positive": seven["happiness"] + seven["surprise"],
        "neutral": seven["neutral"],
        "negative": seven["anger"] + seven["disgust"] + seven["fear"] + seven["sadness"],
    }
    assert three.expressions == ("neutral", "positive", "negative")


@pytest.mark.parametrize("name", ["khorrami2015-8", "zhu2018", "mousavi2016-7"])
def test_frames_share_the_codes_of_the_apex_and_the_neutral_one_shows_nothing(
    name: str, ckplus: FaceTable
) -> None:
    rows = protocols.protocol(ckplus, name).frame
    neutral = rows["expression"] == "neutral"
    assert (rows["AU12"] == ~neutral).all()
    np.testing.assert_array_equal(rows["AU12_intensity"], np.where(neutral, 0, 3))
    assert not rows["AU01"].any()


def test_what_was_not_coded_stays_unknown_on_every_frame() -> None:
    rows = {
        "path": list("abcd"),
        "sequence": "s",
        "frame": range(4),
        "expression": [None, None, None, "fear"],
    }
    frame = pd.DataFrame(
        rows | {"AU12": pd.array([None] * 4, "boolean"), "AU01": [None, None, None, True]}
    )
    found = protocols.protocol(FaceTable(frame, Path()), "khorrami2015-8").frame
    assert found["AU12"].isna().all()
    assert found["AU01"].tolist() == [False, True, True, True]


def test_pictures_of_no_sequence_keep_their_own_label() -> None:
    frame = pd.DataFrame({"path": ["a", "b"], "expression": ["fear", "contempt"]})
    assert counts(protocols.protocol(FaceTable(frame, Path()), "mousavi2016-3")) == {"negative": 1}
    assert counts(protocols.protocol(FaceTable(frame, Path()), "zhu2018")) == {
        "fear": 1,
        "contempt": 1,
    }


def test_a_protocol_that_is_not_there_or_leaves_nothing_is_refused() -> None:
    table = FaceTable(pd.DataFrame({"path": ["a"], "expression": ["contempt"]}), Path())
    with pytest.raises(InputError, match="'ck'"):
        protocols.protocol(table, "ck")
    with pytest.raises(InputError, match="no picture"):
        protocols.protocol(table, "mousavi2016-7")
