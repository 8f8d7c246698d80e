"""Run solvers over suites of problems, score them, and say what the figures are worth."""
