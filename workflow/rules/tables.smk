use rule stage as make_tables with:
    input:
        settings=settings_of("make_tables"),
        passk="<run>/passk.parquet",
        diversity="<run>/diversity.parquet",
        problems=each(PLAN.datasets, "<run>/{dataset}/problems.parquet"),
        train=each(PLAN.datasets, "<run>/{dataset}/train.parquet"),
        test=each(PLAN.datasets, "<run>/{dataset}/test.parquet"),
        curves=each(
            PLAN.fresh_students,
            "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/curve.parquet",
        ),
        steps=each(
            PLAN.soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet",
        ),
        promotions=each(
            PLAN.soar_runs,
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/promotions.parquet",
        ),
        taxonomy=each(
            [one for name in CONFIG.taxonomy.arms for one in PLAN.sets_of(name)],
            "<run>/{dataset}/taxonomy/{arm}/t{teacher_seed}.parquet",
        ),
        paper=[shipped(f"resources/paper/{name}.csv") for name in PAPER_TABLES],
    output:
        long=[
            report(
                f"<run>/tables/{name}.csv",
                caption=f"../report/{name}.rst",
                category="Tables",
            )
            for name in LONG_TABLES
        ],
        csv=report(
            expand("<run>/tables/{name}.csv", name=table_names(CONFIG)),
            caption="../report/paper_tables.rst",
            category="Tables",
            subcategory="Beside the paper",
        ),
        markdown=expand("<run>/tables/{name}.md", name=table_names(CONFIG)),
    log:
        "<logs>/make_tables.log",
    threads: threads_of("make_tables")
    resources:
        **resources_of("make_tables"),
