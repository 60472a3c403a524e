"""The live page: what it tells is what the network answers, and whatever is
sent to it, it lives on.
"""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient

import duchenne.app
from duchenne import facs
from duchenne.app import connections
from duchenne.app.reader import FIRING, Reader, Sitter
from duchenne.app.server import application
from duchenne.errors import InputError
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.images import decoding
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace
from duchenne.units.activations import Activations

from .browser import opened
from .test_cli import command


@pytest.fixture(scope="module")
def reader(avatar_study: Study) -> Reader:
    return Reader(avatar_study)


@pytest.fixture(scope="module")
def client(avatar_study: Study) -> Iterator[TestClient]:
    with TestClient(application(avatar_study), base_url="http://localhost") as found:
        yield found


def png(size: int = 64) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (size, size), np.uint8)).save(
        packed, "PNG"
    )
    return packed.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is very large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


# readings


def test_a_face_is_read_as_the_study_read_it(avatar_study: Study, reader: Reader) -> None:
    predictions = pd.read_parquet(avatar_study.folder / "predictions.parquet")
    predictions = predictions[predictions["fold"] == avatar_study.scores["shown"]["fold"]]
    frame = avatar_study.table.frame.reset_index(drop=True)
    for row in predictions.sample(3, random_state=0).to_dict("records"):
        place = int(frame.index[frame["path"] == row["path"]][0])
        pixels = np.asarray(Image.open(avatar_study.table.paths[place]), np.float32)[None] / 255
        found = reader.face(pixels)
        assert found.shares == pytest.approx(
            {name: row[f"p_{name}"] for name in avatar_study.scores["classes"]}, abs=1e-3
        )


def test_units_fire_by_their_own_spread_strongest_first(
    avatar_study: Study, reader: Reader
) -> None:
    activations = Activations.from_frame(
        pd.read_parquet(avatar_study.units_folder / "responses.parquet")
    )
    pixels = (
        np.asarray(Image.open(avatar_study.table.paths[activations.image[5]]), np.float32)[None]
        / 255
    )
    found = reader.face(pixels).firing
    spread = activations.value.std(0)
    above = (activations.value[5] - activations.value.mean(0)) / np.where(
        spread > 0, spread, np.inf
    )
    assert [each.unit for each in found] == np.argsort(-above, kind="stable")[:FIRING].tolist()
    assert [each.above for each in found] == pytest.approx(
        above[[each.unit for each in found]].tolist(), rel=1e-3
    )
    assert all(each.seen.shape == (32, 32, 4) for each in found)
    assert all(each.seen[..., 3].max() == 255 for each in found)


def test_a_sitter_is_drawn_as_the_stimulated_people_are(avatar_study: Study) -> None:
    sitter = Sitter(avatar_study)
    like = Workspace(avatar_study, avatar_study.table, lambda line: None).stimulating
    path, shot = next(
        (path, shot)
        for path, shot in dataset.shown(like, head_basis()).items()
        if shot.action_units == {12: (1, 1)}
    )
    sitter._people = {3: shot.person}
    drawn, _ = sitter.draw(3, {12: 1.0})
    np.testing.assert_allclose(drawn, decoding.read(dataset.load(like).root / path, 1), atol=1e-6)
    sitter = Sitter(avatar_study)
    rest, shown = sitter.draw(3, {})
    smiling, _ = sitter.draw(3, {12: 1.0})
    assert rest.shape == (1, 32, 32)
    assert shown.shape == (256, 256, 3)
    moved = np.abs(smiling - rest)[0]
    assert moved[16:].max() > 0.1
    assert moved[:8].max() < 0.02  # the forehead stays


# requests


def test_sliders_change_what_is_told(client: TestClient) -> None:
    rest, smile = (
        client.post("/draw", content=json.dumps({"person": 0, "action_units": units})).json()
        for units in ({}, {"AU12": 1})
    )
    assert rest["shares"] != smile["shares"]
    assert sum(smile["shares"].values()) == pytest.approx(1, abs=1e-5)
    assert rest["face"].startswith("data:image/png;base64,")
    assert 0 < len(smile["units"]) <= FIRING
    assert smile["all_ms"] > smile["network_ms"] > 0


def test_a_photograph_without_a_face_is_read_in_its_middle_and_that_is_told(
    client: TestClient,
) -> None:
    found = client.post("/read", content=png())
    assert found.status_code == 200
    assert "no face found" in found.json()["note"]


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"hello", 400, "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "not a picture"),
        (png()[:200], 400, "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", 400, "not a picture"),
        (bomb(50_000), 400, "more than 40,000,000 pixels"),
        (bomb(10_000), 400, "10000×10000 pixels are more than 40,000,000 allowed"),
        (b"0" * (16 * 2**20 + 1), 413, "more than 16,777,216 bytes"),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"; '
            b'filename="../../etc/passwd"\r\n\r\n--x--',
            400,
            "not a picture",
        ),
    ],
)
def test_what_is_no_picture_gets_a_line_and_the_page_lives_on(
    client: TestClient, content: bytes, status: int, says: str
) -> None:
    refused = client.post("/read", content=content)
    assert (refused.status_code, says in refused.json()["error"]) == (status, True), refused.text
    assert client.post("/read", content=png()).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "expected"),
        ("[]", "expected"),
        ("[" * 9000, "expected"),
        ('{"person": 0, "action_units": []}', "expected"),
        ('{"person": -1, "action_units": {}}', "person"),
        ('{"person": true, "action_units": {}}', "person"),
        ('{"person": 0, "action_units": {"AU99": 1}}', "'AU99'"),
        ('{"person": 0, "action_units": {"AU12": 2}}', "AU12: expected a strength"),
        ('{"person": 0, "action_units": {"AU12": NaN}}', "AU12: expected a strength"),
    ],
)
def test_orders_that_cannot_be_drawn_get_a_line(client: TestClient, body: str, says: str) -> None:
    refused = client.post("/draw", content=body)
    assert (refused.status_code, says in refused.json()["error"]) == (400, True), refused.text


def test_ten_pictures_at_once_are_all_read_and_too_many_are_put_off(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(10) as threads:
        found = list(
            threads.map(lambda _: client.post("/read", content=png()).status_code, range(10))
        )
    assert found == [200] * 10
    monkeypatch.setattr("duchenne.app.server._WAITING", 1)
    with ThreadPoolExecutor(20) as threads:
        found = list(
            threads.map(lambda _: client.post("/read", content=png(600)).status_code, range(20))
        )
    assert set(found) == {200, 503}
    assert client.post("/read", content=png()).status_code == 200


def test_other_sites_names_and_other_methods_are_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/read").status_code == 405
    assert (
        client.post("/read", content=png(), headers={"sec-fetch-site": "cross-site"}).status_code
        == 403
    )
    assert (
        client.post("/read", content=png(), headers={"sec-fetch-site": "same-origin"}).status_code
        == 200
    )
    assert client.get("/../study.json").status_code == 404
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert all(facs.code(number) in page.text for number in facs.rendered())


def test_a_picture_that_does_not_say_how_long_it_is_ends_at_the_bound(client: TestClient) -> None:
    refused = client.post("/read", content=iter([b"0" * 2**20] * 17))
    assert (refused.status_code, "more than 16,777,216 bytes" in refused.json()["error"]) == (
        413,
        True,
    )


def test_a_mistake_of_ours_is_told_under_the_same_guard(
    avatar_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(reader: Reader, content: bytes) -> None:
        raise RuntimeError

    with TestClient(
        application(avatar_study), "http://localhost", raise_server_exceptions=False
    ) as client:
        monkeypatch.setattr(Reader, "photograph", broken)
        failed = client.post("/read", content=png())
    assert (failed.status_code, "terminal" in failed.json()["error"]) == (500, True)
    assert "content-security-policy" in failed.headers


def test_nothing_is_written(client: TestClient, avatar_study: Study) -> None:
    before = {path: path.stat().st_mtime_ns for path in avatar_study.folder.rglob("*")}
    client.post("/read", content=png())
    client.post("/draw", content='{"person": 1, "action_units": {"AU01": 0.5}}')
    assert {path: path.stat().st_mtime_ns for path in avatar_study.folder.rglob("*")} == before


# the command


def test_without_the_extra_the_command_says_what_to_install(
    avatar_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duchenne.app, "_NEEDED", ("starlette", "no_such_package"))
    code, _, error = command("app", avatar_study.folder)
    assert (code, "pip install 'duchenne[app]'" in error) == (2, True)


def test_an_address_that_cannot_be_had_is_named() -> None:
    with pytest.raises(InputError, match=r"host 203\.0\.113\.7, port 80"):
        duchenne.app._listening("203.0.113.7", 80)


@pytest.fixture(scope="module")
def address(avatar_study: Study) -> Iterator[str]:
    """The live page as the command serves it."""
    command = [sys.executable, "-m", "duchenne", "app", str(avatar_study.folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as serving:
        late = threading.Timer(120, serving.kill)
        late.start()
        try:
            assert serving.stdout
            said = re.search(r"http://127\.0\.0\.1:\d+/", serving.stdout.readline())
            assert said
            yield said[0]
            serving.send_signal(signal.SIGINT)
            assert serving.wait(20) in (0, 130, -signal.SIGINT), serving.stdout.read()
        finally:
            late.cancel()
            serving.kill()


def test_clients_that_send_nothing_shut_nobody_out(address: str) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    begun = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
    body = b"POST /read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nab"
    for sent, count in ((b"", 63), (b"", 90), (begun, 70), (body, 40)):
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
        for each in held:
            with suppress(OSError):
                each.sendall(sent)
        assert asked(port).startswith(b"HTTP/1.1 200")
        for each in held:
            each.close()


@pytest.mark.slow
def test_a_request_that_does_not_come_is_let_go(address: str) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=connections.PATIENCE + 5) as idle:
        assert idle.recv(1) == b""
    slow = b"POST /read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nab"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as dripping:
        dripping.sendall(slow)
        assert dripping.recv(20).startswith(b"HTTP/1.1 408")


def asked(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return one.recv(100)


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://localhost", 200),
        (None, 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost:99", 403),
    ],
)
def test_requests_of_other_pages_are_refused_by_their_origin(
    client: TestClient, origin: str | None, code: int
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    told = client.post("/draw", json={"person": 0, "action_units": {}}, headers=headers)
    assert told.status_code == code


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_of_many_pixels_is_decoded_at_a_smaller_scale(kind: str) -> None:
    packed = io.BytesIO()
    gradient = Image.linear_gradient("L").resize((6000, 5000)).convert("RGB")
    gradient.save(packed, kind)
    found = decoding.from_bytes(packed.getvalue(), "the picture", 1, 40_000_000, longest=1024)
    assert 1024 <= max(found.shape) < 2100
    assert np.abs(found[0].mean(1) - np.linspace(0, 1, found.shape[1])).max() < 0.03


def test_what_a_network_of_rendered_faces_says_of_photographs_is_qualified(
    client: TestClient,
) -> None:
    assert "trained on rendered faces only" in client.get("/").text


@pytest.mark.slow
def test_in_a_browser_sliders_move_pictures_are_read_and_mistakes_are_told(
    address: str, tmp_path: Path
) -> None:
    (tmp_path / "face.png").write_bytes(png())
    (tmp_path / "notes.png").write_bytes(b"notes")
    with opened(address) as browser:
        page = browser.page
        page.wait_for_selector("#units button")
        before = page.get_attribute("#face", "src")
        page.locator("[data-au=AU12]").fill("1")
        page.wait_for_function(
            "before => document.getElementById('face').src !== before", arg=before
        )
        page.locator("#units button").nth(1).click()
        assert page.locator("#units button").nth(1).get_attribute("aria-pressed") == "true"
        assert browser.violations() == []
        assert page.inner_text("#heard").startswith("It reads ")
        page.evaluate("""() => {
            const held = new DataTransfer();
            held.items.add(new File(["notes"], "notes.png", {type: "image/png"}));
            dispatchEvent(new ClipboardEvent("paste", {clipboardData: held}));
        }""")
        page.locator("#error", has_text="not a picture").wait_for()
        assert page.get_attribute("#tab-photo", "aria-selected") == "true"
        page.set_input_files("#file", tmp_path / "face.png")
        page.locator("#note", has_text="no face found").wait_for()
        page.set_input_files("#file", tmp_path / "notes.png")
        page.locator("#error", has_text="not a picture").wait_for()
        page.set_input_files("#file", tmp_path / "face.png")
        page.wait_for_function("() => document.getElementById('error').textContent === ''")
        assert browser.violations() == []
        assert all(url.startswith((address, "data:")) for url in browser.requests)
        assert [
            error for error in browser.errors if "400" not in error
        ] == []  # the refused picture


def test_in_a_browser_the_camera_is_read_and_let_go(address: str) -> None:
    filming = (
        "() => document.getElementById('video').srcObject?.getTracks().some((track) => "
        "track.readyState === 'live')"
    )
    with opened(address) as browser:
        page = browser.page
        page.wait_for_selector("#units button")
        page.click("#tab-webcam")
        page.click("#camera")
        # in the test picture
        page.locator("#note", has_text="no face found").wait_for()
        first = page.get_attribute("#face", "src")
        page.wait_for_function("first => document.getElementById('face').src !== first", arg=first)
        assert page.evaluate(filming)
        page.click("#camera")
        assert page.inner_text("#camera") == "Start the camera"
        assert not page.evaluate(filming)
        page.click("#camera")
        page.wait_for_function(filming)
        page.click("#tab-sliders")
        page.wait_for_function(f"() => !({filming})()")
        assert browser.errors == []
