use rule stage as extract_promotion_questions with:
    input:
        settings=settings_of("extract_promotion_questions"),
        soar_questions=lambda wildcards: soar_run_of(wildcards, "questions.parquet"),
        promotions=lambda wildcards: soar_run_of(wildcards, "promotions.parquet"),
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/extract_promotion_questions/{dataset}-{arm}-t{teacher_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("extract_promotion_questions")),
    threads: threads_of("extract_promotion_questions")
    resources:
        **resources_of("extract_promotion_questions"),


use rule stage as sample_questions with:
    input:
        settings=settings_of("sample_questions"),
        policy=policy_of,
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/sample_questions/{dataset}-{arm}-t{teacher_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("sample_questions")),
    threads: threads_of("sample_questions")
    resources:
        **resources_of("sample_questions"),


use rule stage as sample_pool_questions with:
    input:
        settings=settings_of("sample_pool_questions"),
        pool=lambda wildcards: f"<run>/{CONFIG.arms[wildcards.arm].questions.pool}/problems.parquet",
        hard="<run>/{dataset}/hard.parquet",
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/sample_pool_questions/{dataset}-{arm}-t{teacher_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("sample_pool_questions")),
    threads: threads_of("sample_pool_questions")
    resources:
        **resources_of("sample_pool_questions"),


use rule stage as keep_judged_questions with:
    input:
        settings=settings_of("keep_judged_questions"),
        judged=lambda wildcards: judged_of(wildcards, "questions"),
        taxonomy=lambda wildcards: judged_of(wildcards, "taxonomy"),
    output:
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/keep_judged_questions/{dataset}-{arm}-t{teacher_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("keep_judged_questions")),
    threads: threads_of("keep_judged_questions")
    resources:
        **resources_of("keep_judged_questions"),
