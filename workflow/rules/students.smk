rule write_schedule:
    input:
        train="<run>/{dataset}/train.parquet",
        questions=questions_of,
    output:
        schedule="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/schedule.parquet",
    log:
        "<logs>/write_schedule/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    benchmark:
        "<benchmarks>/write_schedule/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.tsv"
    wildcard_constraints:
        arm=one_of(arms_with("fresh_student")),
    conda:
        "../../environment.yml"
    threads: threads_of("write_schedule")
    resources:
        **resources_of("write_schedule"),
    params:
        slice=slice_of(slices.ScheduleSlice, "dataset", "arm"),
    shell:
        "python -m soar_pipeline.stages.write_schedule --config {params.slice:q} --log {log:q}"
        " --train {input.train:q} --questions {input.questions:q} --student-seed {wildcards.student_seed}"
        " --teacher-seed {wildcards.teacher_seed} --schedule {output.schedule:q}"


rule train_fresh_student:
    input:
        base_model=base_model_of,
        schedule="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/schedule.parquet",
        test="<run>/{dataset}/test.parquet",
    output:
        curve="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/curve.parquet",
        attempts="<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/test_attempts.parquet",
        model=directory(
            "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/model"
        ),
    log:
        "<logs>/train_fresh_student/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.log",
    benchmark:
        "<benchmarks>/train_fresh_student/{dataset}-{arm}-t{teacher_seed}-s{student_seed}.tsv"
    wildcard_constraints:
        arm=one_of(arms_with("fresh_student")),
    conda:
        "../../environment.yml"
    threads: threads_of("train_fresh_student")
    resources:
        **resources_of("train_fresh_student"),
    params:
        slice=slice_of(slices.FreshStudentSlice, "dataset", "arm"),
        # No output, see train_soar.
        state=beside("state", of="curve"),
    shell:
        python_of("train_fresh_student")
        + " soar_pipeline.stages.train_fresh_student --config {params.slice:q} --log {log:q}"
        " --base-model {input.base_model:q} --schedule {input.schedule:q} --test {input.test:q}"
        " --teacher-seed {wildcards.teacher_seed} --student-seed {wildcards.student_seed}"
        " --sharding {resources.sharding} --report-to {resources.report_to} --state {params.state:q}"
        " --curve {output.curve:q} --attempts {output.attempts:q} --model {output.model:q}"
