"""Audits of networks that were made elsewhere: the same network gives the same
audit in whatever dress it comes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import duchenne
from duchenne import evaluate, recipes
from duchenne.analyses import inspection
from duchenne.app.reader import Reader, Sitter, _finder
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.networks.given import Outputs, given_module
from duchenne.pipeline import making
from duchenne.pipeline.run import go_on
from duchenne.recipes.cards import read_card
from duchenne.report.figures import source
from duchenne.study.faces import decode
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace

from . import dresses

SMALL = (
    "evidence.permutations=49",
    "evidence.score_permutations=3",
    "evidence.least=4",
    "evidence.level=0.5",
    "units.gallery=3",
    "units.top=4",
    "stimulation.people=6",
    "faces.avatars.people=8",
    "faces.avatars.size=32",
    "faces.avatars.samples=1",
    "ablation.random_sets=2",
    "detectors.folds=2",
    "traits.pictures=6",
    "traits.filters=2",
    "network.control.kind=permuted",
    "network.control.seeds=2",
)
"""Changes that let an audit end within seconds."""

WEIGHTS = 'weights = "weights.safetensors"'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    network = dresses.write(folder)
    dresses.export(network, folder / "small.pt2")
    dresses.export(network, folder / "small.onnx")
    return folder


@pytest.fixture(scope="module")
def plain(made: Path) -> Study:
    """A whole audit of the network as its code makes it."""
    card = dresses.card(made, "small_network.py:Plain", WEIGHTS)
    return duchenne.audit(card, made / "plain", changes=SMALL)


def examined(made: Path, name: str, source: str, *lines: str) -> Study:
    card = dresses.card(made, source, *lines)
    changes = (*SMALL, "units.layer=relu2")
    duchenne.audit(card, made / name, changes=changes, until="evidence")
    return go_on(made / name, "stimulation")


def evidence(study: Study) -> pd.DataFrame:
    return pd.read_parquet(study.units_folder / "evidence.parquet")


def evidence_of_control(study: Study) -> pd.DataFrame:
    return pd.read_parquet(study.units_folder / "untrained" / "evidence.parquet")


def reactions(study: Study) -> pd.DataFrame:
    return pd.read_parquet(study.folder / "reactions.parquet")


DRESSES = {
    "checkpoint": (
        "small_network.py:Plain",
        'weights = "checkpoint.pth"',
        'inside = "state_dict"',
    ),
    "tuple": ("small_network.py:Tuple", WEIGHTS, "take = 0"),
    "mapping": ("small_network.py:Mapping", WEIGHTS),
    "probabilities": ("small_network.py:Shares", WEIGHTS, 'gives = "probabilities"'),
    "bytes": ("small_network.py:Bytes", WEIGHTS, "range = [0, 255]"),
    "pt2": ("pt2:small.pt2",),
}


OTHER_SUMS = ("bytes", "pt2")
"""Dresses whose activations differ in the last bit of float32."""


@pytest.mark.parametrize("dress", DRESSES)
def test_a_network_gives_the_same_audit_in_every_dress(
    made: Path, plain: Study, dress: str
) -> None:
    found = examined(made, dress, *DRESSES[dress])
    close = 1e-5 if dress in OTHER_SUMS else 1e-6
    for read in (evidence, evidence_of_control, reactions):
        pd.testing.assert_frame_equal(read(plain), read(found), atol=1e-6, rtol=close)
    assert found.scores["accuracy"] == plain.scores["accuracy"]
    for one, other in zip(plain.summary["controls"], found.summary["controls"], strict=True):
        assert one["largest_r_quantiles"] == pytest.approx(other["largest_r_quantiles"])
        assert one["units"] == other["units"]


def test_a_network_of_onnx_gives_the_same_audit(made: Path, plain: Study) -> None:
    dresses.let_torchvision_import()
    card = dresses.card(made, "onnx:small.onnx")
    layer = "relu2/Relu"
    changes = (*SMALL, f'units.layer="{layer}"')
    found = duchenne.audit(card, made / "onnx", changes=changes, until="evidence")
    assert found.units_folder.parent == found.folder / "units"
    one, other = (evidence(study) for study in (plain, found))
    columns = ["unit", "au", "r", "p"]
    pd.testing.assert_frame_equal(one[columns], other[columns], atol=1e-5, rtol=1e-5)
    # its sums are in another order: activations that differ in the last bit change ranks
    columns = ["ap", "auroc"]
    pd.testing.assert_frame_equal(one[columns], other[columns], atol=1e-3, rtol=0)


def test_a_module_as_it_stands_gives_the_same_audit(made: Path, plain: Study) -> None:
    network = dresses.plain()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    out = made / "module"
    found = duchenne.audit(
        network,
        out,
        classes=dresses.CLASSES,
        size=32,
        changes=SMALL,
        until="evidence",
    )
    pd.testing.assert_frame_equal(evidence(plain), evidence(found))
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())
    assert not network._forward_hooks
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 7)
    again = duchenne.open(out, until="evidence", network=dresses.plain())
    assert Workspace(again, again.table).pair.classes == tuple(plain.scores["classes"])


def test_a_permuted_order_of_classes_gives_the_same_by_name(made: Path, plain: Study) -> None:
    card = dresses.card(made, "small_network.py:Reordered", WEIGHTS, classes=dresses.CLASSES[::-1])
    found = duchenne.audit(card, made / "reordered", changes=SMALL, until="ablation")
    go_on(found.folder, "stimulation")
    ablations = pd.read_parquet(found.folder / "ablations.parquet")
    order = ["what", "unit", "au", "expression"]
    for one, other in (
        (plain.ablations, ablations),
        (reactions(plain), reactions(found)),
    ):
        keys = [name for name in order if name in one]
        pd.testing.assert_frame_equal(
            one.sort_values(keys, ignore_index=True),
            other.sort_values(keys, ignore_index=True),
            atol=1e-5,
            rtol=1e-5,
        )
    assert found.scores["accuracy"] == plain.scores["accuracy"]
    assert found.scores["classes"] == {
        name: plain.scores["classes"][name] for name in found.scores["classes"]
    }


def test_the_layer_that_is_looked_at_is_the_last_with_maps(plain: Study) -> None:
    assert plain.recipe.units.layer == "relu2"


def test_faces_are_as_the_network_takes_them(plain: Study) -> None:
    assert (plain.recipe.faces.size, plain.recipe.faces.channels) == (32, 1)
    assert plain.scores["unread"] == (plain.table.frame["expression"] == "contempt").sum()
    read = pd.read_parquet(plain.folder / "predictions.parquet")
    assert len(read) == len(plain.table) - plain.scores["unread"]
    assert set(read["predicted"]) <= set(plain.scores["classes"])


def test_what_a_network_reads_is_what_it_gives_for_each_face(made: Path, plain: Study) -> None:
    stack = Workspace(plain, plain.table).stack
    with torch.no_grad():
        given = dresses.plain()(torch.from_numpy(stack.floats(slice(None))))
    names = np.array(plain.recipe.network.output.classes)
    read = pd.read_parquet(plain.folder / "predictions.parquet").set_index("path")
    wanted = pd.Series(names[given.argmax(1).numpy()], index=stack.table.frame["path"])
    assert (read["predicted"] == wanted.reindex(read.index)).all()
    shares = pd.DataFrame(given.softmax(1).numpy(), wanted.index, [f"p_{name}" for name in names])
    pd.testing.assert_frame_equal(
        read[shares.columns], shares.reindex(read.index), atol=1e-5, check_names=False
    )


def test_every_seed_of_the_control_stands_in_the_summary(plain: Study) -> None:
    controls = plain.summary["controls"]
    assert len(controls) == 2
    assert controls[0]["units"] == plain.summary["untrained"]["units"]
    assert all(0 <= each["dead"] <= plain.summary["units"] for each in controls)
    assert re.search(r"in (each of )?2 untrained networks", plain.headline)
    work = Workspace(plain, plain.table)
    fitted = [control.norm1.running_mean for control in work.pair.controls]
    assert not torch.equal(fitted[0], fitted[1])
    assert not torch.equal(fitted[0], dresses.plain().norm1.running_mean)


def test_nothing_is_said_of_training_that_nobody_did_here(plain: Study) -> None:
    page = plain.report.read_text().partition('<h2 id="words">')[0]
    assert "What does card see?" in page
    for word in ("learned to see", "that it was trained on", "test pictures of", "never seen"):
        assert word not in page
        assert word not in " ".join(plain.summary_lines())


def test_a_study_opens_where_its_original_is_gone(made: Path, plain: Study, tmp_path: Path) -> None:
    dresses.export(dresses.plain(), tmp_path / "gone.pt2")
    card = dresses.card(tmp_path, "pt2:gone.pt2")
    study = duchenne.audit(card, tmp_path / "run", changes=SMALL, until="network")
    (tmp_path / "gone.pt2").unlink()
    opened = duchenne.open(study.folder, until="network")
    pictures = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        found = Workspace(opened, opened.table).pair.trained(pictures)
        assert dresses.same(found, dresses.plain()(pictures))


def test_a_network_of_onnx_is_kept_with_the_data_beside_it(tmp_path: Path) -> None:
    dresses.let_torchvision_import()
    import onnx

    dresses.export(dresses.plain(), tmp_path / "whole.onnx")
    onnx.save(
        onnx.load(tmp_path / "whole.onnx"),
        tmp_path / "beside.onnx",
        save_as_external_data=True,
        location="beside.data",
        size_threshold=0,
    )
    recipe = read_card(str(dresses.card(tmp_path, "onnx:beside.onnx")), SMALL)
    before = making.digests(recipe)
    assert len(before) == 2
    study = duchenne.audit(tmp_path / "card.toml", tmp_path / "run", changes=SMALL, until="network")
    data = tmp_path / "beside.data"
    data.write_bytes(data.read_bytes()[::-1])
    assert making.digests(recipe) != before
    data.unlink()
    opened = duchenne.open(study.folder, until="network")
    pictures = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        found = Workspace(opened, opened.table).pair.trained(pictures)
        assert dresses.same(found, dresses.plain()(pictures))


def test_a_study_of_hugging_face_has_permuted_controls_where_the_original_is_gone(
    tmp_path: Path,
) -> None:
    dresses.let_torchvision_import()
    import transformers

    config = transformers.ResNetConfig(
        num_channels=1,
        embedding_size=16,
        hidden_sizes=[16, 16],
        depths=[1, 1],
        layer_type="basic",
        image_size=32,
        id2label=dict(enumerate(dresses.CLASSES)),
    )
    torch.manual_seed(0)
    network = transformers.ResNetForImageClassification(config)
    network.save_pretrained(tmp_path / "folder")
    changes = (*SMALL, "network.input.size=32")
    study = duchenne.audit(
        f"hf:{tmp_path / 'folder'}", tmp_path / "run", changes=changes, until="units"
    )
    shutil.rmtree(tmp_path / "folder")
    opened = duchenne.open(study.folder, until="units")
    pair = Workspace(opened, opened.table).pair
    assert len(pair.controls) == 2
    trained = dict(pair.trained.named_parameters())
    for name, weights in pair.controls[0].named_parameters():
        assert torch.equal(weights.flatten().sort().values, trained[name].flatten().sort().values)
    pictures = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(pair.controls[0](pictures), pair.trained(pictures))


def test_a_network_that_squeezes_its_rows_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "squeezing.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def forward(self, pictures):\n"
        "        return pictures.flatten(1)[:, :7].squeeze()\n"
    )
    card = dresses.card(tmp_path, "squeezing.py:Net")
    with pytest.raises(InputError, match="of a picture alone none"):
        inspection.layers(str(card))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("    @torch.no_grad()\n", "gives no gradients, as under torch.no_grad"),
        ("", "network.output: gives complex numbers"),
    ],
)
def test_a_network_that_cannot_be_projected_is_told_in_a_line(
    tmp_path: Path, lines: str, message: str
) -> None:
    shaped = "pictures.flatten(1)[:, :7] * 3 - 1" + ("" if lines else " + 1j")
    (tmp_path / "held_back.py").write_text(
        f"import torch\nclass Net(torch.nn.Module):\n{lines}"
        f"    def forward(self, pictures):\n        return {shaped}\n"
    )
    card = dresses.card(tmp_path, "held_back.py:Net")
    with pytest.raises(InputError, match=message):
        inspection.layers(str(card))


def test_keys_from_python_stand_in_place_of_a_cards(made: Path, tmp_path: Path) -> None:
    card = dresses.card(made, "small_network.py:Plain", WEIGHTS, "margin = 0.1")
    study = duchenne.audit(
        card,
        tmp_path / "run",
        classes=["sad", "neutral", "angry", "happy", "surprised", "fearful", "disgusted"],
        changes=SMALL,
        until="faces",
        size=48,
        mean=[0.5],
    )
    wanted = study.recipe.network
    assert (wanted.input.size, wanted.input.mean, wanted.input.margin) == (48, (0.5,), 0.1)
    assert wanted.output.classes[:2] == ("sadness", "neutral")
    with pytest.raises(InputError, match="nonsense"):
        duchenne.audit(card, tmp_path / "other", changes=SMALL, nonsense=3)


def test_paths_of_a_card_begin_at_its_folder(tmp_path: Path) -> None:
    dresses.write(tmp_path)
    text = dresses.card(tmp_path, "small_network.py:Plain", WEIGHTS).read_text()
    more = 'crop = "yunet:face.onnx"\n[network.output]'
    card = tmp_path / "more.toml"
    card.write_text(
        text.replace("[network.output]", more)
        + '[faces]\nphotographs = "folder:photos"\naction_units = "au.csv"\n'
    )
    found = read_card(str(card))
    assert found.network.input.crop == f"yunet:{tmp_path / 'face.onnx'}"
    assert found.faces.photographs == f"folder:{tmp_path / 'photos'}"
    assert found.faces.action_units == str(tmp_path / "au.csv")


def test_a_class_that_is_spelt_wrong_is_remarked_on(tmp_path: Path) -> None:
    dresses.write(tmp_path)
    classes = ("happyness", "neutrality", "Angry", "sad", "surprised", "bored", "disgusted")
    card = dresses.card(tmp_path, "small_network.py:Plain", WEIGHTS, classes=classes)
    with pytest.warns(UserWarning, match="'happyness': no face shows it; is happiness") as told:
        found = read_card(str(card))
    assert len(told) == 1
    assert found.network.output.classes[1:3] == ("neutral", "anger")


def test_a_study_from_elsewhere_runs_no_code(made: Path, plain: Study, tmp_path: Path) -> None:
    """Its code is another file than was named here."""
    theirs = tmp_path / "theirs"
    shutil.copytree(plain.folder, theirs)
    code = tmp_path / "small_network.py"
    code.write_text(dresses.SOURCE + "\nopen(__file__ + '.ran', 'w').close()\n")
    described = json.loads((theirs / "network.json").read_text())
    described["card"]["source"] = f"{code}:Plain"
    (theirs / "network.json").write_text(json.dumps(described))
    state = json.loads((theirs / "study.json").read_text())
    del state["stages"]["network"]["files"]["network.json"]
    state.pop("checksum")
    (theirs / "study.json").write_text(json.dumps(state))
    opened = duchenne.open(theirs)
    with pytest.raises(InputError, match="was not named on this machine"):
        Workspace(opened, opened.table).pair  # noqa: B018
    with pytest.raises(InputError, match="was not named on this machine"):
        duchenne.run(
            theirs / "recipe.toml",
            out=tmp_path / "again",
            changes=(f'network.source="{code}:Plain"',),
        )
    assert not code.with_name("small_network.py.ran").exists()


def test_a_card_that_a_study_keeps_runs_no_code(made: Path, plain: Study, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    shutil.copy(plain.folder / "study.json", theirs)
    code = tmp_path / "other_network.py"
    code.write_text(dresses.SOURCE + "\nopen(__file__ + '.ran', 'w').close()\n")
    card = theirs / "recipe.toml"
    text = (plain.folder / "recipe.toml").read_text()
    card.write_text(re.sub(r'source="[^"]*:Plain"', f'source="{code}:Plain"', text))
    assert str(code) in card.read_text()
    extending = tmp_path / "mine.toml"
    extending.write_text("extends = 'theirs/recipe.toml'")
    linked = tmp_path / "linked.toml"
    linked.symlink_to(card)
    for path in (card, extending, linked):
        ask: list[Callable[[], object]] = [
            partial(duchenne.audit, path, tmp_path / "again", changes=SMALL),
            partial(inspection.inspect, str(path)),
            partial(inspection.layers, str(path)),
        ]
        for each in ask:
            with pytest.raises(InputError, match="was not named on this machine"):
                each()
    assert not code.with_name("other_network.py.ran").exists()
    kept = plain.folder / "recipe.toml"  # one's own, whose code was named here
    assert "relu2" in set(inspection.layers(str(kept))["layer"])


@pytest.mark.parametrize(
    ("source", "lines", "message"),
    [
        ("Picky", (WEIGHTS,), "network.input: the network refuses grey pictures of 32×32.*48 pix"),
        ("Broken", (WEIGHTS,), "numbers that are not finite"),
        ("Shares", (WEIGHTS,), "network.output.gives: 'logits', but they sum to 1"),
        ("Plain", (WEIGHTS, 'gives = "probabilities"'), "'probabilities', but one is -"),
        ("Tuple", (WEIGHTS, "take = 7"), "network.output.take: 7 is not there; there are 0, 1"),
        ("Plain", (WEIGHTS, "colours = 'rgb'"), "refuses rgb pictures"),
        ("Plain", (WEIGHTS, "mean = [0.1, 0.2]"), r"network.input.*mean \[0.1, 0.2\]: one number"),
        ("Plain", (WEIGHTS, "gives = 'odds'"), "network.output.gives.*odds"),
        ("Plain", ('weights = "none.pt"',), "none.pt: no such file"),
        ("raises", (), "raised ValueError: no such backbone"),
    ],
)
def test_a_card_that_is_wrong_is_told_in_a_line(
    made: Path, tmp_path: Path, source: str, lines: tuple[str, ...], message: str
) -> None:
    card = dresses.card(made, f"small_network.py:{source}", *lines)
    with pytest.raises(InputError, match=message) as caught:
        duchenne.audit(card, tmp_path / "run", changes=SMALL, until="network")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('units.layer="relu3"', "layer 'relu3': the network has none of that name; the nearest"),
        ('network.output.classes=["happy", "joy"]', "'joy': happiness is named twice"),
        ('network.output.classes=["happy", "engaged"]', "gives 7 numbers a picture, and 2 are"),
        ("network.output.values={valence=8, arousal=9}", "arousal 9: the classes and values that"),
        ("network.output.values={valence=7, arousal=-2}", "arousal -2: is the column of valence"),
        ("network.output.take=true", "True: a key, an attribute or a place is wanted"),
        ("network.output.take=1.5", "1.5: a key, an attribute or a place is wanted"),
        ("faces.size=48", "faces.size 48: follows network.input, which says 32"),
        ('network.name="zero_bias"', "network.source: belongs to 'given', not to .* 'zero_bias'"),
        ('network.prepare=["scale"]', "network.prepare: belongs to a network that is trained here"),
    ],
)
def test_a_key_that_is_wrong_is_told_in_a_line(
    made: Path, tmp_path: Path, change: str, message: str
) -> None:
    card = dresses.card(made, "small_network.py:Plain", WEIGHTS)
    with pytest.raises(InputError, match=message) as caught:
        duchenne.audit(card, tmp_path / "run", changes=(*SMALL, change), until="network")
    assert "\n" not in str(caught.value)


def test_classes_of_other_names_are_kept_and_no_face_shows_them(made: Path, tmp_path: Path) -> None:
    classes = ("happy", "neutral", "angry", "sad", "surprised", "engaged", "bored")
    card = dresses.card(made, "small_network.py:Plain", WEIGHTS, classes=classes)
    study = duchenne.audit(card, tmp_path / "run", changes=SMALL, until="ablation")
    shown = study.table.frame["expression"]
    assert study.scores["unread"] == shown.isin(["contempt", "fear", "disgust"]).sum()
    assert {"engaged", "bored"} <= set(study.scores["classes"])
    assert set(study.ablations["expression"]) <= set(shown) - {"contempt", "fear", "disgust"}


def test_a_network_of_supersets_is_read_by_them(made: Path, tmp_path: Path) -> None:
    classes = ("positive", "neutral", "negative", "a", "b", "c", "d")
    card = dresses.card(made, "small_network.py:Plain", WEIGHTS, classes=classes)
    study = duchenne.audit(card, tmp_path / "run", changes=SMALL, until="ablation")
    assert set(study.ablations["expression"]) == {"positive", "neutral", "negative"}
    assert study.scores["unread"] == (study.table.frame["expression"] == "contempt").sum()


def test_figures_leave_out_what_the_network_has_no_class_for(plain: Study) -> None:
    work = Workspace(plain, plain.table)
    rows = np.arange(len(plain.table))
    found = source.right(work, rows)
    contempt = (plain.table.frame["expression"] == "contempt").to_numpy()
    assert (np.isnan(found) == contempt).all()
    read = pd.read_parquet(plain.folder / "predictions.parquet")
    wanted = read.apply(lambda row: row[f"p_{row['expression']}"], axis=1)
    np.testing.assert_allclose(found[~contempt], wanted, atol=1e-6)
    shown = plain.table.frame["expression"].iloc[source.surest(work, 1)]
    assert sorted(shown) == sorted(set(plain.table.expressions) - {"contempt"})


def test_other_faces_are_read_by_the_network_as_it_is(plain: Study, drawings: FaceTable) -> None:
    found = evaluate(plain, f"folder:{drawings.root}")
    stack = decode(plain.recipe.faces, drawings)
    with torch.no_grad():
        given = dresses.plain()(torch.from_numpy(stack.floats(slice(None))))
    names = np.array(plain.recipe.network.output.classes)
    assert found.predictions["predicted"].tolist() == names[given.argmax(1).numpy()].tolist()


def test_the_live_page_reads_classes_beside_values(made: Path) -> None:
    card = dresses.card(
        made,
        "small_network.py:Values",
        "values = { valence = 7, arousal = 8 }",
        "margin = 0.2",
    )
    study = duchenne.audit(card, made / "values", changes=SMALL, until="evidence")
    face, _ = Sitter(study).draw(3, {12: 1.0})
    assert face.shape == (1, 32, 32)
    shares = Reader(study).face(face).shares
    assert list(shares) == list(study.recipe.network.output.classes)
    assert sum(shares.values()) == pytest.approx(1)
    assert study.recipe.faces.avatars.margin == 0.2
    finding = _finder(study.recipe.faces.crop)
    assert getattr(finding, "keywords", {})["margin"] == 0.2


@pytest.mark.parametrize(
    "change", ["network.input.size=48", 'network.weights="a.pt"', "network.output.take=1"]
)
def test_keys_of_a_card_are_refused_for_a_network_that_is_trained_here(change: str) -> None:
    with pytest.raises(InputError, match=r"belongs to 'given', not to network\.name 'zero_bias'"):
        recipes.read("quick", [change])


def test_the_base_of_cards_is_a_recipe() -> None:
    assert recipes.read("audit").network.given


def test_outputs_are_read_through_the_module_itself() -> None:
    class InATuple(torch.nn.Linear):
        def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            return pictures, super().forward(pictures)

    network = given_module(InATuple(3, 7), Outputs(tuple("abcdefg"), take=1), "mine")
    pictures = torch.rand(2, 3)
    assert torch.equal(network(pictures), torch.nn.Linear.forward(network, pictures))
