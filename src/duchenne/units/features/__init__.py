"""Units that are not the channels of a layer but are read off what it gives:
principal components, features of a sparse autoencoder, attention heads, what
lies above and below 0, patches as a map, the class token.

A layer's name says so behind a colon, as in ``layer4:pca=16`` (``names``).
Each kind is a code (``codes``) of some arrays (``arrays``), and becomes a
module of the network under that very name (``attaching``), so that whatever
reads, projects or ablates a layer does so with it.
"""

from duchenne.units.features.attaching import (
    Features,
    attach,
    attached,
    detach,
)
from duchenne.units.features.names import LayerName, files_of_features

__all__ = [
    "Features",
    "LayerName",
    "attach",
    "attached",
    "detach",
    "files_of_features",
]
