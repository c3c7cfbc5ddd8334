# Captures: one head from several sides, with cameras or without, becomes a base mesh and its UV maps. A
# capture that cannot go on keeps its files, with a status and a reason in them.


rule calibrate_capture:
    input:
        manifest=f"{RESULTS}/multiview/plan/{{capture}}.json",
        model=rules.prepare_model.output.model,
    output:
        cameras=f"{RESULTS}/multiview/{{capture}}/calibrate_capture/cameras.json",
        report=f"{RESULTS}/multiview/{{capture}}/calibrate_capture/report.json",
    log:
        f"{RESULTS}/logs/calibrate_capture/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/calibrate_capture/{{capture}}.tsv"
    conda:
        "../../envs/calibrate_capture.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(240),
    params:
        settings=plan.stage("calibrate_capture"),
        faces=plan.stage("detect_faces"),
        landmarks=plan.stage("detect_landmarks"),
        views=plan.stage("triangulate_landmarks"),
        code=plan.code("calibrate_capture"),
    message:
        "find the cameras of {wildcards.capture}"
    script:
        "../../scripts/calibrate_capture.py"


rule prepare_capture:
    input:
        manifest=f"{RESULTS}/multiview/plan/{{capture}}.json",
        made=lambda wildcards: list(plan.capture(wildcards.capture).made_by),
        calibrated=lambda wildcards: plan.calibrated_files(wildcards.capture),
    output:
        capture=f"{RESULTS}/multiview/{{capture}}/prepare_capture/capture.json",
        views=directory(f"{RESULTS}/multiview/{{capture}}/prepare_capture/views"),
    log:
        f"{RESULTS}/logs/prepare_capture/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_capture/{{capture}}.tsv"
    conda:
        "../../envs/prepare_capture.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        settings=plan.stage("prepare_capture"),
        code=plan.code("prepare_capture"),
    message:
        "undistort the photos of {wildcards.capture}"
    script:
        "../../scripts/prepare_capture.py"


rule triangulate_landmarks:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
    output:
        arrays=f"{RESULTS}/multiview/{{capture}}/triangulate_landmarks/landmarks.npz",
        report=f"{RESULTS}/multiview/{{capture}}/triangulate_landmarks/landmarks.json",
    log:
        f"{RESULTS}/logs/triangulate_landmarks/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/triangulate_landmarks/{{capture}}.tsv"
    conda:
        "../../envs/triangulate_landmarks.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        settings=plan.stage("triangulate_landmarks"),
        faces=plan.stage("detect_faces"),
        landmarks=plan.stage("detect_landmarks"),
        code=plan.code("triangulate_landmarks"),
    message:
        "triangulate the landmarks of {wildcards.capture}"
    script:
        "../../scripts/triangulate_landmarks.py"


rule fit_base_mesh:
    input:
        captures=lambda wildcards: plan.person_captures(
            "{capture}/prepare_capture/capture.json", wildcards.person
        ),
        views=lambda wildcards: plan.person_captures(
            "{capture}/prepare_capture/views", wildcards.person
        ),
        arrays=lambda wildcards: plan.person_captures(
            "{capture}/triangulate_landmarks/landmarks.npz", wildcards.person
        ),
        reports=lambda wildcards: plan.person_captures(
            "{capture}/triangulate_landmarks/landmarks.json", wildcards.person
        ),
        model=rules.prepare_model.output.model,
    output:
        arrays=f"{RESULTS}/multiview/fit_base_mesh/{{person}}.npz",
        report=f"{RESULTS}/multiview/fit_base_mesh/{{person}}.json",
    log:
        f"{RESULTS}/logs/fit_base_mesh/{{person}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_base_mesh/{{person}}.tsv"
    conda:
        "../../envs/fit_base_mesh.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(120),
    params:
        settings=plan.stage("fit_base_mesh"),
        captures=lambda wildcards: plan.captures_of(wildcards.person),
        code=plan.code("fit_base_mesh"),
    message:
        "fit the base meshes of {wildcards.person}"
    script:
        "../../scripts/fit_base_mesh.py"


rule build_uv_maps:
    input:
        capture=rules.prepare_capture.output.capture,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        scan=lambda wildcards: plan.scan_files_of(wildcards.capture),
    output:
        maps=f"{RESULTS}/multiview/{{capture}}/uv_maps.npz",
        picture=report(
            f"{RESULTS}/multiview/{{capture}}/uv_maps.png",
            caption="../report/uv_maps.rst",
            category="Captures",
            subcategory="{capture}",
        ),
    log:
        f"{RESULTS}/logs/build_uv_maps/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_uv_maps/{{capture}}.tsv"
    conda:
        "../../envs/build_uv_maps.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(30),
    params:
        settings=plan.stage("build_uv_maps"),
        scan=lambda wildcards: plan.capture(wildcards.capture).scan,
        model_name=plan.settings.model,
        code=plan.code("build_uv_maps"),
    message:
        "map the base mesh of {wildcards.capture}"
    script:
        "../../scripts/build_uv_maps.py"


rule export_base_mesh:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        landmarks=rules.triangulate_landmarks.output.arrays,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
    output:
        obj=f"{RESULTS}/multiview/{{capture}}/base_mesh.obj",
        glb=f"{RESULTS}/multiview/{{capture}}/base_mesh.glb",
        overlays=report(
            f"{RESULTS}/multiview/{{capture}}/overlays.png",
            caption="../report/base_mesh_overlays.rst",
            category="Captures",
            subcategory="{capture}",
        ),
        geometry=f"{RESULTS}/multiview/{{capture}}/geometry.png",
    log:
        f"{RESULTS}/logs/export_base_mesh/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_base_mesh/{{capture}}.tsv"
    conda:
        "../../envs/export_base_mesh.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(30),
    params:
        settings=plan.stage("export_base_mesh"),
        code=plan.code("export_base_mesh"),
    message:
        "export the base mesh of {wildcards.capture}"
    script:
        "../../scripts/export_base_mesh.py"


rule evaluate_base_mesh:
    input:
        capture=rules.prepare_capture.output.capture,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        scan=lambda wildcards: plan.scan_files_of(wildcards.capture),
    output:
        summary=f"{RESULTS}/multiview/{{capture}}/evaluate_base_mesh/result.json",
        heat_map=report(
            f"{RESULTS}/multiview/{{capture}}/evaluate_base_mesh/heat_map.png",
            caption="../report/base_mesh_heat_map.rst",
            category="Captures",
            subcategory="{capture}",
        ),
    log:
        f"{RESULTS}/logs/evaluate_base_mesh/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_base_mesh/{{capture}}.tsv"
    conda:
        "../../envs/evaluate_base_mesh.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(30),
    params:
        settings=plan.stage("evaluate_base_mesh"),
        scan=lambda wildcards: plan.capture(wildcards.capture).scan,
        code=plan.code("evaluate_base_mesh"),
    message:
        "measure the base mesh of {wildcards.capture} against its scan"
    script:
        "../../scripts/evaluate_base_mesh.py"


rule tabulate_captures:
    input:
        prepared=plan.multiview_files("{capture}/prepare_capture/capture.json"),
        calibrated=plan.calibration_reports(),
        fitted=[
            f"{RESULTS}/multiview/fit_base_mesh/{person}.json"
            for person in plan.captured_people
        ],
        surfaces=list(plan.regularized_surfaces.values()),
    output:
        table=f"{RESULTS}/multiview/captures.csv",
    log:
        f"{RESULTS}/logs/tabulate_captures.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_captures/captures.tsv"
    conda:
        "../../envs/tabulate_captures.yaml"
    threads: 1
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        people={name: capture.person for name, capture in plan.captures.items()},
        surfaces=plan.regularized_surfaces,
        code=plan.code("tabulate_captures"),
    message:
        "list what became of each capture"
    script:
        "../../scripts/tabulate_captures.py"
