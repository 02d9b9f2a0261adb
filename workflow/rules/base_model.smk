rule prepare_base_model:
    input:
        CONFIG.model.path if CONFIG.model.source == "folder" else [],
    output:
        base_model=directory("<run>/base_model"),
    log:
        "<logs>/prepare_base_model.log",
    benchmark:
        "<benchmarks>/prepare_base_model/base_model.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("prepare_base_model")
    resources:
        **resources_of("prepare_base_model"),
    params:
        slice=slice_of(slices.BaseModelSlice),
    shell:
        "python -m soar_pipeline.stages.prepare_base_model --config {params.slice:q} --log {log:q}"
        " --base-model {output.base_model:q}"
