"""Mutation check of the PURE modules: `python -m tests.mutation [MODULE ...] [--sample N]`.

Each mutant is the source of one module with one small change: a table row dropped, swapped with its
neighbour or altered, an operator or a number changed, a statement left out. The fast CPython tests of the
module run against it; a mutant that they let pass (a survivor) stands for a mistake that nobody would notice.
survivors.toml lists those that are no mistake, with the reason; any other makes the run fail.

The operators are our own, over `ast`. cosmic-ray changes files in place and starts the test command anew for
each mutant, which takes hours for thousands of them and disturbs whoever works in the same tree; mutmut
changes the bodies of functions only, so it leaves alone the tables in which most of our rules stand. Here a
mutant exists only in the memory of a forked process: no file is written, and the tests see the package
`firmware` exactly as on their CPython runtime.
"""
