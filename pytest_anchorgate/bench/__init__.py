"""The scoreboard: how many tasks of a suite a pack solves, through our own runtime and sandbox."""
