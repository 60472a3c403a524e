"""The live page under load: how long an answer takes beyond the network's own
time, and whether memory grows.

    python -m benchmarks.live runs/quick

A thousand requests by each of eight clients, half of them slider faces and
half photographs of a rendered face, sent to the page as the command serves it:
every answer must be the one that the same request gets alone. Memory is the
server's own, read before and after each quarter.
"""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.tables import machine, markdown
from duchenne.study.record import Study
from duchenne.study.record import open as opened

REQUESTS, CLIENTS = 8000, 8


def main(run: str) -> None:
    """Print what one client waits for, and what eight do to the server."""
    serving = subprocess.Popen(
        [sys.executable, "-m", "duchenne", "app", run, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    late = threading.Timer(3600, serving.kill)
    late.start()
    try:
        assert serving.stderr
        found = re.search(r"http://\S+/", serving.stderr.readline())
        assert found
        print(machine() + "\n")
        asked = _requests(found[0], opened(run, until="evidence"))
        print(markdown(_alone(asked)))
        print(markdown(_together(asked, serving.pid)))
    finally:
        late.cancel()
        serving.send_signal(signal.SIGINT)
        serving.wait(20)


def _requests(
    address: str, study: Study
) -> dict[str, list[urllib.request.Request]]:
    """Slider faces, and photographs: a face of the study enlarged to 800 × 800
    within a larger picture.
    """
    rng = np.random.default_rng(0)
    orders = [
        {"person": int(person), "action_units": {"AU12": float(share)}}
        for person, share in zip(
            rng.integers(0, 3, 50), rng.random(50), strict=True
        )
    ]
    face = Image.open(study.table.paths[0]).convert("RGB").resize((800, 800))
    photograph = Image.new("RGB", (1600, 1200), (120, 110, 100))
    photograph.paste(face, (400, 200))
    packed = io.BytesIO()
    photograph.save(packed, "JPEG", quality=90)
    return {
        "slider face": [
            urllib.request.Request(
                address + "draw", json.dumps(order).encode()
            )
            for order in orders
        ],
        "photograph, 1600 × 1200": [
            urllib.request.Request(address + "read", packed.getvalue())
        ]
        * 50,
    }


Answer = dict[str, object]


def _ask(request: urllib.request.Request) -> tuple[float, float, Answer]:
    """Milliseconds that an answer took, and that the network itself did; and
    the answer.
    """
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        told = json.load(answer)
    took, network = 1000 * (time.perf_counter() - began), told["network_ms"]
    return (
        took,
        network,
        {
            name: value
            for name, value in told.items()
            if not name.endswith("_ms")
        },
    )


def _tried(
    request: urllib.request.Request,
) -> tuple[float, float, Answer] | None:
    """The same; nothing where there was no answer."""
    try:
        return _ask(request)
    except (OSError, ValueError):
        return None


def _alone(asked: dict[str, list[urllib.request.Request]]) -> pd.DataFrame:
    rows = []
    for name, requests in asked.items():
        for request in requests[:5]:
            _ask(request)
        took = np.array([_ask(request)[:2] for request in requests])
        beyond = np.sort(took[:, 0] - took[:, 1])
        rows.append(
            {
                "one client": name,
                "network, ms": f"{np.median(took[:, 1]):.0f}",
                "answer, ms": f"{np.median(took[:, 0]):.0f}",
                "beyond the network, ms": f"{np.median(beyond):.0f}",
                "95 % within, ms": f"{np.quantile(beyond, 0.95):.0f}",
            }
        )
    return pd.DataFrame(rows)


def _together(
    asked: dict[str, list[urllib.request.Request]], server: int
) -> pd.DataFrame:
    kinds = list(asked.values())
    different = [
        request for pair in zip(*kinds, strict=True) for request in pair
    ]
    alone = [_ask(request)[2] for request in different]
    every = [number % len(different) for number in range(REQUESTS)]
    took: list[float] = []
    failed, mixed = 0, 0
    memory, began = [_memory(server)], time.perf_counter()
    for first in range(0, REQUESTS, REQUESTS // 4):
        some = every[first : first + REQUESTS // 4]
        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = list(
                clients.map(_tried, [different[number] for number in some])
            )
        for number, found in zip(some, answers, strict=True):
            if found is None:
                failed += 1
                continue
            took.append(found[0])
            mixed += found[2] != alone[number]
        memory.append(_memory(server))
    rate = REQUESTS / (time.perf_counter() - began)
    half, most = np.quantile(took, [0.5, 0.95])
    told = {
        f"{REQUESTS:,} by {CLIENTS} clients": f"{rate:.1f} a second",
        "failed": str(failed),
        "answers other than alone": str(mixed),
        "half within, ms": f"{half:.0f}",
        "95 % within, ms": f"{most:.0f}",
    }
    names = [
        "before",
        *(f"after {share * REQUESTS // 4:,}" for share in range(1, 5)),
    ]
    told |= {
        f"memory {name}, MiB": f"{value:.0f}"
        for name, value in zip(names, memory, strict=True)
    }
    return pd.DataFrame([told])


def _memory(server: int) -> float:
    """What a process holds in memory, in MiB."""
    told = Path(f"/proc/{server}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", told)[0]) / 2**10


if __name__ == "__main__":
    main(str(Path(sys.argv[1])))
