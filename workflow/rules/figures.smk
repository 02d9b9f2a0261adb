# A job per figure, which reads only what the figure shows: a figure of a SOAR run need not wait for fresh students, and
# a table that changes redraws no teacher figure.
rule draw_figure:
    input:
        passk_table=figure_reads("passk", lambda shown: ["<run>/tables/passk.csv"]),
        vendi_table=figure_reads("vendi", lambda shown: ["<run>/tables/vendi.csv"]),
        curves=figure_reads("curves", curves_of),
        steps=figure_reads("steps", soar_files_of("steps.parquet")),
        questions=figure_reads("questions", soar_files_of("questions.parquet")),
    output:
        svg=report(
            "<run>/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        png="<run>/figures/{figure}.png",
    log:
        "<logs>/draw_figure/{figure}.log",
    benchmark:
        "<benchmarks>/draw_figure/{figure}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("draw_figure")
    resources:
        **resources_of("draw_figure"),
    params:
        slice=slice_of(slices.FigureSlice, "figure"),
        caption=lambda wildcards: caption_of(wildcards.figure),
    shell:
        "python -m soar_pipeline.stages.draw_figure --config {params.slice:q} --log {log:q}"
        " --passk-table {input.passk_table:q} --vendi-table {input.vendi_table:q} --curves {input.curves:q}"
        " --steps {input.steps:q} --questions {input.questions:q} --svg {output.svg:q} --png {output.png:q}"
