"""Training: tuning an embedder on pairs mined from a corpus."""
