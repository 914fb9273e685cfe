# The local cluster; see docs/local-cluster.md.
.PHONY: cluster cluster-down

cluster: ## start the local Kubernetes cluster (builds it the first time, about 15 minutes)
	@test/cluster/cluster.sh up

cluster-down: ## stop the local cluster and remove what it holds
	@test/cluster/cluster.sh down
