rule train_serl:
    input:
        base_model=base_model_of,
        train="<run>/{dataset}/train.parquet",
        test="<run>/{dataset}/test.parquet",
    output:
        curve="<run>/{dataset}/serl/s{student_seed}/curve.parquet",
        attempts="<run>/{dataset}/serl/s{student_seed}/test_attempts.parquet",
        questions="<run>/{dataset}/serl/s{student_seed}/questions.parquet",
        model=directory("<run>/{dataset}/serl/s{student_seed}/model"),
    log:
        "<logs>/train_serl/{dataset}-s{student_seed}.log",
    benchmark:
        "<benchmarks>/train_serl/{dataset}-s{student_seed}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("train_serl")
    resources:
        **resources_of("train_serl"),
    params:
        slice=slice_of(slices.SerlSlice, "dataset"),
        # No output, see train_soar.
        state=beside("state", of="curve"),
    shell:
        "python -m soar_pipeline.stages.train_serl --config {params.slice:q} --log {log:q}"
        " --base-model {input.base_model:q} --train {input.train:q} --test {input.test:q}"
        " --student-seed {wildcards.student_seed} --report-to {resources.report_to} --state {params.state:q}"
        " --curve {output.curve:q} --attempts {output.attempts:q} --questions {output.questions:q}"
        " --model {output.model:q}"
