# Figures under the protocols that the field publishes with, on anybody's predictions.


rule export_now:
    input:
        dataset=lambda wildcards: plan.data_set_files(wildcards.name),
        tables=lambda wildcards: plan.own_faces(
            "now", wildcards.name, "coarse/{set}/reconstruct_coarse/{shard}.parquet"
        ),
        arrays=lambda wildcards: plan.own_faces(
            "now", wildcards.name, "coarse/{set}/reconstruct_coarse/{shard}.npz"
        ),
        people=lambda wildcards: plan.own_people(
            wildcards.name, "people/{set}/reconstruct_person/{shard}.npz"
        ),
        model=plan.whole_head,
    output:
        predictions=directory(f"{RESULTS}/evaluation/now/{{name}}/predictions"),
    log:
        f"{RESULTS}/logs/export_now/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_now/{{name}}.tsv"
    conda:
        "../../envs/export_now.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=plan.stage("export_now"),
        task=lambda wildcards: {
            **plan.task("now", wildcards.name),
            "predictions": plan.source("now", wildcards.name),
        },
        code=plan.code("export_now"),
    message:
        "write the predictions {wildcards.name} as they are submitted"
    script:
        "../../scripts/export_now.py"


rule evaluate_now:
    input:
        published=plan.published,
        dataset=lambda wildcards: plan.data_set_files(wildcards.name),
        predictions=lambda wildcards: plan.task("now", wildcards.name)["predictions"],
    output:
        summary=f"{RESULTS}/evaluation/now/{{name}}.json",
        cases=f"{RESULTS}/evaluation/now/{{name}}_cases.csv",
        curve=report(
            f"{RESULTS}/evaluation/now/{{name}}/curve.svg",
            caption="../report/now_curve.rst",
            category="Evaluation",
        ),
        curve_table=f"{RESULTS}/evaluation/now/{{name}}/curve.csv",
        histograms=f"{RESULTS}/evaluation/now/{{name}}/distances.npz",
        heat_maps=directory(f"{RESULTS}/evaluation/now/{{name}}/heat_maps"),
    log:
        f"{RESULTS}/logs/evaluate_now/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_now/{{name}}.tsv"
    conda:
        "../../envs/evaluate_now.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(240),
    params:
        settings=plan.stage("evaluate_now"),
        task=lambda wildcards: plan.task("now", wildcards.name),
        source=lambda wildcards: plan.source("now", wildcards.name),
        published=lambda wildcards, input: str(Path(input.published[0]).parent),
        code=plan.code("evaluate_now"),
    message:
        "evaluate {wildcards.name} under the NoW protocol"
    script:
        "../../scripts/evaluate_now.py"


rule evaluate_scan:
    input:
        prediction=lambda wildcards: plan.task("scans", wildcards.name)["prediction"],
        scan=lambda wildcards: plan.task("scans", wildcards.name)["scan"],
    output:
        summary=f"{RESULTS}/evaluation/scans/{{name}}.json",
        curve=f"{RESULTS}/evaluation/scans/{{name}}/curve.svg",
        heat_map=report(
            f"{RESULTS}/evaluation/scans/{{name}}/heat_map.png",
            caption="../report/scan_heat_map.rst",
            category="Evaluation",
        ),
    log:
        f"{RESULTS}/logs/evaluate_scan/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_scan/{{name}}.tsv"
    conda:
        "../../envs/evaluate_scan.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        settings=plan.stage("evaluate_scan"),
        origin=lambda wildcards: plan.task("scans", wildcards.name)["origin"],
        code=plan.code("evaluate_scan"),
    message:
        "compare the surface {wildcards.name} with its scan"
    script:
        "../../scripts/evaluate_scan.py"


rule export_landmarks:
    input:
        tables=lambda wildcards: plan.own_faces(
            "landmarks",
            wildcards.name,
            "coarse/{set}/reconstruct_coarse/{shard}.parquet",
        ),
        arrays=lambda wildcards: plan.own_faces(
            "landmarks", wildcards.name, "coarse/{set}/reconstruct_coarse/{shard}.npz"
        ),
        model=rules.prepare_model.output.model,
    output:
        predictions=directory(f"{RESULTS}/evaluation/landmarks/{{name}}/predictions"),
    log:
        f"{RESULTS}/logs/export_landmarks/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_landmarks/{{name}}.tsv"
    conda:
        "../../envs/export_landmarks.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=plan.stage("reconstruct_coarse"),
        code=plan.code("export_landmarks"),
    message:
        "write the landmarks {wildcards.name}"
    script:
        "../../scripts/export_landmarks.py"


rule evaluate_landmarks:
    input:
        folder=lambda wildcards: plan.task("landmarks", wildcards.name)["folder"],
        predictions=lambda wildcards: plan.task("landmarks", wildcards.name)[
            "predictions"
        ],
    output:
        summary=f"{RESULTS}/evaluation/landmarks/{{name}}.json",
        faces=f"{RESULTS}/evaluation/landmarks/{{name}}_faces.csv",
    log:
        f"{RESULTS}/logs/evaluate_landmarks/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_landmarks/{{name}}.tsv"
    conda:
        "../../envs/evaluate_landmarks.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=plan.stage("evaluate_landmarks"),
        task=lambda wildcards: plan.task("landmarks", wildcards.name),
        source=lambda wildcards: plan.source("landmarks", wildcards.name),
        code=plan.code("evaluate_landmarks"),
    message:
        "evaluate the landmarks {wildcards.name}"
    script:
        "../../scripts/evaluate_landmarks.py"


rule evaluate_micc:
    input:
        cases=lambda wildcards: plan.task("micc", wildcards.name)["cases"],
    output:
        summary=f"{RESULTS}/evaluation/micc/{{name}}.json",
        cases=f"{RESULTS}/evaluation/micc/{{name}}_cases.csv",
    log:
        f"{RESULTS}/logs/evaluate_micc/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_micc/{{name}}.tsv"
    conda:
        "../../envs/evaluate_micc.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        settings=plan.stage("evaluate_micc"),
        task=lambda wildcards: plan.task("micc", wildcards.name),
        code=plan.code("evaluate_micc"),
    message:
        "evaluate under the MICC protocol {wildcards.name}"
    script:
        "../../scripts/evaluate_micc.py"


rule evaluate_shape_error:
    input:
        cases=lambda wildcards: plan.task("shape_error", wildcards.name)["cases"],
    output:
        summary=f"{RESULTS}/evaluation/shape_error/{{name}}.json",
        cases=f"{RESULTS}/evaluation/shape_error/{{name}}_cases.csv",
    log:
        f"{RESULTS}/logs/evaluate_shape_error/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_shape_error/{{name}}.tsv"
    conda:
        "../../envs/evaluate_shape_error.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        task=lambda wildcards: plan.task("shape_error", wildcards.name),
        code=plan.code("evaluate_shape_error"),
    message:
        "measure the shape error of {wildcards.name}"
    script:
        "../../scripts/evaluate_shape_error.py"


rule evaluate_facescape:
    input:
        cases=lambda wildcards: plan.task("facescape", wildcards.name)["cases"],
    output:
        summary=f"{RESULTS}/evaluation/facescape/{{name}}.json",
        cases=f"{RESULTS}/evaluation/facescape/{{name}}_cases.csv",
    log:
        f"{RESULTS}/logs/evaluate_facescape/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_facescape/{{name}}.tsv"
    conda:
        "../../envs/evaluate_facescape.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        task=lambda wildcards: plan.task("facescape", wildcards.name),
        code=plan.code("evaluate_facescape"),
    message:
        "evaluate under FaceScape's benchmark {wildcards.name}"
    script:
        "../../scripts/evaluate_facescape.py"


rule evaluate_detail:
    input:
        tables=lambda wildcards: plan.measured_faces(
            wildcards.name, "detail/{set}/reconstruct_detail/{shard}.parquet"
        ),
        detail=lambda wildcards: plan.measured_faces(
            wildcards.name, "detail/{set}/reconstruct_detail/{shard}.npz"
        ),
        coarse=lambda wildcards: plan.measured_faces(
            wildcards.name, "coarse/{set}/reconstruct_coarse/{shard}.npz"
        ),
        truth=lambda wildcards: plan.measured_faces(
            wildcards.name, "synthesis/photos/{set}/synthesize_photos/{shard}.npz"
        ),
        pictures=lambda wildcards: plan.measured_faces(
            wildcards.name, "synthesis/photos/{set}/synthesize_photos/{shard}"
        ),
        model=rules.prepare_model.output.model,
    output:
        summary=f"{RESULTS}/evaluation/detail/{{name}}.json",
        cases=f"{RESULTS}/evaluation/detail/{{name}}_cases.csv",
        regions=f"{RESULTS}/evaluation/detail/{{name}}_regions.csv",
        pictures=directory(f"{RESULTS}/evaluation/detail/{{name}}/pictures"),
    log:
        f"{RESULTS}/logs/evaluate_detail/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_detail/{{name}}.tsv"
    conda:
        "../../envs/evaluate_detail.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        settings=plan.stage("evaluate_detail"),
        task=lambda wildcards: plan.task("detail", wildcards.name),
        code=plan.code("evaluate_detail"),
    message:
        "measure the detail {wildcards.name} against true surfaces"
    script:
        "../../scripts/evaluate_detail.py"


rule compare_methods:
    input:
        results=plan.evaluation_results,
        now_summaries=plan.now_files("{name}.json"),
        now_cases=plan.now_files("{name}_cases.csv"),
        now_histograms=plan.now_files("{name}/distances.npz"),
        published=plan.published,
    output:
        table=f"{RESULTS}/evaluation/comparison.csv",
        notes=f"{RESULTS}/evaluation/comparison.txt",
        floor=f"{RESULTS}/evaluation/floor.csv",
    log:
        f"{RESULTS}/logs/compare_methods.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_methods/all.tsv"
    conda:
        "../../envs/compare_methods.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        settings=plan.stage("compare_methods"),
        now_settings=plan.stage("evaluate_now"),
        now_names=list(plan.settings.evaluation.now),
        names=[Path(file).stem for file in plan.evaluation_results],
        published=lambda wildcards, input: str(Path(input.published[0]).parent),
        code=plan.code("compare_methods"),
    message:
        "put our figures beside the published ones"
    script:
        "../../scripts/compare_methods.py"
