"""What other packages bring, and the contract that their networks keep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from duchenne.networks import NETWORKS
from duchenne.testing import check_network

READERS = [name for name in NETWORKS if name != "autoencoder"]

PACKAGE = """
import torch
from torch import nn
from duchenne.faces.formats import folder
from duchenne.faces.formats.adapter import Format

SIZE = 32
FACES = Format("other", "Faces of mine", "a folder", "my own", "", folder.read)


class Small(nn.Module):
    SIZE = 32
    LAYERS = ("conv",)

    def __init__(self, classes, channels=1, generator=None):
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 5)
        self.relu = nn.ReLU()
        self.output = nn.Linear(16, classes)
        for weights in self.parameters():
            with torch.no_grad():
                weights.copy_(torch.randn(weights.shape, generator=generator) / 10)

    def forward(self, pictures):
        return self.output(self.relu(self.conv(pictures)).mean((2, 3)))
"""

ENTRIES = """
[duchenne.networks]
small = my_package:Small
zhu = my_package:Small
broken = my_package:Missing
odd = my_package:SIZE

[duchenne.faces]
mine = my_package:FACES

[duchenne.recipes]
mine = my_package
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A package as pip leaves it."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE)
    (package / "my-recipe.toml").write_text(
        'extends = "quick"\n[network]\nname = "small"\n[faces]\nsize = 32\n'
        '[units]\nlayer = "conv"\n[traits]\nlayers = ["conv"]\n'
    )
    (package / "quick.toml").write_text("this is no recipe of ours")
    told = tmp_path / "my_package-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(ENTRIES)
    return tmp_path


def told(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_package_brings_networks_faces_and_recipes(installed: Path) -> None:
    code = (
        "from duchenne import networks, recipes\n"
        "from duchenne.faces.formats import FORMATS\n"
        "recipe = recipes.read('my-recipe')\n"
        "print(recipe.network.name, recipe.faces.size, recipes.read('quick').network.name)\n"
        "print(FORMATS['mine'].name, FORMATS['mine'].title, 'other' in FORMATS)\n"
        "print(type(networks.build('small', classes=3)).__name__)\n"
        "print(type(networks.build('zhu', classes=3)).__name__)\n"
    )
    found = told(installed, "-c", code)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        "small 32 zero_bias",
        "mine Faces of mine False",
        "Small",
        "Zhu",
    ]
    assert "'zhu' of my-package: the name is taken; it is left out" in found.stderr
    assert "'odd' of my-package: my_package:SIZE is of another kind" in found.stderr
    assert "'mine', recipe 'quick': the name is taken" in found.stderr
    assert "'broken' of my-package: module 'my_package' has no attribute" in found.stderr


@pytest.mark.slow
def test_a_network_of_a_package_goes_from_faces_to_report(installed: Path) -> None:
    from .small import SMALL

    pairs = [
        word
        for change in SMALL
        if not change.startswith(("network.", "faces.size", "units.layer", "traits.layers"))
        for word in ("--set", change)
    ]
    out = installed / "run"
    found = told(installed, "-m", "duchenne", "run", "my-recipe", "--out", str(out), *pairs)
    assert found.returncode == 0, found.stderr[-2000:]
    assert (out / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_papers_networks_keep_the_contract(name: str, channels: int) -> None:
    check_network(NETWORKS[name], channels=channels)


class Kept(nn.Module):
    """Keeps the contract; those below break it, each in one way."""

    SIZE = 16
    LAYERS: tuple[str, ...] = ("conv",)

    def __init__(self, classes: int, channels: int = 1, generator: Generator | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.output = nn.Linear(4, classes)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.randn(weights.shape, generator=generator))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.output(self.conv(pictures).relu().mean((2, 3)))


class NoLayers(Kept):
    LAYERS = ()


class OtherLayer(Kept):
    LAYERS = ("conv9",)


class Itself(Kept):
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures)[:, :2]


class Together(Kept):
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures - pictures.mean(0))


class Chance(Kept):
    def __init__(self, classes: int, channels: int = 1, generator: Generator | None = None) -> None:
        super().__init__(classes, channels)


class OneSeed(Kept):
    def __init__(self, classes: int, channels: int = 1, generator: Generator | None = None) -> None:
        super().__init__(classes, channels, torch.Generator().manual_seed(0))


class Frozen(Kept):
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures).detach().requires_grad_()


class Infinite(Kept):
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures) / 0


BREAKING = {
    NoLayers: "names no LAYERS",
    OtherLayer: "has no layer 'conv9'",
    Itself: r"gives \(4, 2\), not \(4, 3\)",
    Together: "reads a picture otherwise beside others",
    Chance: "its generator does not decide",
    OneSeed: "the same weights from every seed",
    Frozen: "is reached by no gradient",
    Infinite: "not finite",
}


def test_a_network_that_keeps_the_contract_is_accepted() -> None:
    check_network(Kept)
    check_network(Kept, channels=3, classes=8)


@pytest.mark.parametrize("kind", BREAKING)
def test_a_network_that_breaks_the_contract_is_told_in_what(kind: type[nn.Module]) -> None:
    with pytest.raises(AssertionError, match=f"{kind.__name__}: .*{BREAKING[kind]}"):
        check_network(kind)
