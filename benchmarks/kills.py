"""Studies killed again and again, wherever they are: resumed, they end with
the same files.

    python -m benchmarks.kills 200

A small study is killed (SIGKILL) at a random moment and resumed until it ends;
each of its files is then compared with those of one that was never killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from duchenne.progress import Advance, bars

_RECIPE = """
extends = "quick"
[faces]
size = 80
[faces.avatars]
people = 10
size = 80
samples = 1
[folds]
count = 3
run = [0, 1]
[network]
name = "sparse"
options = { filters = 6 }
prepare = ["standardise"]
[training]
epochs = 5
batch = 32
[units]
layer = "conv3"
gallery = 3
top = 2
[evidence]
permutations = 99
score_permutations = 2
bins = 16
least = 4
[stimulation]
people = 6
[ablation]
random_sets = 2
[detectors]
folds = 2
[traits]
layers = ["conv3"]
pictures = 2
filters = 2
"""
_COMPARED = (".parquet", ".json", ".safetensors", ".png", ".csv", ".html")
_SHORTEST = 2.0  # seconds before a kill: Python has hardly imported
# seconds before a kill, times the runs since a stage was last finished, so
# that a long stage ends too
_LONGEST = 12.0


def files(folder: Path) -> dict[str, bytes]:
    """Every result of a study, but for what tells of times and of the folder's
    own name.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _COMPARED and path.name != "study.json"
    ]
    own = str(folder).encode()
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(own, b"STUDY")
        for path in paths
    }


def killed(
    recipe: Path, out: Path, seed: int, advance: Advance
) -> Counter[str]:
    """Run a study to its end, killed at random moments; at which stage each
    kill came.
    """
    chance = random.Random(seed)
    stages: Counter[str] = Counter()
    environment = {
        **os.environ,
        "DUCHENNE_CACHE": str(out.parent / f"cache-{seed}"),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-m",
        "duchenne",
        "run",
        str(recipe),
        "--out",
        str(out),
        "--resume",
        "--workers",
        "1",
    ]
    reached, tries = "", 0
    while not _ended(
        command, environment, chance.uniform(_SHORTEST, _LONGEST * (tries + 1))
    ):
        stage = _stage(out)
        tries = tries + 1 if stage == reached else 0
        reached = stage
        stages[stage] += 1
        advance(1)
    return stages


def _ended(
    command: list[str], environment: dict[str, str], seconds: float
) -> bool:
    """Whether a run ended by itself before it was killed, so many seconds
    after its start.
    """
    running = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, error = running.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        running.communicate()
        return False
    if running.returncode:
        raise RuntimeError(error)
    return True


def _stage(out: Path) -> str:
    """The stage that was at work."""
    try:
        done = json.loads((out / "study.json").read_text())["stages"]
    except (OSError, ValueError):
        return "before the first stage"
    return f"after {list(done)[-1]}" if done else "the first stage"


def main(wanted: int) -> int:
    """Kill studies so many times, two at once, and print where, and how many
    files came out otherwise.
    """
    total: Counter[str] = Counter()
    other: list[str] = []
    with (
        tempfile.TemporaryDirectory() as top,
        bars("Kills", wanted) as advance,
        ThreadPoolExecutor(2) as threads,
    ):
        recipe = Path(top, "tiny.toml")
        recipe.write_text(_RECIPE)
        whole = Path(top, "whole")
        command = [
            sys.executable,
            "-m",
            "duchenne",
            "run",
            str(recipe),
            "--out",
            str(whole),
            "--workers",
            "1",
        ]
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        reference = files(whole)
        seed = 0
        while total.total() < wanted:
            outs = [
                Path(top, f"killed-{number}") for number in (seed, seed + 1)
            ]
            found = [
                threads.submit(killed, recipe, out, seed + place, advance)
                for place, out in enumerate(outs)
            ]
            for out, each in zip(outs, found, strict=True):
                total += each.result()
                again = files(out)
                other += [
                    name
                    for name in reference.keys() | again.keys()
                    if reference.get(name) != again.get(name)
                ]
            seed += 2
    for stage, count in sorted(total.items()):
        print(f"killed {stage}: {count}")
    print(
        f"{total.total()} kills of {seed} studies, {len(reference)} files each: {len(other)} files "
        "differ",
        *sorted(set(other)),
    )
    return len(other)


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200), 1))
