rule load_problems:
    input:
        lambda wildcards: CONFIG.datasets[wildcards.dataset].path or [],
    output:
        problems="<run>/{dataset}/problems.parquet",
    log:
        "<logs>/load_problems/{dataset}.log",
    benchmark:
        "<benchmarks>/load_problems/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("load_problems")
    resources:
        **resources_of("load_problems"),
    params:
        slice=slice_of(slices.ProblemsSlice, "dataset"),
    shell:
        "python -m soar_pipeline.stages.load_problems --config {params.slice:q} --log {log:q}"
        " --problems {output.problems:q}"
