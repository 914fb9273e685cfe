# GitOps with a real Argo CD; see docs/gitops.md.
.PHONY: test-argocd

test-argocd: setup cluster images ## Tests with a real Argo CD beside the local cluster (builds it the first time, about 5 minutes)
	trap 'test/argocd/argocd.sh down' EXIT; test/argocd/argocd.sh up && node test/run.ts argocd
