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
        taxonomy=for_question_sets(
            "<run>/{dataset}/taxonomy/{arm}/t{teacher_seed}.parquet",
            arms=CONFIG.taxonomy.arms,
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
        taxonomy_table=report(
            "<run>/tables/taxonomy.csv",
            caption="../report/taxonomy.rst",
            category="Tables",
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
        " --taxonomy {input.taxonomy:q} --paper {input.paper:q}"
        " --passk-table {output.passk_table:q} --sizes-table {output.sizes_table:q}"
        " --vendi-table {output.vendi_table:q} --runs-table {output.runs_table:q}"
        " --taxonomy-table {output.taxonomy_table:q}"


rule shape_tables:
    input:
        passk_table="<run>/tables/passk.csv",
        sizes_table="<run>/tables/sizes.csv",
        vendi_table="<run>/tables/vendi.csv",
        runs_table="<run>/tables/runs.csv",
        taxonomy_table="<run>/tables/taxonomy.csv",
        paper=[shipped(f"resources/paper/{name}.csv") for name in PAPER_TABLES],
    output:
        csv=report(
            expand("<run>/tables/{name}.csv", name=table_names(CONFIG)),
            caption="../report/paper_tables.rst",
            category="Tables",
            subcategory="Beside the paper",
        ),
        markdown=expand("<run>/tables/{name}.md", name=table_names(CONFIG)),
    log:
        "<logs>/shape_tables.log",
    benchmark:
        "<benchmarks>/shape_tables/tables.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("shape_tables")
    resources:
        **resources_of("shape_tables"),
    params:
        slice=slice_of(slices.ReportSlice),
    shell:
        "python -m soar_pipeline.stages.shape_tables --config {params.slice:q} --log {log:q}"
        " --passk-table {input.passk_table:q} --sizes-table {input.sizes_table:q}"
        " --vendi-table {input.vendi_table:q} --runs-table {input.runs_table:q}"
        " --taxonomy-table {input.taxonomy_table:q} --paper {input.paper:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q}"
