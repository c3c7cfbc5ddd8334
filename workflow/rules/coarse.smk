# One face from one photo: reconstruction of a shard, and the folders of results that people open.


rule reconstruct_coarse:
    input:
        unpack(plan.face_files),
        model=rules.prepare_model.output.model,
        trained=plan.own_weights("reconstruct_coarse", "network"),
    output:
        table=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.parquet",
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
    log:
        f"{RESULTS}/logs/reconstruct_coarse/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reconstruct_coarse/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/reconstruct_coarse.yaml"
    threads: 1
    resources:
        mem_mb=grown(6000),
        runtime=grown(240),
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("reconstruct_coarse", "network"),
        crops_folder=lambda wildcards: plan.crops_folder(wildcards),
        masks_folder=lambda wildcards: plan.masks_folder(wildcards),
        weights=plan.weights_digest("reconstruct_coarse", "network"),
        model_name=plan.settings.model,
        device=plan.settings.device,
        code=plan.code("reconstruct_coarse"),
    message:
        "reconstruct faces of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/reconstruct_coarse.py"


rule export_coarse:
    input:
        faces=rules.reconstruct_coarse.output.table,
        arrays=rules.reconstruct_coarse.output.arrays,
        crops=lambda wildcards: plan.face_files(wildcards)["crops"],
        model=rules.prepare_model.output.model,
        whole=plan.whole_head,
    output:
        table=f"{RESULTS}/coarse/{{set}}/export_coarse/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/export_coarse/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_coarse/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/export_coarse.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(120),
    params:
        settings=plan.stage("export_coarse"),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        crops_folder=lambda wildcards: plan.crops_folder(wildcards),
        folder=lambda wildcards: f"{RESULTS}/coarse/{wildcards.set}",
        code=plan.code("export_coarse"),
    message:
        "write meshes and pictures of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/export_coarse.py"


# The same for one photo that somebody names; the folder's other files appear with the one asked for.
rule export_photo:
    input:
        faces=lambda wildcards: plan.photo_file(
            "coarse/{set}/reconstruct_coarse/{shard}.parquet", wildcards
        ),
        arrays=lambda wildcards: plan.photo_file(
            "coarse/{set}/reconstruct_coarse/{shard}.npz", wildcards
        ),
        crops=lambda wildcards: plan.face_files(wildcards)["crops"],
        model=rules.prepare_model.output.model,
        whole=plan.whole_head,
    output:
        mesh=f"{RESULTS}/coarse/{{set}}/{{photo}}/mesh.obj",
        plain=f"{RESULTS}/coarse/{{set}}/{{photo}}/mesh_plain.obj",
        glb=report(
            f"{RESULTS}/coarse/{{set}}/{{photo}}/mesh.glb",
            caption="../report/coarse_mesh.rst",
            category="Faces",
            subcategory="{photo}",
        ),
        neutral=f"{RESULTS}/coarse/{{set}}/{{photo}}/neutral.obj",
        now_landmarks=f"{RESULTS}/coarse/{{set}}/{{photo}}/now_landmarks.txt",
        coefficients=f"{RESULTS}/coarse/{{set}}/{{photo}}/coefficients.mat",
        camera=f"{RESULTS}/coarse/{{set}}/{{photo}}/camera.json",
        landmarks=f"{RESULTS}/coarse/{{set}}/{{photo}}/landmarks68.txt",
        landmarks_crop=f"{RESULTS}/coarse/{{set}}/{{photo}}/landmarks68_crop.txt",
        landmarks_3d=f"{RESULTS}/coarse/{{set}}/{{photo}}/landmarks68_3d.txt",
        overlay_crop=f"{RESULTS}/coarse/{{set}}/{{photo}}/overlay_crop.png",
        overlay=report(
            f"{RESULTS}/coarse/{{set}}/{{photo}}/overlay.png",
            caption="../report/coarse_overlay.rst",
            category="Faces",
            subcategory="{photo}",
        ),
        closeup=f"{RESULTS}/coarse/{{set}}/{{photo}}/closeup.png",
        closeup_overlay=f"{RESULTS}/coarse/{{set}}/{{photo}}/closeup_overlay.png",
        geometry=f"{RESULTS}/coarse/{{set}}/{{photo}}/geometry.png",
        turned=f"{RESULTS}/coarse/{{set}}/{{photo}}/turned.png",
    log:
        f"{RESULTS}/logs/export_photo/{{set}}/{{photo}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_photo/{{set}}/{{photo}}.tsv"
    conda:
        "../../envs/export_photo.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        settings=plan.stage("export_coarse"),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        crops_folder=lambda wildcards: plan.crops_folder(wildcards),
        folder=lambda wildcards: f"{RESULTS}/coarse/{wildcards.set}",
        code=plan.code("export_photo"),
    message:
        "write meshes and pictures of {wildcards.photo}"
    script:
        "../../scripts/export_photo.py"


# Makes what resources/weights/ ships; nothing asks for it, name its output to convert again.
rule convert_identity_network:
    input:
        [],
    output:
        weights=f"{RESULTS}/convert_identity_network/identity.safetensors",
    log:
        f"{RESULTS}/logs/convert_identity_network.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert_identity_network/identity.tsv"
    conda:
        "../../envs/convert_identity_network.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(10),
    params:
        code=plan.code("convert_identity_network"),
    message:
        "convert dlib's face recogniser"
    script:
        "../../scripts/convert_identity_network.py"


# A shard of any training set, real or synthetic, in the arrays that training maps into memory.
rule pack_training:
    input:
        unpack(plan.training_files),
        model=rules.prepare_model.output.model,
        head=ROOT / "resources" / "models" / "head.npz",
    output:
        table=f"{RESULTS}/coarse/{{set}}/pack_training/{{shard}}.parquet",
        arrays=directory(f"{RESULTS}/coarse/{{set}}/pack_training/{{shard}}"),
    log:
        f"{RESULTS}/logs/pack_training/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pack_training/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/pack_training.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        settings=plan.stage("pack_training"),
        masks=lambda wildcards, input: input.get("masks", f"{input.crops}/labels"),
        truth=lambda wildcards, input: input.get("truth"),
        tuples=lambda wildcards, input: input.get("tuples"),
        people_set=lambda wildcards: plan.people_set(wildcards.set),
        code=plan.code("pack_training"),
    message:
        "pack {wildcards.set}, shard {wildcards.shard}, for training"
    script:
        "../../scripts/pack_training.py"


# Checkpoints and logs stay in the folder when the rule is interrupted; the next call goes on from them.
rule train_coarse:
    input:
        train=lambda wildcards: plan.packed_shards("train_coarse", "train"),
        validation=lambda wildcards: plan.packed_shards("train_coarse", "validation"),
        held_out=lambda wildcards: plan.held_out("train_coarse"),
        model=rules.prepare_model.output.model,
    output:
        weights=f"{RESULTS}/coarse/train_coarse/network.safetensors",
        metrics=f"{RESULTS}/coarse/train_coarse/metrics.csv",
        faces=f"{RESULTS}/coarse/train_coarse/faces.png",
        summary=f"{RESULTS}/coarse/train_coarse/summary.json",
    log:
        f"{RESULTS}/logs/train_coarse.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_coarse.tsv"
    conda:
        "../../envs/train_coarse.yaml"
    threads: plan.settings.train_coarse.processes
    resources:
        mem_mb=grown(8000),
        runtime=grown(7200),
        gpu=plan.gpus * plan.settings.train_coarse.processes,
    params:
        settings=plan.stage_with_weights("train_coarse", "start", "identity_network"),
        weights=plan.weights_digest("train_coarse", "start", "identity_network"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/coarse/train_coarse/run",
        device=plan.settings.device,
        code=plan.code("train_coarse"),
    message:
        "train the coarse network"
    script:
        "../../scripts/train_coarse.py"
