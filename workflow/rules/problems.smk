rule load_problems:
    input:
        pool_file,
    output:
        problems="<run>/{pool}/problems.parquet",
    log:
        "<logs>/load_problems/{pool}.log",
    benchmark:
        "<benchmarks>/load_problems/{pool}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("load_problems")
    resources:
        **resources_of("load_problems"),
    params:
        slice=slice_of(slices.ProblemsSlice, "pool"),
    shell:
        "python -m soar_pipeline.stages.load_problems --config {params.slice:q} --log {log:q}"
        " --problems {output.problems:q}"
