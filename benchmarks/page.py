"""The report in a browser: its size, and how soon something is seen of it.

    python -m benchmarks.page runs/quick

The page of a study as it is (256 units × 10 pictures), and of the same study
with its units eight times over (2,048), as both are written by
``duchenne report``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from tests.browser import opened

from benchmarks.tables import machine, markdown
from duchenne.files import write_json
from duchenne.report.page import document
from duchenne.study.record import Study

TIMES = 8


def main(run: str) -> None:
    """Print a row a page."""
    print(machine() + "\n")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, TIMES):
            study = _repeated(Path(run), Path(folder) / str(times), times)
            began = time.perf_counter()
            document.write(study)
            took = time.perf_counter() - began
            rows.append(_looked_at(study) | {"written in, s": f"{took:.1f}"})
    print(markdown(pd.DataFrame(rows)))


def _looked_at(study: Study) -> dict[str, str]:
    painted, loaded = [], []
    for _ in range(5):
        with opened(study.report.as_uri()) as browser:
            painted.append(
                browser.page.evaluate(
                    "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                )
            )
            loaded.append(
                browser.page.evaluate(
                    "performance.getEntriesByType('navigation')[0].loadEventEnd"
                )
            )
    return {
        "units": f"{study.summary['units']:,}",
        "page, MB": f"{study.report.stat().st_size / 1e6:.1f}",
        "first paint, ms": f"{np.median(painted):.0f}",
        "ready, ms": f"{np.median(loaded):.0f}",
    }


def _repeated(run: Path, folder: Path, times: int) -> Study:
    """A study whose every unit is there so many times, under numbers of its
    own.
    """
    shutil.copytree(run, folder)
    study = run.open(folder, until="projections")
    layer, units = study.units_folder, study.summary["units"]
    for path in (*folder.glob("*.parquet"), *layer.rglob("*.parquet")):
        frame = pd.read_parquet(path)
        # that has a row an action unit
        if "unit" in frame and path.name != "detectors.parquet":
            alone = frame[frame["unit"].notna()]
            every = pd.concat(
                [
                    frame,
                    *(
                        alone.assign(unit=alone["unit"] + units * number)
                        for number in range(1, times)
                    ),
                ]
            )
            if path.name == "responses.parquet":  # picture by picture
                every = every.sort_values(["image", "unit"])
            every.to_parquet(path, index=False)
    strips = list((layer / "projections").glob("unit-*.png"))
    for number in range(1, times):
        for path in strips:
            _, unit, rest = path.name.split("-", 2)
            shutil.copyfile(
                path,
                path.with_name(
                    f"unit-{int(unit) + units * number:04d}-{rest}"
                ),
            )
    answers = load_file(layer / "doses.safetensors")["answers"]
    save_file(
        {"answers": np.tile(answers, times)}, layer / "doses.safetensors"
    )
    write_json(
        layer / "summary.json", study.summary | {"units": units * times}
    )
    return run.open(folder, until="projections")


if __name__ == "__main__":
    main(sys.argv[1])
