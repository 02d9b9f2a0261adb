rule extract_promotion_questions:
    input:
        soar_questions=lambda wildcards: soar_run_of(wildcards, "questions.parquet"),
        promotions=lambda wildcards: soar_run_of(wildcards, "promotions.parquet"),
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/extract_promotion_questions/{dataset}-{arm}-t{teacher_seed}.log",
    benchmark:
        "<benchmarks>/extract_promotion_questions/{dataset}-{arm}-t{teacher_seed}.tsv"
    wildcard_constraints:
        arm=one_of(question_arms("promotions")),
    conda:
        "../../environment.yml"
    threads: threads_of("extract_promotion_questions")
    resources:
        **resources_of("extract_promotion_questions"),
    shell:
        "python -m soar_pipeline.stages.extract_promotion_questions --log {log:q}"
        " --soar-questions {input.soar_questions:q} --promotions {input.promotions:q}"
        " --questions {output.questions:q}"


rule sample_questions:
    input:
        policy=policy_of,
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/sample_questions/{dataset}-{arm}-t{teacher_seed}.log",
    benchmark:
        "<benchmarks>/sample_questions/{dataset}-{arm}-t{teacher_seed}.tsv"
    wildcard_constraints:
        arm=one_of(question_arms("teacher", "base_teacher")),
    conda:
        "../../environment.yml"
    threads: threads_of("sample_questions")
    resources:
        **resources_of("sample_questions"),
    params:
        slice=slice_of(slices.QuestionSamplingSlice, "dataset", "arm"),
    shell:
        "python -m soar_pipeline.stages.sample_questions --config {params.slice:q} --log {log:q}"
        " --policy {input.policy:q} --teacher-seed {wildcards.teacher_seed} --questions {output.questions:q}"


rule draw_pool_questions:
    input:
        pool=lambda wildcards: f"<run>/{CONFIG.arms[wildcards.arm].questions.pool}/problems.parquet",
        hard="<run>/{dataset}/hard.parquet",
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/draw_pool_questions/{dataset}-{arm}-t{teacher_seed}.log",
    benchmark:
        "<benchmarks>/draw_pool_questions/{dataset}-{arm}-t{teacher_seed}.tsv"
    wildcard_constraints:
        arm=one_of(question_arms("pool")),
    conda:
        "../../environment.yml"
    threads: threads_of("draw_pool_questions")
    resources:
        **resources_of("draw_pool_questions"),
    params:
        slice=slice_of(slices.PoolDrawSlice, "arm"),
    shell:
        "python -m soar_pipeline.stages.draw_pool_questions --config {params.slice:q} --log {log:q}"
        " --pool {input.pool:q} --hard {input.hard:q} --questions {output.questions:q}"


rule keep_judged_questions:
    input:
        asked=lambda wildcards: judged_of(wildcards, "questions"),
        taxonomy=lambda wildcards: judged_of(wildcards, "taxonomy"),
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/keep_judged_questions/{dataset}-{arm}-t{teacher_seed}.log",
    benchmark:
        "<benchmarks>/keep_judged_questions/{dataset}-{arm}-t{teacher_seed}.tsv"
    wildcard_constraints:
        arm=one_of(question_arms("judged")),
    conda:
        "../../environment.yml"
    threads: threads_of("keep_judged_questions")
    resources:
        **resources_of("keep_judged_questions"),
    params:
        slice=slice_of(slices.JudgedSlice, "arm"),
    shell:
        "python -m soar_pipeline.stages.keep_judged_questions --config {params.slice:q} --log {log:q}"
        " --asked {input.asked:q} --taxonomy {input.taxonomy:q} --questions {output.questions:q}"
