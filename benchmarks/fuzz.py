"""Damaged and absurd input, thousands at a time: whatever is given, a user is
told one line, never a traceback.

python -m benchmarks.fuzz 20000
"""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from duchenne import files, recipes
from duchenne.errors import InputError
from duchenne.evidence import match
from duchenne.faces import detector_columns, load
from duchenne.faces.images import decoding
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.faces.table import FaceTable
from duchenne.progress import bars
from duchenne.recipes import Recipe

Chance = random.Random

_ODD = (
    "",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "true",
    "[]",
    "{}",
    "[1]",
    "{a=1}",
    '"x"',
    "1979-05-27",
    "0x10",
    "9" * 20,
    "1.5",
    "-0",
    "\0",
    "\udce9",
    "é",
    "…",
    "'",
    '"',
    "\n",
    "a" * 5000,
    "[" * 400,
    "folder:",
    "folder:\0",
    "conv3",
    "..",
    "/",
    "C:\\x",
)


def change(chance: Chance, place: Path) -> None:
    """A key of a recipe, set to something."""
    keys = [
        line.partition("=")[0]
        for line in recipes.described(recipes.read("quick"))
        if "=" in line
    ]
    key = chance.choice(
        [
            *keys,
            *(name for name in Recipe.model_fields),
            "nothing",
            "",
            ".",
            "a.b.c",
            "faces.",
        ]
    )
    value = chance.choice(_ODD)
    changed = recipes.read(
        chance.choice(["quick", "khorrami2015"]), [f"{key}={value}"]
    )
    recipes.described(changed)
    json.dumps(changed.model_dump(mode="json"))
    str(changed).encode()


def recipe_file(chance: Chance, place: Path) -> None:
    """A recipe's file, one of its lines damaged."""
    lines = recipes.described(recipes.read(chance.choice(recipes.names())))
    for _ in range(chance.randint(1, 3)):
        row = chance.randrange(len(lines))
        key = lines[row].partition("=")[0].split(".")[0] or "faces"
        lines[row] = chance.choice(
            [
                f"{key}={chance.choice(_ODD)}",
                f"[[{key}]]",
                f"[{key}",
                lines[row][::-1],
                f"extends={key}",
            ]
        )
    file = place / "mine.toml"
    file.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    recipes.described(recipes.read(str(file)))


def manifest(chance: Chance, place: Path) -> None:
    """A manifest, some of its cells and bytes damaged."""
    (place / "1.png").write_bytes(_PNG)
    rows = [
        ["path", "expression", "subject", "AU12", "AU12_intensity", "frame"],
        ["1.png", "happy", "s", "1", "2", "3"],
    ]
    for _ in range(chance.randint(1, 3)):
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = chance.choice(
            [*_ODD, "AU12L", "AU99", "frame"]
        )
    separator = chance.choice([",", ";", "\t", "|"])
    text = "\n".join(separator.join(row) for row in rows).encode(
        chance.choice(["utf-8", "utf-16", "cp1252"]), "replace"
    )
    (place / "manifest.csv").write_bytes(damaged(chance, text))
    fingerprint(load(f"folder:{place}"))


def detector(chance: Chance, place: Path) -> None:
    """A detector's table, some of its cells and bytes damaged."""
    table = FaceTable(
        pd.DataFrame(
            {
                "path": ["a/1.png", "a/2.png"],
                "sequence": "a",
                "frame": [1, 2],
                "expression": "fear",
            }
        ),
        place,
    )
    rows = [
        ["frame", "success", "AU01_r", "AU12_c"],
        ["0", "1", "0.5", "1"],
        ["1", "1", "2", "0"],
    ]
    for _ in range(chance.randint(1, 3)):
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = chance.choice(
            [*_ODD, "-nan(ind)", "input", "AU12L", "frame_idx"]
        )
    (place / "a.csv").write_bytes(
        damaged(
            chance,
            "\n".join(",".join(row) for row in rows).encode(errors="replace"),
        )
    )
    detector_columns.join(table, chance.choice([place, place / "a.csv"]))


def picture(chance: Chance, place: Path) -> None:
    """A picture's file, some of its bytes damaged."""
    buffer = io.BytesIO()
    kind = chance.choice(
        ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "PPM"]
    )
    Image.fromarray(
        np.frombuffer(chance.randbytes(1200), np.uint8).reshape(20, 20, 3)
    ).save(buffer, kind)
    (place / "a.png").write_bytes(damaged(chance, buffer.getvalue()))
    decoding.read(place / "a.png", chance.choice([1, 3]))


def table(chance: Chance, place: Path) -> None:
    """A file of a study's record, some of its bytes damaged."""
    file = place / "evidence.parquet"
    pd.DataFrame({"unit": range(20), "au": "AU12", "r": 0.1}).to_parquet(file)
    file.write_bytes(damaged(chance, file.read_bytes()))
    files.read_frame(file)
    (place / "scores.json").write_bytes(
        damaged(chance, b'{"accuracy": {"a": [1, 2, 3]}}')
    )
    files.read_mapping(place / "scores.json")


def labels(chance: Chance, place: Path) -> None:
    """Activations and labels of a few pictures, with whatever people leave in
    them.
    """
    count = chance.randint(0, 40)
    values = np.array(
        [
            chance.choice([0.0, 1.0, 2.5, -1.0, np.nan, np.inf])
            for _ in range(2 * count)
        ]
    ).reshape(count, 2)
    shown = pd.DataFrame(
        {
            "AU12": pd.array(
                [chance.choice([True, False, None]) for _ in range(count)],
                "boolean",
            )
        }
    )
    people = [chance.choice(["a", "b", None, "c"]) for _ in range(count)]
    takes = [chance.choice(["x", "y", None]) for _ in range(count)]
    match(
        values,
        shown,
        people,
        takes,
        permutations=19,
        score_permutations=2,
        least=chance.choice([1, 3]),
    )


def damaged(chance: Chance, content: bytes) -> bytes:
    """Bytes with some flipped, cut, doubled or emptied, or left as they are."""
    kind = chance.randrange(6)
    if kind == 0:
        return content[: chance.randint(0, len(content))]
    if kind == 1:
        flipped = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return content + chance.randbytes(chance.randint(1, 50))
    if kind == 3:
        return chance.randbytes(len(content))
    return content


_BUFFER = io.BytesIO()
Image.fromarray(np.zeros((8, 8), np.uint8)).save(_BUFFER, "PNG")
_PNG = _BUFFER.getvalue()

KINDS: tuple[Callable[[Chance, Path], None], ...] = (
    change,
    recipe_file,
    manifest,
    detector,
    picture,
    table,
    labels,
)


def main(count: int, seed: int = 0) -> int:
    """Try so many inputs of all kinds; print what led to more than a line, and
    how often each kind was taken or refused.
    """
    told: Counter[tuple[str, str]] = Counter()
    with (
        bars("Fuzzing", count) as advance,
        tempfile.TemporaryDirectory() as top,
    ):
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            place = Path(top, str(number % 50))
            for path in place.glob("*"):
                path.unlink()
            place.mkdir(exist_ok=True)
            told[kind.__name__, _tried(kind, seed + number, place)] += 1
            advance(1)
    for (name, end), times in sorted(told.items()):
        print(f"{name}: {end} {times}")
    return sum(times for (_, end), times in told.items() if end == "traceback")


def _tried(
    kind: Callable[[Chance, Path], None], seed: int, place: Path
) -> str:
    try:
        kind(Chance(seed), place)
    except InputError as error:
        return "a line" if "\n" not in str(error) else "traceback"
    except UserWarning:
        return "a line"
    except Exception:  # is what this looks for: counted, printed with its seed
        print(
            f"{kind.__name__}, seed {seed}:\n{traceback.format_exc(limit=-4)}",
            file=sys.stderr,
        )
        return "traceback"
    return "taken"


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    sys.exit(min(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000), 1))
