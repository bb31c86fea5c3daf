# Habitus: `make` lists every target.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PY ?= python3
EXTRA ?= cpu
TENSORRT ?=
KEEP ?= 0
# Cases of your own for make eval-real and make eval-robustness.
FOLDER ?=
TEMPLATE ?=
GEOMETRIES ?= 12
# What make eval-painted looks at: files of python -m training.templates build, a folder of models, cases of either kind.
TEMPLATES ?=
MODELS ?= models
CASES ?= 200
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BIN := .venv/bin
# Your own environment with torch: make test-training TRAIN=/path/to/env/bin
TRAIN ?= .venv-train/bin
PYTEST := $(BIN)/python -m pytest
APT_PYTHON := python3-venv
APT_NODE := $(APT_PYTHON) orthanc orthanc-python orthanc-dicomweb dcmtk iproute2 util-linux
APT_VIEWER := nginx
APT_TEST := dicom3tools procps prometheus libfaketime openssl $(APT_VIEWER)
APT_BROWSER := chromium
APT_CONTAINERS := buildah podman runc netavark aardvark-dns iptables mmdebstrap curl
# The Debian that images stand on in make container-check.
RELEASE ?= trixie
# An Orthanc of your own for make ohif; without one it shows the demo that runs.
ORTHANC ?=
ORTHANC_USER ?=
ORTHANC_PASSWORD_FILE ?=
OHIF_PORT ?= 8180
SBOM ?= sbom
# Where packages come from instead of the network: the folder offline of an unpacked bundle (make bundle).
OFFLINE ?= $(wildcard offline)
PIP := pip install --quiet --disable-pip-version-check $(if $(OFFLINE),--no-index --find-links $(OFFLINE)/wheels)
# make install: where to, and which life (docs/two-lives.md); empty: the one that is installed, or embedded.
PREFIX ?= /opt/habitus
DESTDIR ?=
LIFE ?=
RELEASE ?=
PACS ?=
SENDER ?=
PURGE ?=
BUNDLES ?= out

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# ---- setting up

.PHONY: setup
setup: system-node .venv/.node ## Orthanc by apt (no service left running) and the node's environment
.PHONY: setup-dev
setup-dev: system-test .venv/.dev ## what the tests need on top of that
.PHONY: setup-training
setup-training: $(if $(filter .venv-train/bin,$(TRAIN)),.venv-train/.done) ## the training environment (torch; TORCH_INDEX=URL for your own build)

APT_ONLINE = $(SUDO) apt-get update -qq; $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300

# Installs the packages of $(1) that are missing. A freshly installed orthanc, nginx or prometheus must not start on the default
# ports: policy-rc.d refuses that while apt runs, and the unit is disabled afterwards.
define apt_install
	@missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  made=0; if [ ! -e /usr/sbin/policy-rc.d ]; then printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee /usr/sbin/policy-rc.d >/dev/null; $(SUDO) chmod 755 /usr/sbin/policy-rc.d; made=1; fi; \
	  restore() { if [ $$made = 1 ]; then $(SUDO) rm -f /usr/sbin/policy-rc.d; fi; }; trap restore EXIT; \
	  $(if $(OFFLINE),$(SUDO) sh installation/offline_apt.sh $(OFFLINE) $$missing,$(APT_ONLINE) $$missing >/dev/null); \
	  for unit in orthanc nginx prometheus; do \
	    case "$$missing " in *" $$unit "*) if [ -d /run/systemd/system ]; then $(SUDO) systemctl disable --now $$unit || true; fi;; esac; \
	  done; \
	fi
endef

.PHONY: system-python system-node system-test system-viewer system-browser system-containers
system-python:
	$(call apt_install,$(APT_PYTHON))
system-node:
	$(call apt_install,$(APT_NODE))
system-test: system-node
	$(call apt_install,$(APT_TEST))
system-viewer: system-node
	$(call apt_install,$(APT_VIEWER))
system-browser: system-test
	$(call apt_install,$(APT_BROWSER))
system-containers:
	$(call apt_install,$(APT_CONTAINERS))

.venv/bin/python: | system-node
	$(PY) -m venv .venv
.venv/.node: requirements/$(EXTRA).txt | .venv/bin/python
	@echo "installing the node's environment ($(EXTRA))"
	$(BIN)/$(PIP) --require-hashes -r $<
	@touch $@
.venv/.dev: requirements/dev.txt | .venv/bin/python
	@echo "installing the development environment"
	$(BIN)/$(PIP) --require-hashes -r $<
	@touch $@ .venv/.node
.venv/.browser: requirements/browser.txt .venv/.dev
	$(BIN)/$(PIP) --require-hashes -r $<
	@touch $@
# npm comes as a wheel and goes again: Debian's own brings 394 packages.
.viewer/.installed: viewer/install.py requirements/npm.txt | .venv/.node
	@echo "installing OHIF under .viewer"
	$(PY) -m venv --clear .viewer/npm
	.viewer/npm/bin/$(PIP) --require-hashes -r requirements/npm.txt
	PATH="$(CURDIR)/.viewer/npm/bin:$$PATH" $(BIN)/python -m viewer.install
	@rm -rf .viewer/npm && touch $@
.venv-containers/.done: requirements/containers.txt | system-python
	$(PY) -m venv .venv-containers
	.venv-containers/bin/$(PIP) --require-hashes -r $<
	@touch $@
.venv-train/.done: requirements/train.txt | system-python
	$(PY) -m venv .venv-train
	$(TRAIN)/$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	@# torch brings what it needs itself; everything else is locked with hashes, all that it needs included
	$(TRAIN)/$(PIP) --no-deps --require-hashes -r $<
	@touch $@

# ---- using it

.PHONY: demo
demo: setup ## a CT sent by C-STORE comes back as SEG and SR, with pictures (KEEP=1 leaves it running)
	@$(BIN)/python demo.py --keep $(KEEP)

.PHONY: ohif
ohif: setup system-viewer .viewer/.installed ## the OHIF viewer for the demo that runs, or for ORTHANC=http://host:port
	@$(BIN)/python -m viewer --port $(OHIF_PORT) --orthanc "$(ORTHANC)" --user "$(ORTHANC_USER)" --password-file "$(ORTHANC_PASSWORD_FILE)"

# ---- installing it

# Into another root nothing is installed by apt.
INSTALL_NEEDS := $(if $(DESTDIR),,system-node)
INSTALLATION := $(if $(DESTDIR),,$(SUDO)) env PYTHONDONTWRITEBYTECODE=1 $(PY) -m installation
INTO := --prefix $(PREFIX) $(if $(DESTDIR),--destdir $(DESTDIR))
RELEASED := --extra $(EXTRA) $(if $(LIFE),--life $(LIFE)) $(if $(OFFLINE),--wheels $(OFFLINE)/wheels) $(if $(RELEASE),--release $(RELEASE))
.PHONY: install upgrade roll-back uninstall
install: $(INSTALL_NEEDS) ## a node under /opt/habitus with its units, settings made once (LIFE=standalone, EXTRA=gpu, PACS=AET@host:port; docs/install.md)
	@$(INSTALLATION) install $(INTO) $(RELEASED) $(if $(PACS),--pacs $(PACS)) $(if $(SENDER),--sender $(SENDER))
upgrade: $(INSTALL_NEEDS) ## make this tree the installed release; settings and data stay, the former release too
	@$(INSTALLATION) upgrade $(INTO) $(RELEASED)
roll-back: ## back to the release before the last upgrade
	@$(INSTALLATION) roll-back $(INTO)
uninstall: ## remove program and units; settings, journal and images stay (PURGE=1 removes them)
	@$(INSTALLATION) uninstall $(INTO) $(if $(PURGE),--purge)
.PHONY: bundle
bundle: setup .viewer/.installed ## one file with all that make demo and make install need, for machines like this one without a network
	@$(BIN)/python -m installation bundle --out $(BUNDLES) --extra $(EXTRA) --packages "make $(APT_NODE) $(APT_VIEWER)"
.PHONY: install-check bundle-check
# Both make a bare Debian with mmdebstrap under TRIALS (root; 5 GB each) and take it away again.
TRIALS ?= out/trials
install-check: .venv/.node ## by hand: install, a CT, upgrade, roll-back and uninstall in a bare Debian
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.installation install --work $(TRIALS)
bundle-check: bundle ## by hand: the bundle in a bare Debian without a network; commit the table it leaves
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.installation bundle --work $(TRIALS) --bundles $(BUNDLES) --out docs/results/offline.md

# ---- checking it

.PHONY: check check-static check-unit
check: .venv/.dev ## static checks and unit tests (under 3 minutes)
	+@$(MAKE) --no-print-directory -j2 --output-sync=target check-static check-unit
check-static: .venv/.dev
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema -q --builtin-schema vendor.compose-spec docker/compose.yaml docker/compose.gpu.yaml
check-unit: .venv/.dev
	$(PYTEST) -q -n 2 --dist loadfile tests/unit
.PHONY: fix
fix: .venv/.dev ## format and mend what can be mended by itself
	$(BIN)/ruff format -q .
	$(BIN)/ruff check -q --fix .
.PHONY: test
test: setup-dev ## unit, integration and acceptance tests with a real Orthanc (no torch)
	@# a real Orthanc needs a network namespace of its own, and that needs root; the files that wait most go first
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(PYTEST) -p no:cacheprovider -q -rs -n 2 --dist loadfile --no-loadscope-reorder tests/integration tests/acceptance tests/unit
.PHONY: fuzz
fuzz: .venv/.dev ## 5,000 damaged series by hand (HABITUS_REAL_CT adds real codings); commit the table it leaves
	OMP_NUM_THREADS=1 RUST_BACKTRACE=0 $(BIN)/python -m tests.fuzz --count 5000 --written 0.2 --out docs/results/fuzz.md
.PHONY: faults
faults: setup-dev ## 60 studies under 200 kills and other faults, by hand: nothing lost, nothing twice; commit the table it leaves
	$(SUDO) env OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --studies 60 --kills 200 --seed 1 --out docs/results/faults.md
.PHONY: test-page
test-page: setup-dev system-browser .venv/.browser ## the button in Orthanc Explorer and the Habitus page, clicked in a headless browser
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(PYTEST) -p no:cacheprovider -q -rs -n 2 --dist loadfile tests/browser
.PHONY: test-ohif
test-ohif: setup-dev system-browser .venv/.browser .viewer/.installed ## the demo's results in OHIF, in a headless browser
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(PYTEST) -p no:cacheprovider -q -rs tests/viewer
.PHONY: ohif-geometries
ohif-geometries: setup-dev system-browser .venv/.browser .viewer/.installed ## organs of twelve geometries as OHIF holds them, by hand; commit the table it leaves
	$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.viewer --geometries $(GEOMETRIES) $(if $(filter 12,$(GEOMETRIES)),--out docs/results/ohif-geometries.md)
.PHONY: test-training
test-training: setup-training ## tests that need torch
	@# a process per core, one thread each: small networks gain nothing from more
	OMP_NUM_THREADS=1 $(TRAIN)/python -m pytest -q -n 2 --dist loadfile tests/training
.PHONY: conformance
conformance: setup-dev ## every object kind through other people's validators and readers (GEOMETRIES=2 of the twelve)
	$(BIN)/python -m tests.conformance --geometries $(GEOMETRIES) $(if $(filter 12,$(GEOMETRIES)),--out docs/results/conformance.md)
.PHONY: container-check
container-check: system-containers setup-dev system-browser .venv/.browser .venv-containers/.done ## images built, the README's Docker commands and compose.yaml run for real, by hand (no Docker engine needed; RELEASE=bookworm); commit the table it leaves
	$(SUDO) $(BIN)/python -m tests.containers --release $(RELEASE) --out docs/results/containers-$(RELEASE).md
.PHONY: settings-docs
settings-docs: .venv/.dev ## docs/settings.md and the JSON schema of habitus.toml, from the code that reads it
	$(BIN)/python -m orthanc_plugin.node.settings_docs
.PHONY: long
long: eval-synthetic eval-real ## the long evaluations, by hand; commit the tables they leave under docs/results

.PHONY: real-cases
real-cases: .venv/.dev ## real series with known oddities, what became of each (folder by HABITUS_REAL_CT); commit the table it leaves
	$(BIN)/python -m tests.real_cases --out docs/results/real-ct.md

# ---- supply chain

# An environment of its own: what audits must not become part of what is audited.
.venv-audit/.done: requirements/audit.txt | system-python
	$(PY) -m venv --clear .venv-audit
	.venv-audit/bin/$(PIP) --require-hashes -r $<
	@touch $@
# The first call must find something: without it, a service that knows nothing would read as "no known vulnerabilities".
PIP_AUDIT := .venv-audit/bin/pip-audit --strict --disable-pip --progress-spinner off
.PHONY: audit
audit: .venv-audit/.done ## known vulnerabilities of every pinned package (asks pypi.org)
	@told=$$($(PIP_AUDIT) --no-deps -r requirements/audit-control.txt 2>&1 || true); \
	  if ! grep -q 'PYSEC-\|GHSA-\|CVE-' <<< "$$told"; then \
	  echo "audit: NOTHING was audited: the vulnerability service did not name the known fault of $$(tail -1 requirements/audit-control.txt); run it where https://pypi.org/pypi can be reached"; exit 2; fi
	@failed=; for list in $(filter-out requirements/audit-control.txt,$(wildcard requirements/*.txt)); do echo "$$list"; \
	  $(PIP_AUDIT) --require-hashes -r $$list || failed="$$failed $$list"; done; \
	  if [ -n "$$failed" ]; then echo "audit: vulnerable, or not wholly audited:$$failed"; exit 1; fi
.PHONY: sbom
sbom: .venv-audit/.done ## what a node consists of, as CycloneDX: sbom/node-cpu.cdx.json and so on for gpu and gpu-cuda12
	@mkdir -p $(SBOM)
	@for kind in cpu gpu gpu-cuda12; do .venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o $(SBOM)/node-$$kind.cdx.json requirements/$$kind.txt; done
	@ls -l $(SBOM)

# ---- models

.PHONY: train
train: setup-training ## train one network: TASK=l3_slices SIZE=paper DATA=folder, or TASK=organs POOL=runs/pool TIME=3600 (OUT, SPLIT, FOLD, RESUME=1)
	$(TRAIN)/python -m training train training/configs/$(if $(SIZE),$(SIZE)/)$(TASK).toml $(if $(DATA),--data $(DATA)) $(if $(POOL),--pool $(POOL)) $(if $(SPLIT),--split $(SPLIT)) $(if $(FOLD),--fold $(FOLD)) $(if $(TIME),--seconds $(TIME)) $(if $(RESUME),--resume) --out $(or $(OUT),runs/$(TASK))
.PHONY: report
report: setup-training ## one HTML page of a training: RUN=folder
	$(TRAIN)/python -m training report $(RUN)
.PHONY: papers papers-smoke
papers: setup-training ## five published systems from synthetic data to the node on one page, within 2 hours; goes on where it was stopped
	OMP_NUM_THREADS=1 $(TRAIN)/python -m training papers --at-once 2 --out $(or $(OUT),runs/papers)
papers-smoke: setup-training ## the same with a few steps each, in 3 minutes
	OMP_NUM_THREADS=1 $(TRAIN)/python -m training papers --at-once 2 --plan training/configs/small/papers_smoke.toml --out $(or $(OUT),runs/papers-smoke)
.PHONY: onnx
onnx: setup-training ## checkpoints → ONNX, parity proven (MODEL=name CHECKPOINT=path for your own)
	$(TRAIN)/python -m export_onnx $(if $(MODEL),--model $(MODEL)) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))
.PHONY: int8
int8: setup-training ## the organ network in eight bits for OpenVINO, offered only where every organ keeps its Dice (commit the table)
	$(TRAIN)/python -m export_onnx.int8 organs --replace --out docs/results/int8.md
.PHONY: eval-synthetic
eval-synthetic: .venv/.dev ## the shipped models on unseen synthetic CTs (commit what it leaves)
	$(BIN)/python -m training.evaluate_synthetic --out docs/results/eval-synthetic.md
.PHONY: eval-painted
eval-painted: .venv/.dev ## the networks of MODELS on painted CT of anatomies they were not trained on (TEMPLATES="a.npz b.npz", CASES=200)
	@test -n "$(TEMPLATES)" || { echo 'eval-painted: name files of python -m training.templates build, as in make eval-painted TEMPLATES="a.npz b.npz"'; exit 2; }
	@missed=0; for spines in "" "--variants"; do \
	  $(BIN)/python -m training.evaluate_painted $(TEMPLATES:%=--template %) --models $(MODELS) --cases $(CASES) $$spines \
	    --out docs/results/eval-painted$${spines#-}.md || missed=$$?; \
	done; exit $$missed
.PHONY: eval-real
eval-real: .venv/.dev ## the models on real CT (folder by HABITUS_REAL_CT), or on a site's own: FOLDER=/data/cases (docs/validation.md)
	$(BIN)/python -m training.evaluate_real $(if $(FOLDER),$(FOLDER),--page docs/results/real-cases.md --pictures docs/pictures/real)
.PHONY: eval-robustness
eval-robustness: .venv/.dev ## the same patients turned, prone, noisier, thicker …; painted ones too: TEMPLATE="a.npz b.npz"
	OMP_NUM_THREADS=1 $(BIN)/python -m training.evaluate_robustness $(FOLDER) $(TEMPLATE:%=--template %) $(if $(FOLDER),,--page docs/results/robustness.md)

# What the small nnU-Net leaves; every step goes on or is skipped where it stands.
NNUNET ?= runs/nnunet-small
NNUNET_STEP := OMP_NUM_THREADS=1 $(TRAIN)/python -m training nnunet
.PHONY: nnunet-fixture
nnunet-fixture: setup-training ## the real nnU-Net, small, on synthetic CT (20 minutes of one core): scores, model folder, ONNX under NNUNET=folder
	@test -e $(NNUNET)/nnUNet_raw/Dataset701_CT/dataset.json || $(NNUNET_STEP) convert training/configs/small/nnunet_data --labels large-organs --folds 2 --test 0.2 --work $(NNUNET)
	@test -e $(NNUNET)/settings.json || $(NNUNET_STEP) plan --settings small --processes 1 --work $(NNUNET)
	$(NNUNET_STEP) train --run small --resume --processes 0 --device cpu --work $(NNUNET)
	$(NNUNET_STEP) predict $(NNUNET)/nnUNet_raw/Dataset701_CT/imagesTs --run small --out $(NNUNET)/found --processes 1 --device cpu --work $(NNUNET)
	$(NNUNET_STEP) evaluate $(NNUNET)/found --truth $(NNUNET)/nnUNet_raw/Dataset701_CT/labelsTs --out $(NNUNET)/scores.json --page $(NNUNET)/scores.md --work $(NNUNET)
	$(NNUNET_STEP) plots --runs small --out $(NNUNET)/loss.png --work $(NNUNET)
	$(NNUNET_STEP) slim --run small --out $(NNUNET)/model --work $(NNUNET)
	@test -e $(NNUNET)/models/organs-nnunet || $(NNUNET_STEP) export --run small --models $(NNUNET)/models --name organs-nnunet --work $(NNUNET)

# ---- measuring it

.PHONY: bench
bench: .venv/.dev setup-training ## nnU-Net's own predictor, MONAI and the node on the same networks and CT: time, memory, agreement (two hours; BENCH_MODELS=trained,1M leaves out the large network)
	$(TRAIN)/python -m tests.benchmarks.nnunet_speed --models $(or $(BENCH_MODELS),trained,1M,17M) --depths 150,600 --work runs/bench --out docs/benchmarks.md
.PHONY: bench-gpu
bench-gpu: ## nnU-Net's own predictor with AMP and the node on CUDA and TensorRT, ms by stage, on a machine with an NVIDIA GPU (make setup EXTRA=gpu first; TENSORRT=folder of its libraries)
	$(if $(wildcard $(TRAIN)/python),$(TRAIN)/python,$(PY)) -m tests.benchmarks.nnunet_gpu $(if $(BENCH_MODELS),--models $(BENCH_MODELS)) $(if $(TENSORRT),--tensorrt-libraries $(TENSORRT)) --work runs/bench-gpu --out docs/results/nnunet-gpu.md
.PHONY: bench-seg
bench-seg: .venv/.dev ## CPU time of writing a segmentation, ours beside highdicom's
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.write_seg --out docs/results/write-seg.md

.PHONY: bench-read
bench-read: .venv/.dev ## CPU time of reading 300 slices, ours with every check beside plain pydicom
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.read_series --out docs/results/read-series.md

.PHONY: bench-pipeline
bench-pipeline: .venv/.dev ## time, memory and model size of the default profile on 300 slices, from files to files
	$(BIN)/python -m tests.benchmarks.pipeline --models $(MODELS) --out docs/results/pipeline.md

# ---- housekeeping

.PHONY: bench-ingest
bench-ingest: setup-dev ## Orthanc's CPU time for 300 slices with the plugin and without; REST while the engine works
	$(SUDO) env OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.ingest --out docs/results/ingest.md
.PHONY: bench-first
bench-first: .venv/.dev ## what each network's first run costs beside later ones
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.first_inference --out docs/results/first-inference.md
.PHONY: bench-at-rest
bench-at-rest: setup-dev ## Orthanc's CPU time while nothing comes in, with the plugin and without
	$(SUDO) env OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.at_rest --out docs/results/at-rest.md
.PHONY: latency
latency: setup-dev ## from the last slice stored to the results at the PACS, by stage
	$(SUDO) $(BIN)/python -m tests.benchmarks.latency --out docs/results/latency.md
.PHONY: soak
soak: setup-dev ## 500 studies queued at once, memory watched; a journal of 100,000 jobs (20 minutes and more)
	$(SUDO) $(BIN)/python -m tests.benchmarks.soak --out docs/results/soak.md
.PHONY: lock
lock: ## resolve the locks again (developers; needs uv)
	uv lock
	uv export -q --locked --no-emit-project --no-default-groups --extra cpu -o requirements/cpu.txt
	uv export -q --locked --no-emit-project --no-default-groups --extra gpu -o requirements/gpu.txt
	uv export -q --locked --no-emit-project --no-default-groups --extra gpu-cuda12 -o requirements/gpu-cuda12.txt
	uv export -q --locked --no-emit-project --extra cpu --group dev -o requirements/dev.txt
	uv export -q --locked --no-emit-project --no-default-groups --extra cpu --group train --prune torch --prune torchvision --prune timm -o requirements/train.txt
	uv export -q --locked --no-emit-project --only-group npm -o requirements/npm.txt
	uv export -q --locked --no-emit-project --only-group browser -o requirements/browser.txt
	uv export -q --locked --no-emit-project --only-group audit -o requirements/audit.txt
	uv export -q --locked --no-emit-project --only-group containers -o requirements/containers.txt
.PHONY: clean
clean: ## remove environments, caches and demo data
	rm -rf .venv .venv-train .venv-audit sbom .viewer .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
