# The two commands are `make deploy` and `make test`; `make` alone lists them all.
# Everything runs in .venv, made from uv.lock; nothing is installed outside this folder but the engine.

INVENTORY ?= inventories/local
COMMA := ,
# Unpacked from a bundle, this deploys from it (docs/offline.md).
BUNDLE := $(if $(wildcard bundle/manifest.json),--extra-vars '{"stack_bundle": "$(CURDIR)/bundle"}')
PLAY := .venv/bin/ansible-playbook -i $(INVENTORY) $(BUNDLE)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_SYSTEM_CERTS := 1

# Ansible takes an inventory that does not exist for one without hosts, and succeeds.
$(if $(findstring $(COMMA),$(INVENTORY))$(wildcard $(INVENTORY)),,$(error INVENTORY: $(INVENTORY) does not exist. There are $(wildcard inventories/*)))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

deploy: .venv/deploy.stamp ## deploy to INVENTORY (default: this machine, with a demo model)
	$(PLAY) site.yml $(ARGS)

dev: .venv/deploy.stamp ## deploy in development mode: edits in SOURCE (a folder on the host; without it, a clone) show at once
	$(PLAY) site.yml --extra-vars '{"stack_mode": "development"$(if $(SOURCE),$(COMMA) "frontend_source": {"folder": "$(SOURCE)"})}' $(ARGS)

check: .venv/deploy.stamp ## say what `make deploy` would change, and change nothing
	$(PLAY) site.yml --check --diff $(ARGS)

verify: .venv/deploy.stamp ## attack the deployed stack without harm, and report what held
	$(PLAY) playbooks/verify.yml $(ARGS)

keys: .venv/deploy.stamp ## put the providers' keys into INVENTORY's vault: those that are missing, or as ARGS says (docs/keys.md)
	.venv/bin/python files/vault/vault_keys.py -i $(INVENTORY) $(ARGS)

rekey: .venv/deploy.stamp ## give the vaults of INVENTORY another password
	.venv/bin/python files/vault/vault_keys.py -i $(INVENTORY) --rekey $(ARGS)

hooks: ## refuse commits that hold keys, passwords or vaults in the clear
	python3 files/vault/vault_check.py --install

password: ## ask for a password and print its hash, for frontend_users
	@python3 roles/frontend/files/login/passwords.py

status: .venv/deploy.stamp ## say how the deployed stack is: versions, health, ports, keys, disk, backups
	$(PLAY) playbooks/status.yml $(ARGS)

upgrade: .venv/deploy.stamp ## deploy to a stack that is there, and say what there was and is: the old one comes back if the new one is not healthy
	$(PLAY) playbooks/upgrade.yml $(ARGS)

rollback: .venv/deploy.stamp ## bring the deploy before the last one back, in seconds
	$(PLAY) playbooks/rollback.yml $(ARGS)

backup: .venv/deploy.stamp ## back up sessions and configuration, encrypted, while the stack runs
	$(PLAY) playbooks/backup.yml $(ARGS)

restore: .venv/deploy.stamp ## bring a backup's sessions back
	$(PLAY) playbooks/restore.yml $(ARGS)

bundle: .venv/deploy.stamp ## all that a deploy takes as one archive in dist/, for hosts that reach nothing
	$(PLAY) playbooks/bundle.yml $(ARGS)

remove: .venv/deploy.stamp ## remove the stack with its sessions and keys; the workspace and the engine stay
	$(PLAY) playbooks/remove.yml $(ARGS)

test: test-quick test-plays test-proxy test-opencode test-servers ## the quick tests, then real servers

test-more: .venv/test.stamp ## what `make test` has no time for: SSH and TLS, a life cycle, faults, rotations, mutations, offline, development (more than an hour)
	tests/molecule remote lifecycle faults rotation mutations offline dev

test-quick: .venv/test.stamp ## lint, types, units, rendering and specs (under 2 minutes)
	tests/quick

test-plays: .venv/test.stamp ## what plays say: bad input, dry runs, documents, without a server (about 10 minutes)
	pytest --quiet --numprocesses auto --dist loadfile tests/unit/playbook tests/unit/docs

test-proxy: .venv/test.stamp ## the proxy's rules with the real LiteLLM, without a server (about 1 minute)
	tests/proxy/run

test-opencode: .venv/test.stamp ## what the real OpenCode sends passes the proxy's gate, without a server (under 1 minute)
	tests/opencode/run

test-servers: .venv/test.stamp ## test-molecule and test-isolation at once
	tests/molecule default isolation

test-molecule: .venv/test.stamp ## the whole stack on a bare server, seen through a real browser
	tests/molecule

test-isolation: .venv/test.stamp ## the stack under attack, on a bare server between a fake internet and a neighbour
	tests/molecule isolation

test-remote: .venv/test.stamp ## two servers over SSH, with TLS and a login, seen from their LAN
	tests/molecule remote

test-lifecycle: .venv/test.stamp ## a stack's life: a failed deploy, rollback, backup, restore elsewhere, removal
	tests/molecule lifecycle

test-dev: .venv/test.stamp ## development mode: an edit until the browser shows it, beside a bare Vite
	tests/molecule dev

test-offline: .venv/test.stamp ## a bundle, and a deploy from it on a server that reaches nothing
	tests/molecule offline

test-faults: .venv/test.stamp ## deploys that are killed at each of their tasks, full disks, changes by hand
	tests/molecule faults

test-mutations: .venv/test.stamp ## take each protection away, and see that the attack on it succeeds (about 12 minutes)
	tests/molecule mutations

bench: bench-stack bench-boundary bench-rotation bench-lifecycle bench-fleet bench-development ## measure all of them

bench-stack: .venv/deploy.stamp ## measure the deployed stack: start times, sizes, memory, a re-run
	tests/bench $(INVENTORY)

bench-boundary: .venv/test.stamp ## measure what gate and egress guard add to a request, on a bare server in a fake internet
	OCWEB_SUITE=boundary tests/molecule isolation

bench-rotation: .venv/test.stamp ## measure 20 rotations under 10,000 requests, on a bare server
	OCWEB_LOAD=full tests/molecule rotation
	cat artifacts/rotation.md

bench-lifecycle: .venv/test.stamp ## measure a rollback, a backup and a removal, on a bare server
	OCWEB_QUIET=1 tests/molecule lifecycle
	cat artifacts/lifecycle.md

bench-fleet: .venv/test.stamp ## measure what another host takes of the controller, on bare servers
	tests/molecule remote
	cat artifacts/fleet.md

bench-development: .venv/test.stamp ## measure an edit until the browser shows it, on a bare server
	tests/molecule dev
	cat artifacts/development.md

test-rotation: .venv/test.stamp ## keys that rotate under load, on a bare server in a fake internet
	tests/molecule rotation

docs: .venv/test.stamp ## write the roles' READMEs anew from their variables
	.venv/bin/python tests/role_docs.py --write

build: .venv/deploy.stamp ## the collection as an artifact in dist/
	.venv/bin/ansible-galaxy collection build --force --output-path dist

clean: ## remove the Python environment, what made it, and what was built in dist/ (never a deployed stack)
	rm -rf .venv .venv-uv dist

.venv/%.stamp: pyproject.toml uv.lock .config/uv.txt .config/environment
	.config/environment $*
	touch $@

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*##.*/\1/p' $(firstword $(MAKEFILE_LIST)))
