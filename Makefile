# Every task of the project by name; `make help` lists them. The two that matter: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Node 24 is a development dependency, so a machine with an older node works too (docs/adr/0005-toolchain.md).
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# CLUSTER=current uses the current kubectl context instead of the local cluster.
export CLUSTER ?= local
ENTER := $(if $(filter current,$(CLUSTER)),,.cluster/bin/enter)
# A bare `make run` talks to the local cluster; KUBECONFIG=... overrides it.
# The server image that tenants get when they name none.
export SERVER_IMAGE ?= localhost/copilot-cli:1.0.102
# The image whose `cleanup` the tenants' CronJobs run.
export OPERATOR_IMAGE ?= localhost/copilot-operator:dev
RUN_KUBECONFIG := $(or $(KUBECONFIG),$(CURDIR)/.cluster/kubeconfig)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

node_modules/.package-lock.json: package-lock.json package.json
	@# Not `npm ci`: it wants every platform's optional packages in the lock, and a registry need not serve them all.
	npm install --no-save
	@touch $@

.PHONY: setup
setup: node_modules/.package-lock.json ## Install the development dependencies (Node 24 among them)

include test/cluster/cluster.mk
include images/images.mk
include test/argocd/argocd.mk

.PHONY: run
run: setup ## Run the operator from source against KUBECONFIG, leader election off: the inner loop
	$(if $(KUBECONFIG),,$(ENTER)) env KUBECONFIG=$(RUN_KUBECONFIG) node src/main.ts operator --leader-elect=false $(ARGS)

.PHONY: generate
generate: setup ## Write everything that is generated: CRDs, chart schema, Argo CD's health checks, API reference
	node scripts/generate.ts
	$(if $(wildcard .cluster/bin/helm),node scripts/render-base.ts,@echo 'config/base/operator.yaml is left as it is: rendering it takes helm, which make cluster brings')

.PHONY: transcripts
transcripts: setup cluster images ## Write docs/kubectl.md, what kubectl shows, from the real cluster
	$(ENTER) env KUBECONFIG=$(RUN_KUBECONFIG) node scripts/transcripts.ts

.PHONY: format
format: setup ## Format the tree
	npm run -s format

.PHONY: lint
lint: setup ## Types, lint and format, as the tests check them
	npm run -s typecheck && npm run -s lint && npm run -s format:check

.PHONY: test
test: setup cluster images ## Everything: checks, unit, integration, e2e on the real cluster
	node test/run.ts checks unit integration e2e

.PHONY: test-unit
test-unit: setup ## Static checks and unit tests; no cluster needed
	node test/run.ts checks unit

.PHONY: test-integration
test-integration: setup cluster images ## Tests against a real kube-apiserver of their own
	node test/run.ts integration

.PHONY: test-e2e
test-e2e: setup $(if $(filter current,$(CLUSTER)),,cluster) images ## Tests on the real cluster (CLUSTER=current: on the current context)
	node test/run.ts e2e

.PHONY: bench
bench: setup cluster images cluster-kwok ## Measure against peers and floors; writes bench/RESULTS.md
	$(ENTER) env KUBECONFIG=$(CURDIR)/.cluster/kubeconfig node bench/run.ts $(ARGS)
