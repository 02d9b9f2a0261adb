rule judge_questions:
    input:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
        policy=judging_model,
    output:
        taxonomy="<run>/{dataset}/taxonomy/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/judge_questions/{dataset}-{arm}-t{teacher_seed}.log",
    benchmark:
        "<benchmarks>/judge_questions/{dataset}-{arm}-t{teacher_seed}.tsv"
    wildcard_constraints:
        arm=one_of(
            question_arms("promotions", "teacher", "base_teacher", "pool", "judged")
        ),
    conda:
        "../../environment.yml"
    threads: threads_of("judge_questions")
    resources:
        **resources_of("judge_questions"),
        # No `params`, since it changes no verdict. `--resources judge_requests=N` bounds all jobs together.
        judge_requests=CONFIG.taxonomy.concurrency,
    params:
        slice=slice_of(slices.TaxonomySlice),
        # No output: Snakemake deletes the outputs of a failed job, and replies cost money.
        cache=beside("cache", of="taxonomy"),
    shell:
        "python -m soar_pipeline.stages.judge_questions --config {params.slice:q} --log {log:q}"
        " --questions {input.questions:q} --policy {input.policy:q} --concurrency {resources.judge_requests}"
        " --cache {params.cache:q} --taxonomy {output.taxonomy:q}"
