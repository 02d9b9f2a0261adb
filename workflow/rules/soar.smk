rule train_soar:
    input:
        settings=settings_of("train_soar"),
        base_model=base_model_of,
        train="<run>/{dataset}/train.parquet",
        judge=reward_judge,
    output:
        steps="<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet",
        questions="<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet",
        students="<run>/{dataset}/soar/{objective}/t{teacher_seed}/students.parquet",
        promotions="<run>/{dataset}/soar/{objective}/t{teacher_seed}/promotions.parquet",
        teacher=directory("<run>/{dataset}/soar/{objective}/t{teacher_seed}/teacher"),
        student=directory("<run>/{dataset}/soar/{objective}/t{teacher_seed}/student"),
    log:
        "<logs>/train_soar/{dataset}-{objective}-t{teacher_seed}.log",
    # The longest chain of a run goes through here.
    priority: 10
    conda:
        "../../environment.yml"
    threads: threads_of("train_soar")
    resources:
        **resources_of("train_soar"),
    params:
        options=options,
    shell:
        launcher_of("train_soar")
        + PYTHON
        + " soar_pipeline.stages.train_soar {params.options:q} --log {log:q}"
