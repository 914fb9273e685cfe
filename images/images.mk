# The images (docs/images.md), and the demo that uses them.
.PHONY: images demo chat

images: setup ## Build the images of operator, Copilot CLI and test model, and load them (CLUSTER=current: push them)
	@images/build.sh $(IMAGES)

demo: setup ## Start a cluster, build the images, install the operator, create a tenant, chat, clean up
	@scripts/demo/demo.sh

NAMESPACE ?= copilot-demo
TENANT ?= acme
PROMPT ?= Hello
CHAT_ENTER = $(if $(filter current,$(CLUSTER)),,.cluster/bin/enter env KUBECTL=.cluster/bin/kubectl)
chat: setup ## Chat with a tenant's server: PROMPT="..." [TENANT=acme] [NAMESPACE=copilot-demo] [SESSION=id] [RESUME=id] [FOLLOW=id] [SERVICE_ACCOUNT=name [FOR=user]] [THROUGH=pod]
	@$(CHAT_ENTER) node scripts/chat.ts --namespace "$(NAMESPACE)" $(if $(SESSION),--session "$(SESSION)") $(if $(RESUME),--resume "$(RESUME)") $(if $(FOLLOW),--follow "$(FOLLOW)") $(if $(SERVICE_ACCOUNT),--as "$(SERVICE_ACCOUNT)") $(if $(FOR),--user "$(FOR)") $(if $(THROUGH),--through "$(THROUGH)") "$(TENANT)" "$$PROMPT"
export PROMPT
