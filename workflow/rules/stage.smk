# Every stage is a module of the rule's name; `use rule stage as …` says what it reads and makes.
rule stage:
    log:
        "<logs>/stage.log",
    conda:
        "../../environment.yml"
    params:
        module=module,
        options=options,
    shell:
        PYTHON + " {params.module} {params.options:q} --log {log:q}"
