# The images (docs/images.md), and the demo that uses them.
.PHONY: images demo chat

images: setup ## Build the operator, Copilot CLI and test model images, and load them into the cluster
	@images/build.sh $(IMAGES)

demo: setup ## Start a cluster, build the images, install the operator, create a tenant and chat with its server
	@scripts/demo/demo.sh

NAMESPACE ?= copilot-demo
TENANT ?= acme
PROMPT ?= Hello
CHAT_ENTER = $(if $(filter current,$(CLUSTER)),,.cluster/bin/enter env KUBECTL=.cluster/bin/kubectl)
chat: setup ## Chat with a tenant's server: PROMPT="..." [TENANT=acme] [NAMESPACE=copilot-demo] [SESSION=id] [RESUME=id]
	@$(CHAT_ENTER) node scripts/chat.ts --namespace "$(NAMESPACE)" $(if $(SESSION),--session "$(SESSION)") $(if $(RESUME),--resume "$(RESUME)") "$(TENANT)" "$$PROMPT"
export PROMPT
