# GitOps with a real Argo CD (docs/gitops.md).
.PHONY: test-argocd

test-argocd: setup cluster images ## Run the tests with a real Argo CD beside the local cluster (5 more minutes the first time)
	trap 'test/argocd/argocd.sh down' EXIT; test/argocd/argocd.sh up && node test/run.ts argocd
