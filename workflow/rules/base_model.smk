use rule stage as prepare_base_model with:
    input:
        settings=settings_of("prepare_base_model"),
        source=model_folder,
    output:
        base_model=directory("<run>/models/{model}"),
    log:
        "<logs>/prepare_base_model/{model}.log",
    threads: threads_of("prepare_base_model")
    resources:
        **resources_of("prepare_base_model"),
