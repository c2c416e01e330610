# Every target is a thin call of tools/bootstrap.py, which also works without make.
# PYTHON=python3.12 chooses the interpreter, ARGS="..." passes arguments on.

PYTHON ?= python3

.PHONY: help sim test test-full clean
.NOTPARALLEL:

help:  ## list the targets
	@$(PYTHON) tools/bootstrap.py help

sim:  ## run the demonstration: a busy evening at a simulated gate
	@$(PYTHON) tools/bootstrap.py sim

test:  ## run every test and check, with reduced counts of random cases
	@$(PYTHON) tools/bootstrap.py test

test-full:  ## the same with full counts
	@$(PYTHON) tools/bootstrap.py test-full

clean:  ## remove what the other targets made (.venv, build, caches)
	@$(PYTHON) tools/bootstrap.py clean
