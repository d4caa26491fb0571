# What a person can do with this repository. `make` lists it.
# KUBE_CONTEXT=<context> uses an existing cluster; OPERATOR_IMAGE, TRAINER_IMAGE, IMAGE_REGISTRY say where images are.
SHELL := /bin/bash
.DEFAULT_GOAL := help

##@ Start
help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
demo: ## A cluster, the images, the operator, and the MNIST job to its end
	@deploy/demo.sh
test: ## Every test: verify, chart, trainer, apiserver, scale, e2e, chaos
	@deploy/test.sh

##@ Cluster
cluster: ## Bring up a cluster: kind where Docker answers, else a Kubernetes on this machine
	@deploy/cluster.sh up
cluster-down: ## Remove it; nothing of it is left running
	@deploy/cluster.sh down
kubeconfig: ## Print the path of its kubeconfig: export KUBECONFIG=$(make -s kubeconfig)
	@deploy/cluster.sh kubeconfig
images: ## Build the operator and trainer images and bring them into the cluster
	@deploy/images.sh
install: ## Install or upgrade the operator with Helm (builds missing images)
	@deploy/install.sh
uninstall: ## Remove the Helm release; the CRD and the jobs stay
	@deploy/install.sh uninstall

##@ Develop
venv: ## Make .venv with exactly what requirements/dev.lock lists
	@deploy/venv.sh
verify: venv ## Format, lint, types, layers, drift, helm lint, unit tests
	@deploy/verify.sh
test-unit: venv ## Unit tests only
	@.venv/bin/python -m pytest -ra tests/unit
test-chart: ## The Helm chart's tests
	@deploy/test.sh chart
test-trainer: ## Tests with TensorFlow, without a cluster: the trainer, the Keras hooks, the examples
	@deploy/test.sh trainer
test-apiserver: ## Tests against etcd and kube-apiserver
	@deploy/test.sh apiserver
test-e2e: ## Tests with real pods on a cluster (brings it up, installs the operator)
	@deploy/test.sh e2e
test-scale: ## Many jobs at once: fails when a ratio is worse than in tests/scale/gate.json (ARGS=--store writes it)
	@SCALE_ARGS="$(ARGS)" deploy/test.sh scale
test-chaos: ## Tests of faults: trainers, pods and nodes that die (on several nodes of the local cluster, as root)
	@deploy/test.sh chaos
bench: ## Measure training speed and start-up against hand-written loops (ARGS="--only start" for a part)
	@deploy/bench.sh $(ARGS)
bench-scale: ## Measure many jobs at once beside a control plane of its own (ARGS="--sizes 1,20 --standing 0" for a try)
	@deploy/bench-scale.sh $(ARGS)
lint: venv ## ruff and shellcheck
	@.venv/bin/ruff check .
	@git ls-files -co --exclude-standard -- '*.sh' .ci/run | xargs .venv/bin/shellcheck --external-sources --source-path=SCRIPTDIR --exclude=SC1090,SC1091
format: venv ## Format and fix what can be fixed
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format .
generate: venv ## Write generated files anew: the chart's CRD, values schema and dashboard, the references
	@PYTHONPATH=operator:trainer_image .venv/bin/python -m trainingjob_operator crd --chart > charts/trainingjob-operator/templates/crd.yaml.new
	@mv charts/trainingjob-operator/templates/crd.yaml.new charts/trainingjob-operator/templates/crd.yaml
	@PYTHONPATH=operator:trainer_image .venv/bin/python charts/trainingjob-operator/hack/values_schema.py
	@PYTHONPATH=operator:trainer_image .venv/bin/python docs/hack/reference.py
	@.venv/bin/python charts/trainingjob-operator/hack/dashboard.py
	@.venv/bin/python docs/hack/metrics.py
lock: ## Write requirements/*.lock anew (make lock ARGS=--upgrade takes newer versions)
	@deploy/lock.sh $(ARGS)

##@ Clean
clean: ## Remove caches of test and lint tools and the development environment
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
clean-cache: cluster-down ## Also remove built programs, images and the node's image store (several GB)
	@deploy/clean-cache.sh

.PHONY: help demo test cluster cluster-down kubeconfig images install uninstall venv verify test-unit test-chart \
	test-trainer test-apiserver test-e2e test-scale test-chaos bench bench-scale lint format generate lock clean clean-cache
