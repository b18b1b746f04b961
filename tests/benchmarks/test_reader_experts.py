"""SaM on the label reader: differences, their merge, and the integration of two models."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks.reader_experts import domains  # noqa: E402
from benchmarks.reader_experts.low_rank import SCALE, LowRankLinear, dense_differences  # noqa: E402
from benchmarks.reader_experts.results import combine  # noqa: E402
from tools.reader.corpora import Document, Mention, Source  # noqa: E402
from tools.reader.mixture import Corpus, Mixture  # noqa: E402
from tools.reader.predict import Candidate  # noqa: E402


def test_a_difference_starts_as_none_and_is_what_its_factors_say() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 4)
    changed, inputs = LowRankLinear(layer, 2), torch.randn(3, 6, dtype=torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = changed(inputs)
        changed.left.copy_(torch.randn(4, 2))
        added = changed(inputs) - before
    factors = {"x.weight.left": changed.left.detach(), "x.weight.right": changed.right.detach()}
    difference = dense_differences(factors)["x.weight"]
    assert torch.allclose(difference, SCALE * changed.left @ changed.right)
    assert torch.allclose(added.float(), inputs.float() @ difference.T, atol=0.1)


def test_answers_are_integrated_and_ordered() -> None:
    first = [[Candidate(0, 3, 0, 0.8), Candidate(4, 6, 1, 0.2)]]
    second = [[Candidate(4, 6, 1, 0.9)]]
    [mean] = combine(first, second, lambda one, other: (one + other) / 2)
    assert [c.start for c in mean] == [4, 0]
    assert [c.score for c in mean] == pytest.approx([0.55, 0.4])
    [union] = combine(first, second, max)
    assert [(c.start, c.score) for c in union] == [(4, 0.9), (0, 0.8)]


def test_a_domain_takes_equal_shares_of_its_corpora_and_all_of_the_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "DOMAINS", {"one": ("small", "large"), "two": ("other",)})
    monkeypatch.setattr(domains, "SENTENCES", 120)
    mixture = Mixture({name: corpus(name, size) for name, size in (("small", 45), ("large", 90), ("other", 50))})
    sampled = domains.domain_mixture(mixture, "one").epoch(7, 0)
    assert [sum(d.source == name for d in sampled) for name in ("small", "large")] == [45, 75]
    union = domains.union_mixture(mixture).epoch(7, 0)
    assert len(union) == 240
    assert sum(d.source == "other" for d in union) == 120


def corpus(name: str, size: int) -> Corpus:
    source = Source(name, name, "diverse", name, "", "en", "", "")
    rows = [Document(name, f"Ann {name} {number}", (Mention(0, 3, name),), "train", (name,)) for number in range(size)]
    return Corpus(source, rows)
