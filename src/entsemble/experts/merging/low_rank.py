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
class LowRankFactors:
    """The change `b @ a` of a weight matrix, the adapter's own scaling (alpha over rank) already in `b`.

    Attributes:
        lora_a: [rank, inputs].
        lora_b: [outputs, rank].
    """

    lora_a: Matrix
    lora_b: Matrix

    def __post_init__(self) -> None:
        if self.lora_a.ndim != 2 or self.lora_b.ndim != 2 or self.lora_a.shape[0] != self.lora_b.shape[1]:
            raise ValueError(f"no factors of one matrix: b {self.lora_b.shape}, a {self.lora_a.shape}")

    @property
    def rank(self) -> int:
        """Columns of `b`."""
        return int(self.lora_a.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """[outputs, inputs] of the matrix."""
        return int(self.lora_b.shape[0]), int(self.lora_a.shape[1])

    def dense(self) -> Matrix:
        """The change itself, [outputs, inputs]."""
        return np.asarray(self.lora_b @ self.lora_a)


def weighted_sum(parts: Sequence[LowRankFactors], weights: Sequence[float]) -> LowRankFactors:
    """The weighted sum of changes, exactly: ranks side by side, so that no expert's `b` meets another's `a`.

    Args:
        parts: of one and the same matrix, of any ranks; at least one.
        weights: one a part.

    Returns:
        Factors whose rank is the sum of the ranks.
    """
    return LowRankFactors(
        lora_a=np.concatenate([p.lora_a for p in parts], axis=0),
        lora_b=np.concatenate([p.lora_b * p.lora_b.dtype.type(w) for p, w in zip(parts, weights, strict=True)], axis=1),
    )


def truncate_rank(factors: LowRankFactors, rank: int) -> tuple[LowRankFactors, float]:
    """The best change of at most `rank` (Eckart and Young), without ever building the matrix.

    Returns:
        The change, and the squared Frobenius norm of what was left out.
    """
    if factors.rank <= rank:
        return factors, 0.0
    a, b = factors.lora_a.astype(np.float64), factors.lora_b.astype(np.float64)
    inner = a @ a.T
    if not inner.any():
        return LowRankFactors(lora_a=factors.lora_a[:rank], lora_b=factors.lora_b[:, :rank]), 0.0
    inner[np.diag_indices_from(inner)] += _JITTER * np.trace(inner)
    # b @ root has the left singular vectors and the singular values of b @ a, and is as thin as b
    thin = b @ np.linalg.cholesky(inner)
    _, vectors = np.linalg.eigh(thin.T @ thin)
    left, _ = np.linalg.qr(thin @ vectors[:, ::-1][:, :rank])
    return _balanced(left, (left.T @ b) @ a, squared_norm(factors), factors.lora_a.dtype)


def factorize(dense: Matrix, rank: int) -> tuple[LowRankFactors, float]:
    """The best change of at most `rank` for a matrix that is no product of thin ones.

    By the eigenvectors of the smaller Gram matrix, which take a tenth of the time of its singular vectors.

    Args:
        dense: [outputs, inputs].
        rank: at least 1.

    Returns:
        The change, and the squared Frobenius norm of what was left out.
    """
    if dense.shape[0] > dense.shape[1]:
        turned, lost = factorize(dense.T, rank)
        return LowRankFactors(lora_a=turned.lora_b.T, lora_b=turned.lora_a.T), lost
    exact = dense.astype(np.float64)
    _, vectors = np.linalg.eigh(exact @ exact.T)
    left = vectors[:, ::-1][:, :rank]
    return _balanced(left, left.T @ exact, float((exact**2).sum()), dense.dtype)


def _balanced(left: Matrix, right: Matrix, whole: float, dtype: np.dtype[Any]) -> tuple[LowRankFactors, float]:
    """`left @ right`, where `left` has orthonormal columns, as factors alike large: none leaves the range of float16.

    Args:
        left: [outputs, rank].
        right: [rank, inputs].
        whole: squared norm of the change that this is a projection of.
        dtype: of the factors.
    """
    root = np.sqrt(np.maximum(np.linalg.norm(right, axis=1), np.finfo(np.float64).tiny))
    kept = LowRankFactors(lora_a=(right / root[:, None]).astype(dtype), lora_b=(left * root).astype(dtype))
    return kept, max(0.0, whole - float((right**2).sum()))


def squared_norm(factors: LowRankFactors) -> float:
    """Squared Frobenius norm of the change, without building the matrix."""
    a, b = factors.lora_a.astype(np.float64), factors.lora_b.astype(np.float64)
    return float(((b.T @ b) * (a @ a.T)).sum())
