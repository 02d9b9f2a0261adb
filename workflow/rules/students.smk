use rule stage as write_schedule with:
    input:
        settings=settings_of("write_schedule"),
        train="<run>/{dataset}/train.parquet",
        questions=questions_of,
    output:
        schedule="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/schedule.parquet",
    log:
        "<logs>/write_schedule/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("write_schedule")),
    threads: threads_of("write_schedule")
    resources:
        **resources_of("write_schedule"),


rule train_fresh_student:
    input:
        settings=settings_of("train_fresh_student"),
        base_model=base_model_of,
        schedule="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/schedule.parquet",
        test="<run>/{dataset}/test.parquet",
        solutions=solutions_of,
    output:
        training="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/training.parquet",
        evaluated=directory(
            "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/evaluated"
        ),
        model=directory(
            "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/model"
        ),
    log:
        "<logs>/train_fresh_student/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("write_schedule")),
    conda:
        "../../environment.yml"
    threads: threads_of("train_fresh_student")
    resources:
        **resources_of("train_fresh_student"),
    params:
        options=options,
    shell:
        python_of("train_fresh_student")
        + " soar_pipeline.stages.train_fresh_student {params.options:q} --log {log:q}"


use rule stage as evaluate_student with:
    input:
        settings=settings_of("evaluate_student"),
        base_model=base_model_of,
        test="<run>/{dataset}/test.parquet",
        training="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/training.parquet",
        evaluated="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/evaluated",
    output:
        curve="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/curve.parquet",
        attempts="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/test_attempts.parquet",
    log:
        "<logs>/evaluate_student/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    wildcard_constraints:
        arm=one_of(PLAN.arms_of("write_schedule")),
    threads: threads_of("evaluate_student")
    resources:
        **resources_of("evaluate_student"),
