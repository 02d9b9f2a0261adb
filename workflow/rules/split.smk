use rule stage as split_hard with:
    input:
        settings=settings_of("split_hard"),
        hard="<run>/{dataset}/hard.parquet",
    output:
        train="<run>/{dataset}/train.parquet",
        test="<run>/{dataset}/test.parquet",
    log:
        "<logs>/split_hard/{dataset}.log",
    threads: threads_of("split_hard")
    resources:
        **resources_of("split_hard"),
