from __future__ import annotations

from pathlib import Path

import pytest

from duchenne import recipes
from duchenne.errors import InputError
from duchenne.recipes.schema import Input


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_valid_and_says_what_it_stands_beside(name: str) -> None:
    recipe = recipes.read(name)
    assert recipe.name == name
    assert recipe.about
    assert recipe.paper.table


def test_khorrami2015_is_the_papers_experiment() -> None:
    recipe = recipes.read("khorrami2015")
    training = recipe.training
    assert (training.batch, training.rate, training.momentum, training.decay) == (
        64,
        0.01,
        0.9,
        1e-5,
    )
    assert (training.optimiser, training.schedule, training.augment) == (
        "sgd",
        "constant",
        "khorrami2015",
    )
    assert (recipe.folds.rule, recipe.folds.count, recipe.folds.run) == ("khorrami2015", 10, ())
    assert (recipe.paper.accuracy, recipe.paper.spread) == (96.4, 3.1)
    assert training.epochs * (1046 // 64) == pytest.approx(31_000, rel=0.02)


@pytest.mark.parametrize(
    ("name", "accuracy", "spread", "dropout", "augment"),
    [
        ("khorrami2015-plain", 81.8, 4.8, 0.0, "off"),
        ("khorrami2015-d", 85.6, 4.6, None, "off"),
        ("khorrami2015-a", 96.3, 2.8, 0.0, "khorrami2015"),
        ("khorrami2015-six", 98.3, 1.6, None, "khorrami2015"),
        ("khorrami2015-tfd-plain", 79.4, 1.2, 0.0, "off"),
        ("khorrami2015-tfd-d", 82.9, 2.0, None, "off"),
        ("khorrami2015-tfd-a", 89.4, 1.3, 0.0, "khorrami2015"),
        ("khorrami2015-tfd", 89.8, 1.8, None, "khorrami2015"),
    ],
)
def test_every_row_of_khorrami2015s_tables_differs_by_what_it_is_named_after(
    name: str, accuracy: float, spread: float, dropout: float | None, augment: str
) -> None:
    base, recipe = recipes.read("khorrami2015"), recipes.read(name)
    assert (recipe.paper.accuracy, recipe.paper.spread) == (accuracy, spread)
    assert (recipe.network.options.get("dropout"), recipe.training.augment) == (dropout, augment)
    assert (recipe.training.rate, recipe.training.batch, recipe.network.prepare) == (
        0.01,
        64,
        base.network.prepare,
    )
    assert recipe.folds.rule == ("official" if "tfd" in name else "khorrami2015")
    expected = (
        "khorrami2015-7"
        if "tfd" in name
        else "khorrami2015-6"
        if "six" in name
        else "khorrami2015-8"
    )
    assert recipe.faces.protocol == expected
    if "tfd" not in name:
        assert recipe.folds == base.folds


def test_zhu2018_leaks_and_its_honest_untrained_does_not() -> None:
    paper, honest = recipes.read("zhu2018"), recipes.read("zhu2018-honest")
    assert (paper.folds.rule, honest.folds.rule) == ("random-200", "people-200")
    assert paper.training == honest.training
    assert (paper.training.rate, paper.training.decay, paper.training.batch) == (0.001, 1e-4, 64)


@pytest.mark.parametrize(
    ("name", "mean", "best"),
    [
        ("cnn", 85.1, 87.0),
        ("lipnet", 62.4, 75.0),
        ("cnn-jaffe", 47.3, 49.0),
        ("lipnet-jaffe", 37.4, 61.0),
    ],
)
def test_every_row_of_mousavi2016s_table_is_fifty_attempts(
    name: str, mean: float, best: float
) -> None:
    recipe = recipes.read(f"mousavi2016-{name}")
    assert (recipe.paper.accuracy, recipe.paper.best, recipe.training.attempts) == (mean, best, 50)
    assert recipe.faces.protocol == "mousavi2016-3"
    assert (recipe.network.name, recipe.faces.size) == (
        ("sparse", 128) if "cnn" in name else ("lipnet", 100)
    )
    assert recipe.folds.rule == ("other-set" if "jaffe" in name else "khorrami2015")
    assert recipe.paper.faces == (("ckplus", "jaffe") if "jaffe" in name else ("ckplus",))


@pytest.mark.parametrize("name", recipes.names())
def test_what_has_a_published_figure_names_its_faces(name: str) -> None:
    recipe = recipes.read(name)
    ours = "orientation only" in recipe.paper.table or recipe.network.name == "autoencoder"
    assert bool(recipe.paper.faces) != ours


def test_single_keys_can_be_set_with_the_type_that_they_have() -> None:
    changes = [
        "training.rate=0.02",
        "units.layer=conv2",
        "folds.run=[1, 3]",
        "network.options.dropout=0.1",
        "seed=4",
    ]
    recipe = recipes.read("quick", changes)
    assert recipe.training.rate == 0.02
    assert recipe.units.layer == "conv2"
    assert recipe.folds.run == (1, 3)
    assert recipe.network.options["dropout"] == 0.1
    assert recipe.seed == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epoch=2", "'training.epoch' is not known; the nearest is 'training.epochs'"),
        ("trainin.epochs=2", "'trainin' is not known"),
        ("training.epochs=many", "'training.epochs': 'many'"),
        ("training.epochs=0", "'training.epochs': 0"),
        ("training.augment=wild", "'training.augment': 'wild'.*khorrami2015"),
        ("folds.rule=mine", "'folds.rule': 'mine'"),
        ("network.name=resnet", "'network.name': 'resnet'.*zero_bias"),
        ("network.prepare=[magic]", "'network.prepare': "),
        ('network.prepare=["scale", "magic"]', "'network.prepare': 'magic'.*local_mean"),
        ("training.rate=inf", "'training.rate': inf"),
        ("faces.crop=ears", "'faces.crop': 'ears'"),
        ("faces.avatars.protocol=danced", "'faces.avatars.protocol': 'danced'.*posed"),
        ("training", "expected key=value"),
        ("seed.x=1", "'seed' is a value"),
    ],
)
def test_unknown_keys_and_values_are_refused_with_what_was_meant(change: str, message: str) -> None:
    told = ["seed=0", change]
    with pytest.raises(InputError, match=message) as caught:
        recipes.read("quick", told)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'fast'.*khorrami2015, .*photographs, quick"):
        recipes.read("fast")
    with pytest.raises(InputError, match="'zhu2081' is not known; the nearest is 'zhu2018'"):
        recipes.read("zhu2081")


def test_a_recipe_of_ones_own_extends_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'extends = "khorrami2015"\nabout = "fewer"\n'
        "training.epochs = 3\nnetwork.options.gain = 2.0\n"
    )
    (tmp_path / "next.toml").write_text(
        'extends = "mine.toml"\ntraining.batch = 8\n[paper]\naccuracy = 1.0\n'
    )
    base, mine, after = (
        recipes.read(str(name)) for name in ("khorrami2015", file, tmp_path / "next.toml")
    )
    assert (mine.name, mine.about, mine.training.epochs, mine.training.batch) == (
        "mine",
        "fewer",
        3,
        base.training.batch,
    )
    assert mine.network.options == base.network.options | {"gain": 2.0}
    assert (mine.paper.table, mine.paper.accuracy, mine.paper.faces) == ("", None, base.paper.faces)
    assert (
        after.training.epochs,
        after.training.batch,
        after.paper.accuracy,
        after.paper.table,
    ) == (3, 8, 1.0, "")


def test_another_networks_options_are_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "quick"\nnetwork.name = "pyranet"\n')
    mine = recipes.read(str(tmp_path / "mine.toml"))
    assert mine.network.options == {}
    plain = recipes.changed(recipes.read("quick"), ["network.name=pyranet", "network.options={}"])
    assert recipes.read("quick", recipes.differences(plain)) == plain


def test_recipes_of_one_name_in_two_folders_are_not_a_circle(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "mine.toml").write_text('extends = "lab/next.toml"')
    (tmp_path / "lab" / "next.toml").write_text('extends = "mine.toml"')
    (tmp_path / "lab" / "mine.toml").write_text('extends = "quick"\nseed = 7')
    assert recipes.read(str(tmp_path / "mine.toml")).seed == 7


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("extends = ", r"recipe .*mine\.toml: "),
        ('extends = "mine.toml"', r"'mine\.toml': extends itself"),
        ("extends = 3", "extends 3, which is not the name"),
        ('extends = "quack"', "'quack' is not known; the nearest is 'quick'"),
        ('extends = "gone.toml"', r"recipe .*gone\.toml: No such file"),
        ("training.epoch = 3", "nearest is 'training.epochs'"),
        ("training = 3", "'training': 3: it is a group of keys, not a value; there are .*epochs"),
        ("[network.inputs]\nsize = 3", "the nearest is 'network.input'"),
    ],
)
def test_a_recipe_of_ones_own_that_is_wrong_is_refused_in_one_line(
    told: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(told)
    with pytest.raises(InputError, match=message) as caught:
        recipes.read(str(tmp_path / "mine.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", recipes.names())
def test_what_is_described_of_a_recipe_is_that_recipe_in_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "again.toml").write_text(
        "\n".join(recipes.described(recipes.read(name))), encoding="utf-8"
    )
    again = recipes.read(str(tmp_path / "again.toml"))
    assert (again.name, again.model_copy(update={"name": name})) == ("again", recipes.read(name))


def test_what_is_described_of_a_recipe_says_what_keys_mean_and_can_be() -> None:
    told = recipes.described(recipes.read("quick"))
    assert 'training.optimiser="adamw"  # "sgd", "adamw", "rprop"' in told
    assert next(line for line in told if line.startswith("faces.crop=")).endswith(
        '"yunet:FILE.onnx"'
    )
    assert next(line for line in told if line.startswith("network.prepare=")).endswith(
        '"divide:NUMBERS"'
    )
    assert "# faces.probable is not set" in told
    assert any(line.startswith("# folds: ") and "all where it is empty" in line for line in told)


def test_one_number_stands_for_every_channel() -> None:
    found = Input(mean=0.5, std=2)  # type: ignore[arg-type]
    assert (found.mean, found.std) == ((0.5,), (2,))
