rule sample_attempts:
    input:
        base_model=base_model_of,
        problems="<run>/{dataset}/problems.parquet",
    output:
        attempts="<run>/{dataset}/attempts/{shard}.parquet",
    log:
        "<logs>/sample_attempts/{dataset}-{shard}.log",
    benchmark:
        "<benchmarks>/sample_attempts/{dataset}-{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("sample_attempts")
    resources:
        **resources_of("sample_attempts"),
    params:
        slice=slice_of(slices.AttemptsSlice, "dataset"),
    shell:
        "python -m soar_pipeline.stages.sample_attempts --config {params.slice:q} --log {log:q}"
        " --base-model {input.base_model:q} --problems {input.problems:q} --shard {wildcards.shard}"
        " --attempts {output.attempts:q}"


rule filter_hard:
    input:
        problems="<run>/{dataset}/problems.parquet",
        attempts=for_shards("<run>/{dataset}/attempts/{shard}.parquet"),
    output:
        hard="<run>/{dataset}/hard.parquet",
    log:
        "<logs>/filter_hard/{dataset}.log",
    benchmark:
        "<benchmarks>/filter_hard/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("filter_hard")
    resources:
        **resources_of("filter_hard"),
    params:
        slice=slice_of(slices.HardSlice),
    shell:
        "python -m soar_pipeline.stages.filter_hard --config {params.slice:q} --log {log:q}"
        " --problems {input.problems:q} --attempts {input.attempts:q} --hard {output.hard:q}"
