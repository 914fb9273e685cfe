# The images and the demo that runs on them; see docs/images.md.
.PHONY: images demo

images: setup ## Build the operator, Copilot CLI and test model images, and load them into the cluster
	@images/build.sh $(IMAGES)

demo: setup ## Everything from nothing: cluster, images, operator, a tenant, and a chat with its server
	@scripts/demo.sh
