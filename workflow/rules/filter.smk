use rule stage as sample_attempts with:
    input:
        settings=settings_of("sample_attempts"),
        base_model=base_model_of,
        problems="<run>/{dataset}/problems.parquet",
    output:
        attempts="<run>/{dataset}/attempts/{shard}.parquet",
    log:
        "<logs>/sample_attempts/{dataset}-{shard}.log",
    threads: threads_of("sample_attempts")
    resources:
        **resources_of("sample_attempts"),


use rule stage as filter_hard with:
    input:
        settings=settings_of("filter_hard"),
        problems="<run>/{dataset}/problems.parquet",
        attempts=lambda wildcards: each(
            [one for one in PLAN.attempts if one.dataset == wildcards.dataset],
            "<run>/{dataset}/attempts/{shard}.parquet",
        ),
    output:
        hard="<run>/{dataset}/hard.parquet",
        audit="<run>/{dataset}/hard_audit.parquet",
    log:
        "<logs>/filter_hard/{dataset}.log",
    threads: threads_of("filter_hard")
    resources:
        **resources_of("filter_hard"),
