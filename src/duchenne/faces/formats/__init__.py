"""Data sets on disk: one module each, and the registry of all by the name before the colon."""

from __future__ import annotations

from duchenne.faces.formats import affectnet, bp4d, ckplus, disfa, fer2013, folder, jaffe, kdef, rafdb, tfd
from duchenne.faces.formats.reading import Format

FORMATS: dict[str, Format] = {
    "folder": folder.FORMAT,
    "ckplus": ckplus.FORMAT,
    "jaffe": jaffe.FORMAT,
    "tfd": tfd.FORMAT,
    "fer2013": fer2013.FER2013,
    "ferplus": fer2013.FERPLUS,
    "rafdb": rafdb.FORMAT,
    "affectnet": affectnet.FORMAT,
    "disfa": disfa.DISFA,
    "disfaplus": disfa.DISFA_PLUS,
    "bp4d": bp4d.FORMAT,
    "kdef": kdef.FORMAT,
}
"""Every kind of data set."""
