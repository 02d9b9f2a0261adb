use rule stage as measure_diversity with:
    input:
        settings=settings_of("measure_diversity"),
        questions=each(
            PLAN.question_sets,
            "<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
        ),
        soar_questions=each(
            PLAN.soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet",
        ),
    output:
        diversity="<run>/diversity.parquet",
        steps="<run>/step_diversity.parquet",
    log:
        "<logs>/measure_diversity.log",
    threads: threads_of("measure_diversity")
    resources:
        **resources_of("measure_diversity"),
