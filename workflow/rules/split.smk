rule split_hard:
    input:
        hard="<run>/{dataset}/hard.parquet",
    output:
        train="<run>/{dataset}/train.parquet",
        test="<run>/{dataset}/test.parquet",
    log:
        "<logs>/split_hard/{dataset}.log",
    benchmark:
        "<benchmarks>/split_hard/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("split_hard")
    resources:
        **resources_of("split_hard"),
    params:
        slice=slice_of(slices.SplitSlice),
    shell:
        "python -m soar_pipeline.stages.split_hard --config {params.slice:q} --log {log:q}"
        " --hard {input.hard:q} --train {output.train:q} --test {output.test:q}"
