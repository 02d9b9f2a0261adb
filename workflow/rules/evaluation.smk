use rule stage as select_evaluation with:
    input:
        settings=settings_of("select_evaluation"),
        curve=lambda wildcards: student_run_of(wildcards, "curve.parquet"),
        attempts=lambda wildcards: student_run_of(wildcards, "test_attempts.parquet"),
    output:
        evaluation="<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
    log:
        "<logs>/select_evaluation/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("select_evaluation")),
    threads: threads_of("select_evaluation")
    resources:
        **resources_of("select_evaluation"),


use rule stage as evaluate_policy with:
    input:
        settings=settings_of("evaluate_policy"),
        policy=policy_of,
        test="<run>/{dataset}/test.parquet",
        promotions=promotions_of,
    output:
        evaluation="<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
    log:
        "<logs>/evaluate_policy/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("evaluate_policy")),
    threads: threads_of("evaluate_policy")
    resources:
        **resources_of("evaluate_policy"),


use rule stage as estimate_passk with:
    input:
        settings=settings_of("estimate_passk"),
        evaluations=each(
            PLAN.evaluations,
            "<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
        ),
    output:
        passk="<run>/passk.parquet",
    log:
        "<logs>/estimate_passk.log",
    threads: threads_of("estimate_passk")
    resources:
        **resources_of("estimate_passk"),
