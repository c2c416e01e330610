"""Stories at a gate: the file format, the run over the hardware world, what must come of it, and the log."""
