"""One thin module per Snakemake rule: read the inputs, call the room, write the outputs."""
