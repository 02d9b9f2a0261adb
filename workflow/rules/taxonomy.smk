use rule stage as judge_questions with:
    input:
        settings=settings_of("judge_questions"),
        questions="<run>/{dataset}/questions/{arm}/t{teacher_seed}.parquet",
        policy=judging_model,
    output:
        taxonomy="<run>/{dataset}/taxonomy/{arm}/t{teacher_seed}.parquet",
    log:
        "<logs>/judge_questions/{dataset}-{arm}-t{teacher_seed}.log",
    wildcard_constraints:
        arm=one_of(one.arm for one in PLAN.question_sets),
    threads: threads_of("judge_questions")
    resources:
        **resources_of("judge_questions"),
        # No `params`, since it changes no verdict. `--resources judge_requests=N` bounds all jobs together.
        judge_requests=CONFIG.taxonomy.concurrency,


use rule stage as judge_soar_questions with:
    input:
        settings=settings_of("judge_soar_questions"),
        questions="<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet",
        policy=judging_model,
    output:
        taxonomy="<run>/{dataset}/soar/{objective}/t{teacher_seed}/taxonomy.parquet",
    log:
        "<logs>/judge_soar_questions/{dataset}-{objective}-t{teacher_seed}.log",
    threads: threads_of("judge_soar_questions")
    resources:
        **resources_of("judge_soar_questions"),
        judge_requests=CONFIG.taxonomy.concurrency,
