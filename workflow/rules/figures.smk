# A job per figure, which reads only what the figure shows: a figure of a SOAR run need not wait for fresh students, and
# a table that changes redraws no teacher figure.
use rule stage as plot_figure with:
    input:
        settings=settings_of("plot_figure"),
        long=figure_tables,
        curves=figure_reads("curves", curves_of),
        steps=figure_reads("steps", soar_files_of("steps.parquet")),
        promoted=figure_reads("promoted", soar_files_of("promotions.parquet")),
        verdicts=figure_reads("verdicts", verdicts_of),
        questions=figure_reads("questions", soar_files_of("questions.parquet")),
        step_diversity=figure_reads(
            "step_diversity", lambda selection: ["<run>/step_diversity.parquet"]
        ),
    output:
        svg=report(
            "<run>/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        png="<run>/figures/{figure}.png",
    log:
        "<logs>/plot_figure/{figure}.log",
    threads: threads_of("plot_figure")
    resources:
        **resources_of("plot_figure"),
    params:
        caption=lambda wildcards: caption_of(wildcards.figure),
