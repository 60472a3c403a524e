"""Reading pictures: the formats of ``FORMATS``, grey or colour, 8 or 16 bit,
upright, and never too large.

Inside the project a picture is float32 in 0 … 1, channels first: (C, H, W)
with C = 1 or 3.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.grey import grey
from duchenne.faces.images import containers

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float32]

MOST_PIXELS = 100_000_000
"""A picture that says it is larger is not decoded: it may be a decompression
bomb.
"""

FORMATS = (
    "JPEG",
    "MPO",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "JPEG2000",
    "PPM",
    "TGA",
    "AVIF",
)
"""What is decoded, by Pillow's names, whatever a file's name ends with: none
has another program run, as EPS does.
"""

# modes whose numbers are no grey or RGB
_INDIRECT = ("P", "PA", "1", "CMYK", "YCbCr", "LAB", "HSV")


def read(path: Path, channels: int = 1) -> Floats:
    """Read one picture upright.

    Args:
        path: The file.
        channels: 1 for grey, 3 for RGB.

    Returns:
        (channels, H, W) in 0 … 1.

    Raises:
        InputError: Where the file is missing, empty, truncated, locked, not a
            picture, or larger than ``MOST_PIXELS``.
    """
    return _channels_first(_scaled(decoded(path), path), channels)


_UPLOADED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def from_bytes(
    content: bytes,
    name: str,
    channels: int = 1,
    most_pixels: int = MOST_PIXELS,
    longest: int | None = None,
) -> Floats:
    """Read a picture from memory as ``read`` does from a file.

    Of the formats that cameras and browsers write, and no other: some have
    programs of their own run to be drawn (EPS).

    Args:
        content: Of a file.
        name: What messages call it.
        channels: 1 for grey, 3 for RGB.
        most_pixels: Above which it is refused.
        longest: One whose longer side has more than twice as many pixels is
            decoded at a smaller scale, still at least as long.

    Returns:
        (channels, H, W) in 0 … 1.

    Raises:
        InputError: As ``read`` does.

    >>> from_bytes(b"", "the upload")
    Traceback (most recent call last):
    duchenne.errors.InputError: the upload: empty
    """
    if not content:
        raise InputError(f"{name}: empty")
    return _channels_first(
        _scaled(
            _decode(
                io.BytesIO(content), name, most_pixels, _UPLOADED, longest
            ),
            name,
        ),
        channels,
    )


def _channels_first(pixels: Floats, channels: int) -> Floats:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if channels == 1:
        return grey(np.ascontiguousarray(pixels[..., :3].transpose(2, 0, 1)))
    colour = (
        np.repeat(pixels[..., :1], 3, -1)
        if pixels.shape[-1] < 3
        else pixels[..., :3]
    )
    return np.ascontiguousarray(colour.transpose(2, 0, 1))


def write(path: Path, picture: Floats) -> None:
    """Write a picture as 8 bit, in the format that the path's suffix names.

    Args:
        path: The file.
        picture: (C, H, W) in 0 … 1.
    """
    from PIL import Image

    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(
        pixels[0]
        if len(pixels) == 1
        else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    ).save(path)


def decoded(path: Path) -> NDArray[np.generic]:
    """Decode one picture upright as it is stored.

    Args:
        path: The file.

    Returns:
        (H, W) or (H, W, bands).

    Raises:
        InputError: As ``read`` does.
    """
    held = containers.split_member(path)
    return (
        containers.decode(*held)
        if held and not path.exists()
        else _decode(path, path)
    )


def _decode(
    source: Path | io.BytesIO,
    name: str | Path,
    most_pixels: int = MOST_PIXELS,
    formats: tuple[str, ...] = FORMATS,
    longest: int | None = None,
) -> NDArray[np.generic]:
    from PIL import Image

    try:
        with (
            _unwarned(),
            Image.open(source, formats=_known(formats)) as picture,
        ):
            width, height = picture.size
            if width * height > most_pixels:
                many = f"{width}×{height} pixels are more than {most_pixels:,} allowed"
                raise InputError(f"{name}: {many}")
            upright = _upright(
                _reduced(picture, longest) if longest else picture
            )
            if upright.mode in _INDIRECT:
                upright = upright.convert("RGB")
            return np.asarray(upright)
    except InputError:
        raise
    # decoders fail in many ways on what is damaged: one picture must not stop
    # the others
    except Exception as error:
        raise InputError(
            f"{name}: {_why(error, source, most_pixels)}"
        ) from None


def _why(error: Exception, source: Path | io.BytesIO, most_pixels: int) -> str:
    """Why a picture cannot be read."""
    from PIL import Image, UnidentifiedImageError

    match error:
        case FileNotFoundError():
            return "no such picture"
        case Image.DecompressionBombError():
            return f"more than {most_pixels:,} pixels"
        case UnidentifiedImageError():
            empty = isinstance(source, Path) and source.stat().st_size == 0
            return "the file is empty" if empty else "not a picture"
        case PermissionError():
            return "no permission to read it"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot be read: {reason}"


def _known(formats: tuple[str, ...]) -> list[str]:
    """Those of some formats that the installed Pillow knows."""
    from PIL import Image

    Image.init()
    return [name for name in formats if name in Image.OPEN]


def _reduced(picture: Image.Image, longest: int) -> Image.Image:
    """A picture by the largest whole factor that leaves its longer side as
    long; a JPEG is decoded at that scale.
    """
    if max(picture.size) < 2 * longest:
        return picture
    width, height = picture.size
    share = longest / max(picture.size)
    picture.draft(None, (round(width * share), round(height * share)))
    factor = max(picture.size) // longest
    if factor < 2 or picture.mode.startswith("I;16"):
        return picture
    whole = picture.convert("RGB") if picture.mode in _INDIRECT else picture
    return whole.reduce(factor)


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF block says; one whose block is damaged stays
    as it is, its pixels are whole.
    """
    from PIL import ExifTags, Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    picture.load()  # a TIFF is turned by this already, and then says so
    try:
        turn = turns.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged blocks fail in many ways
        turn = None
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep Pillow's warnings about odd files from the terminal: such files are
    read or refused.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _scaled(pixels: NDArray[np.generic], name: str | Path) -> Floats:
    """Bring 8-bit, 16-bit and floating pixels to 0 … 1."""
    if pixels.dtype == np.uint8:
        scaled: Floats = np.divide(pixels, np.float32(255), dtype=np.float32)
        return scaled
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        return pixels.astype(np.float32) / np.float32(65535)
    if pixels.dtype == np.int32:  # how Pillow gives some 16-bit greys
        return np.clip(pixels.astype(np.float32) / 65535, 0, 1)
    if pixels.dtype.kind == "f":
        return _from_floats(pixels.astype(np.float32), name)
    raise InputError(
        f"{name}: pixels of type {pixels.dtype} are not understood"
    )


def _from_floats(pixels: Floats, name: str | Path) -> Floats:
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        raise InputError(
            f"{name}: floating-point pixels must lie between 0 and 1"
        )
    return pixels
