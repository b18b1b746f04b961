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
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(rank, shape[1])), random.normal(size=(shape[0], rank))
    return LowRankFactors(a.astype(dtype), b.astype(dtype))


def best(dense: Matrix, rank: int) -> Matrix:
    u, s, v = np.linalg.svd(dense.astype(np.float64), full_matrices=False)
    return np.asarray((u[:, :rank] * s[:rank]) @ v[:rank])


@pytest.mark.parametrize("shape", SHAPES)
class TestAgainstDenseFloat64:
    def test_a_weighted_sum_of_mixed_ranks_is_exact(self, shape: tuple[int, int]) -> None:
        parts, weights = [factors(i, shape, rank) for i, rank in enumerate((1, 3, 8))], (0.5, -0.3, 1.2)
        dense = sum(
            w * (p.lora_b.astype(np.float64) @ p.lora_a.astype(np.float64)) for p, w in zip(parts, weights, strict=True)
        )
        merged = merge_adapters([Adapter({"m": p}) for p in parts], weights, MergeSettings())
        assert merged.adapter.factors["m"].dense() == pytest.approx(dense, abs=1e-4)
        assert merged.relative_error == pytest.approx(0, abs=1e-6)

    def test_it_is_no_mean_of_the_factors(self, shape: tuple[int, int]) -> None:
        """PEFT's `linear` averages A and B apart, which mixes one expert's B with another's A (method.md, #3004)."""
        one, two = factors(1, shape, 4), factors(2, shape, 4)
        merged = (
            merge_adapters([Adapter({"m": one}), Adapter({"m": two})], (0.5, 0.5), MergeSettings())
            .adapter.factors["m"]
            .dense()
        )
        apart = (one.lora_b + two.lora_b) @ (one.lora_a + two.lora_a) / 4
        assert np.abs(merged - apart).max() > 0.1

    @pytest.mark.parametrize("rank", [1, 4, 7])
    def test_a_budget_keeps_the_best_and_says_what_it_cost(self, shape: tuple[int, int], rank: int) -> None:
        parts = [factors(i, shape, 4) for i in range(2)]
        dense = (parts[0].dense().astype(np.float64) + parts[1].dense()) / 2
        merged = merge_adapters([Adapter({"m": p}) for p in parts], (0.5, 0.5), MergeSettings(rank=rank))
        kept = merged.adapter.factors["m"]
        assert kept.rank == rank
        assert kept.dense() == pytest.approx(best(dense, rank), abs=1e-4)
        gone = np.linalg.norm(dense - best(dense, rank)) / np.linalg.norm(dense)
        assert merged.relative_error == pytest.approx(gone, rel=1e-4)

    def test_a_dense_change_is_factored_as_well_as_can_be(self, shape: tuple[int, int]) -> None:
        dense = np.random.default_rng(3).normal(size=shape)
        kept, lost = factorize(dense, 5)
        assert kept.dense() == pytest.approx(best(dense, 5), abs=1e-9)
        assert lost == pytest.approx(np.linalg.norm(dense - best(dense, 5)) ** 2, rel=1e-9)

    def test_the_norm_needs_no_matrix(self, shape: tuple[int, int]) -> None:
        part = factors(5, shape, 3)
        assert squared_norm(part) == pytest.approx(np.linalg.norm(part.dense().astype(np.float64)) ** 2, rel=1e-6)

    def test_ties_as_the_paper_writes_it(self, shape: tuple[int, int]) -> None:
        parts, weights = [factors(i, shape, 8, np.float64) for i in range(3)], (0.5, 0.2, 0.3)
        dense = [p.dense() for p in parts]
        expected = np.zeros(shape)
        kept = []
        for change in dense:  # trim: the largest 30 %, by sorting
            order = np.argsort(-np.abs(change), axis=None)[: round(0.3 * change.size)]
            one = np.zeros(change.size)
            one[order] = change.ravel()[order]
            kept.append(one.reshape(shape))
        for at in np.ndindex(shape):
            values = [k[at] for k in kept]
            sign = np.sign(sum(w * v for w, v in zip(weights, values, strict=True)))
            agreeing = [(w, v) for w, v in zip(weights, values, strict=True) if v and np.sign(v) == sign]
            if agreeing:
                expected[at] = sum(w * v for w, v in agreeing) / sum(w for w, _ in agreeing)
        assert ties(dense, weights, 0.3, np.random.default_rng()) == pytest.approx(expected)
        merged = merge_adapters(
            [Adapter({"m": p}) for p in parts], weights, MergeSettings("ties", rank=100, density=0.3)
        )
        assert merged.adapter.factors["m"].dense() == pytest.approx(expected, abs=1e-6)
        assert merged.relative_error == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("method", ["ties", "dare", "dare-ties"])
    def test_with_all_kept_one_expert_stays_as_it_is(self, shape: tuple[int, int], method: str) -> None:
        part = factors(1, shape, 4)
        merged = merge_adapters([Adapter({"m": part})], (1.0,), MergeSettings(method, density=1.0))
        assert merged.adapter.factors["m"].dense() == pytest.approx(part.dense(), abs=1e-4)


@pytest.mark.parametrize("method", ["weighted-sum", "ties", "dare", "dare-ties"])
def test_a_module_that_one_leaves_alone_is_a_change_of_nothing(method: str) -> None:
    part, none = factors(1, (10, 12), 4), LowRankFactors(np.zeros((4, 12), np.float32), np.zeros((10, 4), np.float32))
    how, weights = MergeSettings(method, rank=10, density=0.5), (0.25, 0.5)
    absent, explicit = (
        merge_adapters([Adapter({"m": part}), Adapter(other)], weights, how).adapter.factors["m"].dense()
        for other in ({"n": part}, {"m": none, "n": part})
    )
    assert absent == pytest.approx(explicit, abs=1e-6)
    assert np.abs(absent).max() > 0.1


def test_dare_keeps_the_mean_and_the_share() -> None:
    change = np.ones((400, 400), dtype=np.float32)
    kept = drop_and_rescale(change, 0.25, np.random.default_rng(0))
    assert set(np.unique(kept)) == {0.0, 4.0}
    assert kept.mean() == pytest.approx(1, abs=0.02)


def test_trimming_counts_by_size() -> None:
    change = np.array([[3.0, -4.0, 0.5], [1.0, -2.0, 0.0]])
    assert trim_by_magnitude(change, 0.5).tolist() == [[3.0, -4.0, 0.0], [0.0, -2.0, 0.0]]
    assert not trim_by_magnitude(change, 0.01).any()


def test_election_leaves_out_those_of_the_other_sign() -> None:
    changes = [np.array([[2.0, -1.0]]), np.array([[4.0, 1.0]]), np.array([[-1.0, 0.0]])]
    assert merge_by_elected_sign(changes, (1, 1, 1)).tolist() == [[9.0, 0.0]]


class TestSeeds:
    def merged(self, seed: int, names: tuple[str, ...] = ("m", "n")) -> dict[str, Matrix]:
        adapters = [Adapter({n: factors(i, (10, 12), 4) for n in names}) for i in range(2)]
        found = merge_adapters(adapters, (0.5, 0.5), MergeSettings("dare", seed=seed)).adapter.factors
        return {name: f.dense() for name, f in found.items()}

    def test_the_same_seed_gives_the_same_bytes(self) -> None:
        assert all((self.merged(1)[n] == self.merged(1)[n]).all() for n in "mn")
        assert (self.merged(1)["m"] != self.merged(2)["m"]).any()

    def test_a_modules_draw_is_its_own(self) -> None:
        assert (self.merged(1)["n"] == self.merged(1, ("n",))["n"]).all()
        assert (self.merged(1)["m"] != self.merged(1)["n"]).any()


class TestRefusals:
    def test_other_sizes(self) -> None:
        adapters = [Adapter({"m": factors(0, (4, 6), 2)}), Adapter({"m": factors(0, (4, 8), 2)})]
        with pytest.raises(ConfigError, match="not of one base"):
            merge_adapters(adapters, (0.5, 0.5), MergeSettings())

    def test_mixed_scalings(self) -> None:
        part = {"m": factors(0, (4, 6), 2)}
        with pytest.raises(ConfigError, match="rsLoRA"):
            merge_adapters([Adapter(part), Adapter(part, uses_rslora=True)], (0.5, 0.5), MergeSettings())

    @pytest.mark.parametrize("weights", [(float("nan"), 1.0), (float("inf"), 1.0)])
    def test_weights_that_are_no_numbers(self, weights: tuple[float, float]) -> None:
        part = {"m": factors(0, (4, 6), 2)}
        with pytest.raises(ConfigError, match="weights must be numbers"):
            merge_adapters([Adapter(part), Adapter(part)], weights, MergeSettings())

    def test_an_election_against_an_expert(self) -> None:
        part = {"m": factors(0, (4, 6), 2)}
        with pytest.raises(ConfigError, match="elects signs"):
            merge_adapters([Adapter(part), Adapter(part)], (1.0, -0.5), MergeSettings("ties"))
        assert merge_adapters([Adapter(part), Adapter(part)], (1.0, -0.5), MergeSettings("dare")), (
            "which elects nothing"
        )

    def test_nothing(self) -> None:
        with pytest.raises(ConfigError, match="one weight an adapter"):
            merge_adapters([], (), MergeSettings())

    @pytest.mark.parametrize("wrong", [{"rank": 0}, {"density": 0.0}, {"density": 1.5}, {"seed": -1}])
    def test_settings_out_of_range(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ConfigError):
            MergeSettings(**wrong)  # type: ignore[arg-type]

    def test_an_unknown_method_lists_the_known(self) -> None:
        with pytest.raises(UnknownNameError, match="dare, dare-ties, ties, weighted-sum"):
            MergeSettings("slerp")

    def test_factors_that_do_not_meet(self) -> None:
        with pytest.raises(ValueError, match="no factors"):
            LowRankFactors(np.zeros((2, 5)), np.zeros((4, 3)))


def test_a_module_that_one_expert_leaves_alone_is_a_change_of_nothing() -> None:
    one, two = factors(0, (4, 6), 2), factors(1, (4, 6), 2)
    merged = merge_adapters([Adapter({"m": one, "n": two}), Adapter({"m": two})], (0.5, 0.5), MergeSettings())
    assert merged.adapter.factors["n"].dense() == pytest.approx(two.dense() / 2, abs=1e-5)


@pytest.mark.soak
def test_fifty_experts_of_the_embedded_size_take_seconds() -> None:
    sizes = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
    pair = [
        Adapter({f"layers.{i}.{j}": factors(seed, s, 8) for i in range(30) for j, s in enumerate(sizes)})
        for seed in range(2)
    ]
    began = time.perf_counter()
    merged = merge_adapters(pair * 25, [1 / 50] * 50, MergeSettings(rank=16))
    assert time.perf_counter() - began < 20  # 9.5 on two quiet cores
    assert merged.relative_error < 1e-4  # two experts of rank 8, 25 times each


def test_stacked_then_cut_needs_no_dense_matrix() -> None:
    parts = [factors(i, (2000, 3000), 4) for i in range(2)]
    kept, lost = truncate_rank(weighted_sum(parts, (0.5, 0.5)), 8)
    assert (kept.rank, lost) == (8, 0.0)


def test_an_adapter_that_changes_nothing_can_be_cut() -> None:
    part = LowRankFactors(np.zeros((4, 6), np.float32), np.ones((5, 4), np.float32))
    kept, lost = truncate_rank(part, 2)
    assert (kept.rank, lost, kept.dense().any()) == (2, 0.0, np.False_)
