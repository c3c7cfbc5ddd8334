# From the base mesh of a capture to a surface, its texture and its displaced mesh: matching in the atlas (classical
# and by the implicit function), regularisation, blending, mesoscopic relief. A capture that cannot go on keeps its
# files, with a status and a reason in them.


rule match_surface:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
    output:
        matches=f"{RESULTS}/multiview/{{capture}}/match_surface/matches.npz",
    log:
        f"{RESULTS}/logs/match_surface/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/match_surface/{{capture}}.tsv"
    conda:
        "../../envs/match_surface.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        settings=plan.stage("match_surface"),
        code=plan.code("match_surface"),
    message:
        "match the views of {wildcards.capture}"
    script:
        "../../scripts/match_surface.py"


rule predict_implicit:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
        trained=plan.own_weights("predict_implicit", "network"),
    output:
        volume=f"{RESULTS}/multiview/{{capture}}/volume.npz",
    log:
        f"{RESULTS}/logs/predict_implicit/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict_implicit/{{capture}}.tsv"
    conda:
        "../../envs/predict_implicit.yaml"
    threads: 2
    resources:
        mem_mb=grown(6000),
        runtime=grown(60),
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("predict_implicit", "network"),
        weights=plan.weights_digest("predict_implicit", "network"),
        device=plan.settings.device,
        code=plan.code("predict_implicit"),
    message:
        "match the views of {wildcards.capture} by the implicit function"
    script:
        "../../scripts/predict_implicit.py"


rule regularize_surface:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
        classical=rules.match_surface.output.matches,
        implicit=rules.predict_implicit.output.volume,
        trained=plan.own_weights("regularize_surface", "network"),
    output:
        regularized=f"{RESULTS}/multiview/{{capture}}/regularized.npz",
        surface=f"{RESULTS}/multiview/{{capture}}/surface.ply",
    log:
        f"{RESULTS}/logs/regularize_surface/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/regularize_surface/{{capture}}.tsv"
    conda:
        "../../envs/regularize_surface.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("regularize_surface", "network"),
        weights=plan.weights_digest("regularize_surface", "network"),
        device=plan.settings.device,
        code=plan.code("regularize_surface"),
    message:
        "regularise the surface of {wildcards.capture}"
    script:
        "../../scripts/regularize_surface.py"


rule blend_texture:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
        regularized=rules.regularize_surface.output.regularized,
    output:
        texture=report(
            f"{RESULTS}/multiview/{{capture}}/texture.png",
            caption="../report/texture.rst",
            category="Captures",
            subcategory="{capture}",
        ),
        seen=f"{RESULTS}/multiview/{{capture}}/texture_seen.png",
        views_table=f"{RESULTS}/multiview/{{capture}}/blend_texture/views.csv",
    log:
        f"{RESULTS}/logs/blend_texture/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/blend_texture/{{capture}}.tsv"
    conda:
        "../../envs/blend_texture.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        settings=plan.stage("blend_texture"),
        model_name=plan.settings.model,
        code=plan.code("blend_texture"),
    message:
        "blend the texture of {wildcards.capture}"
    script:
        "../../scripts/blend_texture.py"


rule predict_mesoscopic:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
        regularized=rules.regularize_surface.output.regularized,
        texture=rules.blend_texture.output.texture,
        seen=rules.blend_texture.output.seen,
        trained=plan.own_weights("predict_mesoscopic", "network"),
    output:
        mesoscopic=f"{RESULTS}/multiview/{{capture}}/mesoscopic.npz",
    log:
        f"{RESULTS}/logs/predict_mesoscopic/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict_mesoscopic/{{capture}}.tsv"
    conda:
        "../../envs/predict_mesoscopic.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("predict_mesoscopic", "network"),
        weights=plan.weights_digest("predict_mesoscopic", "network"),
        device=plan.settings.device,
        model_name=plan.settings.model,
        code=plan.code("predict_mesoscopic"),
    message:
        "predict the mesoscopic relief of {wildcards.capture}"
    script:
        "../../scripts/predict_mesoscopic.py"


rule displace_mesh:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
        regularized=rules.regularize_surface.output.regularized,
        mesoscopic=rules.predict_mesoscopic.output.mesoscopic,
        texture=rules.blend_texture.output.texture,
    output:
        displacement=f"{RESULTS}/multiview/{{capture}}/displacement.png",
        sidecar=f"{RESULTS}/multiview/{{capture}}/displacement.json",
        obj=f"{RESULTS}/multiview/{{capture}}/mesh.obj",
        glb=report(
            f"{RESULTS}/multiview/{{capture}}/mesh.glb",
            caption="../report/displaced_mesh.rst",
            category="Captures",
            subcategory="{capture}",
        ),
        ply=f"{RESULTS}/multiview/{{capture}}/mesh.ply",
        stages=report(
            f"{RESULTS}/multiview/{{capture}}/surface_stages.png",
            caption="../report/surface_stages.rst",
            category="Captures",
            subcategory="{capture}",
        ),
        folder=directory(f"{RESULTS}/multiview/{{capture}}/displace_mesh"),
    log:
        f"{RESULTS}/logs/displace_mesh/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/displace_mesh/{{capture}}.tsv"
    conda:
        "../../envs/displace_mesh.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        settings=plan.stage("displace_mesh"),
        model_name=plan.settings.model,
        code=plan.code("displace_mesh"),
    message:
        "displace the mesh of {wildcards.capture}"
    script:
        "../../scripts/displace_mesh.py"


rule evaluate_surface:
    input:
        capture=rules.prepare_capture.output.capture,
        views=rules.prepare_capture.output.views,
        arrays=lambda wildcards: plan.fit_of(wildcards.capture, "npz"),
        report=lambda wildcards: plan.fit_of(wildcards.capture, "json"),
        model=rules.prepare_model.output.model,
        maps=rules.build_uv_maps.output.maps,
        classical=rules.match_surface.output.matches,
        implicit=rules.predict_implicit.output.volume,
        regularized=rules.regularize_surface.output.regularized,
        mesoscopic=rules.predict_mesoscopic.output.mesoscopic,
        scan=lambda wildcards: plan.scan_files_of(wildcards.capture),
    output:
        summary=f"{RESULTS}/multiview/{{capture}}/evaluate_surface/result.json",
        heat_maps=report(
            f"{RESULTS}/multiview/{{capture}}/evaluate_surface/heat_maps.png",
            caption="../report/surface_heat_maps.rst",
            category="Captures",
            subcategory="{capture}",
        ),
    log:
        f"{RESULTS}/logs/evaluate_surface/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_surface/{{capture}}.tsv"
    conda:
        "../../envs/evaluate_surface.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        settings=plan.stage("evaluate_surface"),
        scan=lambda wildcards: plan.capture(wildcards.capture).scan,
        benchmarks=lambda wildcards: plan.surface_benchmarks(wildcards.capture),
        code=plan.code("evaluate_surface"),
    message:
        "measure the surface of {wildcards.capture} against its scan"
    script:
        "../../scripts/evaluate_surface.py"
