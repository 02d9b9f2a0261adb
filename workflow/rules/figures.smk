rule draw_figures:
    input:
        passk_table="<run>/tables/passk.csv",
        vendi_table="<run>/tables/vendi.csv",
        curves=for_students(
            "<run>/{dataset}/students/{arm}/t{teacher_seed}-s{student_seed}/curve.parquet",
            arms=arms_with("fresh_student"),
        ),
        steps=for_soar_runs(
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/steps.parquet"
        ),
        questions=for_soar_runs(
            "<run>/{dataset}/soar/{objective}/t{teacher_seed}/questions.parquet"
        ),
    output:
        learning_curves_svg=report(
            "<run>/figures/learning_curves.svg",
            caption="../report/learning_curves.rst",
            category="Figures",
            subcategory="Students",
        ),
        learning_curves_png="<run>/figures/learning_curves.png",
        improvement_svg=report(
            "<run>/figures/improvement.svg",
            caption="../report/improvement.rst",
            category="Figures",
            subcategory="Students",
        ),
        improvement_png="<run>/figures/improvement.png",
        teacher_reward_svg=report(
            "<run>/figures/teacher_reward.svg",
            caption="../report/teacher_reward.rst",
            category="Figures",
            subcategory="Teacher",
        ),
        teacher_reward_png="<run>/figures/teacher_reward.png",
        baseline_accuracy_svg=report(
            "<run>/figures/baseline_accuracy.svg",
            caption="../report/baseline_accuracy.rst",
            category="Figures",
            subcategory="Teacher",
        ),
        baseline_accuracy_png="<run>/figures/baseline_accuracy.png",
        question_difficulty_svg=report(
            "<run>/figures/question_difficulty.svg",
            caption="../report/question_difficulty.rst",
            category="Figures",
            subcategory="Teacher",
        ),
        question_difficulty_png="<run>/figures/question_difficulty.png",
        diversity_svg=report(
            "<run>/figures/diversity.svg",
            caption="../report/diversity.rst",
            category="Figures",
            subcategory="Teacher",
        ),
        diversity_png="<run>/figures/diversity.png",
    log:
        "<logs>/draw_figures.log",
    benchmark:
        "<benchmarks>/draw_figures/figures.tsv"
    conda:
        "../../environment.yml"
    threads: threads_of("draw_figures")
    resources:
        **resources_of("draw_figures"),
    params:
        slice=slice_of(slices.ReportSlice),
    shell:
        "python -m soar_pipeline.stages.draw_figures --config {params.slice:q} --log {log:q}"
        " --passk-table {input.passk_table:q} --vendi-table {input.vendi_table:q} --curves {input.curves:q}"
        " --steps {input.steps:q} --questions {input.questions:q}"
        " --learning-curves-svg {output.learning_curves_svg:q} --learning-curves-png {output.learning_curves_png:q}"
        " --improvement-svg {output.improvement_svg:q} --improvement-png {output.improvement_png:q}"
        " --teacher-reward-svg {output.teacher_reward_svg:q} --teacher-reward-png {output.teacher_reward_png:q}"
        " --baseline-accuracy-svg {output.baseline_accuracy_svg:q}"
        " --baseline-accuracy-png {output.baseline_accuracy_png:q}"
        " --question-difficulty-svg {output.question_difficulty_svg:q}"
        " --question-difficulty-png {output.question_difficulty_png:q}"
        " --diversity-svg {output.diversity_svg:q} --diversity-png {output.diversity_png:q}"
