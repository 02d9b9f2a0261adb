use rule stage as write_report with:
    input:
        settings=settings_of("write_report"),
        long=expand("<run>/tables/{name}.csv", name=LONG_TABLES),
        passk="<run>/passk.parquet",
        paper=[shipped(f"resources/paper/{name}.csv") for name in PAPER_TABLES],
        figures=expand("<run>/figures/{name}.svg", name=CONFIG.figures),
        captions=[
            shipped(f"workflow/report/{name}.rst") for name in (*READS, *LONG_TABLES)
        ],
        steps=each(
            PLAN.soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet",
        ),
        questions=each(
            PLAN.soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet",
        ),
        verdicts=each(
            PLAN.judged_soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/taxonomy.parquet",
        ),
        audits=each(PLAN.datasets, "<run>/{dataset}/hard_audit.parquet"),
        attempts=each(PLAN.attempts, "<run>/{dataset}/attempts/{shard}.parquet"),
        evaluations=each(
            PLAN.evaluations,
            "<run>/{dataset}/evaluation/{arm}/t{teacher_seed}-s{student_seed}.parquet",
        ),
    output:
        report=report(
            "<run>/report.html", caption="../report/report.rst", category="Report"
        ),
        finding="<run>/finding.txt",
        provenance_file="<run>/provenance.json",
    log:
        "<logs>/write_report.log",
    threads: threads_of("write_report")
    resources:
        **resources_of("write_report"),
