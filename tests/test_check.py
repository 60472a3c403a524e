"""The check of a card: planted faults are found, and a right card is left in
peace.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from duchenne.analyses import inspection
from duchenne.errors import InputError
from duchenne.evidence import separation
from duchenne.experiments import check
from duchenne.recipes.schema import Input

from . import dresses
from .test_cli import command

CLASSES = ("anger", "happiness", "sadness", "surprise")
SIZE = 16
MEAN = (0.6, 0.5, 0.3)


class Blobs(nn.Module):
    """Reads where a coloured square lies, and how bright it is, for which its
    input must be what it was made for: RGB in 0 … 1 less ``MEAN``.
    """

    def forward(self, pictures: Tensor) -> Tensor:
        light = pictures + torch.tensor(MEAN)[:, None, None]
        light = torch.sin(light.clamp(-2, 2) * torch.pi / 2)
        red = light[:, 0] - 0.6 * light[:, 2]
        quarters = nn.functional.adaptive_avg_pool2d(red[:, None], 2).flatten(1)
        return 8 * (quarters - quarters.mean(1, keepdim=True))


def faces(seed: int, people: int = 40, each: int = 8) -> check.Faces:
    """Pictures with a red square in the quarter of what is shown, in the
    middle of a wide margin, and noise by person.
    """
    rng = np.random.default_rng(seed)
    wide = 36  # of which 20 pixels are left without margin
    count = people * each
    shown = rng.integers(0, len(CLASSES), count)
    who = np.repeat(np.arange(people), each)
    skin = rng.uniform(0.2, 0.4, (people, 3))[who]
    pictures = np.ones((count, 3, wide, wide), np.float32) * skin[..., None, None]
    for number, class_ in enumerate(shown):
        top, left = 8 + 10 * (class_ // 2), 8 + 10 * (class_ % 2)
        pictures[number, 0, top : top + 10, left : left + 10] += 0.25
    pictures += rng.normal(0, 0.25, pictures.shape)
    return check.Faces(pictures.clip(0, 1).astype(np.float32), shown, who.astype(str))


RIGHT = Input(size=SIZE, colours="rgb", mean=MEAN)


def checked(stated: Input, seed: int = 0, network: nn.Module | None = None) -> check.Checked:
    return check.check(network or Blobs(), stated, CLASSES, faces(seed))


@pytest.mark.parametrize("seed", range(12))
def test_a_right_card_is_left_in_peace(seed: int) -> None:
    found = checked(RIGHT, seed)
    assert not found.tried["surely_better"].any()
    assert found.order is None
    assert found.accuracy == found.tried["accuracy"][0] > 0.5


@pytest.mark.parametrize(
    ("wrong", "better"),
    [
        ({"colours": "bgr"}, 'network.input.colours="rgb"'),
        ({"margin": 0.3}, "network.input.margin=0"),
        ({"range": (0.0, 255.0)}, "ImageNet's network.input.mean and std"),
    ],
)
def test_a_planted_fault_is_found(wrong: dict[str, object], better: str) -> None:
    found = checked(RIGHT.model_copy(update=wrong))
    sure = found.tried[found.tried["surely_better"]]
    assert better in set(sure["change"])
    assert found.order is None


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))][1:])
def test_any_other_order_of_classes_is_found(order: tuple[int, ...]) -> None:
    stated = tuple(CLASSES[place] for place in order)
    few = faces(3)
    shown = np.array([stated.index(CLASSES[class_]) for class_ in few.shown])
    found = check.check(Blobs(), RIGHT, stated, check.Faces(few.pictures, shown, few.people))
    assert found.order == CLASSES
    assert found.accuracy > found.tried["accuracy"][0]


def test_an_order_and_an_input_are_found_together() -> None:
    few = faces(4)
    stated = CLASSES[::-1]
    turned = check.Faces(few.pictures, len(CLASSES) - 1 - few.shown, few.people)
    found = check.check(Blobs(), RIGHT.model_copy(update={"colours": "bgr"}), stated, turned)
    sure = found.tried[found.tried["surely_better"]]
    assert 'network.input.colours="rgb"' in set(sure["change"])
    assert found.order == CLASSES


# the arithmetic


def test_separation_knows_neither_scale_nor_bias() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(60, 5))
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    found = separation.standardised(logits)
    by_hand = (logits - logits.mean(0)) / logits.std(0)
    np.testing.assert_allclose(found, by_hand)
    constant = separation.standardised(np.zeros((4, 3)))
    assert (constant == 0).all()


def test_the_best_order_is_that_of_the_largest_sum_over_all_orders() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores = rng.normal(size=(40, 4))
        shown = rng.integers(0, 4, 40)
        means = np.array([scores[shown == class_].mean(0) for class_ in range(4)])
        best = max(
            itertools.permutations(range(4)),
            key=lambda order: sum(means[class_, output] for class_, output in enumerate(order)),
        )
        assert separation.best_order(scores, shown).tolist() == list(best)


def test_p_is_that_of_a_paired_t_over_people() -> None:
    from scipy import stats

    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(9), 4)
    one, other = rng.normal(size=(2, 36))
    means = pd.DataFrame({"one": one, "other": other}).groupby(people).mean()
    wanted = stats.ttest_rel(means["other"], means["one"], alternative="greater").pvalue
    assert separation.p_better(one, other, people) == pytest.approx(wanted)
    assert separation.p_better(one, one, people) == 1


def test_a_better_order_is_declared_by_chance_no_more_often_than_said() -> None:
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(20), 6)
    alarms = 0
    for _ in range(400):
        scores = separation.standardised(rng.normal(size=(120, 5)))
        shown = rng.integers(0, 5, 120)
        alarms += separation.other_order(scores, shown, people) is not None
    assert alarms <= 12  # of 400 at 1 %, 99.9 % of the time


def test_classes_that_are_in_order_are_left_there_beside_two_that_are_exchanged() -> None:
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(40), 7)
    shown = np.tile(np.arange(7), 40)
    moved = 0
    for _ in range(150):
        logits = rng.normal(size=(280, 7))  # tells five classes apart by nothing
        for class_, output in ((0, 1), (1, 0)):
            logits[shown == class_, output] += 3
        order, p = separation.other_order(separation.standardised(logits), shown, people)
        assert order[:2].tolist() == [1, 0]
        assert p < 1e-6
        moved += (order[2:] != np.arange(2, 7)).any()
    assert moved <= 8  # at 1 %, 99.9 % of the time


def test_narrower_faces_are_the_middle_of_wide_ones() -> None:
    wide = np.zeros((1, 1, 36, 36), np.float32)
    wide[:, :, 8:28, 8:28] = 1  # 36 = 20 · (1 + 2 · 0.4)
    some = check.Faces(wide, np.array([0]), np.array(["a"]))
    (cut,) = some.cut(0.0, 10)
    assert (cut == 1).all()
    (whole,) = some.cut(check.WIDE, 36)
    assert torch.equal(whole, torch.from_numpy(wide))
    wider = check.Faces(wide, np.array([0]), np.array(["a"]), 0.6)
    (own,) = wider.cut(0.6, 36)
    assert torch.equal(own, torch.from_numpy(wide))
    (narrow,) = wider.cut(0.0, 16)
    assert torch.equal(narrow, torch.from_numpy(wide[:, :, 10:26, 10:26]))


def test_margins_are_tried_as_far_as_faces_show_them() -> None:
    few = faces(0)
    bare = check.Faces(few.pictures, few.shown, few.people, RIGHT.margin)
    found = check.check(Blobs(), RIGHT, CLASSES, bare)
    assert not found.tried["change"].str.contains("margin").any()
    assert check.check(Blobs(), RIGHT, CLASSES, few).tried["change"].str.contains("margin").any()


def test_what_is_advised_is_what_was_tried() -> None:
    stated = Input(size=SIZE, colours="bgr", mean=MEAN)
    listed = {change.says: change.input for change in check.changes(stated)}
    plain = listed["network.input.range=[0, 1] without mean and std"]
    assert (plain.range, plain.mean, plain.std) == ((0, 1), (), ())
    assert listed["ImageNet's network.input.mean and std"].mean == (0.406, 0.456, 0.485)


def test_colours_are_tried_as_grey_too() -> None:
    stated = Input(size=SIZE, colours="grey3", mean=MEAN)
    assert stated.channels == 3
    wanted = ['network.input.colours="bgr"', 'network.input.colours="grey3"']
    assert [change.says for change in check.changes(RIGHT)][:2] == wanted
    found = checked(stated)
    better = found.tried.set_index("change")["surely_better"]
    assert better['network.input.colours="rgb"']


def test_a_network_is_left_as_it_was_found() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    kernel = network[0].weight.data_ptr()
    network.append(nn.Linear(8, len(CLASSES)))
    checked(RIGHT, network=network.eval())
    assert network[0].weight.data_ptr() == kernel
    assert network[0].weight.is_contiguous()


def test_faces_that_are_read_bit_by_bit_are_read_as_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages = check._STAGES
    assert stages[0][0] < len(faces(0)) / 1.5
    monkeypatch.setattr(check, "_STAGES", ((40, np.inf), (100, np.inf)))
    bit_by_bit = checked(RIGHT).tried
    monkeypatch.setattr(check, "_STAGES", ())
    at_once = checked(RIGHT).tried
    assert (bit_by_bit["pictures"] == len(faces(0))).all()
    pd.testing.assert_frame_equal(bit_by_bit, at_once)


def test_options_that_say_nothing_are_refused(tmp_path: Path) -> None:
    for options, message in (
        (("--check", "--resume"), "--out, --resume: --check writes no study"),
        (("--layers", "--out", "runs"), "--out, --resume: --layers writes no study"),
        (("--layers", "--data", "folder:x"), "--data: --layers shows the network no photographs"),
    ):
        code, _, told = command("audit", "card.toml", *options)
        assert code == 2
        assert message in told


# the command


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_PEOPLE", 6)


def test_the_check_says_what_a_network_gives_and_writes_nothing(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dresses.write(tmp_path)
    card = dresses.card(tmp_path, "small_network.py:Plain", 'weights = "weights.safetensors"')
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = command("audit", str(card), "--check")
    assert code == 0
    assert "takes 32 × 32 grey, gives logits of 7 classes; layer relu2 (24 units)" in out
    assert "as the card says" in out
    assert "avatars: " in out.splitlines()[-1]
    assert [
        path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(path)
    ] == before


def test_layers_are_listed_with_their_units(tmp_path: Path) -> None:
    dresses.write(tmp_path)
    card = dresses.card(tmp_path, "small_network.py:Plain", 'weights = "weights.safetensors"')
    code, out, _ = command("audit", str(card), "--layers")
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines()[1:] if line.strip()}
    assert rows["conv1"][1:6] == ["Conv2d", "16", "maps", "32", "×"]
    assert rows["relu2"][-1] == "auto"
    assert rows["output"][1:4] == ["Linear", "7", "neurons"]


def test_photographs_are_tried_beside_avatars(tmp_path: Path, few: None, drawings: object) -> None:
    dresses.write(tmp_path)
    card = dresses.card(tmp_path, "small_network.py:Plain", 'weights = "weights.safetensors"')
    source = f"folder:{drawings.root}"  # type: ignore[attr-defined]
    found = inspection.inspect(str(card), data=source)
    assert list(found.checked) == ["avatars", source]
    assert all(source in line for line in found.verdicts[1:])


def test_a_network_of_one_class_cannot_be_checked(tmp_path: Path) -> None:
    dresses.write(tmp_path)
    card = dresses.card(
        tmp_path,
        "small_network.py:Plain",
        'weights = "weights.safetensors"',
        "values = { a = 1, b = 2, c = 3, d = 4, e = 5, f = 6 }",
        classes=("happy",),
    )
    with pytest.raises(InputError, match="two classes or more"):
        inspection.inspect(str(card))
