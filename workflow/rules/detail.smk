# Wrinkles and folds on the coarse face: a displacement map per photo, and the network that reads it.


# A shard of any set of reconstructed faces, real or synthetic, in the arrays that training maps into memory.
rule pack_detail:
    input:
        unpack(plan.face_files),
        faces=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.parquet",
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        model=rules.prepare_model.output.model,
    output:
        table=f"{RESULTS}/detail/{{set}}/pack_detail/{{shard}}.parquet",
        arrays=directory(f"{RESULTS}/detail/{{set}}/pack_detail/{{shard}}"),
    log:
        f"{RESULTS}/logs/pack_detail/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pack_detail/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/pack_detail.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        settings=plan.stage("pack_detail"),
        crops_folder=lambda wildcards: plan.crops_folder(wildcards),
        masks_folder=lambda wildcards: plan.masks_folder(wildcards),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        displacement_folder=lambda wildcards: plan.displacement_folder(wildcards),
        code=plan.code("pack_detail"),
    message:
        "pack {wildcards.set}, shard {wildcards.shard}, for the detail network"
    script:
        "../../scripts/pack_detail.py"


# Checkpoints and logs stay in the folder when the rule is interrupted; the next call goes on from them.
rule train_detail:
    input:
        train=lambda wildcards: plan.packed_shards("train_detail", "train"),
        validation=lambda wildcards: plan.packed_shards("train_detail", "validation"),
        held_out=lambda wildcards: plan.held_out("train_detail"),
        model=rules.prepare_model.output.model,
    output:
        weights=f"{RESULTS}/detail/train_detail/network.safetensors",
        metrics=f"{RESULTS}/detail/train_detail/metrics.csv",
        faces=f"{RESULTS}/detail/train_detail/faces.png",
        summary=f"{RESULTS}/detail/train_detail/summary.json",
    log:
        f"{RESULTS}/logs/train_detail.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_detail.tsv"
    conda:
        "../../envs/train_detail.yaml"
    threads: plan.settings.train_detail.processes
    resources:
        mem_mb=grown(8000),
        runtime=grown(7200),
        gpu=plan.gpus * plan.settings.train_detail.processes,
    params:
        settings=plan.stage_with_weights("train_detail", "start"),
        weights=plan.weights_digest("train_detail", "start"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/detail/train_detail/run",
        device=plan.settings.device,
        code=plan.code("train_detail"),
    message:
        "train the detail network"
    script:
        "../../scripts/train_detail.py"


rule reconstruct_detail:
    input:
        unpack(plan.face_files),
        faces=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.parquet",
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        model=rules.prepare_model.output.model,
        trained=plan.own_weights("reconstruct_detail", "network"),
    output:
        table=f"{RESULTS}/detail/{{set}}/reconstruct_detail/{{shard}}.parquet",
        arrays=f"{RESULTS}/detail/{{set}}/reconstruct_detail/{{shard}}.npz",
    log:
        f"{RESULTS}/logs/reconstruct_detail/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reconstruct_detail/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/reconstruct_detail.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(240),
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("reconstruct_detail", "network"),
        masks_folder=lambda wildcards: plan.masks_folder(wildcards),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        weights=plan.weights_digest("reconstruct_detail", "network"),
        model_name=plan.settings.model,
        device=plan.settings.device,
        code=plan.code("reconstruct_detail"),
    message:
        "find the detail of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/reconstruct_detail.py"


rule export_detail:
    input:
        faces=rules.reconstruct_detail.output.table,
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        detail=rules.reconstruct_detail.output.arrays,
        model=rules.prepare_model.output.model,
    output:
        table=f"{RESULTS}/detail/{{set}}/export_detail/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/export_detail/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_detail/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/export_detail.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(240),
    params:
        settings=plan.stage("export_detail"),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        folder=lambda wildcards: f"{RESULTS}/detail/{wildcards.set}",
        code=plan.code("export_detail"),
    message:
        "write the detail of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/export_detail.py"


# The same for one photo that somebody names; the folder's other files appear with the one asked for.
rule export_photo_detail:
    input:
        faces=lambda wildcards: plan.photo_file(
            "detail/{set}/reconstruct_detail/{shard}.parquet", wildcards
        ),
        arrays=lambda wildcards: plan.photo_file(
            "coarse/{set}/reconstruct_coarse/{shard}.npz", wildcards
        ),
        detail=lambda wildcards: plan.photo_file(
            "detail/{set}/reconstruct_detail/{shard}.npz", wildcards
        ),
        model=rules.prepare_model.output.model,
    output:
        mesh=f"{RESULTS}/detail/{{set}}/{{photo}}/mesh.obj",
        glb=report(
            f"{RESULTS}/detail/{{set}}/{{photo}}/mesh.glb",
            caption="../report/detail_mesh.rst",
            category="Detail",
            subcategory="{photo}",
        ),
        dense=f"{RESULTS}/detail/{{set}}/{{photo}}/dense.glb",
        displacement=f"{RESULTS}/detail/{{set}}/{{photo}}/displacement.png",
        scale=f"{RESULTS}/detail/{{set}}/{{photo}}/displacement.json",
        normal=f"{RESULTS}/detail/{{set}}/{{photo}}/normal.png",
        normal_object=f"{RESULTS}/detail/{{set}}/{{photo}}/normal_object.png",
        confidence=f"{RESULTS}/detail/{{set}}/{{photo}}/confidence.png",
        overlay=f"{RESULTS}/detail/{{set}}/{{photo}}/overlay.png",
        geometry=report(
            f"{RESULTS}/detail/{{set}}/{{photo}}/geometry.png",
            caption="../report/detail_geometry.rst",
            category="Detail",
            subcategory="{photo}",
        ),
    log:
        f"{RESULTS}/logs/export_photo_detail/{{set}}/{{photo}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_photo_detail/{{set}}/{{photo}}.tsv"
    conda:
        "../../envs/export_photo_detail.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        settings=plan.stage("export_detail"),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        folder=lambda wildcards: f"{RESULTS}/detail/{wildcards.set}",
        code=plan.code("export_photo_detail"),
    message:
        "write the detail of {wildcards.photo}"
    script:
        "../../scripts/export_photo_detail.py"


# One photo that somebody names under other expressions.
rule animate_detail:
    input:
        faces=lambda wildcards: plan.photo_file(
            "detail/{set}/reconstruct_detail/{shard}.parquet", wildcards
        ),
        arrays=lambda wildcards: plan.photo_file(
            "coarse/{set}/reconstruct_coarse/{shard}.npz", wildcards
        ),
        detail=lambda wildcards: plan.photo_file(
            "detail/{set}/reconstruct_detail/{shard}.npz", wildcards
        ),
        model=rules.prepare_model.output.model,
    output:
        picture=report(
            f"{RESULTS}/detail/{{set}}/{{photo}}/expressions.png",
            caption="../report/detail_expressions.rst",
            category="Detail",
            subcategory="{photo}",
        ),
        meshes=directory(f"{RESULTS}/detail/{{set}}/{{photo}}/expressions"),
    log:
        f"{RESULTS}/logs/animate_detail/{{set}}/{{photo}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/animate_detail/{{set}}/{{photo}}.tsv"
    conda:
        "../../envs/animate_detail.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        settings=plan.stage("animate_detail"),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        folder=lambda wildcards: f"{RESULTS}/detail/{wildcards.set}/{wildcards.photo}",
        code=plan.code("animate_detail"),
    message:
        "animate the detail of {wildcards.photo}"
    script:
        "../../scripts/animate_detail.py"
