# What the workflows in .github/workflows do, for a person to do as well. Included by the Makefile.
# docs/ci.md says which workflow runs which target.

SCRIPTS := .github/scripts
RUST ?= stable

# What decides a release (REF, COMMIT, PLATFORM, TAG, VERSION, PUBLISHED, TO) reaches the scripts
# through the environment, and never through make: it would expand a branch named $(…).

##@ Pipeline

.PHONY: test-workflows
test-workflows: $(VENV) ## Test the workflows and their scripts (actionlint, zizmor, shellcheck)
	$(PYTEST) tests/workflows

.PHONY: test-parts
test-parts: ## Print the parts of `make test` as a JSON list, for jobs side by side
	@{ $(MAKE) --print-data-base --question help 2>/dev/null || true; } \
	  | sed -n 's/^test: //p' | tr ' ' '\n' | jq --raw-input --slurp --compact-output --exit-status 'split("\n") | map(select(. != "")) | select(length > 0)'

.PHONY: rust
rust: ## Install a toolchain, RUST=stable or RUST=minimum, and print its name (for RUSTUP_TOOLCHAIN)
	@toolchain='$(if $(filter minimum,$(RUST)),$(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml),$(RUST))'; \
	  rustup toolchain install "$$toolchain" --profile minimal --component clippy,rustfmt >&2; \
	  echo "$$toolchain"

.PHONY: deny
deny: ## Check the crates' licences, sources and advisories (cargo-deny)
	@command -v cargo-deny >/dev/null || { echo 'make deny: cargo-deny is needed, and is not installed: cargo install --locked cargo-deny' >&2; exit 127; }
	cargo deny --locked check

.PHONY: image-smoke
image-smoke: ## Run an image as a strict cluster would, and upload through it (IMAGE=…)
	@CONTAINER_TOOL='$(or $(CONTAINER_TOOL),docker)' $(SCRIPTS)/image-smoke '$(IMAGE)'

##@ Release

.PHONY: version
version: ## Print the version; with TAG=v1.2.3: fail unless that is its tag
	@$(SCRIPTS)/version $${TAG+"$$TAG"}

.PHONY: release-notes
release-notes: ## Print what CHANGELOG.md says of VERSION (the current one)
	@$(SCRIPTS)/release-notes "$${VERSION:-$$($(SCRIPTS)/version)}"

.PHONY: image-tags
image-tags: ## Print the tags that the image of REF and COMMIT gets
	@$(SCRIPTS)/image-tags

.PHONY: image-push
image-push: ## Build for PLATFORM with SBOM and provenance, and push without a tag (IMAGE_REPOSITORY=ghcr.io/owner/gcs-uploader)
	@$(SCRIPTS)/image push

.PHONY: image-pushed
image-pushed: ## Print what was pushed for PLATFORM, as image=…
	@$(SCRIPTS)/image pushed

.PHONY: image-binary
image-binary: ## Take the binary out of what was pushed for PLATFORM
	@$(SCRIPTS)/image binary

.PHONY: image-sbom
image-sbom: ## Fail unless the SBOM of what was pushed for PLATFORM names its crates
	@$(SCRIPTS)/image sbom

.PHONY: image-scan
image-scan: ## Fail on a fixable high or critical vulnerability in PUBLISHED (trivy)
	@command -v trivy >/dev/null || { echo 'make image-scan: trivy is needed, and is not installed' >&2; exit 127; }
	trivy image --config .github/trivy.yaml "$${PUBLISHED:?say PUBLISHED=, an image}"

.PHONY: image-index
image-index: ## Put both platforms under one index, tagged with the commit
	@$(SCRIPTS)/image index

.PHONY: image-sign
image-sign: ## Sign the index by digest, without a key (cosign)
	@$(SCRIPTS)/image sign

.PHONY: image-tag
image-tag: ## Give the signed index the names that people pull
	@$(SCRIPTS)/image tag

.PHONY: image-copy
image-copy: ## Copy the index to another registry and sign it there (TO=docker.io/owner/gcs-uploader)
	@$(SCRIPTS)/image copy "$${TO-}"

.PHONY: image-copy-fixed
image-copy-fixed: ## The same without the tags that move, for a registry with immutable tags (TO=…)
	@$(SCRIPTS)/image copy "$${TO-}" fixed

.PHONY: image-where
image-where: ## Print where the index was pushed, as repository=… and digest=…
	@$(SCRIPTS)/image where

.PHONY: image-summary
image-summary: ## Print what was published, and how to verify it, in Markdown
	@$(SCRIPTS)/image summary

.PHONY: image-verify
image-verify: ## Verify which workflow built PUBLISHED=ghcr.io/owner/gcs-uploader@sha256:… (cosign)
	@$(SCRIPTS)/image verify "$${PUBLISHED-}"

.PHONY: release-files
release-files: ## Archives of both binaries, their SBOMs, and checksums, in target/image
	@$(SCRIPTS)/image files

.PHONY: release-sign
release-sign: ## Sign the checksums, without a key (cosign)
	@$(SCRIPTS)/image sign-files

.PHONY: raise-image
raise-image: ## Let every overlay run PUBLISHED=ghcr.io/owner/gcs-uploader:1.2.3@sha256:…
	@$(SCRIPTS)/raise-image "$${PUBLISHED-}"

.PHONY: raise-image-pull-request
raise-image-pull-request: ## Open a pull request with what raise-image changed (gh)
	@$(SCRIPTS)/raise-image-pull-request

.PHONY: github-release
github-release: ## Make the GitHub release of TAG=v1.2.3 from target/image (gh)
	@$(SCRIPTS)/github-release "$${TAG-}"

##@ End to end, on the cluster of make minikube-start

.PHONY: cluster-deploy
cluster-deploy: ## Build the image, load it, and bring the overlay `local` up
	@$(SCRIPTS)/cluster/deploy

.PHONY: cluster-upload
cluster-upload: ## Upload through the ingress, and ask the store for the object
	@$(SCRIPTS)/cluster/upload

.PHONY: cluster-roll-out
cluster-roll-out: ## Replace every pod under load: no upload may fail
	@$(SCRIPTS)/cluster/roll-out

.PHONY: cluster-customers
cluster-customers: ## Apply the three customers' overlays side by side
	@$(SCRIPTS)/cluster/customers

.PHONY: cluster-isolation
cluster-isolation: ## Try to get from one customer to another, which must fail
	@$(SCRIPTS)/cluster/isolation

.PHONY: cluster-report
cluster-report: ## What happened in the cluster: pods, events, logs
	@$(SCRIPTS)/cluster/report
