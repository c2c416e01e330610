"""Stand-ins for modules that only a board has; `device` serves both runtimes, the others one each."""
