# The two commands are `make deploy` and `make test`; `make` alone lists them all.
# Everything runs in .venv, made from uv.lock; nothing is installed outside this folder but the engine.

INVENTORY ?= inventories/local
COMMA := ,
PLAY := .venv/bin/ansible-playbook -i $(INVENTORY)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_SYSTEM_CERTS := 1

# Ansible takes an inventory that does not exist for one without hosts, and succeeds.
$(if $(findstring $(COMMA),$(INVENTORY))$(wildcard $(INVENTORY)),,$(error INVENTORY: $(INVENTORY) does not exist))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

deploy: .venv/deploy.stamp ## deploy to INVENTORY (default: this machine, with a demo model)
	$(PLAY) site.yml $(ARGS)

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

test: test-quick test-proxy test-opencode test-molecule test-isolation ## every test: the quick ones, then real servers (about 21 minutes)

test-quick: .venv/test.stamp ## lint, types, units, rendering and specs (under 2 minutes)
	tests/quick

test-proxy: .venv/test.stamp ## the proxy's rules with the real LiteLLM, without a server (about 1 minute)
	tests/proxy/run

test-opencode: .venv/test.stamp ## what the real OpenCode sends passes the proxy's gate, without a server (under 1 minute)
	tests/opencode/run

test-molecule: .venv/test.stamp ## the whole stack on a bare server, seen through a real browser
	tests/molecule

test-isolation: .venv/test.stamp ## the stack under attack, on a bare server between a fake internet and a neighbour
	tests/molecule isolation

test-remote: .venv/test.stamp ## two servers over SSH, with TLS and a login, seen from their LAN
	tests/molecule remote

test-mutations: .venv/test.stamp ## take each protection away, and see that the attack on it succeeds (about 12 minutes)
	tests/molecule mutations

bench: .venv/deploy.stamp ## measure the deployed stack: start times, sizes, memory, a re-run
	tests/bench

docs: .venv/test.stamp ## write the roles' READMEs anew from their variables
	.venv/bin/python tests/role_docs.py --write

build: .venv/deploy.stamp ## the collection as an artifact in dist/
	.venv/bin/ansible-galaxy collection build --force --output-path dist

clean: ## remove the Python environment (never a deployed stack)
	rm -rf .venv dist

.venv/%.stamp: pyproject.toml uv.lock .config/uv.txt .config/environment
	.config/environment $*
	touch $@

.PHONY: help deploy check verify keys rekey hooks test test-quick test-proxy test-opencode test-molecule test-isolation test-mutations bench docs build clean password test-remote
