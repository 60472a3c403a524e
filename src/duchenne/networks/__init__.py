"""The papers' networks, as plain ``nn.Module``s. They know nothing of faces.

``build`` makes one by name; ``save`` and ``load`` keep one in a folder.
"""

import importlib
import pkgutil

from duchenne import plug_ins
from duchenne.networks.registry import (
    GIVEN,
    NETWORKS,
    Description,
    build,
    from_description,
    is_network,
)
from duchenne.networks.saving import UNTRAINED, Saved, card_of, load, save

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)  # each registers its networks
NETWORKS.update(
    plug_ins.found(plug_ins.NETWORKS, is_network, {GIVEN, *NETWORKS})
)

__all__ = [
    "GIVEN",
    "NETWORKS",
    "UNTRAINED",
    "Description",
    "Saved",
    "build",
    "card_of",
    "from_description",
    "load",
    "save",
]
