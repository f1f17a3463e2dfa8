# touge: a few targets and nothing else to remember.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Every stage is a process: it shall not compile the project's modules anew, as it must where this is set.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster test-images check images goldens schema

help:
	@echo "make setup    a virtual environment in $(VENV) with everything that is pinned in constraints.txt"
	@echo "make demo     the whole pipeline on a tiny model: curate, tune, evaluate, and a report to open"
	@echo "make test     every test but those of cluster and images; no GPU, no network"
	@echo "make test-cluster    controller, chart and Jobs on a real Kubernetes; needs root, Go, and what it names; no GPU"
	@echo "make check    lint, types, import contracts"
	@echo "make images   the four container images, by buildah or docker; heeds BASE_IMAGE, REGISTRY, PIP_CERT, IMAGES"
	@echo "make test-images  builds and runs them; needs root, buildah, debootstrap, runc and an hour the first time"
	@echo "make goldens  the recorded manifests anew, and the model against the reference's vectors"
	@echo "make schema   what is generated of recipe, chart and memory figures anew, after a change of one"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"touge needs Python 3.11 or newer; $(PYTHON) is {v.major}.{v.minor}. Set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8,<1"
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m touge.demo
	$(BIN)/python -m controller submit jobs/demo.yaml

# Whole runs are several processes each: more than two side by side take longer on two cores than tests wait for them.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder --ignore tests/workloads --ignore tests/control_plane
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/workloads

test-cluster: $(STAMP)
	$(BIN)/python tests/support/binaries.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile tests/control_plane
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cluster

test-images: $(STAMP)
	$(BIN)/python -m pytest tests/images -m images --timeout 3600

images:
	$(PYTHON) images/build_images.py $(IMAGES)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

goldens: $(STAMP)
	$(BIN)/python tests/support/manifest_goldens.py
	$(BIN)/python -m pytest tests/golden_model

schema: $(STAMP)
	$(BIN)/python -m controller schema > jobs/schema.json
	$(BIN)/python -m touge.contract.figures README.md
	$(BIN)/python -m controller.chart charts/touge
