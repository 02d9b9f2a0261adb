rule prepare_base_model:
    input:
        model_folder,
    output:
        base_model=directory("<run>/models/{model}"),
    log:
        "<logs>/prepare_base_model/{model}.log",
    benchmark:
        "<benchmarks>/prepare_base_model/{model}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("prepare_base_model")
    resources:
        **resources_of("prepare_base_model"),
    params:
        slice=slice_of(slices.BaseModelSlice, "model"),
    shell:
        "python -m soar_pipeline.stages.prepare_base_model --config {params.slice:q} --log {log:q}"
        " --base-model {output.base_model:q}"
