use rule stage as train_serl with:
    input:
        settings=settings_of("train_serl"),
        base_model=base_model_of,
        train="<run>/{dataset}/train.parquet",
        test="<run>/{dataset}/test.parquet",
    output:
        training="<run>/{dataset}/serl/s{student_seed}/training.parquet",
        questions="<run>/{dataset}/serl/s{student_seed}/questions.parquet",
        evaluated=directory("<run>/{dataset}/serl/s{student_seed}/evaluated"),
        model=directory("<run>/{dataset}/serl/s{student_seed}/model"),
    log:
        "<logs>/train_serl/{dataset}-s{student_seed}.log",
    threads: threads_of("train_serl")
    resources:
        **resources_of("train_serl"),


use rule stage as evaluate_serl with:
    input:
        settings=settings_of("evaluate_serl"),
        base_model=base_model_of,
        test="<run>/{dataset}/test.parquet",
        training="<run>/{dataset}/serl/s{student_seed}/training.parquet",
        evaluated="<run>/{dataset}/serl/s{student_seed}/evaluated",
    output:
        curve="<run>/{dataset}/serl/s{student_seed}/curve.parquet",
        attempts="<run>/{dataset}/serl/s{student_seed}/test_attempts.parquet",
    log:
        "<logs>/evaluate_serl/{dataset}-s{student_seed}.log",
    threads: threads_of("evaluate_serl")
    resources:
        **resources_of("evaluate_serl"),
