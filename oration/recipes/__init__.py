"""One file per published system, holding literals, constructor calls and `replace`, and nothing else."""
