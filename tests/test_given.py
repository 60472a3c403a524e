"""Networks that were made elsewhere: found, loaded without a pickle, read as
their cards say.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from duchenne import units
from duchenne.errors import InputError
from duchenne.faces.preparation.steps import Preparation
from duchenne.networks import given
from duchenne.networks.given import Card, Outputs, exported, weights
from duchenne.recipes.schema import Input
from duchenne.units import layers, listing

from . import dresses

PICTURES = torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(1))
OUTPUTS = Outputs(tuple("abcdefg"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    network = dresses.write(folder)
    dresses.export(network, folder / "small.pt2")
    dresses.export(network, folder / "small.onnx")
    return folder


@pytest.fixture(scope="module")
def wanted() -> Tensor:
    with torch.no_grad():
        return dresses.plain()(PICTURES)


def opened(folder: Path, name: str, file: str = "weights.safetensors", **told: object) -> nn.Module:
    source = f"{folder / 'small_network.py'}:{name}"
    given.allow(source, {})
    outputs = Outputs(OUTPUTS.classes, **told)  # type: ignore[arg-type]
    kept = str(folder / file) if file else ""
    return given.open_card(Card(source, weights=kept, outputs=outputs))


@pytest.mark.parametrize("file", ["weights.safetensors", "weights.pt", "checkpoint.pth"])
def test_weights_are_those_of_the_file(made: Path, wanted: Tensor, file: str) -> None:
    assert torch.equal(opened(made, "Plain", file)(PICTURES), wanted)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Tuple", {}),
        ("Tuple", {"take": 0}),
        ("Tuple", {"take": -2}),
        ("Mapping", {}),
        ("Mapping", {"take": "logits"}),
        ("Named", {}),
        ("Named", {"take": "logits"}),
        ("Shares", {"gives": "probabilities"}),
    ],
)
def test_whatever_a_network_gives_becomes_a_row_of_logits(
    made: Path, wanted: Tensor, name: str, told: dict[str, object]
) -> None:
    found = opened(made, name, **told)(PICTURES)
    assert dresses.same(found.softmax(1), wanted.softmax(1))


def test_a_place_from_the_end_counts_whatever_is_given() -> None:
    one, other = torch.rand(2, 7), torch.rand(2, 7)
    read = Outputs(tuple("abcdefg"), take=-1).read
    for given_ in ((torch.tensor(3.0), one, other), (None, one, other), ([one, one], one, other)):
        assert torch.equal(read(given_), other)
    with pytest.raises(InputError, match="take: -4 is not there"):
        Outputs(tuple("abcdefg"), take=-4).read((one, other))


def test_what_sigmoids_give_is_read_as_log_odds() -> None:
    numbers = torch.randn(4, 7) * 3
    read = Outputs(tuple("abcdefg"), gives="sigmoid").read
    torch.testing.assert_close(read(numbers.sigmoid()), numbers, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(read(torch.tensor([[0.0, 1.0] + [0.5] * 5]))).all()
    with pytest.raises(InputError, match="'sigmoid', but one is"):
        read(numbers)


@pytest.mark.parametrize(
    ("numbers", "doubt"),
    [
        (100 * torch.randn(3, 7).softmax(1), "sum to 100 on every picture"),
        (torch.randn(3, 7).softmax(1), "sum to 1 on every picture"),
        (torch.full((3, 7), 2.0), ""),
        (torch.linspace(-2, 2, 21).reshape(3, 7), ""),
    ],
)
def test_numbers_that_are_no_logits_are_doubted(numbers: Tensor, doubt: str) -> None:
    found = given.doubts(OUTPUTS, numbers)
    assert doubt in found
    assert bool(found) == bool(doubt)


def test_numbers_as_of_sigmoids_are_remarked_on() -> None:
    assert "is it 'sigmoid'?" in given.remark(OUTPUTS, torch.rand(3, 7))
    assert not given.remark(OUTPUTS, torch.rand(3, 7) * 2)
    assert not given.remark(Outputs(tuple("abcdefg"), gives="scores"), torch.rand(3, 7))
    assert not given.remark(Outputs(("a", "b")), torch.rand(3, 2))


def test_layers_keep_their_names_and_give_what_they_gave(made: Path) -> None:
    found = opened(made, "Tuple")
    plain = dresses.plain()
    names = [name for name, _ in plain.named_children()]
    assert [name for name, _ in found.named_children()] == names
    for name in names:
        one, other = (layers.output(network, name, PICTURES) for network in (found, plain))
        assert torch.equal(one, other), name


@pytest.mark.parametrize("source", ["pt2:small.pt2", "onnx:small.onnx"])
def test_an_exported_network_gives_what_it_gave(made: Path, wanted: Tensor, source: str) -> None:
    if source.startswith("onnx"):
        dresses.let_torchvision_import()
    found = given.open_card(Card(source, outputs=OUTPUTS).below(made))
    assert dresses.same(found(PICTURES), wanted)
    assert found(PICTURES[:1]).shape == (1, 7)


def test_a_network_of_timm_is_made_and_takes_weights(tmp_path: Path) -> None:
    dresses.let_torchvision_import()
    import timm

    options = {"num_classes": 7, "in_chans": 1}
    network = timm.create_model("test_resnet", **options).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    kept = str(tmp_path / "weights.safetensors")
    found = given.open_card(Card("timm:test_resnet", options, kept, outputs=OUTPUTS))
    with torch.no_grad():
        assert torch.equal(found(PICTURES), network(PICTURES))


def test_a_network_of_timm_needs_weights() -> None:
    dresses.let_torchvision_import()
    with pytest.raises(InputError, match=r"timm makes the architecture alone.*network\.weights"):
        given.open_card(Card("timm:test_resnet", {"num_classes": 7}, outputs=OUTPUTS))


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dresses.let_torchvision_import()
    import transformers

    folder = tmp_path_factory.mktemp("hf")
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        num_channels=3,
        id2label=dict(enumerate(dresses.CLASSES)),
        label2id={name: number for number, name in enumerate(dresses.CLASSES)},
    )
    torch.manual_seed(0)
    network = transformers.ViTForImageClassification(config)
    network.save_pretrained(folder)
    told = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    told |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def test_a_folder_of_hugging_face_says_what_its_network_takes_and_gives(
    hugging_face: Path, tmp_path: Path
) -> None:
    import transformers

    told = given.said_of_itself(f"hf:{hugging_face}")
    assert told["input"] == {"size": 32, "colours": "rgb", "mean": [0.5] * 3, "std": [0.5] * 3}
    assert told["output"]["classes"] == list(dresses.CLASSES)
    found = given.open_card(Card(f"hf:{hugging_face}", outputs=Outputs(tuple("abcdefg"))))
    original = transformers.ViTForImageClassification.from_pretrained(hugging_face)
    pictures = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(found(pictures), original(pictures).logits)
    torch.save(load_file(hugging_face / "model.safetensors"), tmp_path / "pytorch_model.bin")
    shutil.copy(hugging_face / "config.json", tmp_path)
    other = given.open_card(Card(f"hf:{tmp_path}", outputs=Outputs(tuple("abcdefg"))))
    assert torch.equal(found(pictures), other(pictures))
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="holds neither"):
        given.open_card(Card(f"hf:{tmp_path}"))
    kept = load_file(hugging_face / "model.safetensors")
    del kept["classifier.weight"]
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"it lacks classifier\.weight"):
        given.open_card(Card(f"hf:{tmp_path}"))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"do_flip_channel_order": True}, {"colours": "bgr"}),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            {"range": [-1, 1]},
        ),
        (
            {"include_top": True, "image_mean": [0.5] * 3, "image_std": [0.5, 0.5, 0.2]},
            {"mean": [0.5] * 3, "std": [0.25, 0.25, 0.04]},
        ),
        ({"crop_size": 224, "size": 256}, {"size": 224}),
        ({"crop_size": 224, "size": 256, "do_center_crop": False}, {"size": 256}),
        ({"do_rescale": False, "do_normalize": False}, {"range": [0, 255]}),
        (
            {"crop_size": {"height": 224, "width": 224}, "size": 256, "do_center_crop": True},
            {"size": 224, "margin": (224 / 256 - 1) / 2},
        ),
        (
            {"image_processor_type": "PoolFormerImageProcessor", "size": 224, "crop_pct": 0.9},
            {"size": 224, "margin": -0.05},
        ),
        (
            {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 224}},
            {"size": 224, "margin": -0.0625},
        ),
    ],
)
def test_what_a_processor_does_is_taken_over(
    tmp_path: Path, said: dict[str, object], wanted: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = given.said_of_itself(f"hf:{tmp_path}")["input"]
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value), key


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("DeiTImageProcessor", {"height": 64, "width": 64}),
        ("MobileNetV2ImageProcessor", {"shortest_edge": 64}),
        ("ConvNextImageProcessor", {"shortest_edge": 56}),
        ("MobileViTImageProcessor", {"shortest_edge": 64}),
        ("ViTImageProcessor", {"height": 56, "width": 56}),
    ],
)
def test_pictures_are_prepared_as_by_their_own_processor(
    name: str, size: dict[str, int], tmp_path: Path
) -> None:
    dresses.let_torchvision_import()
    import transformers

    try:
        kind = getattr(transformers, f"{name}Pil")  # which needs no torchvision
    except AttributeError:
        kind = getattr(transformers, name)
    processor = kind(size=size, crop_size={"height": 56, "width": 56})
    processor.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    wanted = Input(**given.said_of_itself(f"hf:{tmp_path}")["input"])
    side = 256
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    picture = np.stack(
        [
            np.tile(ramp, (side, 1)),
            np.tile(ramp, (side, 1)).T,
            ramp * 0 + 0.5 + np.zeros((side, side), np.float32),
        ]
    )
    expected = processor(
        Image.fromarray((picture * 255).astype(np.uint8).transpose(1, 2, 0)), return_tensors="pt"
    )["pixel_values"]
    border = round(-wanted.margin * side)
    inside = torch.from_numpy(picture)[None, :, border : side - border, border : side - border]
    resized = nn.functional.interpolate(
        inside, (wanted.size, wanted.size), mode="bilinear", antialias=True
    )
    found = Preparation(wanted.steps)(resized)
    assert expected.shape == found.shape
    assert (expected - found).abs().mean() < 0.02 * expected.std()


@pytest.mark.parametrize(
    ("config", "processor"),
    [
        ({"id2label": {"a": "anger"}}, {}),
        ({"num_channels": []}, {}),
        ({}, {"rescale_factor": None}),
        ({}, {"image_mean": ["a"]}),
    ],
)
def test_a_description_that_nobody_wrote_so_is_told_in_a_line(
    tmp_path: Path, config: dict[str, object], processor: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(InputError, match="not as Hugging Face writes them"):
        given.said_of_itself(f"hf:{tmp_path}")


def test_a_folder_of_hugging_face_runs_no_code_of_its_own(
    hugging_face: Path, tmp_path: Path
) -> None:
    config = json.loads((hugging_face / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.M"}
    config["model_type"] = "mine"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text("open('ran', 'w').write('x')\nclass Config: pass\n")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(InputError):
            given.open_card(Card(f"hf:{tmp_path}", outputs=OUTPUTS))
    finally:
        os.chdir(before)
    assert not (tmp_path / "ran").exists()


def test_values_are_read_beside_classes(made: Path) -> None:
    source = f"{made / 'small_network.py'}:Values"
    given.allow(source, {})
    outputs = Outputs(OUTPUTS.classes, values={"valence": 7, "arousal": -1})
    network = given.open_card(Card(source, outputs=outputs))
    bare = given.open_card(Card(source, outputs=Outputs(tuple("abcdefghi"))))
    bare.load_state_dict(network.state_dict())
    assert torch.equal(network(PICTURES), bare(PICTURES))
    first = Outputs(OUTPUTS.classes, values={"valence": 0, "arousal": 1})
    rows = torch.arange(18.0).reshape(2, 9)
    assert first.read(rows)[0].tolist() == [2, 3, 4, 5, 6, 7, 8, 0, 1]


def test_values_by_their_keys_need_no_classes() -> None:
    outputs = Outputs(values={"valence": "v", "arousal": "a"})
    rows = {"a": torch.tensor([[1.0], [2.0]]), "v": torch.tensor([3.0, 4.0])}
    assert outputs.read(rows).tolist() == [[3, 1], [4, 2]]


def test_a_probability_of_nothing_is_the_smallest_that_there_is() -> None:
    shares = torch.tensor([[0.0, 1.0]])
    of_shares = Outputs(("a", "b"), "probabilities").read(shares)
    of_logarithms = Outputs(("a", "b"), "log-probabilities").read(shares.log())
    assert torch.isfinite(of_shares).all()
    assert torch.equal(of_shares, of_logarithms)


def test_files_of_two_networks_may_have_neighbours_of_one_name(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "blocks_beside.py").write_text(f"COUNT = {count}\n")
        (folder / "net.py").write_text(
            "import torch\nfrom blocks_beside import COUNT\n"
            "def early():\n    return torch.nn.Linear(4, COUNT)\n"
            "def late():\n    import blocks_beside\n"
            "    return torch.nn.Linear(4, blocks_beside.COUNT)\n"
        )
    before = list(sys.path)
    for name, count in (("a", 2), ("b", 3), ("a", 2)):
        for callable_ in ("early", "late"):
            source = f"{tmp_path / name / 'net.py'}:{callable_}"
            given.allow(source, {})
            network = given.open_card(Card(source, outputs=Outputs(tuple("abc"[:count]))))
            assert network.out_features == count
    assert sys.path == before
    assert "blocks_beside" not in sys.modules


def test_networks_of_the_same_weights_are_held_apart() -> None:
    linear = nn.Linear(2, 2)
    assert given.hold(nn.Sequential(linear, nn.ReLU())) != given.hold(
        nn.Sequential(linear, nn.Tanh())
    )


def test_poolings_at_the_end_are_passed_over() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 7)
    )
    assert listing.chosen(listing.listed(network, PICTURES)) == "1"


def test_a_network_that_timm_does_not_know_is_told_with_the_nearest() -> None:
    dresses.let_torchvision_import()
    with pytest.raises(InputError, match="timm:resnet18x: is not known; the nearest are resnet18"):
        given.open_card(Card("timm:resnet18x", outputs=OUTPUTS))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.wide = nn.Linear(width, 24)
        self.act = nn.GELU()
        self.narrow = nn.Linear(24, width)

    def forward(self, tokens: Tensor) -> Tensor:
        within = self.norm(tokens)
        tokens = tokens + self.attention(within, within, within, need_weights=False)[0]
        return tokens + self.narrow(self.act(self.wide(tokens)))


class Attending(nn.Module):
    """A small transformer with a token of the class."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(1, 16, 8, 8)
        self.first = nn.Parameter(torch.randn(1, 1, 16))
        self.blocks = nn.Sequential(*(Block(16) for _ in range(4)))
        self.output = nn.Linear(16, 7)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        first = self.first.expand(pixels.shape[0], -1, -1)
        return self.output(self.blocks(torch.cat([first, tokens], 1))[:, 0])


# What cannot be used


class Harm:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (open, (os.environ["HARM"], "w"))


@pytest.fixture
def harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    return tmp_path / "harm"


def test_a_pickle_is_refused_before_it_runs(tmp_path: Path, harm: Path) -> None:
    torch.save({"weights": Harm()}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model.pt: holds pickled objects.*state_dict"):
        weights.read(tmp_path / "model.pt")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match="holds pickled objects"):
        weights.read(tmp_path / "model.pkl")
    assert not harm.exists()
    pickle.loads((tmp_path / "model.pkl").read_bytes()).close()
    assert harm.exists()  # as it would have


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as other:
        for entry in archive.infolist():
            other.writestr(entry.filename, change(entry.filename, archive.read(entry)))
    return target


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("torch.ops.aten.relu.default", "torch.os.getpid", "calls 'torch.os.getpid'"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default", "calls"),
        ('"use_pickle": false', '"use_pickle": true', "pickled weights"),
        ("Symbol('", "exit(Symbol('", "no arithmetic of sizes"),
        ("Symbol('", "__import__('os').getpid() + Symbol('", "no arithmetic of sizes"),
    ],
)
def test_an_export_that_could_run_code_is_refused(
    made: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    changed = []

    def change(name: str, held: bytes) -> bytes:
        if not name.endswith(".json"):
            return held
        changed.append(old.encode() in held)
        return held.replace(old.encode(), new.encode())

    file = rewritten(made / "small.pt2", tmp_path / "bad.pt2", change)
    assert any(changed)
    with pytest.raises(InputError, match=message):
        exported.make(str(file), {})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("small/models/other.JSON", "other.JSON, which no network needs"),
        ("small/data/aotinductor/m/m.wrapper.so", "m.wrapper.so, which no network needs"),
        ("small/models/model.json", "holds a file twice"),
        ("other/models/model.json", "holds more than one archive"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_export_that_holds_more_than_a_network_is_refused(
    made: Path, tmp_path: Path, entry: str, message: str
) -> None:
    file = rewritten(made / "small.pt2", tmp_path / "more.pt2", lambda name, held: held)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(entry, b"{}")
    with pytest.raises(InputError, match=message):
        exported.make(str(file), {})


@pytest.mark.parametrize(
    ("key", "value"),
    [("as_operator", "torch.os.system"), ("target", "torch.ops.higher_order.wrap")],
)
def test_what_an_export_calls_is_held_to_operations_of_networks(key: str, value: str) -> None:
    assert "is no operation of a network" in exported._unsafe(key, value)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("Mul(Integer(96), Symbol('s77', positive=True, integer=True))", True),
        ("Add(Symbol('s0'), Integer(-1))", True),
        ("Pow(Symbol('s0'), Integer(2))", True),
        ("2*s0 + s0//4 - (s1 % 3)", True),
        ("Pow(Integer(9), Integer(999999999))", False),
        ("9**9**9", False),
        ("FloatPow(9.0, Pow(Integer(9), Integer(9)))", False),
        ("Symbol('__import__')", False),
        ("Max('a()', 1)", False),
        ("(lambda: 1)()", False),
        ("s0.__class__", False),
        ("[exit for x in s0]", False),
        ("f'{s0}'", False),
    ],
)
def test_sizes_of_an_export_are_arithmetic(text: str, fine: bool) -> None:
    assert exported._is_arithmetic(text) == fine


def test_an_export_of_attention_is_opened(tmp_path: Path) -> None:
    network = Attending().eval()
    dresses.export(network, tmp_path / "small.pt2")
    found = given.open_card(Card(f"pt2:{tmp_path / 'small.pt2'}", outputs=OUTPUTS))
    assert dresses.same(found(PICTURES), network(PICTURES))


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_a_transformer_is_looked_at_where_it_is_in_every_dress(kind: str, tmp_path: Path) -> None:
    dresses.let_torchvision_import()
    network = Attending().eval()
    dresses.export(network, tmp_path / f"small.{kind}", opset=17)
    found = given.open_card(Card(f"{kind}:{tmp_path / f'small.{kind}'}", outputs=OUTPUTS))
    assert dresses.same(found(PICTURES), network(PICTURES))
    wanted = listing.chosen(listing.listed(network, PICTURES))
    assert wanted == "blocks.2.act"
    layer = listing.chosen(listing.listed(found, PICTURES))
    values = [
        units.responses(*asked, [PICTURES], "signed").value
        for asked in ((network, wanted), (found, layer))
    ]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


def test_operations_of_onnx_that_are_too_new_are_told_with_the_version(tmp_path: Path) -> None:
    dresses.let_torchvision_import()
    dresses.export(Attending().eval(), tmp_path / "new.onnx", opset=20)
    with pytest.raises(InputError, match=r"new.onnx: .* export it with opset_version=17 instead"):
        given.open_card(Card(f"onnx:{tmp_path / 'new.onnx'}", outputs=OUTPUTS))


def test_a_file_of_onnx_for_one_picture_alone_is_told_in_a_line(tmp_path: Path) -> None:
    dresses.let_torchvision_import()
    file = tmp_path / "one.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = (PICTURES[:1],)
        torch.onnx.export(Attending().eval(), one, file, dynamo=False, opset_version=17)
    with pytest.raises(InputError, match=r"one.onnx: was exported for one picture.*dynamic_axes"):
        given.open_card(Card(f"onnx:{file}", outputs=OUTPUTS))


def test_an_exports_pickled_object_is_refused(made: Path, tmp_path: Path, harm: Path) -> None:
    file = rewritten(made / "small.pt2", tmp_path / "bad.pt2", lambda name, held: held)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("small/data/constants/opaque_obj_0", pickle.dumps(Harm()))
    with pytest.raises(InputError, match="holds a pickled object"):
        exported.make(str(file), {})

    def sample(name: str, held: bytes) -> bytes:
        if "sample_inputs" not in name:
            return held
        stream = io.BytesIO()
        torch.save(((Harm(),), {}), stream)
        return stream.getvalue()

    file = rewritten(made / "small.pt2", tmp_path / "sample.pt2", sample)
    with pytest.raises(InputError):
        exported.make(str(file), {})
    assert not harm.exists()


@pytest.mark.parametrize(
    ("name", "file", "told", "message"),
    [
        ("Plain", "none.pt", {}, "none.pt: no such file"),
        ("Plain", "small_network.py", {}, "not a file of weights"),
        ("Plain", "small.pt2", {}, "small.pt2"),
        ("raises", "", {}, "raised ValueError: no such backbone$"),
        ("not_a_network", "", {}, "gives int, not a torch.nn.Module"),
        ("Nothing", "", {}, "has no callable 'Nothing'; the nearest are .*"),
        ("plain", "", {}, "has no callable 'plain'; the nearest are Plain, "),
        ("Plain", "weights.pt", {"take": "x"}, "'x' is not there; it gives one tensor alone"),
        ("Mapping", "weights.pt", {"take": "scores"}, "network.output.take: 'scores' is not there"),
        ("Whole", "weights.pt", {}, "gives 1 numbers a picture"),
        ("Values", "weights.pt", {}, "does not fit the network: it lacks plain"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_line(
    made: Path, name: str, file: str, told: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        opened(made, name, file, **told)(PICTURES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("small", "expected module:callable"),
        ("no.such.module:Net", "importing no.such.module raised ModuleNotFoundError"),
        ("pt2:none.pt2", "none.pt2: no such file"),
        ("pt2:weights.pt", "weights.pt"),
        ("onnx:none.onnx", "none.onnx: no such file"),
        ("hf:none", "config.json: no such file"),
        ("timm:no_such_network", "timm:no_such_network: is not known; the nearest are "),
    ],
)
def test_a_source_that_is_not_there_is_told_in_a_line(
    made: Path, source: str, message: str
) -> None:
    dresses.let_torchvision_import()
    card = Card(source, outputs=OUTPUTS)
    if card.kind in ("pt2", "onnx", "hf"):
        card = card.below(made)
    if card.kind == "code" and ":" in source:
        given.allow(source, {})
    with pytest.raises(InputError, match=message) as caught:
        given.open_card(card)
    assert "\n" not in str(caught.value)


def test_torchscript_and_quantised_layers_are_refused(made: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(dresses.plain(), PICTURES)
    with pytest.raises(InputError, match="TorchScript, which runs no hooks"):
        given.given_module(script, OUTPUTS, "mine")
    linear = nn.Sequential(nn.Flatten(), nn.Linear(1024, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(linear)
    with pytest.raises(InputError, match=r"layer '1' is quantised"):
        given.given_module(quantised, OUTPUTS, "mine")


def test_wrappers_of_training_are_taken_off() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = nn.DataParallel(torch.compile(dresses.plain()))
    found = given.given_module(wrapped, OUTPUTS, "mine")
    assert "conv1" in dict(found.named_children())


def test_weights_that_do_not_fit_say_which(made: Path) -> None:
    network = dresses.plain()
    kept = weights.read(made / "weights.pt")
    kept["more"] = torch.zeros(1)
    del kept["conv1.weight"]
    kept["output.bias"] = torch.zeros(3)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    with pytest.raises(
        InputError,
        match=r"it lacks conv1.weight; the network lacks more; shapes output.bias \(3,\) for",
    ):
        weights.load(network, kept, "here")
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())
    counted = {n: w for n, w in weights.read(made / "weights.pt").items() if "num_batches" not in n}
    weights.load(network, counted, "here")


# Who may run code


def test_layers_whose_sizes_are_not_set_are_told_in_a_line() -> None:
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(7))
    with pytest.raises(InputError, match="sizes are not set yet; run it on a picture"):
        given.given_module(lazy, OUTPUTS, "net.py:Net")


def test_what_lies_beside_weights_in_a_checkpoint_is_left_out(made: Path, tmp_path: Path) -> None:
    kept = load_file(made / "weights.safetensors")
    file = tmp_path / "checkpoint.ckpt"
    wrapped = {f"model.{name}": each for name, each in kept.items()}
    torch.save({"state_dict": wrapped | {"criterion.weight": torch.ones(7)}}, file)
    network = dresses.plain(seed=1)
    with pytest.warns(UserWarning, match="1 tensors that are not the network's were left out"):
        weights.load(network, weights.read(file), str(file))
    assert dresses.same(network(PICTURES), dresses.plain()(PICTURES))
    torch.save(kept | {"epoch": 3, "name": "mine", "best": None}, file)
    assert list(weights.read(file)) == list(kept)
    inner = nn.Sequential()
    inner.add_module("model", dresses.plain(seed=1))
    weights.load(inner, {f"module.{name}": each for name, each in wrapped.items()}, "it")
    assert dresses.same(inner(PICTURES), dresses.plain()(PICTURES))


def test_code_that_was_not_named_here_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("open(__file__ + '.ran', 'w').close()\n")
    card = Card(f"{tmp_path / 'theirs.py'}:Net", outputs=OUTPUTS)
    with pytest.raises(InputError, match="was not named on this machine"):
        given.open_card(card)
    assert not (tmp_path / "theirs.py.ran").exists()
    given.allow(card.source, {})
    with pytest.raises(InputError, match="no callable"):
        given.open_card(card)
    assert (tmp_path / "theirs.py.ran").exists()
    (tmp_path / "theirs.py").write_text("import os\n")
    with pytest.raises(InputError, match="was not named on this machine"):
        given.open_card(card)


def test_a_module_that_has_changed_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "theirs_on_the_path.py").write_text("import torch\nNet = torch.nn.Flatten\n")
    card = Card("theirs_on_the_path:Net")
    given.allow(card.source, {})
    given.open_card(card)
    (tmp_path / "theirs_on_the_path.py").write_text("import torch\nNet = torch.nn.ReLU\n")
    with pytest.raises(InputError, match="was not named on this machine"):
        given.open_card(card)


# The control


def test_permuted_weights_are_the_same_numbers_elsewhere() -> None:
    network = dresses.plain()
    found = given.control(dresses.plain(), seed=3)
    for name, each in network.named_parameters():
        other = dict(found.named_parameters())[name]
        assert torch.equal(each.flatten().sort().values, other.flatten().sort().values), name
    assert not torch.equal(network.conv2.weight, found.conv2.weight)
    again = given.control(dresses.plain(), seed=3)
    assert torch.equal(found.conv2.weight, again.conv2.weight)


def test_statistics_are_those_of_what_each_layer_is_given() -> None:
    network = dresses.plain()
    batches = [PICTURES[:2], PICTURES[2:4]]
    assert given.fit_statistics(network, batches) == 1
    with torch.no_grad():
        maps = [network.conv1(batch) for batch in batches]
    mean = torch.stack([each.mean((0, 2, 3)) for each in maps]).mean(0)
    assert torch.allclose(network.norm1.running_mean, mean, atol=1e-6)
    variance = torch.stack([each.var((0, 2, 3)) for each in maps]).mean(0)
    assert torch.allclose(network.norm1.running_var, variance, atol=1e-6)
    assert not network.norm1.training
    assert network.norm1.momentum == 0.1
    assert set(given.statistics(network)) == {
        "norm1.running_mean",
        "norm1.running_var",
        "norm1.num_batches_tracked",
    }
    assert given.fit_statistics(nn.Linear(2, 2), iter(())) == 0


@pytest.mark.parametrize("source", ["pt2:small.pt2", "onnx:small.onnx"])
def test_statistics_of_exported_networks_are_fitted_too(made: Path, source: str) -> None:
    dresses.let_torchvision_import()
    plain = dresses.plain()
    exported_network = given.open_card(Card(source, outputs=OUTPUTS).below(made))
    if not given.statistics(exported_network):  # ONNX folds it into the weights before it
        return
    for network in (plain, exported_network):
        assert given.fit_statistics(network, [PICTURES[:3], PICTURES[3:]]) == 1
    fitted = given.statistics(exported_network)
    for name, values in given.statistics(plain).items():
        if name.startswith("norm1.running"):
            assert torch.allclose(values, fitted[name], atol=1e-6), name
    assert torch.allclose(plain(PICTURES), exported_network(PICTURES), atol=1e-5)


def test_statistics_are_pytorchs_own_cumulative_average() -> None:
    def made_of(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(3600)
        )

    ours, theirs = made_of(1), made_of(1)
    batches = [PICTURES[:2], PICTURES[2:]]
    assert given.fit_statistics(ours, batches) == 2
    for module in theirs.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    theirs.train()
    with torch.no_grad():
        for batch in batches:
            theirs(batch)
    for name, values in theirs.state_dict().items():
        if "running" in name:
            assert torch.allclose(values, ours.state_dict()[name], atol=1e-5), name
    assert given.fit_statistics(ours, [PICTURES[:1]]) == 2  # of one picture


class OverTokens(nn.Module):
    """Linear layers over tokens, which ONNX keeps as products of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(32, 8)
        self.other = nn.Linear(8, 7)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.other(self.one(pictures[:, 0]).relu()).mean(1)


def test_weights_that_onnx_keeps_as_products_are_permuted_too(tmp_path: Path) -> None:
    dresses.let_torchvision_import()
    network = OverTokens().eval()
    dresses.export(network, tmp_path / "tokens.onnx")
    card = Card("onnx:tokens.onnx", outputs=OUTPUTS).below(tmp_path)
    found = given.open_card(card)
    with torch.no_grad():
        assert dresses.same(found(PICTURES), network(PICTURES))
    control = given.control(given.open_card(card), 0)
    assert not torch.allclose(control(PICTURES), found(PICTURES), atol=1e-2)


def test_a_network_without_weights_has_no_control() -> None:
    with pytest.raises(InputError, match="no weights to permute"):
        given.control(nn.ReLU(), 0)


@pytest.mark.parametrize(
    ("source", "file", "kind", "fresh"),
    [
        ("small_network.py:Plain", "weights.pt", "auto", True),
        ("small_network.py:Plain", "", "auto", False),
        ("small_network.py:Plain", "weights.pt", "permuted", False),
        ("pt2:small.pt2", "", "auto", False),
    ],
)
def test_a_control_is_fresh_where_the_architecture_can_be_had(
    made: Path, source: str, file: str, kind: str, fresh: bool
) -> None:
    card = Card(source, weights=file, outputs=OUTPUTS).below(made)
    if card.kind == "code":
        given.allow(card.source, {})
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert given.is_made_anew(card, kind) is fresh
    if not fresh:
        return
    one, same, other = (given.anew(card, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one(PICTURES), same(PICTURES))
    assert not torch.equal(one(PICTURES), other(PICTURES))
    bound = 1 / 5  # of PyTorch's own initialisation, of 25 numbers a filter
    assert one.conv1.weight.abs().max() <= bound


def test_fresh_weights_of_what_is_kept_with_its_own_are_refused(made: Path) -> None:
    card = Card("pt2:small.pt2", outputs=OUTPUTS).below(made)
    with pytest.raises(InputError, match=r"network\.control\.kind: 'fresh'"):
        given.is_made_anew(card, "fresh")
