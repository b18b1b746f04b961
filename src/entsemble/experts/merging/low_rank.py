"""What an adapter does to one weight matrix, as a product of two thin ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating]

_JITTER = 1e-14
"""Of the trace, what keeps the Cholesky factor of dependent rows real; far below what float32 factors hold."""


@dataclass(frozen=True, slots=True)
class Factors:
    """The change `b @ a` of a weight matrix, the adapter's own scaling (alpha over rank) already in `b`.

    Attributes:
        a: [rank, inputs].
        b: [outputs, rank].
    """

    a: Matrix
    b: Matrix

    def __post_init__(self) -> None:
        if self.a.ndim != 2 or self.b.ndim != 2 or self.a.shape[0] != self.b.shape[1]:
            raise ValueError(f"no factors of one matrix: b {self.b.shape}, a {self.a.shape}")

    @property
    def rank(self) -> int:
        """Columns of `b`."""
        return int(self.a.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """[outputs, inputs] of the matrix."""
        return int(self.b.shape[0]), int(self.a.shape[1])

    def dense(self) -> Matrix:
        """The change itself, [outputs, inputs]."""
        return np.asarray(self.b @ self.a)


def stacked(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
    """The weighted sum of changes, exactly: ranks side by side, so that no expert's `b` meets another's `a`.

    Args:
        parts: of one and the same matrix, of any ranks; at least one.
        weights: one a part.

    Returns:
        Factors whose rank is the sum of the ranks.
    """
    return Factors(
        a=np.concatenate([p.a for p in parts], axis=0),
        b=np.concatenate([p.b * p.b.dtype.type(w) for p, w in zip(parts, weights, strict=True)], axis=1),
    )


def cut(factors: Factors, rank: int) -> tuple[Factors, float]:
    """The best change of at most `rank` (Eckart and Young), without ever building the matrix.

    Returns:
        The change, and the squared Frobenius norm of what was left out.
    """
    if factors.rank <= rank:
        return factors, 0.0
    a, b = factors.a.astype(np.float64), factors.b.astype(np.float64)
    inner = a @ a.T
    if not inner.any():
        return Factors(a=factors.a[:rank], b=factors.b[:, :rank]), 0.0
    inner[np.diag_indices_from(inner)] += _JITTER * np.trace(inner)
    # b @ root has the left singular vectors and the singular values of b @ a, and is as thin as b
    thin = b @ np.linalg.cholesky(inner)
    _, vectors = np.linalg.eigh(thin.T @ thin)
    left, _ = np.linalg.qr(thin @ vectors[:, ::-1][:, :rank])
    return _balanced(left, (left.T @ b) @ a, squared_norm(factors), factors.a.dtype)


def factored(dense: Matrix, rank: int) -> tuple[Factors, float]:
    """The best change of at most `rank` for a matrix that is no product of thin ones.

    By the eigenvectors of the smaller Gram matrix, which take a tenth of the time of its singular vectors.

    Args:
        dense: [outputs, inputs].
        rank: at least 1.

    Returns:
        The change, and the squared Frobenius norm of what was left out.
    """
    if dense.shape[0] > dense.shape[1]:
        turned, lost = factored(dense.T, rank)
        return Factors(a=turned.b.T, b=turned.a.T), lost
    exact = dense.astype(np.float64)
    _, vectors = np.linalg.eigh(exact @ exact.T)
    left = vectors[:, ::-1][:, :rank]
    return _balanced(left, left.T @ exact, float((exact**2).sum()), dense.dtype)


def _balanced(left: Matrix, right: Matrix, whole: float, dtype: np.dtype[Any]) -> tuple[Factors, float]:
    """`left @ right`, where `left` has orthonormal columns, as factors alike large: none leaves the range of float16.

    Args:
        left: [outputs, rank].
        right: [rank, inputs].
        whole: squared norm of the change that this is a projection of.
        dtype: of the factors.
    """
    root = np.sqrt(np.maximum(np.linalg.norm(right, axis=1), np.finfo(np.float64).tiny))
    kept = Factors(a=(right / root[:, None]).astype(dtype), b=(left * root).astype(dtype))
    return kept, max(0.0, whole - float((right**2).sum()))


def squared_norm(factors: Factors) -> float:
    """Squared Frobenius norm of the change, without building the matrix."""
    a, b = factors.a.astype(np.float64), factors.b.astype(np.float64)
    return float(((b.T @ b) * (a @ a.T)).sum())
