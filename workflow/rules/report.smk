rule write_report:
    input:
        passk_table="<run>/tables/passk.csv",
        sizes_table="<run>/tables/sizes.csv",
        vendi_table="<run>/tables/vendi.csv",
        runs_table="<run>/tables/runs.csv",
        taxonomy_table="<run>/tables/taxonomy.csv",
        paper=[shipped(f"resources/paper/{name}.csv") for name in PAPER_TABLES],
        figures=expand("<run>/figures/{name}.svg", name=CONFIG.figures),
        captions=[
            shipped(f"workflow/report/{name}.rst") for name in (*READS, *LONG_TABLES)
        ],
        steps=for_soar_runs(
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet"
        ),
        questions=for_soar_runs(
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet"
        ),
        attempts=for_datasets(for_shards("<run>/{dataset}/attempts/{shard}.parquet")),
        evaluations=for_students(
            "<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
            arms=CONFIG.arms,
        ),
    output:
        report=report(
            "<run>/report.html", caption="../report/report.rst", category="Report"
        ),
        finding="<run>/finding.txt",
        provenance="<run>/provenance.json",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report/report.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("write_report")
    resources:
        **resources_of("write_report"),
    params:
        slice=slice_of(slices.ReportSlice),
        # What the jobs took; a folder that every job adds to.
        benchmarks=beside("benchmarks", of="report"),
    shell:
        "python -m soar_pipeline.stages.write_report --config {params.slice:q} --log {log:q}"
        " --passk-table {input.passk_table:q} --sizes-table {input.sizes_table:q}"
        " --vendi-table {input.vendi_table:q} --runs-table {input.runs_table:q}"
        " --taxonomy-table {input.taxonomy_table:q} --paper {input.paper:q}"
        " --figures {input.figures:q} --captions {input.captions:q}"
        " --steps {input.steps:q} --questions {input.questions:q}"
        " --attempts {input.attempts:q} --evaluations {input.evaluations:q}"
        " --benchmarks {params.benchmarks:q} --report {output.report:q} --finding {output.finding:q}"
        " --provenance-file {output.provenance:q}"
