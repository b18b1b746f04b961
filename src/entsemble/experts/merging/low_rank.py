"""Low-rank changes of weight matrices, as adapters make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating]

_RELATIVE_JITTER = 1e-14
"""Added to the diagonal, relative to the trace, so that the Cholesky factor of dependent rows is real; far below the
precision of float32 factors."""


@dataclass(frozen=True, slots=True)
class LowRankFactors:
    """The change B @ A of a weight matrix; the adapter's scaling (alpha / rank) is already in B.

    Attributes:
        lora_a: A [rank, inputs].
        lora_b: B [outputs, rank].
    """

    lora_a: Matrix
    lora_b: Matrix

    def __post_init__(self) -> None:
        if self.lora_a.ndim != 2 or self.lora_b.ndim != 2 or self.lora_a.shape[0] != self.lora_b.shape[1]:
            raise ValueError(f"not factors of one matrix: B {self.lora_b.shape}, A {self.lora_a.shape}")

    @property
    def rank(self) -> int:
        """The number of columns of B."""
        return int(self.lora_a.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs) of the matrix."""
        return int(self.lora_b.shape[0]), int(self.lora_a.shape[1])

    def dense(self) -> Matrix:
        """The change as a full matrix, [outputs, inputs]."""
        return np.asarray(self.lora_b @ self.lora_a)


def weighted_sum(changes: Sequence[LowRankFactors], weights: Sequence[float]) -> LowRankFactors:
    """The exact weighted sum of changes: factors are concatenated, so that no B is multiplied by another change's A.

    Args:
        changes: of one matrix, of any ranks; at least one.
        weights: one per change.

    Returns:
        Factors whose rank is the sum of the ranks.
    """
    return LowRankFactors(
        lora_a=np.concatenate([change.lora_a for change in changes], axis=0),
        lora_b=np.concatenate(
            [change.lora_b * change.lora_b.dtype.type(weight) for change, weight in zip(changes, weights, strict=True)],
            axis=1,
        ),
    )


def truncate_rank(factors: LowRankFactors, max_rank: int) -> tuple[LowRankFactors, float]:
    """The best approximation of rank `max_rank` (Eckart and Young, 1936), without building the full matrix.

    Args:
        factors: A [rank, inputs], B [outputs, rank].
        max_rank: of the approximation.

    Returns:
        The approximation, and the squared Frobenius norm of the error.
    """
    if factors.rank <= max_rank:
        return factors, 0.0
    lora_a, lora_b = factors.lora_a.astype(np.float64), factors.lora_b.astype(np.float64)
    gram = lora_a @ lora_a.T
    if not gram.any():
        return LowRankFactors(lora_a=factors.lora_a[:max_rank], lora_b=factors.lora_b[:, :max_rank]), 0.0
    gram[np.diag_indices_from(gram)] += _RELATIVE_JITTER * np.trace(gram)
    # B @ cholesky(A @ A.T) has the left singular vectors and the singular values of B @ A, and only `rank` columns.
    compact = lora_b @ np.linalg.cholesky(gram)
    _, eigenvectors = np.linalg.eigh(compact.T @ compact)
    left, _ = np.linalg.qr(compact @ eigenvectors[:, ::-1][:, :max_rank])
    return _balance(left, (left.T @ lora_b) @ lora_a, squared_norm(factors), factors.lora_a.dtype)


def factorize(change: Matrix, max_rank: int) -> tuple[LowRankFactors, float]:
    """The best approximation of rank `max_rank` of a full matrix.

    Uses the eigenvectors of the smaller Gram matrix, in a tenth of the time of a singular value decomposition.

    Args:
        change: [outputs, inputs].
        max_rank: at least 1.

    Returns:
        The approximation, and the squared Frobenius norm of the error.
    """
    if change.shape[0] > change.shape[1]:
        transposed, squared_error = factorize(change.T, max_rank)
        return LowRankFactors(lora_a=transposed.lora_b.T, lora_b=transposed.lora_a.T), squared_error
    precise = change.astype(np.float64)
    _, eigenvectors = np.linalg.eigh(precise @ precise.T)
    left = eigenvectors[:, ::-1][:, :max_rank]
    return _balance(left, left.T @ precise, float((precise**2).sum()), change.dtype)


def _balance(
    left: Matrix, right: Matrix, total_squared_norm: float, dtype: np.dtype[Any]
) -> tuple[LowRankFactors, float]:
    """`left @ right` as factors of equal magnitude, so that neither leaves the range of float16.

    Args:
        left: [outputs, rank], with orthonormal columns.
        right: [rank, inputs].
        total_squared_norm: of the change that this is a projection of.
        dtype: of the factors.

    Returns:
        The factors, and the squared Frobenius norm of the projection's error.
    """
    scale = np.sqrt(np.maximum(np.linalg.norm(right, axis=1), np.finfo(np.float64).tiny))
    factors = LowRankFactors(lora_a=(right / scale[:, None]).astype(dtype), lora_b=(left * scale).astype(dtype))
    return factors, max(0.0, total_squared_norm - float((right**2).sum()))


def squared_norm(factors: LowRankFactors) -> float:
    """The squared Frobenius norm of the change, without building the full matrix."""
    lora_a, lora_b = factors.lora_a.astype(np.float64), factors.lora_b.astype(np.float64)
    return float(((lora_b.T @ lora_b) * (lora_a @ lora_a.T)).sum())
