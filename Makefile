# The tasks of the project; `make help` lists them. Start with `make demo` or `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Node 24 is a development dependency, so an older node on the machine is no problem (docs/adr/0005-toolchain.md).
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# CLUSTER=current uses the current kubectl context instead of the local cluster.
export CLUSTER ?= local
ENTER := $(if $(filter current,$(CLUSTER)),,.cluster/bin/enter)
# The image of servers whose tenant names none.
export SERVER_IMAGE ?= localhost/copilot-cli:1.0.102
# The image of the cleanup Jobs.
export OPERATOR_IMAGE ?= localhost/copilot-operator:dev
# `make run` uses the local cluster unless KUBECONFIG is set.
RUN_KUBECONFIG := $(or $(KUBECONFIG),$(CURDIR)/.cluster/kubeconfig)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

node_modules/.package-lock.json: package-lock.json package.json
	@# Not `npm ci`: it needs the optional packages of every platform in the lock file, and a registry may not serve them all.
	npm install --no-save
	@touch $@

.PHONY: setup
setup: node_modules/.package-lock.json ## Install the development dependencies, with Node 24

.PHONY: sdks
sdks: setup
	@node scripts/install-sdks.ts

# The Redis of tests and benchmarks. This package has the server, too, and unlike that of its name starts no service.
/usr/bin/redis-check-rdb:
	apt-get update && apt-get install -y --no-install-recommends redis-tools

include test/cluster/cluster.mk
include images/images.mk
include test/argocd/argocd.mk

.PHONY: run
run: setup ## Run the operator from source, on the local cluster or on KUBECONFIG=..., with ARGS="..."
	$(if $(KUBECONFIG),,$(ENTER)) env KUBECONFIG=$(RUN_KUBECONFIG) node src/main.ts operator --leader-elect=false $(ARGS)

.PHONY: run-gateway
run-gateway: setup ## Run the gateway from source, on the local cluster or on KUBECONFIG=..., with ARGS="..."
	$(if $(KUBECONFIG),,$(ENTER)) env KUBECONFIG=$(RUN_KUBECONFIG) node src/main.ts gateway --drain-timeout 0s $(ARGS)

.PHONY: generate
generate: setup ## Write the generated files: CRDs, RBAC, Argo CD's health checks, kustomize base, API reference, metrics, file map
	node scripts/generate.ts
	$(if $(wildcard .cluster/bin/helm),node scripts/render-base.ts,@echo 'config/base/operator.yaml was not rendered: run "make cluster" first, which installs helm')

.PHONY: azure-models
azure-models: setup ## Read the names of Azure's container groups anew, from its Python package on PyPI, for the test of `export aci`
	python3 scripts/azure-models.py && prettier --log-level warn --write test/fixtures/azure/container-group.json

.PHONY: transcripts
transcripts: setup cluster images ## Write docs/kubectl.md and the transcript in README.md from the local cluster
	$(ENTER) env KUBECONFIG=$(RUN_KUBECONFIG) node scripts/transcripts.ts

.PHONY: format
format: setup ## Format the files
	npm run -s format

.PHONY: lint
lint: setup ## Check types, lint and format
	npm run -s typecheck && npm run -s lint && npm run -s format:check

.PHONY: test
test: setup cluster images sdks /usr/bin/redis-check-rdb ## Run all tests: static checks, unit, integration, end-to-end on the local cluster, a sample of faults and upgrades
	node test/run.ts

.PHONY: test-unit
test-unit: setup ## Run the static checks and unit tests; needs no cluster
	node test/run.ts checks unit

.PHONY: test-integration
test-integration: setup cluster images sdks /usr/bin/redis-check-rdb ## Run the tests against a real kube-apiserver and Copilot CLI
	node test/run.ts integration

.PHONY: test-faults
test-faults: setup cluster ## Run every plan of the fault campaign, 80 minutes of CPU, in JOBS=2 processes (FAULT_PLAN=crash:12:at: these only)
	seq $(or $(JOBS),1) | FAULT_PLAN=$(or $(FAULT_PLAN),all) xargs -P 0 -I{} env FAULT_SHARD={}/$(or $(JOBS),1) node test/run.ts faults

.PHONY: test-kills
test-kills: setup images sdks ## Kill each real server 200 times under 20 clients of the gateway, which takes an hour (RELAY_KILLS, RELAY_CLIENTS)
	RELAY_KILLS=$(or $(RELAY_KILLS),200) RELAY_CLIENTS=$(or $(RELAY_CLIENTS),10) npm run -s jest -- --selectProjects kills

.PHONY: test-upgrades
test-upgrades: setup cluster images ## Upgrade servers, operator and gateway a hundred times under 20 clients, which takes half an hour, and write that into bench/RESULTS.md (UPGRADES, UPGRADE_CLIENTS)
	UPGRADES=$(or $(UPGRADES),100) UPGRADE_CLIENTS=$(or $(UPGRADE_CLIENTS),20) UPGRADES_RECORD=yes KUBECONFIG=$(CURDIR)/.cluster/kubeconfig \
		$(ENTER) npm run -s jest -- --selectProjects upgrades

.PHONY: test-e2e
test-e2e: setup $(if $(filter current,$(CLUSTER)),,cluster) images ## Run the end-to-end tests on the local cluster (CLUSTER=current: on the current context)
	node test/run.ts e2e

# A peer of the gateway. Here, because programs that enter the cluster's network reach no other; and without what the package recommends.
/usr/sbin/haproxy:
	apt-get update && apt-get install -y --no-install-recommends haproxy

.PHONY: bench
bench: setup cluster images cluster-kwok /usr/sbin/haproxy /usr/bin/redis-check-rdb ## Run the benchmarks and write bench/RESULTS.md (ARGS="--only memory")
	$(ENTER) env KUBECONFIG=$(CURDIR)/.cluster/kubeconfig node bench/run.ts $(ARGS)
