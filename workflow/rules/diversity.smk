rule measure_diversity:
    input:
        questions=for_question_sets(
            "<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
            arms=question_arms(),
        ),
    output:
        diversity="<run>/diversity.parquet",
    log:
        "<logs>/measure_diversity.log",
    benchmark:
        "<benchmarks>/measure_diversity/diversity.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("measure_diversity")
    resources:
        **resources_of("measure_diversity"),
    params:
        slice=slice_of(slices.DiversitySlice),
    shell:
        "python -m soar_pipeline.stages.measure_diversity --config {params.slice:q} --log {log:q}"
        " --questions {input.questions:q} --diversity {output.diversity:q}"
