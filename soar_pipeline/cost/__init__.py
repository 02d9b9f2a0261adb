"""What a configuration costs before it runs: jobs, tokens, hours and disk (docs/cost.md). Torch-free."""
