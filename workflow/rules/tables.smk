rule make_tables:
    input:
        passk="<run>/passk.parquet",
        diversity="<run>/diversity.parquet",
        problems=for_datasets("<run>/{dataset}/problems.parquet"),
        train=for_datasets("<run>/{dataset}/train.parquet"),
        test=for_datasets("<run>/{dataset}/test.parquet"),
        steps=for_soar_runs(
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet"
        ),
        promotions=for_soar_runs(
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/promotions.parquet"
        ),
        paper=[shipped(f"resources/paper/{name}.csv") for name in PAPER_TABLES],
    output:
        passk_table=report(
            "<run>/tables/passk.csv", caption="../report/passk.rst", category="Tables"
        ),
        sizes_table=report(
            "<run>/tables/sizes.csv", caption="../report/sizes.rst", category="Tables"
        ),
        vendi_table=report(
            "<run>/tables/vendi.csv", caption="../report/vendi.rst", category="Tables"
        ),
        runs_table=report(
            "<run>/tables/runs.csv", caption="../report/runs.rst", category="Tables"
        ),
    log:
        "<logs>/make_tables.log",
    benchmark:
        "<benchmarks>/make_tables/tables.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("make_tables")
    resources:
        **resources_of("make_tables"),
    params:
        slice=slice_of(slices.ReportSlice),
    shell:
        "python -m soar_pipeline.stages.make_tables --config {params.slice:q} --log {log:q}"
        " --passk {input.passk:q} --diversity {input.diversity:q} --problems {input.problems:q}"
        " --train {input.train:q} --test {input.test:q} --steps {input.steps:q} --promotions {input.promotions:q}"
        " --paper {input.paper:q}"
        " --passk-table {output.passk_table:q} --sizes-table {output.sizes_table:q}"
        " --vendi-table {output.vendi_table:q} --runs-table {output.runs_table:q}"
