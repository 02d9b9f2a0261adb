use rule stage as load_problems with:
    input:
        settings=settings_of("load_problems"),
        source=pool_file,
    output:
        problems="<run>/{pool}/problems.parquet",
    log:
        "<logs>/load_problems/{pool}.log",
    threads: threads_of("load_problems")
    resources:
        **resources_of("load_problems"),
