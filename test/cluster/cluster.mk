# The local cluster; see docs/local-cluster.md.
.PHONY: cluster cluster-down cluster-kwok cluster-kwok-down test-cluster

cluster: ## Start the local Kubernetes cluster (about 15 minutes the first time)
	@test/cluster/cluster.sh up

cluster-down: ## Stop the local cluster and delete its state
	@test/cluster/cluster.sh down

cluster-kwok: ## Add simulated nodes to the local cluster (COPILOT_CLUSTER_KWOK_NODES, default 10)
	@test/cluster/cluster.sh kwok-up

cluster-kwok-down: ## Remove the simulated nodes
	@test/cluster/cluster.sh kwok-down

test-cluster: ## Test the cluster scripts on a second cluster beside the first
	@test/cluster/cluster.test.sh
