rule train_soar:
    input:
        base_model=base_model_of,
        train="<run>/{dataset}/train.parquet",
    output:
        steps="<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet",
        questions="<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet",
        students="<run>/{dataset}/soar/{objective}/t{teacher_seed}/students.parquet",
        promotions="<run>/{dataset}/soar/{objective}/t{teacher_seed}/promotions.parquet",
        teacher=directory("<run>/{dataset}/soar/{objective}/t{teacher_seed}/teacher"),
        student=directory("<run>/{dataset}/soar/{objective}/t{teacher_seed}/student"),
    log:
        "<logs>/train_soar/{dataset}-{objective}-t{teacher_seed}.log",
    benchmark:
        "<benchmarks>/train_soar/{dataset}-{objective}-t{teacher_seed}.tsv"
    # The longest chain of a run goes through here.
    priority: 10
    conda:
        "../../environment.yml"
    threads: threads_of("train_soar")
    resources:
        **resources_of("train_soar"),
    params:
        slice=slice_of(slices.SoarSlice, "dataset", "objective"),
        # No output: Snakemake deletes the outputs of a failed job, and this is what the next one resumes from.
        state=beside("state", of="steps"),
    shell:
        launcher_of("train_soar")
        + "python -m soar_pipeline.stages.train_soar --config {params.slice:q} --log {log:q}"
        " --base-model {input.base_model:q} --train {input.train:q} --teacher-seed {wildcards.teacher_seed}"
        " --workers {resources.workers} --ray-nodes {resources.ray_nodes} --gpus {resources.gpus_per_node} --report-to {resources.report_to} --state {params.state:q}"
        " --steps {output.steps:q} --questions {output.questions:q} --students {output.students:q}"
        " --promotions {output.promotions:q} --teacher {output.teacher:q} --student {output.student:q}"
