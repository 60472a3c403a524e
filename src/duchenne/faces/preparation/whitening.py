"""ZCA whitening: pictures whose pixels no longer vary together, turned back so
that they still look like pictures.

What is learned from training pictures, given block by block (n, C, H, W), is a
mapping of tensors by name. There are two readings of "ZCA whitening"
(mousavi2016): a picture of 128×128 has 16,384 pixels, so that neither holds
their covariance:

- ``zca`` by truncated SVD: the directions of largest variance are whitened one
  by one, all that is left by its mean variance, as in probabilistic PCA
  (Tipping & Bishop 1999);
- ``zca_fourier`` in the Fourier domain: each spatial frequency is whitened,
  which is the same where pictures vary alike everywhere. Faces do not; it
  costs next to nothing at any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from duchenne.errors import InputError

Learned = Mapping[str, Tensor]
Blocks = Callable[[], Iterator[Tensor]]

_DIRECTIONS = 512  # whitened one by one
_MOST = 4096  # pictures: 0.5 GB of 128×128 in double precision
_EACH = 4  # pictures that a direction needs at least, lest noise be whitened
# variance below which a direction is taken for noise: a deviation of 0.01 of
# the range
_NOISE = 1e-4


def learn_mean(blocks: Blocks, count: int) -> Learned:
    """Find the mean picture."""
    total = torch.zeros(())
    for block in blocks():
        total = total + block.double().sum(0)
    return {"mean": (total / count).float()}


def learn_zca(blocks: Blocks, count: int) -> Learned:
    """Find the mean picture, the directions of largest variance (k, C·H·W),
    their deviations (k,), and that of the rest.

    At most 512 directions, one for four pictures, of at most 4,096 pictures
    evenly taken. Raises ``InputError`` for fewer than two pictures.
    """
    from sklearn.decomposition import PCA

    _refuse_few(count)
    pictures = _some(blocks, count)
    flat = pictures.flatten(1).double().numpy(force=True)
    kept = min(_DIRECTIONS, -(-len(flat) // _EACH), flat.shape[1])
    total = flat.var(0, ddof=1).sum()
    found = PCA(kept, copy=False, random_state=0).fit(flat)
    variances = found.explained_variance_
    rest = (total - variances.sum()) / max(flat.shape[1] - kept, 1)
    learned = {
        "mean": found.mean_.reshape(pictures.shape[1:]),
        "directions": found.components_,
        "deviations": _deviations(variances),
        "rest": _deviations(max(rest, 0)),
    }
    return {
        name: torch.as_tensor(values).to(pictures)
        for name, values in learned.items()
    }


def _deviations(variances: ArrayLike) -> NDArray[np.float64]:
    """Standard deviations, never less than what counts as noise."""
    deviations: NDArray[np.float64] = np.sqrt(np.asarray(variances) + _NOISE)
    return deviations


def zca(pictures: Tensor, learned: Learned) -> Tensor:
    """Whiten pictures: z = U diag(1/σ) Uᵀ (x − μ) + (I − U Uᵀ)(x − μ) /
    σ_rest.

    Args:
        pictures: (n, C, H, W).
        learned: From training pictures.

    Returns:
        (n, C, H, W).

    >>> faces = torch.randn(
    ...     500, 1, 4, 4, generator=torch.Generator().manual_seed(0)
    ... ).cumsum(3)
    >>> white = zca(faces, learn_zca(lambda: iter([faces]), 500)).flatten(1)
    >>> torch.allclose(torch.cov(white.T), torch.eye(16), atol=1e-3)
    True
    """
    return _along_directions(pictures - learned["mean"], learned, -1)


def undo_zca(whitened: Tensor, learned: Learned) -> Tensor:
    """Give the pictures back that ``zca`` whitened.

    Args:
        whitened: (n, C, H, W).
        learned: From training pictures.

    Returns:
        (n, C, H, W).
    """
    return _along_directions(whitened, learned, 1) + learned["mean"]


def _along_directions(
    pictures: Tensor, learned: Learned, power: int
) -> Tensor:
    """Multiply by a power of the deviation, along each direction and along all
    that is left.
    """
    flat = pictures.flatten(1)
    directions = learned["directions"]
    rest = learned["rest"] ** power
    weights = learned["deviations"] ** power - rest
    along = flat @ directions.T * weights
    return (flat * rest + along @ directions).reshape(pictures.shape)


def learn_zca_fourier(blocks: Blocks, count: int) -> Learned:
    """Find the mean picture and, for each spatial frequency, what whitens its
    channels and back: (H, W, C, C), complex.

    Raises ``InputError`` for fewer than two pictures.
    """
    _refuse_few(count)
    mean = learn_mean(blocks, count)["mean"]
    covariance = _covariance(blocks, mean, count)
    values, vectors = torch.linalg.eigh(covariance)
    learned = {"mean": mean}
    for name, power in {"whiten": -0.5, "colour": 0.5}.items():
        scaled = vectors * (values**power)[:, :, None]
        turned = scaled @ vectors.mH
        learned[name] = torch.view_as_real(turned.contiguous())
    return learned


def _covariance(blocks: Blocks, mean: Tensor, count: int) -> Tensor:
    """The covariance (H, W, C, C) of channels at each spatial frequency."""
    channels, height, width = mean.shape
    noise = _NOISE * torch.eye(channels, device=mean.device)
    covariance = (
        noise.to(torch.complex64).expand(height, width, -1, -1).clone()
    )
    for block in blocks():
        waves = _waves(block - mean)
        covariance += torch.einsum("nhwc,nhwd->hwcd", waves, waves.conj()) / (
            count - 1
        )
    return covariance


def zca_fourier(pictures: Tensor, learned: Learned) -> Tensor:
    """Whiten each spatial frequency: z = F⁻¹ [C(f)^(−1/2) F(x − μ)]; C(f) is
    the channels' covariance at frequency f.

    Args:
        pictures: (n, C, H, W).
        learned: From training pictures.

    Returns:
        (n, C, H, W).
    """
    return _by_frequency(pictures - learned["mean"], learned["whiten"])


def undo_zca_fourier(whitened: Tensor, learned: Learned) -> Tensor:
    """Give the pictures back that ``zca_fourier`` whitened.

    Args:
        whitened: (n, C, H, W).
        learned: From training pictures.

    Returns:
        (n, C, H, W).
    """
    return _by_frequency(whitened, learned["colour"]) + learned["mean"]


def _by_frequency(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiply the channels at each frequency by a matrix of its own."""
    turned = torch.einsum(
        "hwcd,nhwd->nchw", torch.view_as_complex(factor), _waves(pictures)
    )
    whole: Tensor = torch.fft.ifft2(turned, norm="ortho").real
    return whole


def _waves(pictures: Tensor) -> Tensor:
    """Fourier coefficients (n, H, W, C) of pictures (n, C, H, W)."""
    waves: Tensor = torch.fft.fft2(pictures, norm="ortho")
    return waves.permute(0, 2, 3, 1)


def _some(blocks: Blocks, count: int) -> Tensor:
    """Take at most so many pictures as fit into memory, evenly."""
    step = -(-count // _MOST)
    seen = 0
    taken = []
    for block in blocks():
        taken.append(block[-seen % step :: step])
        seen += len(block)
    return torch.cat(taken)


def _refuse_few(count: int) -> None:
    if count < 2:
        raise InputError(
            f"preparation: {count} pictures are too few to whiten by"
        )
