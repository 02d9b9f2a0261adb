rule select_evaluation:
    input:
        curve=lambda wildcards: student_run_of(wildcards, "curve.parquet"),
        attempts=lambda wildcards: student_run_of(wildcards, "test_attempts.parquet"),
    output:
        evaluation="<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
    log:
        "<logs>/select_evaluation/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    benchmark:
        "<benchmarks>/select_evaluation/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.tsv"
    wildcard_constraints:
        arm=one_of(arms_with("fresh_student", "serl")),
    conda:
        "../../environment.yml"
    threads: threads_of("select_evaluation")
    resources:
        **resources_of("select_evaluation"),
    params:
        slice=slice_of(slices.SelectionSlice, "dataset", "arm"),
    shell:
        "python -m soar_pipeline.stages.select_evaluation --config {params.slice:q} --log {log:q}"
        " --curve {input.curve:q} --attempts {input.attempts:q} --evaluation {output.evaluation:q}"


rule evaluate_policy:
    input:
        policy=policy_of,
        test="<run>/{dataset}/test.parquet",
        promotions=promotions_of,
    output:
        evaluation="<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
    log:
        "<logs>/evaluate_policy/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    benchmark:
        "<benchmarks>/evaluate_policy/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.tsv"
    wildcard_constraints:
        arm=one_of(arms_with("base", "promoted_student", "teacher")),
    conda:
        "../../environment.yml"
    threads: threads_of("evaluate_policy")
    resources:
        **resources_of("evaluate_policy"),
    params:
        slice=slice_of(slices.InferenceSlice, "dataset"),
    shell:
        "python -m soar_pipeline.stages.evaluate_policy --config {params.slice:q} --log {log:q}"
        " --policy {input.policy:q} --test {input.test:q} --promotions {input.promotions:q}"
        " --teacher-seed {wildcards.teacher_seed} --student-seed {wildcards.student_seed}"
        " --evaluation {output.evaluation:q}"


rule estimate_passk:
    input:
        evaluations=for_students(
            "<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
            arms=CONFIG.arms,
        ),
    output:
        passk="<run>/passk.parquet",
    log:
        "<logs>/estimate_passk.log",
    benchmark:
        "<benchmarks>/estimate_passk/passk.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("estimate_passk")
    resources:
        **resources_of("estimate_passk"),
    params:
        slice=slice_of(slices.PassKSlice),
    shell:
        "python -m soar_pipeline.stages.estimate_passk --config {params.slice:q} --log {log:q}"
        " --evaluations {input.evaluations:q} --passk {output.passk:q}"
