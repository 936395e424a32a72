# Images, clusters and customers. Included by the Makefile; `make help` lists the targets.

KUBECTL_WORDS := kubectl is needed to reach a cluster, and is not installed
MINIKUBE_WORDS := minikube is needed for a cluster of your own, and is not installed
RENDER_WORDS := kustomize or kubectl is needed to render an overlay, and neither is installed
MINIKUBE_PROFILE ?= gcs-uploader
PYTEST ?= python3 -m pytest
# Which of them builds images: the first that is there.
CONTAINER_TOOL ?= $(firstword $(notdir $(foreach tool,docker podman buildah,$(shell command -v $(tool)))))
# The name under which every overlay runs it, as the release component says.
IMAGE ?= $(shell sed -n 's/^ *newName: //p' kustomize/components/release/kustomization.yaml):$(shell sed -n 's/^ *newTag: //p' kustomize/components/release/kustomization.yaml)
IMAGE_SOURCE ?= $(shell git config --get remote.origin.url 2>/dev/null)
OVERLAYS := $(notdir $(patsubst %/kustomization.yaml,%,$(wildcard kustomize/overlays/*/kustomization.yaml)))
RENDER := $(if $(shell command -v kustomize),kustomize build,kubectl kustomize)
export MINIKUBE_PROFILE

# $(call need,PROGRAM,WORDS): ends the recipe in plain words where a program is missing.
need = command -v $(1) >/dev/null || { echo "make $@: $(2)" >&2; exit 127; }
# Ends the recipe unless CUSTOMER names an overlay.
a-customer = $(if $(filter $(CUSTOMER),$(OVERLAYS)),true,{ echo "make $@: CUSTOMER is \"$(CUSTOMER)\"; say CUSTOMER=… with one of: $(OVERLAYS)" >&2; exit 2; })
namespace = $$(sed -n 's/^namespace: *"\{0,1\}\([^"]*\)"\{0,1\} *$$/\1/p' kustomize/overlays/$(CUSTOMER)/kustomization.yaml)

##@ Image

.PHONY: image
image: ## Build the container image (docker, podman or buildah; IMAGE=name:tag)
	@test -n "$(CONTAINER_TOOL)" || { echo "make image: docker, podman or buildah is needed to build an image, and none is installed" >&2; exit 127; }
	$(CONTAINER_TOOL) build --file Containerfile --tag $(IMAGE) \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)" \
		--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
		--build-arg SOURCE="$(or $(IMAGE_SOURCE),unknown)" .

##@ Cluster

.PHONY: minikube-start
minikube-start: ## Start a minikube cluster that enforces network policies, with an ingress and metrics
	@$(call need,minikube,$(MINIKUBE_WORDS))
	minikube start --profile $(MINIKUBE_PROFILE) --cni calico --addons ingress,metrics-server

.PHONY: minikube-destroy
minikube-destroy: ## Remove that cluster and everything in it
	@$(call need,minikube,$(MINIKUBE_WORDS))
	minikube delete --profile $(MINIKUBE_PROFILE)

.PHONY: deploy-monitoring
deploy-monitoring: ## Give the cluster the alerts and the dashboard, once for all customers
	@$(call need,kubectl,$(KUBECTL_WORDS))
	kubectl apply --kustomize kustomize/cluster

##@ Customers

.PHONY: customer
customer: ## Write a new customer's overlay (NAME=… BUCKET=… HOST=…; without NAME: what else can be said)
	@kustomize/template/new-customer $(NAME)

.PHONY: deploy
deploy: ## Bring a customer's instance to the cluster and wait until it serves (CUSTOMER=customer-a)
	@$(a-customer)
	@kustomize/deploy $(CUSTOMER)

.PHONY: undeploy
undeploy: ## Remove a customer's instance; the bucket and what is in it stay (CUSTOMER=…)
	@$(a-customer)
	@$(call need,kubectl,$(KUBECTL_WORDS))
	kubectl delete --kustomize kustomize/overlays/$(CUSTOMER) --ignore-not-found

.PHONY: health
health: ## Ask an instance whether it lives and is ready (CUSTOMER=…, or the one at HOST, localhost:4545)
ifdef CUSTOMER
	@$(a-customer)
	@kustomize/with-port-forward "$(namespace)" sh -c 'curl -sS "$$GCS_UPLOADER_URL/api/health"; echo; curl -sS --fail-with-body "$$GCS_UPLOADER_URL/api/ready"; status=$$?; echo; exit $$status'
else
	@curl -sS $(or $(HOST),http://localhost:4545)/api/health && echo && curl -sS --fail-with-body $(or $(HOST),http://localhost:4545)/api/ready && echo
endif

.PHONY: deploy-upload
deploy-upload: ## Upload a random file through a customer's instance, past the ingress (CUSTOMER=… SIZE=10MiB TOKEN=…)
	@$(a-customer)
	@kustomize/with-port-forward "$(namespace)" sh -c 'curl -sS --fail-with-body -X POST $(if $(TOKEN),-H "Authorization: Bearer $(TOKEN)") "$$GCS_UPLOADER_URL/api/upload-random$(if $(SIZE),?size=$(SIZE))"; status=$$?; echo; exit $$status'

.PHONY: logs
logs: ## Follow the logs of all of a customer's instances (CUSTOMER=…)
	@$(a-customer)
	@$(call need,kubectl,$(KUBECTL_WORDS))
	kubectl --namespace "$(namespace)" logs --selector app.kubernetes.io/name=gcs-uploader --prefix --tail 100 --follow --max-log-requests 50

##@ Manifests

.PHONY: kustomize-build
kustomize-build: ## Render all overlays, or print one (CUSTOMER=…)
	@$(call need,$(firstword $(RENDER)),$(RENDER_WORDS))
ifdef CUSTOMER
	@$(a-customer)
	@$(RENDER) kustomize/overlays/$(CUSTOMER)
else
	@set -e; for overlay in $(OVERLAYS); do $(RENDER) kustomize/overlays/$$overlay >/dev/null; echo "$$overlay builds"; done
endif

.PHONY: golden
golden: ## Write the golden rendering of every overlay anew, for a review to see
	@$(call need,$(firstword $(RENDER)),$(RENDER_WORDS))
	@rm -f tests/deploy/golden/*.yaml
	@set -e; for overlay in $(OVERLAYS); do $(RENDER) kustomize/overlays/$$overlay >tests/deploy/golden/$$overlay.yaml; done
	@git --no-pager diff --stat -- tests/deploy/golden

.PHONY: test-deploy
test-deploy: ## Test the image, the manifests and these targets
	$(PYTEST) $(PYTEST_PARALLEL) tests/deploy
