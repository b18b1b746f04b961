from __future__ import annotations

import time

import numpy as np
import pytest

from entsemble.errors import ConfigError, UnknownNameError
from entsemble.experts.merging.low_rank import (
    LowRankFactors,
    Matrix,
    factorize,
    squared_norm,
    truncate_rank,
    weighted_sum,
)
from entsemble.experts.merging.merge import MergeSettings, merge_adapters
from entsemble.experts.merging.methods import drop_and_rescale, merge_by_elected_sign, ties, trim_by_magnitude
from entsemble.experts.peft_folder import Adapter

SHAPES = [(12, 20), (20, 12), (16, 16)]


def factors(seed: int, shape: tuple[int, int], rank: int, dtype: type = np.float32) -> LowRankFactors:
    generator = np.random.default_rng(seed)
    lora_a, lora_b = generator.normal(size=(rank, shape[1])), generator.normal(size=(shape[0], rank))
    return LowRankFactors(lora_a.astype(dtype), lora_b.astype(dtype))


def best_approximation(dense: Matrix, rank: int) -> Matrix:
    left, singular_values, right = np.linalg.svd(dense.astype(np.float64), full_matrices=False)
    return np.asarray((left[:, :rank] * singular_values[:rank]) @ right[:rank])


@pytest.mark.parametrize("shape", SHAPES)
class TestAgainstDenseFloat64:
    def test_a_weighted_sum_of_mixed_ranks_is_exact(self, shape: tuple[int, int]) -> None:
        parts, weights = [factors(seed, shape, rank) for seed, rank in enumerate((1, 3, 8))], (0.5, -0.3, 1.2)
        dense = sum(
            weight * (part.lora_b.astype(np.float64) @ part.lora_a.astype(np.float64))
            for part, weight in zip(parts, weights, strict=True)
        )
        merged = merge_adapters([Adapter({"m": part}) for part in parts], weights, MergeSettings())
        assert merged.adapter.factors["m"].dense() == pytest.approx(dense, abs=1e-4)
        assert merged.relative_error == pytest.approx(0, abs=1e-6)

    def test_a_weighted_sum_is_not_a_mean_of_the_factors(self, shape: tuple[int, int]) -> None:
        """PEFT's `linear` averages A and B separately, which mixes B of one expert with A of another (#3004)."""
        one, two = factors(1, shape, 4), factors(2, shape, 4)
        merged = (
            merge_adapters([Adapter({"m": one}), Adapter({"m": two})], (0.5, 0.5), MergeSettings())
            .adapter.factors["m"]
            .dense()
        )
        mean_of_factors = (one.lora_b + two.lora_b) @ (one.lora_a + two.lora_a) / 4
        assert np.abs(merged - mean_of_factors).max() > 0.1

    @pytest.mark.parametrize("rank", [1, 4, 7])
    def test_a_limited_rank_gives_the_best_approximation_and_its_error(self, shape: tuple[int, int], rank: int) -> None:
        parts = [factors(seed, shape, 4) for seed in range(2)]
        dense = (parts[0].dense().astype(np.float64) + parts[1].dense()) / 2
        merged = merge_adapters([Adapter({"m": part}) for part in parts], (0.5, 0.5), MergeSettings(rank=rank))
        truncated = merged.adapter.factors["m"]
        assert truncated.rank == rank
        assert truncated.dense() == pytest.approx(best_approximation(dense, rank), abs=1e-4)
        relative_error = np.linalg.norm(dense - best_approximation(dense, rank)) / np.linalg.norm(dense)
        assert merged.relative_error == pytest.approx(relative_error, rel=1e-4)

    def test_factorize_gives_the_best_approximation(self, shape: tuple[int, int]) -> None:
        dense = np.random.default_rng(3).normal(size=shape)
        approximation, squared_error = factorize(dense, 5)
        assert approximation.dense() == pytest.approx(best_approximation(dense, 5), abs=1e-9)
        assert squared_error == pytest.approx(np.linalg.norm(dense - best_approximation(dense, 5)) ** 2, rel=1e-9)

    def test_squared_norm_equals_that_of_the_full_matrix(self, shape: tuple[int, int]) -> None:
        part = factors(5, shape, 3)
        assert squared_norm(part) == pytest.approx(np.linalg.norm(part.dense().astype(np.float64)) ** 2, rel=1e-6)

    def test_ties_equals_the_definition_in_the_paper(self, shape: tuple[int, int]) -> None:
        parts, weights = [factors(seed, shape, 8, np.float64) for seed in range(3)], (0.5, 0.2, 0.3)
        dense = [part.dense() for part in parts]
        expected = np.zeros(shape)
        trimmed_changes = []
        for change in dense:  # trim: the largest 30 %, by sorting
            order = np.argsort(-np.abs(change), axis=None)[: round(0.3 * change.size)]
            trimmed = np.zeros(change.size)
            trimmed[order] = change.ravel()[order]
            trimmed_changes.append(trimmed.reshape(shape))
        for entry in np.ndindex(shape):
            values = [trimmed[entry] for trimmed in trimmed_changes]
            sign = np.sign(sum(weight * value for weight, value in zip(weights, values, strict=True)))
            agreeing = [
                (weight, value)
                for weight, value in zip(weights, values, strict=True)
                if value and np.sign(value) == sign
            ]
            if agreeing:
                weighted = sum(weight * value for weight, value in agreeing)
                expected[entry] = weighted / sum(weight for weight, _ in agreeing)
        assert ties(dense, weights, 0.3, np.random.default_rng()) == pytest.approx(expected)
        merged = merge_adapters(
            [Adapter({"m": part}) for part in parts], weights, MergeSettings("ties", rank=100, density=0.3)
        )
        assert merged.adapter.factors["m"].dense() == pytest.approx(expected, abs=1e-6)
        assert merged.relative_error == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("method", ["ties", "dare", "dare-ties"])
    def test_one_expert_with_density_1_is_unchanged(self, shape: tuple[int, int], method: str) -> None:
        part = factors(1, shape, 4)
        merged = merge_adapters([Adapter({"m": part})], (1.0,), MergeSettings(method, density=1.0))
        assert merged.adapter.factors["m"].dense() == pytest.approx(part.dense(), abs=1e-4)


@pytest.mark.parametrize("method", ["weighted-sum", "ties", "dare", "dare-ties"])
def test_a_missing_module_equals_a_change_of_0(method: str) -> None:
    part, no_change = (
        factors(1, (10, 12), 4),
        LowRankFactors(np.zeros((4, 12), np.float32), np.zeros((10, 4), np.float32)),
    )
    settings, weights = MergeSettings(method, rank=10, density=0.5), (0.25, 0.5)
    absent, explicit = (
        merge_adapters([Adapter({"m": part}), Adapter(other)], weights, settings).adapter.factors["m"].dense()
        for other in ({"n": part}, {"m": no_change, "n": part})
    )
    assert absent == pytest.approx(explicit, abs=1e-6)
    assert np.abs(absent).max() > 0.1


def test_dropping_and_rescaling_preserves_the_mean() -> None:
    change = np.ones((400, 400), dtype=np.float32)
    dropped = drop_and_rescale(change, 0.25, np.random.default_rng(0))
    assert set(np.unique(dropped)) == {0.0, 4.0}
    assert dropped.mean() == pytest.approx(1, abs=0.02)


def test_trimming_keeps_the_largest_magnitudes() -> None:
    change = np.array([[3.0, -4.0, 0.5], [1.0, -2.0, 0.0]])
    assert trim_by_magnitude(change, 0.5).tolist() == [[3.0, -4.0, 0.0], [0.0, -2.0, 0.0]]
    assert not trim_by_magnitude(change, 0.01).any()


def test_entries_with_another_sign_than_the_elected_one_are_left_out() -> None:
    changes = [np.array([[2.0, -1.0]]), np.array([[4.0, 1.0]]), np.array([[-1.0, 0.0]])]
    assert merge_by_elected_sign(changes, (1, 1, 1)).tolist() == [[9.0, 0.0]]


class TestSeeds:
    def merged(self, seed: int, names: tuple[str, ...] = ("m", "n")) -> dict[str, Matrix]:
        adapters = [Adapter({name: factors(seed, (10, 12), 4) for name in names}) for seed in range(2)]
        merged_factors = merge_adapters(adapters, (0.5, 0.5), MergeSettings("dare", seed=seed)).adapter.factors
        return {name: change.dense() for name, change in merged_factors.items()}

    def test_the_same_seed_gives_the_same_bytes(self) -> None:
        assert all((self.merged(1)[name] == self.merged(1)[name]).all() for name in "mn")
        assert (self.merged(1)["m"] != self.merged(2)["m"]).any()

    def test_each_module_has_its_own_random_stream(self) -> None:
        assert (self.merged(1)["n"] == self.merged(1, ("n",))["n"]).all()
        assert (self.merged(1)["m"] != self.merged(1)["n"]).any()


class TestRefusals:
    def test_different_sizes_are_refused(self) -> None:
        adapters = [Adapter({"m": factors(0, (4, 6), 2)}), Adapter({"m": factors(0, (4, 8), 2)})]
        with pytest.raises(ConfigError, match="different bases"):
            merge_adapters(adapters, (0.5, 0.5), MergeSettings())

    def test_mixed_scalings_are_refused(self) -> None:
        part = {"m": factors(0, (4, 6), 2)}
        with pytest.raises(ConfigError, match="rsLoRA"):
            merge_adapters([Adapter(part), Adapter(part, uses_rslora=True)], (0.5, 0.5), MergeSettings())

    @pytest.mark.parametrize("weights", [(float("nan"), 1.0), (float("inf"), 1.0)])
    def test_weights_that_are_not_finite_are_refused(self, weights: tuple[float, float]) -> None:
        part = {"m": factors(0, (4, 6), 2)}
        with pytest.raises(ConfigError, match="weights must be finite numbers"):
            merge_adapters([Adapter(part), Adapter(part)], weights, MergeSettings())

    def test_negative_weights_are_refused_by_sign_electing_methods(self) -> None:
        part = {"m": factors(0, (4, 6), 2)}
        with pytest.raises(ConfigError, match="elects signs"):
            merge_adapters([Adapter(part), Adapter(part)], (1.0, -0.5), MergeSettings("ties"))
        merge_adapters([Adapter(part), Adapter(part)], (1.0, -0.5), MergeSettings("dare"))

    def test_no_adapters_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="one weight per adapter"):
            merge_adapters([], (), MergeSettings())

    @pytest.mark.parametrize("invalid", [{"rank": 0}, {"density": 0.0}, {"density": 1.5}, {"seed": -1}])
    def test_settings_out_of_range_are_refused(self, invalid: dict[str, float]) -> None:
        with pytest.raises(ConfigError):
            MergeSettings(**invalid)  # type: ignore[arg-type]

    def test_an_unknown_method_lists_the_methods(self) -> None:
        with pytest.raises(UnknownNameError, match="dare, dare-ties, ties, weighted-sum"):
            MergeSettings("slerp")

    def test_factors_of_different_ranks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="not factors"):
            LowRankFactors(np.zeros((2, 5)), np.zeros((4, 3)))


def test_a_module_of_one_expert_only_is_merged() -> None:
    one, two = factors(0, (4, 6), 2), factors(1, (4, 6), 2)
    merged = merge_adapters([Adapter({"m": one, "n": two}), Adapter({"m": two})], (0.5, 0.5), MergeSettings())
    assert merged.adapter.factors["n"].dense() == pytest.approx(two.dense() / 2, abs=1e-5)


@pytest.mark.soak
def test_fifty_experts_of_the_embedded_size_take_seconds() -> None:
    sizes = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
    pair = [
        Adapter(
            {
                f"layers.{layer}.{index}": factors(seed, size, 8)
                for layer in range(30)
                for index, size in enumerate(sizes)
            }
        )
        for seed in range(2)
    ]
    started = time.perf_counter()
    merged = merge_adapters(pair * 25, [1 / 50] * 50, MergeSettings(rank=16))
    assert time.perf_counter() - started < 20  # 9.5 on two quiet cores
    assert merged.relative_error < 1e-4  # two experts of rank 8, 25 times each


def test_a_weighted_sum_of_large_matrices_needs_no_full_matrix() -> None:
    parts = [factors(seed, (2000, 3000), 4) for seed in range(2)]
    truncated, squared_error = truncate_rank(weighted_sum(parts, (0.5, 0.5)), 8)
    assert (truncated.rank, squared_error) == (8, 0.0)


def test_a_change_of_0_can_be_truncated() -> None:
    part = LowRankFactors(np.zeros((4, 6), np.float32), np.ones((5, 4), np.float32))
    truncated, squared_error = truncate_rank(part, 2)
    assert (truncated.rank, squared_error, truncated.dense().any()) == (2, 0.0, np.False_)
